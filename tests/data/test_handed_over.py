"""Tables that a Python caller hands over: whatever their library says when it computes them, no
cell of theirs is heard.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthrec.data.reader import columns_of, read_log
from synthrec.errors import DataError
from tests.data import small

MARK = "zqx"


def marked() -> pd.DataFrame:
    frame = small.events().astype(str)
    return frame.assign(user_id=MARK + frame["user_id"])


class Unsayable:
    def __str__(self) -> str:
        raise ValueError(MARK)


def ragged(folder: Path) -> Path:
    path = folder / "ragged.csv"
    rows = [f"{number},1,3,{small.START}\n" for number in range(200)]
    path.write_text(
        "".join(["user_id,item_id,rating,timestamp\n", *rows, f"{MARK}9,{MARK},3,5,{MARK}\n"])
    )
    return path


def failing_reader(folder: Path) -> Any:
    def batches() -> Iterator[pa.RecordBatch]:
        raise ValueError(MARK)
        yield

    return pa.RecordBatchReader.from_batches(
        pa.schema([(name, pa.string()) for name in marked().columns]), batches()
    )


def ibis_cast(folder: Path) -> Any:
    table = ibis.polars.connect().create_table("events", marked())
    return table.mutate(rating=table.user_id.cast("int64"))


FAILING: dict[str, Callable[[Path], Any]] = {
    "polars, a file that is no such table": lambda folder: pl.scan_csv(ragged(folder)),
    "polars, a cast": lambda folder: (
        pl.from_pandas(marked()).lazy().with_columns(pl.col("user_id").cast(pl.Int64))
    ),
    "Ibis, a cast": ibis_cast,
    "Arrow, a reader": failing_reader,
}


@pytest.mark.parametrize("case", FAILING)
def test_an_error_of_the_library_that_computes_a_table_is_ours_and_quotes_nothing(
    case: str, tmp_path: Path
) -> None:
    schema, catalogue = small.prepared(tmp_path)
    with pytest.raises(DataError) as caught:
        read_log(
            FAILING[case](tmp_path), schema, catalogue, spill=tmp_path / "spill", events_per_user=5
        )
    assert MARK not in "".join(traceback.format_exception(caught.value)), case


def test_asking_for_the_columns_of_such_a_table_quotes_nothing_either() -> None:
    lazy = (
        pl.from_pandas(marked()).lazy().map_batches(lambda frame: frame.cast({"user_id": pl.Int64}))
    )
    try:
        columns_of(lazy)
    except DataError as error:
        assert MARK not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("cell", ["\ud800" + MARK, Unsayable()])
def test_a_cell_that_cannot_be_text_is_no_value_and_stops_nothing(
    cell: object, tmp_path: Path
) -> None:
    frame = marked()
    frame["user_id"] = [cell if user == f"{MARK}1" else user for user in frame["user_id"]]
    assert len(small.read(frame, tmp_path).offsets) - 1 == 19


def test_names_of_fields_in_json_lines_are_not_said_since_one_person_may_have_brought_them(
    tmp_path: Path,
) -> None:
    schema, catalogue = small.prepared(tmp_path)
    frame = marked()
    frame.loc[3, f"{MARK}-my diary"] = "x"
    frame.to_json(tmp_path / "log.jsonl", orient="records", lines=True)
    heard = small.RecordingProgress()
    read_log(
        tmp_path / "log.jsonl",
        schema,
        catalogue,
        spill=tmp_path / "spill",
        events_per_user=5,
        progress=heard,
    )
    assert heard.lines == ["Fields that the configuration does not list are dropped."]


def test_bytes_of_one_length_are_the_text_that_they_encode(tmp_path: Path) -> None:
    frame = small.events().assign(user_id=lambda frame: frame["user_id"] + 10)
    table = pa.Table.from_pandas(frame)
    cells = pa.array([str(user).encode() for user in frame["user_id"]], pa.binary(2))
    table = table.set_column(0, "user_id", cells)
    expected = small.people(small.read(frame, tmp_path))
    assert small.people(small.read(table, tmp_path)) == expected
    pq.write_table(table, tmp_path / "log.parquet")
    assert small.people(small.read(tmp_path / "log.parquet", tmp_path)) == expected


@pytest.mark.parametrize("kind", [pa.float16(), pa.decimal256(50, 2)])
def test_a_type_that_the_database_does_not_know_is_named_as_such(
    kind: pa.DataType, tmp_path: Path
) -> None:
    table = pa.Table.from_pandas(small.events())
    ratings = table["rating"].combine_chunks().cast(pa.float32()).cast(kind)
    with pytest.raises(DataError, match="a column of another type"):
        small.read(table.set_column(2, "rating", ratings), tmp_path)
