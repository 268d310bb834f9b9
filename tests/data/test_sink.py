"""A written log reads back as it was, under the input's names and types; a file appears whole or
not at all.
"""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog, EventWriter
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.data.writer import spreadsheet_safe, write_log
from synthrec.errors import DataError, ReleaseError
from tests.data import small
from tests.data.small import START, config

SAID = {"synthetic": "yes", "release": "r-1", "claim": "epsilon 3"}


def a_log(*, users: int = 6, seed: int = 0) -> EventLog:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, small.ITEMS + 1, users)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    return EventLog(
        offsets=offsets,
        item=np.concatenate([rng.permutation(small.ITEMS)[:count] for count in counts]).astype(
            np.int32
        ),
        rating=rng.integers(1, 6, offsets[-1]).astype(np.float32),
        time=np.concatenate(
            [np.sort(START + rng.integers(0, 300 * 86_400, count)) for count in counts]
        ),
        attributes={
            "gender": rng.integers(0, 3, users).astype(np.int16),
            "age": rng.integers(0, 11, users).astype(np.int16),
        },
    )


def write(
    folder: Path, name: str, log: EventLog, text: str = small.CONFIG, **options: object
) -> tuple[Path, Schema, Catalogue]:
    schema, catalogue = small.prepared(folder, text)
    write_log(
        folder / name,
        [log],
        schema=schema,
        catalogue=catalogue,
        metadata=SAID,
        rng=np.random.default_rng(1),
        **options,
    )
    return folder / name, schema, catalogue


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_reading_what_was_written_gives_the_log_that_was_written(
    data: st.DataObject, tmp_path: Path
) -> None:
    suffix = data.draw(st.sampled_from([".parquet", ".csv", ".csv.gz"]))
    unit = data.draw(st.sampled_from(["s", "ms", "us", "ns", "iso"]))
    zone = data.draw(st.sampled_from(["UTC", "Europe/Madrid", "Asia/Kolkata"]))
    kind = data.draw(st.sampled_from(['role = "user"', 'role = "user", type = "text"']))
    step = data.draw(
        st.sampled_from(
            [
                "min = 1, max = 5, step = 1",
                "min = 0.5, max = 5.0, step = 0.5",
                "min = 0.1, max = 5, step = 0.1",
            ]
        )
    )
    log = a_log(users=data.draw(st.integers(1, 30)), seed=data.draw(st.integers(0, 999)))
    text = config(
        ('unit = "s", zone = "UTC"', f'unit = "{unit}", zone = "{zone}"'),
        ('role = "user"', kind),
        ("min = 1, max = 5, step = 1", step),
    )
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    schema, catalogue = small.prepared(folder, text)
    cut = data.draw(st.integers(0, log.users))
    users = np.arange(log.users)
    chunks = [log.select(part) for part in (users[:cut], users[cut:])]
    write_log(
        folder / f"events{suffix}",
        chunks,
        schema=schema,
        catalogue=catalogue,
        metadata=SAID,
        rng=np.random.default_rng(0),
        users_path=folder / f"people{suffix}",
    )
    again = schema.model_copy(
        update={"users": schema.users.model_copy(update={"table": f"people{suffix}"})}
    )
    found = read_log(
        folder / f"events{suffix}", again, catalogue, spill=folder / "spill", events_per_user=None
    )
    assert small.people(found) == small.people(log)


def test_dressed_for_spreadsheets_no_text_is_a_formula_and_nothing_else_changes(
    tmp_path: Path,
) -> None:
    text = ["=1+1", "+a", "-5", "@b", "\tz", "＝a", "a=b", "", None]
    table = pa.table(
        {"text": text, "number": [-1] * len(text), "large": pa.array(text, pa.large_string())}
    )
    safe = spreadsheet_safe(table)
    expected = [f"'{cell}" for cell in text[:6]] + text[6:]
    assert safe.schema == table.schema and safe["number"] == table["number"]
    assert safe["text"].to_pylist() == safe["large"].to_pylist() == expected
    path, _, _ = write(
        tmp_path,
        "out.csv",
        a_log(),
        config(('role = "user"', 'role = "user", type = "text"')),
        dress=lambda found: spreadsheet_safe(
            found.set_column(0, "user_id", pa.array(["=cmd()"] * len(found)))
        ),
    )
    assert path.read_text(encoding="utf-8").count("'=cmd()") == len(a_log().item)


