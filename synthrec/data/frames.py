"""Tables that a Python caller holds (pandas, polars, Arrow), as Arrow tables with the columns asked for.

None of these libraries is imported: a caller who has such a table has its library loaded.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from synthrec.errors import DataError


def is_frame(log: Any) -> bool:
    """Is this a pandas, polars or Arrow table?"""
    return _library(log) in ("pandas", "polars", "pyarrow")


def columns_of_frame(frame: Any) -> tuple[tuple[str, str], ...]:
    """Names and physical types."""
    if _library(frame) == "pyarrow":
        return tuple((column.name, str(column.type)) for column in frame.schema)
    if _library(frame) == "polars":
        return tuple((name, str(kind)) for name, kind in frame.collect_schema().items())
    return tuple((str(name), str(kind)) for name, kind in frame.dtypes.items())


def to_arrow(frame: Any, wanted: list[str]) -> pa.Table:
    """The wanted columns, which must be there. A pandas column of mixed values becomes text."""
    if _library(frame) == "polars":
        chosen = frame.select(wanted)
        table = (chosen.collect() if hasattr(chosen, "collect") else chosen).to_arrow()
    elif _library(frame) == "pyarrow":
        table = frame.read_all() if isinstance(frame, pa.RecordBatchReader) else frame
        table = (table if isinstance(table, pa.Table) else pa.Table.from_batches([table])).select(wanted)
    else:
        table = pa.table({name: _from_pandas(frame[name], name) for name in wanted})
    return table.cast(pa.schema([pa.field(column.name, _plain(column.type)) for column in table.schema]))


def _from_pandas(series: Any, name: str) -> pa.Array:
    if getattr(series, "ndim", 1) != 1:
        raise DataError("the columns of the log must have distinct names", found=f"{name} twice", remedy="Rename one of them.")
    try:
        return pa.Array.from_pandas(series)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return pa.array([None if missing else _text(cell) for cell, missing in zip(series, series.isna(), strict=True)], pa.string())


def _text(cell: Any) -> str | None:
    """A cell as text; what no encoding can hold is no value, so that one person's cell never stops a reading."""
    text = str(cell)
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return text


def _plain(kind: pa.DataType) -> pa.DataType:
    """Dictionaries and string views as what they stand for."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    return pa.string() if pa.types.is_string_view(kind) or pa.types.is_large_string(kind) else kind


def _library(log: Any) -> str:
    return type(log).__module__.split(".")[0]
