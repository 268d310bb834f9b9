"""A cell that no library reads is one person's: it stops nobody and changes nothing for others."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthrec.data import cleaned
from synthrec.data.files import open_file
from synthrec.data.propose import propose
from synthrec.data.reader import public_column, read_log, share_users
from synthrec.errors import DataError
from tests.data import small
from tests.data.small import START, events, without_tables

COLUMNS = ["user_id", "item_id", "rating", "timestamp", "comment"]
LINES = b'"' + b'seen, and "" heard\n' * 320_000 + b'"'  # 6 MB
CELLS = {
    "not UTF-8": b"caf\xe9",
    "not UTF-8, quoted": b'"caf\xe9, ""x""\n"',
    "half a character": "\ud800".encode("utf-8", "surrogatepass"),
    "long": b"x" * 30_000,
    "too long": b"x" * 70_000,
    "too long, quoted": LINES[:95_001] + b'"',
    "never held": LINES[:760_001] + b'"',
}


def rows(odd: bytes | None, columns: Sequence[str] = COLUMNS) -> list[dict[str, bytes]]:
    """A log with a comment, and among its rows one of another person for each column, its cell odd."""
    found = [
        {name: str(cell).encode() for name, cell in row.items()}
        for row in events().assign(comment='fine, "good"').to_dict("records")
    ]
    if odd is not None:
        for place, column in enumerate(columns):
            good = {
                "user_id": b"odd%d" % place,
                "item_id": b"1",
                "rating": b"3",
                "timestamp": b"%d" % START,
                "comment": b"so",
            }
            found.insert(20 * (place + 1), good | {column: odd})
    return found


def quoted(cell: bytes) -> bytes:
    return (
        cell
        if cell[:1] == b'"'
        else b'"' + cell.replace(b'"', b'""') + b'"'
        if b"," in cell
        else cell
    )


def written(path: Path, log: list[dict[str, bytes]]) -> Path:
    name = path.name
    if name.endswith(".parquet"):
        columns = {column: [row[column] for row in log] for column in COLUMNS}
        arrays = {column: pa.array(cells, pa.binary()) for column, cells in columns.items()}
        pq.write_table(
            pa.table(
                {
                    column: pa.Array.from_buffers(pa.string(), len(cells), cells.buffers())
                    for column, cells in arrays.items()
                }
            ),
            path,
            row_group_size=50,
        )
        return path
    if ".jsonl" in name:
        text = b"".join(
            b"{"
            + b",".join(
                b'"%s": "%s"'
                % (key.encode(), cell.strip(b'"').replace(b'"', b'\\"').replace(b"\n", b"\\n"))
                for key, cell in row.items()
            )
            + b"}\n"
            for row in log
        )
    else:
        text = (
            ",".join(COLUMNS).encode()
            + b"\n"
            + b"".join(b",".join(quoted(row[column]) for column in COLUMNS) + b"\n" for row in log)
        )
    path.write_bytes(gzip.compress(text, 1) if name.endswith(".gz") else text)
    return path


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of CSV files divided by a hundred, so that cells beyond them are soon written."""
    for limits in (cleaned.READ_AS_IT_IS, cleaned.READ_FROM_A_COPY, cleaned.LONGEST_ROW):
        monkeypatch.setitem(limits, "csv", limits["csv"] // 100)
    for name in ("LONGEST_CELL", "MAX_HELD"):
        monkeypatch.setattr(cleaned, name, getattr(cleaned, name) // 100)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The others, without the five."""
    return small.people(small.read(events(), tmp_path_factory.mktemp("alone")))


def require_nobody_else_moved(
    alone: list[Any], folder: Path, form: str, odd: bytes, columns: Sequence[str] = COLUMNS
) -> int:
    """How many of the people with an odd cell have a row that is used."""
    found = small.people(small.read(written(folder / f"log.{form}", rows(odd, columns)), folder))
    assert all(person in found for person in alone)
    assert not (folder / "spill").exists()
    return len(found) - len(alone)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize(
    ("form", "odd"),
    [
        *(("csv", odd) for odd in CELLS),
        *(("jsonl", odd) for odd in ("not UTF-8", "half a character", "long")),
        ("csv.gz", "not UTF-8, quoted"),
        ("jsonl.gz", "not UTF-8"),
        ("parquet", "not UTF-8"),
        ("parquet", "too long"),
    ],
)
def test_one_persons_odd_cell_in_any_column_moves_nobody_else(
    form: str, odd: str, alone: list[Any], tmp_path: Path
) -> None:
    used = require_nobody_else_moved(alone, tmp_path, form, CELLS[odd])
    assert (
        (used == 0) if odd == "never held" else (1 <= used <= 5)
    )  # the row with an odd comment is used like others


def test_a_row_of_three_megabytes_is_read_and_one_of_six_loses_its_long_cell(
    alone: list[Any], tmp_path: Path
) -> None:
    for form, odd in (("csv", b"x" * 3_000_000), ("csv", LINES), ("jsonl", b"x" * 45_000_000)):
        assert require_nobody_else_moved(alone, tmp_path, form, odd, ["comment"]) == (form == "csv")


def test_two_people_whose_ids_are_no_text_do_not_become_one(
    alone: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(log: list[dict[str, bytes]]) -> list[Any]:
        return small.people(
            small.read(written(tmp_path / "log.csv", log), tmp_path, without_tables())
        )

    first, second = (
        [
            row | {"user_id": name, "item_id": b"%d" % item}
            for item, row in enumerate(rows(None)[:5], start)
        ]
        for name, start in ((b"caf\xe9", 1), (b"caf\xe8", 6))
    )
    assert found(rows(None) + first) == found(rows(None) + first + second) == found(rows(None))
    monkeypatch.setattr(
        cleaned,
        "_kept",
        lambda cell: (
            cell[0].encode("latin-1").decode("utf-8", "replace").encode().decode("latin-1")
        ),
    )
    assert found(rows(None) + first) != found(
        rows(None) + first + second
    )  # a saboteur: bytes replaced by one and the same sign


@pytest.mark.usefixtures("small_limits")
def test_a_copy_that_ends_a_row_at_a_line_end_between_quotes_is_found_out(
    alone: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaned, "_QUOTED", '[^"]')
    with pytest.raises((AssertionError, DataError)):
        require_nobody_else_moved(alone, tmp_path, "csv", CELLS["too long, quoted"])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_copy_holds_every_byte_that_the_database_reads(
    data: st.DataObject, tmp_path: Path
) -> None:
    plain, inside = (
        st.text('ab" ', max_size=4),
        st.lists(st.sampled_from(["a", '""', ",", "\n", " "]), max_size=5).map("".join),
    )
    cell = plain | st.tuples(
        st.sampled_from(["", " ", "  "]), inside, st.sampled_from(["", " "])
    ).map(lambda t: f'{t[0]}"{t[1]}"{t[2]}')
    text = "a,b,c\n" + "".join(
        ",".join(row) + "\n"
        for row in data.draw(st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=4))
    )
    (path := tmp_path / "log.csv").write_text(text, encoding="utf-8")
    try:
        duckdb.read_csv(
            str(path),
            header=True,
            auto_detect=False,
            dtype=dict.fromkeys("abc", "VARCHAR"),
            sep=",",
            quotechar='"',
            escapechar='"',
        ).fetchall()
    except duckdb.Error:
        return  # a file that is refused
    assert (
        cleaned.cleaned(open_file(path), ["a"], tmp_path).path.read_text(encoding="utf-8") == text
    )


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
)
def test_frames_and_every_kind_of_text_in_parquet_are_read_too(
    kind: pa.DataType, alone: list[Any], tmp_path: Path
) -> None:
    frame = pq.read_table(written(tmp_path / "log.parquet", rows(b"caf\xe9")))
    frame = pa.table({name: _as(frame[name].combine_chunks(), kind) for name in COLUMNS})
    pq.write_table(frame, tmp_path / "log.parquet", row_group_size=50)
    for log in (frame, tmp_path / "log.parquet"):
        assert len(small.people(small.read(log, tmp_path))) == len(alone) + 1


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The text as another kind of it, unjudged."""
    return column.dictionary_encode() if pa.types.is_dictionary(kind) else column.cast(kind)


def test_an_odd_row_of_the_user_table_is_one_persons_too(tmp_path: Path) -> None:
    schema, catalogue = small.prepared(tmp_path)
    expected = small.people(
        read_log(events(), schema, catalogue, spill=tmp_path / "spill", events_per_user=None)
    )
    with (tmp_path / "users.csv").open("ab") as table:
        table.write(b"caf\xe9,F,3\nsomebody," + b"x" * 3_000_000 + b",4\n")
    assert (
        small.people(
            read_log(events(), schema, catalogue, spill=tmp_path / "spill", events_per_user=None)
        )
        == expected
    )


def test_whatever_else_looks_at_a_log_is_not_stopped_either(tmp_path: Path) -> None:
    schema, _ = small.prepared(tmp_path)
    for form in ("csv", "jsonl"):
        for odd, columns in ((CELLS["not UTF-8"], COLUMNS), (b"x" * 3_000_000, ["comment"])):
            log = written(tmp_path / f"log.{form}", rows(odd, columns))
            assert "population" in propose(log, folder=tmp_path)
            assert {*"12345"} <= set(public_column(log, "rating", limit=9).values or ())
            assert share_users(log, log, schema, spill=tmp_path / "spill")


@pytest.mark.parametrize(
    "line",
    [
        '{"Rating": 1, "RATING": 2}',
        '{"": 1}',
        '{"\\ud800": 1}',
        '{"user_id": ' + "9" * 5_000 + "}",
        '{"x": ' + "[" * 5_000 + "]" * 5_000 + "}",
    ],
)
def test_names_and_values_in_one_persons_lines_stop_nobody(
    line: str, alone: list[Any], tmp_path: Path
) -> None:
    text = events().to_json(orient="records", lines=True)
    (path := tmp_path / "log.jsonl").write_text(
        f"{text}{line}\n{text.splitlines()[0]}", encoding="utf-8"
    )
    assert small.people(small.read(path, tmp_path)) == alone
