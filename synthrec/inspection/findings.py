"""What an inspection looked at: one line for each file, tensor, field or column, where it comes
from, and what is wrong with it.

Guarantees: a line holds names, types, shapes and rules; of a value found in a file it shows at most
a printable name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A part of a release. `origin`: public, paid (by whom), post-processing or synthetic;
    `problem`: None if it is as it must be.
    """

    file: str
    name: str
    shape: str
    origin: str
    problem: str | None = None


@dataclass(frozen=True)
class Inspection:
    """All parts. `notes`: what is worth knowing and no failure."""

    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[Part, ...]:
        """Parts that are not as they must be."""
        return tuple(part for part in self.parts if part.problem is not None)

    @property
    def passed(self) -> bool:
        """Is everything as it must be?"""
        return not self.problems


def paid(origin: str, by: Iterable[str]) -> str:
    """Where a part comes from, for people."""
    names = ", ".join(by)
    return (
        f"{origin} by {names}"
        if origin == "paid" and names
        else f"{origin} of {names}"
        if names
        else origin
    )
