"""What an inspection looked at: one line for each file, tensor, field or column, where it comes
from, and what is wrong with it.

Guarantees: a line holds names, types, shapes and rules; of a value found in a file it shows at most
a printable name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from synthrec.conformance.record import Conformance
from synthrec.errors import SynthrecError
from synthrec.privacy.ledger import Entry
from synthrec.report.record import ReleaseRecord


@dataclass(frozen=True)
class InspectedPart:
    """A part of a release. `origin`: public, paid (by whom), post-processing or synthetic;
    `problem`: None if it is as it must be.
    """

    file: str
    name: str
    shape: str
    origin: str
    problem: str | None = None


def broken(file: str, problem: str, *, name: str = "the file") -> InspectedPart:
    """A part whose place alone is known, and what is wrong with it."""
    return InspectedPart(file, name, "", "", problem)


def unreadable(file: str, error: Exception, *, missing: str = "not readable") -> InspectedPart:
    """A file that could not be read: our own error says why, `missing` is said of any other."""
    return broken(file, str(error) if isinstance(error, SynthrecError) else missing)


@dataclass(frozen=True)
class Inspection:
    """All parts. `notes`: what is worth knowing and no failure. `record`, `entries`, `mechanism`:
    what could be read of the claim, entries None where no file was opened.
    """

    parts: tuple[InspectedPart, ...]
    notes: tuple[str, ...] = ()
    record: ReleaseRecord | None = None
    entries: tuple[Entry, ...] | None = None
    mechanism: Conformance | None = None

    def of(self, file: str) -> list[InspectedPart]:
        """The parts of one file."""
        return [part for part in self.parts if part.file == file]

    @property
    def problems(self) -> tuple[InspectedPart, ...]:
        """Parts that are not as they must be."""
        return tuple(part for part in self.parts if part.problem is not None)

    @property
    def passed(self) -> bool:
        """Is everything as it must be?"""
        return not self.problems


def first_wrong(*rules: tuple[object, str]) -> str | None:
    """What is wrong: the words of the first rule that is broken, of (is it broken, words)."""
    return next((words for is_broken, words in rules if is_broken), None)


def paid(origin: str, by: Iterable[str]) -> str:
    """Where a part comes from, for people."""
    names = ", ".join(by)
    return f"{origin} {'by' if origin == 'paid' else 'of'} {names}" if names else origin
