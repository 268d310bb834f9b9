"""One person's cells, of whatever kind, change nothing about anybody else: in no format, in no
frame.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthrec.data import reader
from tests.data import small

ITEMS = ["é1", "b", "7", "日"]
TEXT = (
    small.without_tables().replace('catalogue = "items.csv"', f"values = {json.dumps(ITEMS)}")
    + 'kind = { type = "categorical", values = ["naïve", "true"] }\n'
    + 'price = { type = "numeric", min = 0, max = 100, bins = 10, outside = "other" }\n'
)
COLUMNS = ("user_id", "item_id", "rating", "timestamp", "kind", "price")


class Unsayable:
    def __str__(self) -> str:
        raise ValueError


CELLS: list[Any] = [
    b"odd",
    b"\xc3\xa9",
    b"\xff\x00",
    None,
    [1, ["é"]],
    {"é": [1]},
    10**30,
    10**5_000,
    -(2**63),
    float("nan"),
    float("inf"),
    1.5e-7,
    datetime(2024, 7, 1),
    date(2024, 7, 1),
    pd.Timestamp("2024-07-01", tz="Asia/Tokyo"),
    pd.NaT,
    pd.NA,
    Decimal("4.50"),
    Decimal("sNaN"),
    True,
    np.float32(0.1),
    np.bool_(False),
    "\u00a0é1\u2003",
    "\x1c3\u2028",
    "\ufeff",
    "a\nb\"c'",
    "\ud800",
    Unsayable(),
    1 + 2j,
    np.array([1, 2]),
]


def others(users: int = 12) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "user_id": f"ü{user}",
            "item_id": ITEMS[item],
            "rating": int(rng.integers(1, 6)),
            "timestamp": small.START + user,
            "kind": ("naïve", "true")[item % 2],
            "price": user + 0.5,
        }
        for user in range(users)
        for item in rng.permutation(len(ITEMS))[:3]
    ]


def edge_case_users(cells: list[Any]) -> list[dict[str, Any]]:
    """Each cell in each column; the rest of its row is as it should be."""
    usual = {**others(1)[0], "user_id": "odd"}
    return [{**usual, name: cell} for name in COLUMNS for cell in cells]


def column(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    cells = np.empty(len(rows), dtype=object)
    for place, row in enumerate(rows):
        cells[place] = row[name]
    return cells


def in_pandas(rows: list[dict[str, Any]], folder: Path) -> Any:
    return pd.DataFrame({name: pd.Series(column(rows, name), dtype=object) for name in COLUMNS})


def in_polars(rows: list[dict[str, Any]], folder: Path) -> Any:
    return pl.DataFrame(
        [pl.Series(name, column(rows, name).tolist(), dtype=pl.Object) for name in COLUMNS]
    )


def written(cell: Any) -> str:
    """A cell as somebody's export might write it."""
    try:
        return str(cell).encode(errors="replace").decode()
    except ValueError:
        return "?"


def in_arrow(rows: list[dict[str, Any]], folder: Path) -> Any:
    return pa.table(
        {name: pa.array(map(written, column(rows, name)), pa.string()) for name in COLUMNS}
    )


def in_parquet(rows: list[dict[str, Any]], folder: Path) -> Any:
    pq.write_table(in_arrow(rows, folder), folder / "log.parquet")
    return folder / "log.parquet"


def in_csv(rows: list[dict[str, Any]], folder: Path) -> Any:
    with (folder / "log.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [COLUMNS, *([written(row[name]) for name in COLUMNS] for row in rows)]
        )
    return folder / "log.csv"


def in_json_lines(rows: list[dict[str, Any]], folder: Path) -> Any:
    """Numbers, lists and objects as JSON has them, except for the two floats that it has not and
    what Python does not write.
    """

    def cell(value: Any) -> Any:
        plain = isinstance(value, (str, list, dict)) or (
            isinstance(value, (int, float)) and abs(value) < 1e40
        )
        return value if plain and value != "\ud800" else written(value)

    (folder / "log.jsonl").write_text(
        "".join(json.dumps({name: cell(row[name]) for name in COLUMNS}) + "\n" for row in rows)
    )
    return folder / "log.jsonl"


