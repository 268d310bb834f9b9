"""Read a file that somebody else may have made: a regular file, of a size that is known before it
is read, as plain JSON.

Guarantees: no link is followed, nor written through, and no pipe waited for; at most `most` bytes
come into memory; JSON with a key twice, a number that is none, or nesting without end is refused
with ValueError, whatever Python's parser would make of it; so is text of more lists, objects and
commas than its reader can have use for, before it is parsed: each may take some hundred bytes.

Synthetic tables that somebody else may have made, read in batches whose size is known before a page
is unpacked.

What a Parquet file says of itself in its footer may be wrong, so the header of every page is read
first (Thrift's compact protocol): how large it unpacks, and how its values are written. Text is
read as numbers into a dictionary, so that one long value in many rows is held once.

Guarantees: footer, pages and a batch's text come to some hundred MiB at most, or ValueError is
raised; encodings that make much of few bytes, which synthrec does not write, are refused.

Give a finished file its name, and never take the name of another.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synthrec.errors import ReleaseError

MAX_PARTS = 1 << 22  # of any text, a large catalogue's too
MAX_OF_RECORD = 1 << 16  # of a record: what pydantic says of each wrong part takes kilobytes


def read_bounded(path: Path, *, most: int) -> bytes:
    """The bytes of a regular file. Raises ReleaseError for anything else or for more than `most`,
    OSError as `open` does.
    """
    if path.is_symlink():
        raise _refused(path, "a link")
    handle = os.open(
        path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    )  # not to wait for whoever writes into a pipe
    with os.fdopen(handle, "rb") as stream:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise _refused(path, "something that is no file")
        if about.st_size > most:
            raise _refused(path, f"{about.st_size:,} bytes, where {most:,} are the most")
        return stream.read(about.st_size)


def write_no_follow(path: Path, text: str) -> None:
    """Write a file of our own, in place of what lies there: a link that somebody left is removed,
    not written through. Raises OSError.
    """
    path.unlink(missing_ok=True)
    with open(path, "x", encoding="utf-8", opener=as_its_folder) as stream:
        stream.write(text)


def as_its_folder(path: str, flags: int) -> int:
    """An opener: a new file is for whom its folder is for, whatever the umask: below private/
    (0700) for its owner alone.
    """
    return os.open(path, flags, os.stat(os.path.dirname(path) or ".").st_mode & 0o666)


def parts(text: bytes) -> int:
    """How many values JSON text holds, at most."""
    return text.count(b"[") + text.count(b"{") + text.count(b",")


def record_json(path: Path, *, most: int) -> bytes:
    """The text of a record, for pydantic. Raises as `read_bounded` does, and ValueError for more
    than MOST_OF_RECORD parts.
    """
    content = read_bounded(path, most=most)
    if parts(content) > MAX_OF_RECORD:
        raise ValueError("more than any record holds")
    return content


def plain_json(content: bytes) -> Any:
    """What JSON text says. Raises ValueError for anything that is not exactly that."""
    if parts(content) > MAX_PARTS:
        raise ValueError("more than any file holds")
    try:
        return json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_distinct,
            parse_constant=_no_number,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError("nesting without end") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key that stands there twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number without bounds")
    return number


def _no_number(_: str) -> NoReturn:
    raise ValueError("a number that is none")


def _refused(path: Path, found: str) -> ReleaseError:
    return ReleaseError(
        f"{path.name} must be a file of a usual size",
        found=found,
        remedy="Get the release again from its owner.",
    )


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
    found: dict[int, Any] = {}
    field = 0
    while (head := text[at]) != 0:
        at += 1
        if head >> 4:
            field += head >> 4
        else:
            field, at = _number(text, at)
        value, at = _value(text, at, kind=head & 15)
        if field in found:
            raise ValueError("a field twice")
        found[field] = value
    return found, at + 1


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


_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def publish(beside: Path, target: Path) -> None:
    """Move `beside`, in the same folder, to `target` in one step. Raises FileExistsError if
    something stands there.
    """
    try:
        os.link(beside, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(
            os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        )  # a disk without hard links: reserve the name
        os.replace(beside, target)
    beside.unlink(missing_ok=True)
