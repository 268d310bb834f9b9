"""`manifest.json`: size and SHA-256 of every file in `share/`, so that a receiver sees that nothing is missing or altered."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from synthrec.audit.record import Record
from synthrec.errors import ReleaseError

MANIFEST = "manifest.json"


class ManifestFile(Record):
    """One shared file."""

    path: str                       # below share/, with forward slashes
    size_bytes: int
    sha256: str


class Manifest(Record):
    """manifest.json."""

    format_version: Literal[1] = 1
    files: tuple[ManifestFile, ...]


def write_manifest(folder: Path) -> Path:
    """List every file below `folder` in `folder/manifest.json`."""
    manifest = Manifest(files=tuple(_describe(path, folder=folder) for path in _files_below(folder)))
    target, beside = folder / MANIFEST, folder / f".{MANIFEST}.part"
    beside.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    os.replace(beside, target)
    return target


def verify_manifest(folder: Path) -> Manifest:
    """Compare every file below `folder` with the manifest; the first difference is named in a `ReleaseError`."""
    manifest = _read(folder / MANIFEST)
    listed = {entry.path: entry for entry in manifest.files}
    present = {path.relative_to(folder).as_posix(): path for path in _files_below(folder)}
    for name in sorted(listed.keys() | present.keys()):
        if name not in present:
            raise _differs(name, found="it is missing", remedy="Fetch the whole release again.")
        if name not in listed:
            raise _differs(name, found="it is not in the manifest", remedy="Remove it, or fetch the release again.")
        if _describe(present[name], folder=folder) != listed[name]:
            raise _differs(name, found="its contents were altered", remedy="Fetch the release again, and ask its owner if it stays so.")
    return manifest


def _read(path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or type(error).__name__
    except ValidationError:
        found = "something that is no manifest of this version"
    remedy = "Name the share folder of a release, or fetch it again."
    raise ReleaseError(f"a release must hold a readable {MANIFEST}", found=found, remedy=remedy)


def _differs(name: str, *, found: str, remedy: str) -> ReleaseError:
    return ReleaseError(f"{name} must be as the release's manifest says", found=found, remedy=remedy)


def _files_below(folder: Path) -> list[Path]:
    """Regular files in a fixed order; a link is listed as what it points at only if that lies inside the folder."""
    root = folder.resolve()
    inside = [path for path in folder.rglob("*") if path.is_file() and path.resolve().is_relative_to(root)]
    return sorted(path for path in inside if path.parent != folder or path.name not in (MANIFEST, f".{MANIFEST}.part"))


def _describe(path: Path, *, folder: Path) -> ManifestFile:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    return ManifestFile(path=path.relative_to(folder).as_posix(), size_bytes=path.stat().st_size, sha256=digest.hexdigest())
