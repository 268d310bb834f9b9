"""Finished parts of an audit, kept so that a killed one goes on where it was.

Guarantees: a part is taken up again only for the same release, log, policy, effort and version;
parts are private and lie below `private/` (rule: audits are not private); what is there is whole.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from synthrec.audit.record import Record
from synthrec.errors import ReleaseError
from synthrec.storage import disk_errors, record_json, write_atomic

MAX_BYTES = 1 << 26
T = TypeVar("T")


class Held(Record, Generic[T]):
    """A part as it is written; it may be None."""

    part: T


@dataclass(frozen=True)
class Kept:
    """A folder of parts for one audit, named by what it is an audit of."""

    folder: Path

    @classmethod
    def of(cls, place: Path, *, key: tuple[str, ...]) -> Kept:
        """Below `place`; parts of any other audit that lie there are removed. Raises ReleaseError
        for a link.
        """
        name = hashlib.sha256("\0".join(key).encode()).hexdigest()[:16]
        if (
            place.is_symlink()
        ):  # what it leads to is nobody's audit: nothing there is removed or written
            raise ReleaseError(
                f"{place.name} must be a folder of the audit itself",
                found="a link",
                remedy="Remove it by hand.",
            )
        if place.is_dir():
            for other in place.iterdir():
                if other.name != name:
                    shutil.rmtree(other, ignore_errors=True)
        return cls(place / name)

    def part(self, name: str, kind: type[T] | object, make: Callable[[], T]) -> T:
        """What was kept by this name, or what `make` returns, which is then kept. Raises
        ReleaseError when it cannot be.
        """
        held: Any = Held[kind]  # type: ignore[valid-type]
        path = self.folder / f"{name}.json"
        try:
            kept: T = held.model_validate_json(record_json(path, most=MAX_BYTES)).part
            return kept
        except (OSError, ValueError):
            pass  # not there, or altered: made anew
        found = make()
        with disk_errors(
            "the release's private/ must be writable",
            remedy="Free space and run the audit again: what is finished is kept.",
            kind=ReleaseError,
        ):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(path, held(part=found).model_dump_json())
        return found

    def forget(self) -> None:
        """Remove all parts."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
