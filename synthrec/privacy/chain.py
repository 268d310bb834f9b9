"""The lines of a ledger: what an entry says, how each holds the one before, and which of them do not.

Guarantees: every kind of line that this or an earlier version wrote is read for ever (`format_version` 1 and 2); a line of another version,
of an unknown kind, or altered in any byte is a fault with its line number, never skipped. A fault quotes no more of the file than a
version number or the short name of a kind.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from synthrec.privacy.event import MOST_COUNT, Event, PublicRecord

FORMAT_VERSION = 2
GENESIS = "0" * 64
BEGINNING = b'{"format_version":'       # of every line
LARGEST, MOST_LINES, LONGEST_LINE = 1 << 26, 1 << 18, 1 << 14      # bytes and lines of a ledger, bytes of a line
SINCE_2 = {"planned", "delta"}          # fields that lines of version 1 have not, nor their hashes
Kind = Literal["release", "internal", "trial"]
Counted = Literal["release", "trial"]


class Entry(PublicRecord):
    """One mechanism run, or one block of training steps.

    `kind`: `release` and `trial` count against the cap; `internal` outputs never leave `private/` and are only listed (rule 12).
    `extra_delta`: delta that the event does not hold, for example of a threshold.
    `planned`: how many runs this account planned in all, so that one that died early can be told; `delta`: what it planned them for.
    """

    format_version: Literal[1, 2] = 2
    source: str
    release_id: str
    kind: Kind
    mechanism: str
    event: Event
    extra_delta: float = Field(default=0.0, ge=0, lt=1)
    planned: int | None = Field(default=None, ge=1, le=MOST_COUNT)
    delta: float | None = Field(default=None, gt=0, lt=1)
    charged_utc: str = ""
    previous: str = GENESIS
    hash: str = ""

    @model_validator(mode="after")
    def _version_1_has_no_plan(self) -> Entry:
        if self.format_version == 1 and not (self.planned is None and self.delta is None):
            raise ValueError("a field of a later version")
        return self

    def sealed(self, *, previous: str, charged_utc: str) -> Entry:
        """This entry as the line after `previous`."""
        open_entry = self.model_copy(update={"previous": previous, "charged_utc": charged_utc, "hash": ""})
        return open_entry.model_copy(update={"hash": open_entry.digest()})

    def digest(self) -> str:
        """sha256 over everything but the hash itself, in canonical JSON."""
        left_out = {"hash"} | (SINCE_2 if self.format_version == 1 else set())
        text = json.dumps(self.model_dump(mode="json", exclude=left_out), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class Charge(PublicRecord):
    """On whose account: what all entries of one training share."""

    source: str
    release_id: str
    kind: Kind
    planned: int | None = None
    delta: float | None = None

    def entry(self, *, mechanism: str, event: Event, extra_delta: float = 0.0) -> Entry:
        """An entry of this account, not yet on disk."""
        return Entry(**self.model_dump(), mechanism=mechanism, event=event, extra_delta=extra_delta)


class Fault(NamedTuple):
    """What is wrong with one line; `line` counts from 1, 0 is the file as a whole."""

    line: int
    rule: str
    found: str
    remedy: str


def split_lines(content: bytes) -> list[bytes]:
    """The lines that count: what follows the last newline does if it is a whole entry; else it is a write that never succeeded."""
    lines = content.split(b"\n")
    last = lines[-1]
    torn = last[: len(BEGINNING)] == BEGINNING[: len(last)] and not isinstance(_parsed(last, line=0), Entry)
    return lines[:-1] if torn else lines


def walk(lines: Sequence[bytes]) -> Iterator[Entry | Fault]:
    """Each line as its entry, or as what is wrong with it; an entry whose link is broken comes after its fault."""
    previous: str | None = GENESIS
    for place, text in enumerate(lines, start=1):
        found = _parsed(text, line=place)
        if isinstance(found, Entry):
            if found.hash != found.digest():
                yield _broken(place, "a line that was altered")
            elif previous is not None and found.previous != previous:
                yield _broken(place, "a broken link")
        yield found
        previous = found.hash if isinstance(found, Entry) else None     # one fault is told once


class _Glance(BaseModel):
    """What of a foreign line can be named."""

    format_version: int
    kind: Any = None


def _parsed(text: bytes, *, line: int) -> Entry | Fault:
    try:
        if len(text) > LONGEST_LINE:
            raise ValueError
        return Entry.model_validate_json(text)
    except ValueError as error:
        numbers = isinstance(error, ValidationError) and all(
            each["loc"][:1] == ("event",) for each in error.errors(include_input=False))
        found = ("a mechanism with numbers that none of synthrec has", _BACKUP) if numbers else _reason(text)
        return Fault(line, "every line of the ledger must be an entry that this version knows", *found)


_BACKUP = "Restore the ledger from a backup: entries may not be lost."


def _reason(text: bytes) -> tuple[str, str]:
    try:
        seen = _Glance.model_validate_json(text[:LONGEST_LINE])
    except ValidationError:
        return "another thing", _BACKUP
    if seen.format_version > FORMAT_VERSION:
        return f"format_version {seen.format_version}", f"This version reads up to {FORMAT_VERSION}: use a newer synthrec."
    if seen.kind not in get_args(Kind):
        named = isinstance(seen.kind, str) and seen.kind.isidentifier() and len(seen.kind) <= 40
        return f"the unknown kind {seen.kind}" if named else "an unknown kind", f"Known are {', '.join(get_args(Kind))}. {_BACKUP}"
    return "another thing", _BACKUP


def _broken(line: int, found: str) -> Fault:
    return Fault(line, "the ledger's lines must form an unbroken chain", found,
                 "Restore the ledger from a backup: entries may not be altered or lost.")
