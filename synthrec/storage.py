"""Small files that a command writes itself: whole or not at all, and never over another."""

from __future__ import annotations

import os
from pathlib import Path

from synthrec.errors import ReleaseError


def write_new_text(path: Path, text: str) -> None:
    """Write a text file that does not exist yet; raises `ReleaseError`."""
    beside = path.with_name(f".{path.name}.part")
    try:
        try:
            beside.write_text(text, encoding="utf-8")
            os.link(beside, path)  # fails if the name is taken, unlike a rename
        finally:
            beside.unlink(missing_ok=True)
    except FileExistsError:
        raise ReleaseError(
            f"{path} must not exist yet",
            found="a file of that name",
            remedy="Choose another name with --out.",
        ) from None
    except OSError as error:
        found = error.strerror or type(error).__name__
        raise ReleaseError(
            f"{path} must be writable",
            found=found,
            remedy="Free space or choose another folder with --out.",
        ) from None