def test_columns_have_the_names_order_and_types_of_the_input(tmp_path: Path) -> None:
    text = config(("rating    =", "note = { drop = true }\nrating    ="))
    path, _, _ = write(
        tmp_path, "events.parquet", a_log(), text, users_path=tmp_path / "people.parquet"
    )
    assert [
        (column.name, str(column.type)) for column in pq.read_schema(path).remove_metadata()
    ] == [("user_id", "int64"), ("item_id", "int64"), ("rating", "int64"), ("timestamp", "int64")]
    assert [
        (column.name, str(column.type)) for column in pq.read_schema(tmp_path / "people.parquet")
    ] == [("user_id", "int64"), ("gender", "string"), ("age", "int64")]
    iso, _, _ = write(
        tmp_path,
        "iso.parquet",
        a_log(),
        config(('unit = "s", zone = "UTC"', 'unit = "iso", zone = "Europe/Madrid"')),
    )
    assert str(pq.read_schema(iso).field("timestamp").type) == "timestamp[us, tz=Europe/Madrid]"


def test_users_are_numbered_in_a_space_of_their_own(tmp_path: Path) -> None:
    path, _, _ = write(
        tmp_path, "events.parquet", a_log(), first_user=41, users_path=tmp_path / "people.parquet"
    )
    assert sorted(set(pq.read_table(path)["user_id"].to_pylist())) == [
        10_000_000_040 + place for place in range(1, 7)
    ]
    text, _, _ = write(
        tmp_path, "text.csv", a_log(), config(('role = "user"', 'role = "user", type = "text"'))
    )
    assert sorted(set(pd.read_csv(text)["user_id"])) == [
        f"synthetic-{place:06d}" for place in range(1, 7)
    ]


def test_a_person_column_carries_the_synthetic_person(tmp_path: Path) -> None:
    text = config(
        ('unit = "user_id"', 'unit = "person"'), ("[users]", 'person = { role = "unit" }\n[users]')
    )
    table = pq.read_table(write(tmp_path, "events.parquet", a_log(), text)[0])
    assert table["person"].equals(table["user_id"])


def test_what_the_file_is_stands_in_the_file_or_beside_it(tmp_path: Path) -> None:
    path, _, _ = write(tmp_path, "events.parquet", a_log(), users_path=tmp_path / "people.csv")
    for name in (b"synthrec.synthetic", b"synthrec.release", b"synthrec.claim"):
        assert name in pq.read_metadata(path).metadata
    assert json.loads((tmp_path / "people.csv.meta.json").read_text()) == {
        "format_version": "1",
        **SAID,
    }


def test_equal_logs_and_seeds_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(
            tmp_path / name, "events.parquet", a_log(), users_path=tmp_path / name / "people.csv.gz"
        )
    for file in ("events.parquet", "people.csv.gz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_no_file_is_ever_overwritten(tmp_path: Path) -> None:
    for name in ("events.csv", "people.csv", "events.csv.meta.json", "people.csv.meta.json"):
        (folder := tmp_path / name.replace(".", "-")).mkdir()
        (folder / name).write_text("precious")
        with pytest.raises(ReleaseError, match="already there"):
            write(folder, "events.csv", a_log(), users_path=folder / "people.csv")
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            [name, "items.csv", "users.csv"]
        )
        assert (folder / name).read_text() == "precious"


def test_a_file_that_appears_while_writing_is_not_overwritten_either(tmp_path: Path) -> None:
    schema, catalogue = small.prepared(tmp_path)

    def chunks() -> Iterator[EventLog]:
        yield a_log()
        (tmp_path / "events.csv").write_text("precious")

    with pytest.raises(ReleaseError, match="appeared meanwhile"):
        write_log(
            tmp_path / "events.csv",
            chunks(),
            schema=schema,
            catalogue=catalogue,
            metadata=SAID,
            rng=np.random.default_rng(0),
            users_path=tmp_path / "people.csv",
        )
    assert (tmp_path / "events.csv").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "events.csv",
        "items.csv",
        "users.csv",
    ]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, MemoryError, ValueError])
