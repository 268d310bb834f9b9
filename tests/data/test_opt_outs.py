"""Who opted out is gone, however the list and the log spell the id; a list whose ids would be
missed is refused.
"""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthrec.data import bounding
from synthrec.data.check import diagnose
from synthrec.data.identifiers import canonical
from synthrec.data.reader import embedded
from synthrec.errors import DataError
from tests.data import small

AROUND = [
    "\u00a0",
    "\u2003",
    "\u2028",
    "\u0085",
    "\u001c",
    "\ufeff",
    "\u200b",
    "\t",
    "\x0b",
    "\x00",
    " ",
]
ODD = [f"{around}ü{place}{around}" for place, around in enumerate(AROUND)]
PLAIN = [f"ü{place}" for place in range(len(AROUND))]


def users(ids: list[str]) -> pd.DataFrame:
    frame = small.events(users=len(ids) + 3)
    names = pd.Series([*ids, "1", "2", "3"])
    return frame.assign(user_id=names[frame["user_id"] - 1].to_numpy())


def listed(folder: Path, *lines: str) -> Path:
    (folder / "gone.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder / "gone.txt"


def left(log: object, folder: Path, *lines: str) -> int:
    return (
        len(
            small.read(
                log, folder, small.without_tables(), exclude_users=listed(folder, *lines)
            ).offsets
        )
        - 1
    )


@pytest.mark.parametrize("form", ["pandas", "csv", "jsonl", "parquet"])
def test_an_id_is_found_whatever_invisible_characters_stand_around_it_in_the_log_or_in_the_list(
    form: str, tmp_path: Path
) -> None:
    for in_log, in_list in ((ODD, PLAIN), (PLAIN, ODD)):
        log: object = users(in_log)
        assert isinstance(log, pd.DataFrame)
        if form == "csv":
            log.to_csv(tmp_path / "log.csv", index=False)
        elif form == "jsonl":
            (tmp_path / "log.jsonl").write_text(
                "".join(json.dumps(row) + "\n" for row in log.to_dict("records"))
            )
        elif form == "parquet":
            log.to_parquet(tmp_path / "log.parquet")
        assert (
            left(
                log if form == "pandas" else tmp_path / f"log.{form}",
                tmp_path,
                *in_list,
                "",
                "somebody else",
            )
            == 3
        )


def test_numbers_are_found_as_every_tool_writes_them(tmp_path: Path) -> None:
    frame = small.events(users=4)
    for ids in (
        frame["user_id"],
        frame["user_id"].astype(float),
        frame["user_id"].astype(str) + ".0",
    ):
        assert left(frame.assign(user_id=ids), tmp_path, "1", "2.0", " 3.00") == 1


@pytest.mark.parametrize(
    "line",
    [
        "zqx1,asked by mail",
        "1,zqx,3",
        "zqx # note",
        "zqx\u00a0# note",
        '"zqx"',
        "'zqx'",
        "zqx;1",
        "zqx\t1",
        "\u201czqx\u201d",
    ],
)
def test_a_list_that_looks_like_a_table_is_refused_unquoted_whoever_stands_in_the_log(
    line: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"gone\.txt must hold one user id a line") as caught:
        left(small.events(), tmp_path, "1", line)
    assert caught.value.exit_code == 2 and "zqx" not in "".join(
        traceback.format_exception(caught.value)
    )


def test_ids_that_only_look_a_little_odd_are_honoured(tmp_path: Path) -> None:
    ids = ["auth0|5f7c", "O'Brien", "a#1", "#1", "Anna Maria", "{0f8f-ad5b}", "a@b.org", "a:b/c"]
    assert left(users(ids), tmp_path, *ids) == 3


def test_check_says_in_private_how_many_were_found_and_fit_says_nothing(tmp_path: Path) -> None:
    schema, catalogue = small.prepared(tmp_path)
    frame = small.events()
    path = listed(tmp_path, "1", "1.0", "2", "nobody")
    found = diagnose(frame, schema, catalogue, spill=tmp_path / "spill", exclude_users=path)
    assert found.opted_out == (3, 2) and found.users == 18
    (line,) = [line for line in found.lines() if "listed" in line]
    assert line.startswith("PRIVATE  opted out: 2 of 3 listed ids")
    assert not any(
        "listed" in line
        for line in diagnose(frame, schema, catalogue, spill=tmp_path / "spill").lines()
    )
    heard = small.RecordingProgress()
    small.read(frame, tmp_path, exclude_users=path, progress=heard)
    assert heard.lines == []


def test_the_person_of_a_listed_account_goes_with_all_accounts_and_counts_as_found(
    tmp_path: Path,
) -> None:
    text = small.config(
        ('unit = "user_id"', 'unit = "person"'), ("[users]", 'person = { role = "unit" }\n[users]')
    )
    schema, catalogue = small.prepared(tmp_path, text)
    frame = small.events(users=6).assign(
        person=lambda frame: "p" + ((frame["user_id"] + 1) // 2).astype(str)
    )
    found = diagnose(
        frame,
        schema,
        catalogue,
        spill=tmp_path / "spill",
        exclude_users=listed(tmp_path, "1", "p2", "zz"),
    )
    assert found.opted_out == (3, 2) and found.users == 1


def test_a_list_spelled_by_another_rule_than_the_log_would_be_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The saboteur: blanks cut by the engine, as they were."""
    monkeypatch.setattr(
        bounding,
        "identifier",
        lambda types, name: f"trim(CAST({bounding.quoted(name)} AS VARCHAR))",
    )
    assert left(users(ODD), tmp_path, *PLAIN) > 3


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=8), st.sampled_from(ODD)), max_size=30))
def test_a_spelling_is_its_own_spelling_and_depends_on_its_cell_alone(cells: list[str]) -> None:
    cells = [cell.encode(errors="replace").decode() for cell in cells]
    found = canonical(pa.array(cells, pa.string()))
    assert canonical(found).equals(found)
    assert found.to_pylist() == [canonical(pa.array([cell])).to_pylist()[0] for cell in cells]


def test_numbers_are_spelled_alike_by_arrow_and_by_the_engine(tmp_path: Path) -> None:
    exact = [
        7.0,
        -0.5,
        2.0**24,
        1.5e-7,
        1e-5,
        0.1,
        float("inf"),
        float("nan"),
    ]  # or nearly, in 32 bits
    wide = [*exact, 1e15, 2.0**53 + 2, 1e16, 1e300, 123456789.123]
    for values in (pa.array(exact, pa.float32()), pa.array(wide, pa.float64())):
        with embedded(tmp_path / "spill") as con:
            con.register("numbers", pa.table({"n": values}))
            engine = con.sql(
                "SELECT CASE WHEN isfinite(n) THEN n END::VARCHAR AS n FROM numbers"
            ).to_arrow_table()["n"]
        assert canonical(values).equals(canonical(engine))