FORMS: dict[str, Callable[[list[dict[str, Any]], Path], Any]] = {
    "pandas": in_pandas,
    "pandas, types as it infers them": lambda rows, folder: pd.DataFrame(rows),
    "polars": in_polars,
    "Arrow": in_arrow,
    "Parquet": in_parquet,
    "CSV": in_csv,
    "JSON lines": in_json_lines,
}


def bounded(rows: list[dict[str, Any]], form: str, folder: Path) -> Counter[Any]:
    return bounded_log(FORMS[form](rows, folder), folder)


def bounded_log(table: Any, folder: Path, text: str = TEXT) -> Counter[Any]:
    """What each user did, their role among it."""
    log = small.read(table, folder, text, role_key=b"k" * 32, audit_share=0.5)
    spans = zip(log.role, log.offsets[:-1], log.offsets[1:], strict=True)
    columns = [log.item, log.rating, log.time, *log.marks.values()]
    return Counter(
        (int(role), *(tuple(each[start:stop].tolist()) for each in columns))
        for role, start, stop in spans
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_user_with_awkward_cells_of_every_kind_moves_nobody_else(
    form: str, tmp_path: Path
) -> None:
    alone = bounded(others(), form, tmp_path)
    assert alone.total() == 12 and alone <= bounded(
        others() + edge_case_users(CELLS), form, tmp_path
    )


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_times_that_pandas_keeps_as_objects_beside_an_awkward_cell_are_the_same_times(
    zone: str | None, tmp_path: Path
) -> None:
    text = TEXT.replace('unit = "s", zone = "UTC"', 'unit = "iso", zone = "Europe/Madrid"')
    rows = [
        {
            **row,
            "timestamp": pd.Timestamp("2024-07-01 10:00:00.123456789", tz=zone)
            + pd.Timedelta(days=place),
        }
        for place, row in enumerate(others())
    ]
    typed = bounded_log(pd.DataFrame(rows), tmp_path, text)
    assert typed <= bounded_log(pd.DataFrame([*rows, *edge_case_users(CELLS)]), tmp_path, text)
    assert typed == bounded_log(in_polars(rows, tmp_path), tmp_path, text)


def moved_by(cell: Any, form: str) -> bool:
    """Does a row that holds nothing but this cell change how any other one is read?"""
    rows = others(4)
    odd = dict.fromkeys(COLUMNS, cell)
    alone, more = (
        reader.to_arrow(FORMS[form](each, Path()), list(COLUMNS)) for each in (rows, [*rows, odd])
    )
    return bool(alone != more.slice(0, len(rows)))


@pytest.mark.parametrize("form", ["pandas", "polars"])
def test_no_single_cell_changes_the_type_of_its_column(form: str) -> None:
    assert not any(moved_by(cell, form) for cell in CELLS)


def test_a_type_taken_from_all_cells_of_a_column_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def inferred(series: Any, name: str) -> pa.Array:
        try:
            return pa.Array.from_pandas(series)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            return reader._cells(series)

    monkeypatch.setattr(reader, "_from_pandas", inferred)
    assert moved_by(b"odd", "pandas")


def test_bytes_are_the_text_that_they_encode_in_every_format(tmp_path: Path) -> None:
    rows = others()
    alone = bounded(rows, "pandas", tmp_path)
    encoded = [
        {**row, **{name: row[name].encode() for name in ("user_id", "item_id", "kind")}}
        for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(encoded), tmp_path / "bytes.parquet")
    for log in (
        in_pandas(encoded, tmp_path),
        pl.DataFrame(encoded),
        pa.Table.from_pylist(encoded),
        tmp_path / "bytes.parquet",
    ):
        assert bounded_log(log, tmp_path) == alone
