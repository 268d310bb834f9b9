"""Tables that a Python caller holds (pandas, polars, Arrow), as Arrow tables with the columns asked for.

None of these libraries is imported: a caller who has such a table has its library loaded.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from synthrec.data.identifiers import text_of
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
    """The wanted columns, which must be there.

    Guarantees: a column has the type that was declared; where none was (objects), each cell becomes
    text by itself. So no cell changes how another is read.
    """
    if _library(frame) == "polars":
        chosen = frame.select(wanted)
        chosen = chosen.collect() if hasattr(chosen, "collect") else chosen
        table = pa.table({name: _cells(series) if str(series.dtype) == "Object" else series.to_arrow()
                          for name, series in zip(wanted, chosen.get_columns(), strict=True)})
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
        declared = series.dtype.kind in "biufM"
        return pa.Array.from_pandas(series, type=None if declared else pa.string())
    except (pa.ArrowException, TypeError, ValueError, ArithmeticError):
        return _cells(series)


def _cells(series: Any) -> pa.Array:
    return pa.array(map(text_of, series), pa.string())


def _plain(kind: pa.DataType) -> pa.DataType:
    """Dictionaries and string views as what they stand for."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    return pa.string() if pa.types.is_string_view(kind) or pa.types.is_large_string(kind) else kind


def _library(log: Any) -> str:
    return type(log).__module__.split(".")[0]
