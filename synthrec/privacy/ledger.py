"""What was ever asked of a source log: written ahead, never rewritten, one file per source across
all releases.

Guarantees: an entry is on disk (fsync) before the log is touched for it, so a crash counts as spent
and nothing runs unpaid (rules 11, 12). Each line carries the hash of the line before, and
`LEDGER.head` remembers the last: an altered, reordered, removed or missing line is found. One
process holds the ledger at a time. Entries hold public constants only, and days instead of moments,
since how long a step takes depends on the log: the file may be shown to anybody.

The lines of a ledger: what an entry says, how each holds the one before, and which of them do not.

Guarantees: every kind of line that this or an earlier version wrote is read for ever
(`format_version` 1 and 2); a line of another version, of an unknown kind, or altered in any byte is
a fault with its line number, never skipped. A fault quotes no more of the file than a version
number or the short name of a kind.

The remembered head of a ledger: how many entries it had and the last one's hash, so that a ledger
cut short is found.

A hash chain shows every line altered or taken out, but not that the last ones are missing: a ledger
restored from an old backup, or truncated, would give spent budget back. So after each entry its
number and hash are written to a side file, `LEDGER.head`.

Guarantees: written (fsync, rename) only after the entry is on disk, so it never remembers more than
was there; whoever reads the ledger reads the head first. A ledger without a head was written by an
early version, or its head was lost: it is read, and gets one with its next entry. Folder and head
restored together from a backup pass: the releases' own excerpts tell then (`ledger verify
--release`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from synthrec.errors import BudgetError
from synthrec.privacy.event import MAX_COUNT, Event, PublicRecord

FORMAT_VERSION = 2
GENESIS = "0" * 64
BEGINNING = b'{"format_version":'  # of every line
LARGEST, MAX_LINES, LONGEST_LINE = (
    1 << 26,
    1 << 18,
    1 << 14,
)  # bytes and lines of a ledger, bytes of a line
SINCE_2 = {"planned", "delta"}  # fields that lines of version 1 have not, nor their hashes
Kind = Literal["release", "internal", "trial"]
Counted = Literal["release", "trial"]


class Entry(PublicRecord):
    """One mechanism run, or one block of training steps.

    `kind`: `release` and `trial` count against the cap; `internal` outputs never leave `private/`
    and are only listed (rule 12). `extra_delta`: delta that the event does not hold, for example of
    a threshold. `planned`: how many runs this account planned in all, so that one that died early
    can be told; `delta`: what it planned them for.
    """

    format_version: Literal[1, 2] = 2
    source: str
    release_id: str
    kind: Kind
    mechanism: str
    event: Event
    extra_delta: float = Field(default=0.0, ge=0, lt=1)
    planned: int | None = Field(default=None, ge=1, le=MAX_COUNT)
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
        open_entry = self.model_copy(
            update={"previous": previous, "charged_utc": charged_utc, "hash": ""}
        )
        return open_entry.model_copy(update={"hash": open_entry.digest()})

    def digest(self) -> str:
        """sha256 over everything but the hash itself, in canonical JSON."""
        left_out = {"hash"} | (SINCE_2 if self.format_version == 1 else set())
        text = json.dumps(
            self.model_dump(mode="json", exclude=left_out), sort_keys=True, separators=(",", ":")
        )
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
    """The lines that count: what follows the last newline does if it is a whole entry; else it is a
    write that never succeeded.
    """
    lines = content.split(b"\n")
    last = lines[-1]
    torn = last[: len(BEGINNING)] == BEGINNING[: len(last)] and not isinstance(
        _parsed(last, line=0), Entry
    )
    return lines[:-1] if torn else lines


def walk(lines: Sequence[bytes]) -> Iterator[Entry | Fault]:
    """Each line as its entry, or as what is wrong with it; an entry whose link is broken comes
    after its fault.
    """
    previous: str | None = GENESIS
    for place, text in enumerate(lines, start=1):
        found = _parsed(text, line=place)
        if isinstance(found, Entry):
            if found.hash != found.digest():
                yield _broken(place, "a line that was altered")
            elif previous is not None and found.previous != previous:
                yield _broken(place, "a broken link")
        yield found
        previous = found.hash if isinstance(found, Entry) else None  # one fault is told once


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
            each["loc"][:1] == ("event",) for each in error.errors(include_input=False)
        )
        found = (
            ("a mechanism with numbers that none of synthrec has", _BACKUP)
            if numbers
            else _reason(text)
        )
        return Fault(
            line, "every line of the ledger must be an entry that this version knows", *found
        )


_BACKUP = "Restore the ledger from a backup: entries may not be lost."


def _reason(text: bytes) -> tuple[str, str]:
    try:
        seen = _Glance.model_validate_json(text[:LONGEST_LINE])
    except ValidationError:
        return "another thing", _BACKUP
    if seen.format_version > FORMAT_VERSION:
        return (
            f"format_version {seen.format_version}",
            f"This version reads up to {FORMAT_VERSION}: use a newer synthrec.",
        )
    if seen.kind not in get_args(Kind):
        named = isinstance(seen.kind, str) and seen.kind.isidentifier() and len(seen.kind) <= 40
        return (
            f"the unknown kind {seen.kind}" if named else "an unknown kind",
            f"Known are {', '.join(get_args(Kind))}. {_BACKUP}",
        )
    return "another thing", _BACKUP


def _broken(line: int, found: str) -> Fault:
    return Fault(
        line,
        "the ledger's lines must form an unbroken chain",
        found,
        "Restore the ledger from a backup: entries may not be altered or lost.",
    )


class Head(PublicRecord):
    """Where a ledger ended when it was last written."""

    format_version: Literal[1] = 1
    count: int = Field(ge=1)
    hash: str


def head_path(ledger: Path) -> Path:
    """`LEDGER.head`, beside it."""
    return ledger.with_name(ledger.name + ".head")


def remember(ledger: Path, head: Head) -> None:
    """Write the head whole or not at all. Raises OSError."""
    beside = ledger.with_name(ledger.name + ".head.part")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        content = head.model_dump_json().encode() + b"\n"
        if os.write(handle, content) != len(content):
            raise OSError(None, "a short write")
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(beside, head_path(ledger))


def remembered(ledger: Path) -> Head | None:
    """The head, or None where there is none. Raises BudgetError for one that cannot be read."""
    path = head_path(ledger)
    try:
        with path.open("rb") as stream:
            return Head.model_validate_json(stream.read(LONGEST_LINE))
    except FileNotFoundError:
        return None
    except OSError as error:
        found = error.strerror or "a failed read"
    except ValidationError:
        found = "another thing"
    raise BudgetError(
        "the ledger's remembered head must be readable",
        found=f"{found} in {path.name}",
        remedy="Restore it from a backup together with the ledger, or move it away after `synthrec ledger verify` with "
        "--release has shown that no entry of a release is missing.",
    ) from None


def cut_short(entries: Sequence[Entry], head: Head | None) -> Fault | None:
    """What is wrong if the entries do not hold the remembered head."""
    if head is None or (len(entries) >= head.count and entries[head.count - 1].hash == head.hash):
        return None
    found = (
        f"{len(entries)} entries where {head.count} were written"
        if len(entries) < head.count
        else "another entry in the head's place"
    )
    return Fault(
        min(len(entries), head.count),
        "a ledger must hold every entry that was ever written to it",
        found,
        "Bring back the ledger as it was last written; an older backup would give back budget that is spent.",
    )


class Ledger:
    """The entries of one source; `open` to spend, `read` to look."""

    def __init__(self, path: Path, *, entries: tuple[Entry, ...]) -> None:
        self.path = path
        self.entries = entries
        self._handle: int | None = None

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """All entries, chain and head verified. Raises BudgetError for a missing file, unknown
        format, broken chain or missing end.
        """
        head = remembered(path)  # before the entries: another process may add to them meanwhile
        entries: list[Entry] = []
        for found in walk(read_lines(path)):
            if isinstance(found, Fault):
                raise _refusal(found, path=path)
            entries.append(found)
        if (fault := cut_short(entries, head)) is not None:
            raise _refusal(fault, path=path)
        return cls(path, entries=tuple(entries))

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Ledger]:
        """Hold the ledger for spending; a new source starts an empty one. Nobody else can spend
        meanwhile.
        """
        handle = _locked(path)
        ledger: Ledger | None = None
        try:
            ledger = cls.read(
                path
            )  # verified before it is mended: another file by this name stays as it is
            _mend_torn_line(handle, whole=len(ledger.entries))
            ledger._handle = handle
            yield ledger
        finally:
            if ledger is not None:
                ledger._handle = None  # its number may become another file's
            if os.fstat(handle).st_size == 0:
                path.unlink()  # nothing was charged: a refused run leaves nothing behind
            os.close(handle)

    def charge(self, entry: Entry) -> Entry:
        """Write an entry ahead: when this returns, it is on disk. Raises BudgetError if it cannot
        be, and then nothing may run.
        """
        if self._handle is None:
            raise BudgetError(
                "a ledger must be open to be charged",
                found="one opened for reading",
                remedy="Use Ledger.open.",
            )
        previous = self.entries[-1].hash if self.entries else GENESIS
        sealed = entry.sealed(previous=previous, charged_utc=datetime.now(UTC).date().isoformat())
        try:
            line = sealed.model_dump_json().encode() + b"\n"
            if os.write(self._handle, line) != len(line):
                raise OSError(None, "a short write")
            os.fsync(self._handle)
            remember(self.path, Head(count=len(self.entries) + 1, hash=sealed.hash))
        except OSError as error:
            # how much of the line is there is not known: nothing may follow it before it is read
            # again
            self._handle = None
            raise BudgetError(
                "the ledger must be written before the log is used",
                found=error.strerror or "a failed write",
                remedy="Free space on the ledger's disk and start again.",
            ) from None
        self.entries = (*self.entries, sealed)
        return sealed

    def of_release(self, release_id: str) -> tuple[Entry, ...]:
        """Entries whose outputs are in one release or trial."""
        return tuple(entry for entry in self.counted() if entry.release_id == release_id)

    def counted(self) -> tuple[Entry, ...]:
        """Entries that count against the cap."""
        return tuple(entry for entry in self.entries if entry.kind != "internal")

    def internal(self) -> tuple[Entry, ...]:
        """Entries that are only listed."""
        return tuple(entry for entry in self.entries if entry.kind == "internal")

    def describe(self) -> list[str]:
        """One line per run of equal entries: when, for which release, what, how noisy."""
        lines: list[str] = []
        for _, entry, count in _runs(self.entries):
            rate = (
                ""
                if entry.event.sampling_rate == 1
                else f", each user in with chance {entry.event.sampling_rate:.4g}"
            )
            noise = (
                "NO NOISE"
                if entry.event.kind == "none"
                else f"noise {entry.event.noise_multiplier:.4g} x norm"
            )
            lines.append(
                f"{entry.charged_utc}  {entry.release_id}  {entry.kind:8}  {entry.mechanism:10}  {count:>4} x {noise}{rate}"
            )
        return lines


def read_lines(path: Path) -> list[bytes]:
    """The lines of a ledger that count. Raises BudgetError if there is no such file, or none that
    can be read.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST or content.count(b"\n") > MAX_LINES:
            raise OSError(None, f"more than {LARGEST >> 20} MiB or {MAX_LINES:,} lines")
        return split_lines(content)
    except FileNotFoundError:
        raise BudgetError(
            "the ledger must exist to be read",
            found=f"no file {path.name}",
            remedy="It is made by the first `synthrec fit` of its source.",
        ) from None
    except OSError as error:
        raise BudgetError(
            "the ledger must be readable",
            found=error.strerror or "a failed read",
            remedy="Check permissions.",
        ) from None


