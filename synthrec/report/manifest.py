"""`manifest.json`: size and SHA-256 of every file in `share/`, so that a receiver sees that nothing
is missing or altered.

Files that come later (a page rendered anew, a synthetic log) join all at once with the manifest
that lists them. Guarantees: whenever the process dies, `settle` leads to the files and the manifest
of before or to those of after, never to a mixture. Only files below the folder are read: no link is
followed, and a path in the manifest is compared, never opened.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from synthrec.audit.record import Record
from synthrec.errors import ReleaseError, printable
from synthrec.storage import disk_errors, locked, record_json, sync, write_atomic

MANIFEST = "manifest.json"
JOINING = (
    ".joining"  # folder in share/ of what is about to join; with a manifest in it, it is complete
)
MAX_MANIFEST_BYTES = 1 << 20


class ManifestFile(Record):
    """One shared file."""

    path: str  # below share/, with forward slashes
    size_bytes: int
    sha256: str


class Manifest(Record):
    """manifest.json."""

    format_version: Literal[1] = 1
    files: tuple[ManifestFile, ...]


@contextmanager
def joining(folder: Path) -> Iterator[Path]:
    """A folder for new files, flat and by their final names; they join `folder`, or replace what is
    there, when all went well.

    Raises ReleaseError: nothing joined, or all of it does at the next `settle`.
    """
    half = folder / JOINING
    with _held(folder):
        _settle(folder)
        try:
            with _disk_errors():
                half.mkdir()
            yield half
            with _disk_errors():
                _seal(folder, half=half)
        except BaseException:
            shutil.rmtree(half, ignore_errors=True)
            raise
        _settle(folder)


def settle(folder: Path) -> None:
    """Finish a joining that died after it was complete, and forget one that was not. Raises
    ReleaseError, also while one goes on.
    """
    if (folder / JOINING).is_symlink():
        raise _differs(JOINING, found="it is a link", remedy="Fetch the release again.")
    if (folder / JOINING).is_dir():
        with _held(folder):
            _settle(folder)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Nobody else changes `folder` meanwhile; a process that dies lets go."""
    with ExitStack() as lock:
        with _disk_errors():
            try:
                lock.enter_context(locked(folder))
            except BlockingIOError:
                raise ReleaseError(
                    "one process at a time may change a release",
                    found="another one at it",
                    remedy="Wait until that `synthrec` has finished.",
                ) from None
        yield


def _settle(folder: Path) -> None:
    half = folder / JOINING
    with _disk_errors():
        if (half / MANIFEST).exists():
            for path in sorted(
                half.iterdir(), key=lambda path: path.name == MANIFEST
            ):  # the manifest last
                os.replace(path, folder / path.name)
        if half.is_dir():
            shutil.rmtree(half)


def _seal(folder: Path, *, half: Path) -> None:
    """Write the manifest of what `folder` will hold; from then on the joining is complete."""
    for path in half.iterdir():
        sync(path)
    joined = {path.name: _describe(path, folder=half) for path in half.iterdir()}
    staying = [
        path
        for path in _files_below(folder)
        if half not in path.parents and path.relative_to(folder).as_posix() not in joined
    ]
    files = [*joined.values(), *(_describe(path, folder=folder) for path in staying)]
    manifest = Manifest(files=tuple(sorted(files, key=lambda file: file.path)))
    write_atomic(half / MANIFEST, manifest.model_dump_json(indent=2) + "\n")


def _disk_errors() -> AbstractContextManager[None]:
    return disk_errors(
        "the files of a release must be readable, and its folder writable",
        remedy="Free space or correct the permissions, and run the command again.",
        kind=ReleaseError,
    )


def verify_manifest(folder: Path) -> Manifest:
    """Compare every file below `folder` with the manifest; the first difference is named in a
    `ReleaseError`.
    """
    manifest = read_manifest(folder)
    listed = {entry.path: entry for entry in manifest.files}
    with _disk_errors():
        present = {path.relative_to(folder).as_posix(): path for path in _files_below(folder)}
        for name in sorted(listed.keys() | present.keys()):
            if name not in present:
                raise _differs(name, found="it is missing", remedy="Fetch the whole release again.")
            if name not in listed:
                raise _differs(
                    name,
                    found="it is not in the manifest",
                    remedy="Remove it, or fetch the release again.",
                )
            if _describe(present[name], folder=folder) != listed[name]:
                raise _differs(
                    name,
                    found="its contents were altered",
                    remedy="Fetch the release again, and ask its owner if it stays so.",
                )
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder, its files not compared. Raises ReleaseError."""
    try:
        text = record_json(folder / MANIFEST, most=MAX_MANIFEST_BYTES)
        manifest = Manifest.model_validate_json(text)
        if len({entry.path for entry in manifest.files}) == len(manifest.files):
            return manifest
        found = "a file that stands there twice"
    except OSError as error:
        found = (
            "no such file"
            if isinstance(error, FileNotFoundError)
            else error.strerror or type(error).__name__
        )
    except ValueError:
        found = "something that is no manifest of this version"
    remedy = "Name the share folder of a release, or fetch it again."
    raise ReleaseError(f"a release must hold a readable {MANIFEST}", found=found, remedy=remedy)


def _differs(name: str, *, found: str, remedy: str) -> ReleaseError:
    return ReleaseError(
        f"{printable(name)} must be as the release's manifest says", found=found, remedy=remedy
    )


def _files_below(folder: Path) -> list[Path]:
    """Regular files in a fixed order. Raises ReleaseError for a link or anything else that could
    lead a reader out of the folder.
    """
    files = []
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise _differs(
                path.relative_to(folder).as_posix(),
                found="it is no regular file",
                remedy="Fetch the release again.",
            )
        if path.is_file() and (path.parent != folder or path.name != MANIFEST):
            files.append(path)
    return sorted(files)


def _describe(path: Path, *, folder: Path) -> ManifestFile:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    return ManifestFile(
        path=path.relative_to(folder).as_posix(),
        size_bytes=path.stat().st_size,
        sha256=digest.hexdigest(),
    )
