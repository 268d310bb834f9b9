"""Synthetic tables that somebody else may have made, read in batches whose size is known before a
page is unpacked.

What a Parquet file says of itself in its footer may be wrong, so the header of every page is read
first (Thrift's compact protocol): how large it unpacks, and how its values are written. Text is
read as numbers into a dictionary, so that one long value in many rows is held once.

Guarantees: footer, pages and a batch's text come to some hundred MiB at most, or ValueError is
raised; encodings that make much of few bytes, which synthrec does not write, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BATCH = 1 << 16
LARGEST_FOOTER, LONGEST_HEADER = 1 << 21, 1 << 14
MAX_HELD, MAX_TEXT = 1 << 28, 1 << 28  # bytes held at a time of pages, of a batch's text
ENCODINGS = (0, 2, 8)  # plain, and places in a dictionary
PAGE_KINDS = {0: 5, 2: 7, 3: 8}  # kind of page -> the field that describes it
INT, STRUCT = 5, 12


def bounded_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """All rows. Raises ValueError or an Arrow error, and OSError, for what is no such table."""
    with path.open("rb") as stream:
        require_bounded(stream)
        with pq.ParquetFile(stream) as file:
            texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        with pq.ParquetFile(stream, read_dictionary=texts) as file:
            for batch in file.iter_batches(batch_size=BATCH):
                yield _plain(batch)


def require_bounded(stream: BinaryIO) -> None:
    """Raise ValueError if footer or pages unpack to more than a synthetic table's."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - 8))
    footer = int.from_bytes(stream.read(4), "little")
    if size < 12 or footer > min(LARGEST_FOOTER, size - 12):
        raise ValueError("a footer that no synthetic table has")
    stream.seek(0)
    about = pq.ParquetFile(stream).metadata
    for group in range(about.num_row_groups):
        columns = [about.row_group(group).column(place) for place in range(about.num_columns)]
        try:
            held = sum(8 * BATCH + _unpacked(stream, column) for column in columns)
        except (LookupError, TypeError, RecursionError):
            raise ValueError("a header that no page has") from None
        if held > MAX_HELD:
            raise ValueError("pages that unpack to more than a synthetic table's")
    stream.seek(0)


def _unpacked(stream: BinaryIO, column: Any) -> int:
    """Bytes of a column's dictionary and its largest page: what a reader holds at a time."""
    at, dictionary, largest = column.data_page_offset, 0, 0
    if column.dictionary_page_offset is not None and 0 < column.dictionary_page_offset < at:
        at = column.dictionary_page_offset
    end = at + column.total_compressed_size
    while at < end:
        stream.seek(at)
        header, length = _struct(stream.read(LONGEST_HEADER), 0)
        kind, unpacked, packed = header[1], header[2], header[3]
        about = header.get(PAGE_KINDS.get(kind, 0))
        if not isinstance(about, dict) or min(unpacked, packed) < 0:
            raise ValueError("a page that no synthetic table has")
        if about.get(4 if kind == 3 else 2) not in ENCODINGS:
            raise ValueError("values in an encoding that no synthetic table has")
        dictionary += unpacked if kind == 2 else 0
        largest = max(largest, unpacked)
        at += length + packed
    return dictionary + largest


def _struct(text: bytes, at: int) -> tuple[dict[int, Any], int]:
    """Fields by number, and the place after them; of all but 32-bit numbers and structs only that
    they are there.
    """
    fields: dict[int, Any] = {}
    field = 0
    while (head := text[at]) != 0:
        at += 1
        if head >> 4:
            field += head >> 4
        else:
            field, at = _number(text, at)
        value, at = _value(text, at, kind=head & 15)
        if field in fields:
            raise ValueError("a field twice")
        fields[field] = value
    return fields, at + 1


def _value(text: bytes, at: int, *, kind: int) -> tuple[Any, int]:
    if kind == STRUCT:
        return _struct(text, at)
    if kind in (1, 2):  # true, false
        return None, at
    if kind in (3, 7):  # a byte, a double
        return None, at + (1 if kind == 3 else 8)
    if kind in (4, INT, 6):
        number, at = _number(text, at)
        return number if kind == INT else None, at
    if kind == 8:  # bytes, whose length has no sign
        length, at = _number(text, at, signed=False)
        return None, at + length
    raise ValueError("a kind of field that no page has")


def _number(text: bytes, at: int, *, signed: bool = True) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (text[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if text[at - 1] < 128:
            return (number >> 1) ^ -(number & 1) if signed else number, at


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Text written out, if it is not too long to be."""
    places = [at for at, kind in enumerate(batch.schema.types) if pa.types.is_dictionary(kind)]
    longest = (pc.max(pc.binary_length(batch.column(at).dictionary)).as_py() or 0 for at in places)
    if sum(longest) * len(batch) > MAX_TEXT:
        raise ValueError("text longer than a synthetic table's")
    for at in places:
        batch = batch.set_column(at, batch.schema.names[at], batch.column(at).dictionary_decode())
    return batch
