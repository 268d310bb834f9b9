"""Copies of files without the cells that DuckDB refuses: one person's cell stops nobody's reading.

Text that is not UTF-8 becomes no value, and so do the long cells of a row of several MB; what is
longer still goes as a row.

Guarantees: each row is judged by itself, and what DuckDB would read is copied byte for byte, so
that a copy gives every other row as its original does. Copies lie in the folder of the one reading,
which is private and emptied.
"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from synthrec.data.files import TableFile, file_errors

# Bytes of one row. DuckDB's JSON reader lets pass up to twice its own limit, depending on the rows
# before;
# the longest row of a copy is above that, so that no row's fate hangs on others. Parquet has no
# limit.
READ_AS_IT_IS = {"csv": 2_000_000, "json": 1 << 24}
LONGEST_ROW = {"csv": 5_000_000, "json": 40_000_000}
READ_FROM_A_COPY = {"csv": 6_000_000, "json": 48_000_000}
LONGEST_CELL = 1 << 16  # of a longer row
MAX_HELD = 1 << 26  # of a row, in memory
_QUOTED = r' ?"(?:[^"]++|" *")*+'  # as DuckDB reads it, without its last quote
_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def cleaned(file: TableFile, wanted: list[str], folder: Path) -> TableFile:
    """A copy in `folder`, which DuckDB reads if single cells were what it could not.

    Raises DataError as `open_file` does.
    """
    copy = folder / f"copy-{len(list(folder.glob('copy-*')))}.{file.format}"
    with file_errors(file.path):
        if file.format == "parquet":
            with pq.ParquetFile(file.path) as source:
                kinds = valid_text(source.schema_arrow.empty_table().select(wanted)).schema
                with pq.ParquetWriter(copy, kinds) as target:
                    for batch in source.iter_batches(columns=wanted):
                        target.write_table(
                            valid_text(pa.Table.from_batches([batch]).select(wanted))
                        )
        else:
            packed, csv = file.path.suffix.lower() == ".gz", file.format == "csv"
            stream = gzip.open(file.path) if packed else file.path.open("rb")
            # Latin-1 holds any byte as one character
            with (
                io.TextIOWrapper(stream, "latin-1", newline="" if csv else "\n") as source,
                copy.open("w", encoding="latin-1", newline="") as target,
            ):
                target.writelines(_csv(source, file.delimiter) if csv else _json(source))
    return replace(file, path=copy)


def valid_text(table: pa.Table) -> pa.Table:
    """The table, with null for cells of text that are not UTF-8; dictionaries of text as text."""
    for place, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if kind in (pa.string(), pa.large_string(), pa.string_view()):
            column = table.column(place).cast(kind)
            raw = column.cast(pa.large_binary())
            try:
                raw.cast(pa.large_string())
            except pa.ArrowInvalid:
                cells = (cell if cell and _is_utf8(cell) else None for cell in raw.to_pylist())
                column = pa.array([None if cell is None else cell.decode() for cell in cells], kind)
            table = table.set_column(place, field.name, column)
    return table


def _csv(source: TextIO, delimiter: str) -> Iterator[str]:
    cell = re.compile(rf'{_QUOTED}" *|(?! ?")[^{re.escape(delimiter)}\r\n]*+')
    ends_open = re.compile(rf"(?:(?:{cell.pattern}){re.escape(delimiter)})*+{_QUOTED}")
    rows = _csv_rows(source, ends_open, delimiter)
    yield next(rows)  # names, which `open_file` has read
    for row in rows:
        if len(row) > LONGEST_ROW["csv"] or not _is_utf8(row.encode("latin-1")):
            row = cell.sub(_kept, row)
        if len(row) <= LONGEST_ROW["csv"]:
            yield row


def _kept(cell: re.Match[str]) -> str:
    return cell[0] if len(cell[0]) <= LONGEST_CELL and _is_utf8(cell[0].encode("latin-1")) else ""


def _csv_rows(source: TextIO, ends_open: re.Pattern[str], delimiter: str) -> Iterator[str]:
    """Rows, with the line ends between their quotes; nothing for one that memory should not hold.

    Raises ValueError if the last quote is open.
    """
    held, size, inside, last = list[str](), 0, False, "\n"
    while piece := source.readline(LONGEST_ROW["csv"]):
        while piece[-1] in '" ' and (more := source.read(1)):  # a quote is read with what follows
            piece += more
        if '"' in piece:
            before = '"' if inside else "" if last in f"\r\n{delimiter}" else "."
            inside = ends_open.fullmatch(before + piece) is not None
        size, last = size + len(piece), piece[-1]
        held.append(piece)
        if size > MAX_HELD:
            held = []
        if not inside and last in "\r\n":
            yield "".join(held)
            held, size = [], 0
    if inside:
        raise ValueError
    yield "".join(held)


def _json(source: TextIO) -> Iterator[str]:
    begins = True
    while piece := source.readline(LONGEST_ROW["json"]):
        whole = begins and (piece[-1] == "\n" or len(piece) < LONGEST_ROW["json"])
        begins = piece[-1] == "\n"
        if whole:
            data = piece.encode("latin-1")
            fits = _is_utf8(data) and not _LONE_SURROGATE.search(piece)
            yield piece if fits else _writable(data).decode("latin-1")


def _writable(line: bytes) -> bytes:
    """The line with the fields that UTF-8 can write; as it is if it is no object, nothing if too
    deep.
    """
    try:
        row = json.loads(line.decode("utf-8", "surrogateescape"), parse_int=str, parse_float=str)
        fields = {name: cell for name, cell in row.items() if _is_utf8(_dumped({name: cell}))}
        return _dumped(fields) + b"\n"
    except RecursionError:
        return b""
    except (ValueError, AttributeError):
        return line


def _dumped(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
