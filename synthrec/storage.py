"""Files of our own, written whole or not at all, and files that somebody else may have made.

Guarantees: what `write_atomic` and `write_new` write is on disk, name and contents (fsync of file
and folder), when they return; a half file never has its name; a new file is for whom its folder is
for, below `private/` (0700) for its owner alone. No link is followed, nor written through, and no
pipe waited for; at most `most` bytes come into memory. JSON with a key twice, a number that is
none, or nesting without end is refused with ValueError, whatever Python's parser would make of it;
so is text of more lists, objects and commas than its reader can have use for, before it is parsed:
each may take some hundred bytes.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synthrec.errors import ReleaseError, SynthrecError

MAX_PARTS = 1 << 22  # of any text, a large catalogue's too
MAX_OF_RECORD = 1 << 16  # of a record: what pydantic says of each wrong part takes kilobytes
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
Opener = Callable[[str, int], int]


def as_its_folder(path: str, flags: int) -> int:
    """An opener: a new file is for whom its folder is for, whatever the umask."""
    return os.open(path, flags, os.stat(os.path.dirname(path) or ".").st_mode & 0o666)


def owner_only(path: str, flags: int) -> int:
    """An opener: a new file is for its owner alone."""
    return os.open(path, flags, 0o600)


def write_atomic(path: Path, content: str | bytes, *, part: Path | None = None) -> Path:
    """Write a file in place of what lies there, which stays whole until then. Raises OSError.

    `part`: a half file whose room on the disk is used; otherwise what lies by its name goes, link
    or file, and it goes where writing fails.
    """
    half = part or path.with_name(f".{path.name}.part")
    try:
        if part is None:
            half.unlink(missing_ok=True)
        _write(half, content, mode="xb" if part is None else "r+b")
        os.replace(half, path)
    except OSError:
        if part is None:
            half.unlink(missing_ok=True)
        raise
    sync(path.parent)
    return path


def write_new(path: Path, content: str | bytes, *, opener: Opener = as_its_folder) -> None:
    """Write a file that does not exist yet; of two processes one wins. Raises FileExistsError, and
    OSError.
    """
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.unlink(missing_ok=True)  # of a dead process that had this number
    try:
        _write(half, content, mode="xb", opener=opener)
        publish(half, path)
    finally:
        half.unlink(missing_ok=True)


def write_new_text(path: Path, text: str) -> None:
    """Write a text that the operator asked for. Raises ReleaseError."""
    with disk_errors(
        f"{path} must be writable",
        remedy="Free space or choose another folder with --out.",
        kind=ReleaseError,
    ):
        try:
            write_new(path, text)
        except FileExistsError:
            raise ReleaseError(
                f"{path} must not exist yet",
                found="a file of that name",
                remedy="Choose another name with --out.",
            ) from None


def publish(half: Path, target: Path) -> None:
    """Give `half`, in the same folder, the name `target` in one step. Raises FileExistsError if
    something stands there.
    """
    try:
        os.link(half, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # a disk without hard links: reserve the name
        os.close(owner_only(str(target), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.replace(half, target)
    half.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A name to make a folder by; it becomes `target` when all went well. Raises OSError."""
    half = target.with_name(f".{target.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    yield half
    half.rename(target)


def sync(path: Path) -> None:
    """A file's contents, or the names in a folder, are on disk when this returns. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock(handle: int) -> None:
    """Hold what an open handle is of, until it is closed or the process is gone, however it went.
    Raises BlockingIOError while another handle holds it.
    """
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder; raises as `lock` does."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        lock(handle)
        yield
    finally:
        os.close(handle)


@contextmanager
def disk_errors(
    rule: str,
    *,
    remedy: str,
    kind: type[SynthrecError],
    name: str = "",
    found: str = "a failed write",
) -> Iterator[None]:
    """What the operating system refuses inside is told as an error of ours: of the file `name`, or
    as `found` where the system has no words for it.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or found
        raise kind(rule, found=f"{name}: {reason}" if name else reason, remedy=remedy) from None


def read_bounded(path: Path, *, most: int) -> bytes:
    """The bytes of a regular file. Raises ReleaseError for anything else or for more than `most`,
    OSError as `open` does.
    """
    if path.is_symlink():
        raise _refused(path, "a link")
    # not to wait for whoever writes into a pipe
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as stream:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise _refused(path, "something that is no file")
        if about.st_size > most:
            raise _refused(path, f"{about.st_size:,} bytes, where {most:,} are the most")
        return stream.read(about.st_size)


def parts(text: bytes) -> int:
    """How many values JSON text holds, at most."""
    return text.count(b"[") + text.count(b"{") + text.count(b",")


def record_json(path: Path, *, most: int) -> bytes:
    """The text of a record, for pydantic. Raises as `read_bounded` does, and ValueError for more
    than MAX_OF_RECORD parts.
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
            parse_constant=_finite,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError("nesting without end") from None


def _write(path: Path, content: str | bytes, *, mode: str, opener: Opener = as_its_folder) -> None:
    with open(path, mode, opener=opener) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)
        stream.truncate()
        stream.flush()
        os.fsync(stream.fileno())


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a key that stands there twice")
    return record


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number without bounds, or none")
    return number


def _refused(path: Path, found: str) -> ReleaseError:
    return ReleaseError(
        f"{path.name} must be a file of a usual size",
        found=found,
        remedy="Get the release again from its owner.",
    )