def events_of(entries: tuple[Entry, ...]) -> tuple[Event, ...]:
    """What the accountants read."""
    return tuple(entry.event for entry in entries)


def extra_delta_of(entries: tuple[Entry, ...]) -> float:
    """Sum of the deltas that no event holds."""
    return sum(entry.extra_delta for entry in entries)


def _refusal(fault: Fault, *, path: Path) -> BudgetError:
    return BudgetError(
        fault.rule, found=f"{fault.found} at {path.name}, line {fault.line}", remedy=fault.remedy
    )


def _runs(entries: tuple[Entry, ...]) -> list[tuple[tuple[str, ...], Entry, int]]:
    runs: list[tuple[tuple[str, ...], Entry, int]] = []
    for entry in entries:
        event = entry.event
        key = (
            entry.release_id,
            entry.kind,
            entry.mechanism,
            repr(event.noise_multiplier),
            repr(event.sampling_rate),
        )
        if runs and runs[-1][0] == key:
            runs[-1] = (key, runs[-1][1], runs[-1][2] + event.count)
        else:
            runs.append((key, entry, event.count))
    return runs


def _locked(path: Path) -> int:
    """A handle on the ledger, made if need be, that nobody else can hold. Raises BudgetError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise BudgetError(
            "the ledger must be writable",
            found=f"{path.name}: {error.strerror}",
            remedy="Make its folder writable, or correct [source] ledger.",
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (
            path.stat().st_ino != os.fstat(handle).st_ino
        ):  # an empty one, removed by its holder between open and lock
            raise FileNotFoundError
        _sync_folder(path.parent)
    except OSError:
        os.close(handle)
        raise BudgetError(
            "one process at a time may spend from a source",
            found=f"{path.name} in use",
            remedy="Wait until the other `synthrec` has finished.",
        ) from None
    return handle


def _sync_folder(folder: Path) -> None:
    """A new file is on disk when its name is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mend_torn_line(handle: int, *, whole: int) -> None:
    """After the last newline: end an entry that is whole, drop a torn one, for which `charge` never
    returned.
    """
    content = os.pread(handle, os.fstat(handle).st_size, 0)
    end = content.rfind(b"\n") + 1
    if end == len(content):
        return
    if content.count(b"\n") < whole:
        os.write(handle, b"\n")
    else:
        os.ftruncate(handle, end)
    os.fsync(handle)
