"""What was ever asked of a source log: written ahead, never rewritten, one file per source across
all releases.

Guarantees: an entry is on disk (fsync) before the log is touched for it, so a crash counts as spent
and nothing runs unpaid (rules: write-ahead ledger, one ledger per source). Each line carries the
hash of the line before: an altered, reordered or removed line is found. `LEDGER.head`, written only
after the entry is on disk and read before the entries, remembers how many there were and the last
one's hash: a ledger cut short, or restored from an old backup, is found, for it would give spent
budget back. Folder and head restored together pass: the releases' own excerpts tell then (`ledger
verify --release`). A ledger whose head was lost is read, and gets one with its next entry. A line
of another version, of an unknown kind, or altered in any byte is a fault with its line number,
never skipped; a fault quotes no more of the file than a version number or the short name of a kind.
One process holds the ledger at a time. Entries hold public constants only, and days instead of
moments, since how long a step takes depends on the log: the file may be shown to anybody.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, Field, ValidationError

from synthrec.errors import BudgetError
from synthrec.privacy.event import MAX_COUNT, Event, PublicRecord
from synthrec.storage import disk_errors, lock, sync, write_atomic

FORMAT_VERSION = 2
GENESIS = "0" * 64
BEGINNING = b'{"format_version":'  # of every line
MAX_BYTES, MAX_LINES, MAX_LINE_BYTES = 1 << 26, 1 << 18, 1 << 14
Kind = Literal["release", "internal", "trial"]
Counted = Literal["release", "trial"]


class Entry(PublicRecord):
    """One mechanism run, or one block of training steps.

    `kind`: `release` and `trial` count against the cap; `internal` outputs never leave `private/`
    and are only listed (rule: one ledger per source). `extra_delta`: delta that the event does not
    hold, for example of a threshold. `planned`: how many runs this account planned in all, so that
    one that died early can be told; `delta`: what it planned them for.
    """

    format_version: Literal[2] = 2
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

    def sealed(self, *, previous: str, charged_utc: str) -> Entry:
        """This entry as the line after `previous`."""
        unsealed = self.model_copy(update={"previous": previous, "charged_utc": charged_utc})
        return unsealed.model_copy(update={"hash": unsealed.digest()})

    def digest(self) -> str:
        """sha256 over everything but the hash itself, in canonical JSON."""
        words = self.model_dump(mode="json", exclude={"hash"})
        text = json.dumps(words, sort_keys=True, separators=(",", ":"))
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
    for number, text in enumerate(lines, start=1):
        line = _parsed(text, line=number)
        if isinstance(line, Entry):
            if line.hash != line.digest():
                yield _broken(number, "a line that was altered")
            elif previous is not None and line.previous != previous:
                yield _broken(number, "a broken link")
        yield line
        previous = line.hash if isinstance(line, Entry) else None  # one fault is told once


class _Glance(BaseModel):
    """What of a foreign line can be named."""

    format_version: int
    kind: Any = None


def _parsed(text: bytes, *, line: int) -> Entry | Fault:
    try:
        if len(text) > MAX_LINE_BYTES:
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
        seen = _Glance.model_validate_json(text[:MAX_LINE_BYTES])
    except ValidationError:
        return "another thing", _BACKUP
    if seen.format_version != FORMAT_VERSION:
        return (
            f"format_version {seen.format_version}",
            f"This version reads {FORMAT_VERSION}: use the synthrec that wrote it.",
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
    write_atomic(head_path(ledger), head.model_dump_json() + "\n")


def remembered(ledger: Path) -> Head | None:
    """The head, or None where there is none. Raises BudgetError for one that cannot be read."""
    path = head_path(ledger)
    try:
        with path.open("rb") as stream:
            return Head.model_validate_json(stream.read(MAX_LINE_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        found = (isinstance(error, OSError) and error.strerror) or "another thing"
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
        for line in walk(read_lines(path)):
            if isinstance(line, Fault):
                raise _refusal(line, path=path)
            entries.append(line)
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
            # verified before it is mended: another file by this name stays as it is
            ledger = cls.read(path)
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
        for (release_id, kind, mechanism, event), run in groupby(self.entries, key=_alike):
            first, *others = run
            count = first.event.count + sum(entry.event.count for entry in others)
            some = f", each user in with chance {event.sampling_rate:.4g}"
            noise = f"noise {event.noise_multiplier:.4g} x norm"
            lines.append(
                f"{first.charged_utc}  {release_id}  {kind:8}  {mechanism:10}  {count:>4} x "
                f"{'NO NOISE' if event.kind == 'none' else noise}"
                f"{'' if event.sampling_rate == 1 else some}"
            )
        return lines


def read_lines(path: Path) -> list[bytes]:
    """The lines of a ledger that count. Raises BudgetError if there is no such file, or none that
    can be read.
    """
    with disk_errors(
        "the ledger must be readable",
        found="a failed read",
        remedy="Check permissions.",
        kind=BudgetError,
    ):
        if not path.exists():
            raise BudgetError(
                "the ledger must exist to be read",
                found=f"no file {path.name}",
                remedy="It is made by the first `synthrec fit` of its source.",
            )
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES or content.count(b"\n") > MAX_LINES:
            raise OSError(None, f"more than {MAX_BYTES >> 20} MiB or {MAX_LINES:,} lines")
    return split_lines(content)


def events_of(entries: Iterable[Entry]) -> tuple[Event, ...]:
    """What the accountants read."""
    return tuple(entry.event for entry in entries)


def extra_delta_of(entries: Iterable[Entry]) -> float:
    """Sum of the deltas that no event holds."""
    return sum(entry.extra_delta for entry in entries)


def _refusal(fault: Fault, *, path: Path) -> BudgetError:
    return BudgetError(
        fault.rule, found=f"{fault.found} at {path.name}, line {fault.line}", remedy=fault.remedy
    )


def _alike(entry: Entry) -> tuple[str, Kind, str, Event]:
    """What the entries of one run of equal ones share."""
    once = entry.event.model_copy(update={"count": 1})
    return entry.release_id, entry.kind, entry.mechanism, once


def _locked(path: Path) -> int:
    """A handle on the ledger, made if need be, that nobody else can hold. Raises BudgetError."""
    with disk_errors(
        "the ledger must be writable",
        name=path.name,
        remedy="Make its folder writable, or correct [source] ledger.",
        kind=BudgetError,
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        lock(handle)
        # an empty one may be removed by its holder between open and lock
        if path.stat().st_ino != os.fstat(handle).st_ino:
            raise FileNotFoundError
        sync(path.parent)
    except OSError:
        os.close(handle)
        raise BudgetError(
            "one process at a time may spend from a source",
            found=f"{path.name} in use",
            remedy="Wait until the other `synthrec` has finished.",
        ) from None
    return handle


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
