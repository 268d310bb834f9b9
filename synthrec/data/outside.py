"""Read a file that somebody else may have made: a regular file, of a size that is known before it is read, as plain JSON.

Guarantees: no link is followed, nor written through, and no pipe waited for; at most `most` bytes come into memory; JSON with a key
twice, a number that is none, or nesting without end is refused with ValueError, whatever Python's parser would make of it; so is text
of more lists, objects and commas than its reader can have use for, before it is parsed: each may take some hundred bytes.
"""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

from synthrec.errors import ReleaseError

MOST_PARTS = 1 << 22        # of any text, a large catalogue's too
MOST_OF_RECORD = 1 << 16    # of a record: what pydantic says of each wrong part takes kilobytes


def read_bounded(path: Path, *, most: int) -> bytes:
    """The bytes of a regular file. Raises ReleaseError for anything else or for more than `most`, OSError as `open` does."""
    if path.is_symlink():
        raise _refused(path, "a link")
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)      # not to wait for whoever writes into a pipe
    with os.fdopen(handle, "rb") as stream:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise _refused(path, "something that is no file")
        if about.st_size > most:
            raise _refused(path, f"{about.st_size:,} bytes, where {most:,} are the most")
        return stream.read(about.st_size)


def write_fresh(path: Path, text: str) -> None:
    """Write a file of our own, in place of what lies there: a link that somebody left is removed, not written through. Raises OSError."""
    path.unlink(missing_ok=True)
    with open(path, "x", encoding="utf-8", opener=as_its_folder) as stream:
        stream.write(text)


def as_its_folder(path: str, flags: int) -> int:
    """An opener: a new file is for whom its folder is for, whatever the umask: below private/ (0700) for its owner alone."""
    return os.open(path, flags, os.stat(os.path.dirname(path) or ".").st_mode & 0o666)


def parts(text: bytes) -> int:
    """How many values JSON text holds, at most."""
    return text.count(b"[") + text.count(b"{") + text.count(b",")


def record_json(path: Path, *, most: int) -> bytes:
    """The text of a record, for pydantic. Raises as `read_bounded` does, and ValueError for more than MOST_OF_RECORD parts."""
    content = read_bounded(path, most=most)
    if parts(content) > MOST_OF_RECORD:
        raise ValueError("more than any record holds")
    return content


def plain_json(content: bytes) -> Any:
    """What JSON text says. Raises ValueError for anything that is not exactly that."""
    if parts(content) > MOST_PARTS:
        raise ValueError("more than any file holds")
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_no_number, parse_float=_finite)
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
    return ReleaseError(f"{path.name} must be a file of a usual size", found=found, remedy="Get the release again from its owner.")