@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz"])
def test_a_failure_half_way_leaves_nothing(
    failure: type[BaseException], suffix: str, tmp_path: Path
) -> None:
    schema, catalogue = small.prepared(tmp_path)

    def chunks() -> Iterator[EventLog]:
        yield a_log()
        raise failure

    with pytest.raises(failure):
        write_log(
            tmp_path / f"events{suffix}",
            chunks(),
            schema=schema,
            catalogue=catalogue,
            metadata=SAID,
            rng=np.random.default_rng(0),
            users_path=tmp_path / f"people{suffix}",
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["items.csv", "users.csv"]


@contextmanager
def a_full_disk(at_bytes: int) -> Iterator[None]:
    """Files cannot grow beyond a size, as on a disk that fills up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz"])
def test_a_full_disk_is_said_and_leaves_nothing(suffix: str, tmp_path: Path) -> None:
    schema, catalogue = small.prepared(tmp_path)
    with pytest.raises(DataError, match="nothing was left there"), a_full_disk(3_000):
        write_log(
            tmp_path / f"events{suffix}",
            [a_log(users=3_000)],
            schema=schema,
            catalogue=catalogue,
            metadata=SAID,
            rng=np.random.default_rng(0),
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["items.csv", "users.csv"]


def test_a_disk_that_fills_while_the_bounded_log_is_stored_is_said_too(tmp_path: Path) -> None:
    schema, catalogue = small.prepared(tmp_path)
    with pytest.raises(DataError, match="Free some space"), a_full_disk(10_000):
        read_log(
            small.events(users=500),
            schema,
            catalogue,
            spill=tmp_path / "spill",
            store=tmp_path / "store",
            events_per_user=5,
        )
    with (
        pytest.raises(OSError),
        a_full_disk(10_000),
        EventWriter(np.full(900, 5), store=tmp_path / "store", rating=True, time=True),
    ):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["items.csv", "users.csv"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file or directory"):
        write(tmp_path, "nowhere/events.parquet", a_log())
    with pytest.raises(DataError, match="Not a directory"):
        write(tmp_path, "items.csv/events.parquet", a_log())
    if os.geteuid() != 0:
        (locked := tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(DataError, match="Permission denied"):
            write(tmp_path, "locked/events.parquet", a_log())
        locked.chmod(0o700)


def test_what_cannot_be_written_as_declared_is_refused(tmp_path: Path) -> None:
    log = a_log()
    with pytest.raises(ReleaseError, match="no values for rating"):
        write(tmp_path, "events.csv", EventLog(offsets=log.offsets, item=log.item, time=log.time))
    with pytest.raises(ReleaseError, match="no values for gender"):
        write(
            tmp_path,
            "events.csv",
            EventLog(log.offsets, log.item, log.rating, log.time),
            users_path=tmp_path / "people.csv",
        )
    with pytest.raises(ReleaseError, match="at least one user"):
        write(tmp_path, "events.csv", log.select(np.array([], dtype=int)))
    with pytest.raises(ReleaseError, match=r"\.parquet, \.csv or \.csv\.gz"):
        write(tmp_path, "events.xlsx", log)


def test_text_ids_of_items_are_the_catalogues(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text(
        "item_id\n007\n" + "\n".join(f"SKU-{place}" for place in range(2, small.ITEMS + 1))
    )
    text = small.without_tables().replace("items.csv", "shop.csv")
    path, _, catalogue = write(tmp_path, "events.parquet", a_log(), text)
    assert catalogue.ids.type == pa.string() and set(
        pq.read_table(path)["item_id"].to_pylist()
    ) <= set(catalogue.ids.to_pylist())
    assert small.people(
        read_log(
            path,
            Schema.parse(text, folder=tmp_path),
            catalogue,
            spill=tmp_path / "spill",
            events_per_user=None,
        )
    )
