"""Remove the private half of a release, and what died half-made beside it.

Guarantees: only a folder that holds a release is touched, and in it only private/; no link is
followed; share/ stays as it was.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from synthrec.errors import DataError, ReleaseError
from synthrec.release import Folder, remove_left


@dataclass(frozen=True)
class Purged:
    """How much went."""

    files: int
    stale: int


def purge_private(folder: Folder) -> Purged:
    """Remove private/. Raises ReleaseError for what is no release or has no private/, DataError if
    it cannot be removed.
    """
    private = folder.private
    if private.is_symlink():
        raise ReleaseError(
            "private/ must be a folder of the release itself",
            found="a link",
            remedy="Remove it by hand.",
        )
    folder.verified()
    if not private.is_dir():
        raise ReleaseError(
            "there must be a private/ to remove",
            found="none: purged before, or never here",
            remedy="Nothing to do.",
        )
    try:
        files = sum(path.is_file() for path in private.rglob("*"))
        shutil.rmtree(private)
        stale = remove_left(folder.path.absolute())
    except OSError as error:
        raise DataError(
            "private/ must be removable",
            found=error.strerror or "a failed removal",
            remedy="Correct the permissions and run the command again; part of it may be gone.",
        ) from None
    return Purged(files=files, stale=stale)
