"""What was ever asked of a source log: written ahead, never rewritten, one file per source across all releases.

Guarantees: an entry is on disk (fsync) before the log is touched for it, so a crash counts as spent and nothing runs unpaid
(rules 11, 12). Each line carries the hash of the line before: an altered, reordered or removed line is found, but not that the last
lines are missing. One process holds the ledger at a time. Entries hold public constants only, and days instead of moments, since how
long a step takes depends on the log: the file may be shown to anybody.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from synthrec.errors import BudgetError
from synthrec.privacy.event import Event, PublicRecord

FORMAT_VERSION = 1
GENESIS = "0" * 64
BEGINNING = b'{"format_version":'       # of every line
Kind = Literal["release", "internal", "trial"]


class Entry(PublicRecord):
    """One mechanism run, or one block of training steps.

    `kind`: `release` and `trial` count against the cap; `internal` outputs never leave `private/` and are only listed (rule 12).
    `extra_delta`: delta that the event does not hold, for example of a threshold.
    """

    format_version: Literal[1] = 1
    source: str
    release_id: str
    kind: Kind
    mechanism: str
    event: Event
    extra_delta: float = Field(default=0.0, ge=0, lt=1)
    charged_utc: str = ""
    previous: str = GENESIS
    hash: str = ""

    def sealed(self, *, previous: str, charged_utc: str) -> Entry:
        """This entry as the line after `previous`."""
        open_entry = self.model_copy(update={"previous": previous, "charged_utc": charged_utc, "hash": ""})
        return open_entry.model_copy(update={"hash": open_entry.digest()})

    def digest(self) -> str:
        """sha256 over everything but the hash itself, in canonical JSON."""
        text = json.dumps(self.model_dump(mode="json", exclude={"hash"}), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class Charge(PublicRecord):
    """On whose account: what all entries of one training share."""

    source: str
    release_id: str
    kind: Kind

    def entry(self, *, mechanism: str, event: Event, extra_delta: float = 0.0) -> Entry:
        """An entry of this account, not yet on disk."""
        return Entry(source=self.source, release_id=self.release_id, kind=self.kind, mechanism=mechanism, event=event,
                     extra_delta=extra_delta)


class Ledger:
    """The entries of one source; `open` to spend, `read` to look."""

    def __init__(self, path: Path, *, entries: tuple[Entry, ...]) -> None:
        self.path = path
        self.entries = entries
        self._handle: int | None = None

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """All entries, chain verified. Raises BudgetError for a missing file, unknown format or broken chain."""
        try:
            lines = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            raise BudgetError("the ledger must exist to be read", found=f"no file {path.name}",
                              remedy="It is made by the first `synthrec fit` of its source.") from None
        except OSError as error:
            raise BudgetError("the ledger must be readable", found=error.strerror or "a failed read", remedy="Check permissions.") from None
        return cls(path, entries=_chain(lines, name=path.name))

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Ledger]:
        """Hold the ledger for spending; a new source starts an empty one. Nobody else can spend meanwhile."""
        handle = _locked(path)
        try:
            ledger = cls.read(path)         # verified before it is mended: another file by this name stays as it is
            _mend_torn_line(handle, whole=len(ledger.entries))
            ledger._handle = handle
            try:
                yield ledger
            finally:
                ledger._handle = None       # its number may become another file's
                if os.fstat(handle).st_size == 0:
                    path.unlink()           # nothing was charged: a refused run leaves nothing behind
        finally:
            os.close(handle)

    def charge(self, entry: Entry) -> Entry:
        """Write an entry ahead: when this returns, it is on disk. Raises BudgetError if it cannot be, and then nothing may run."""
        if self._handle is None:
            raise BudgetError("a ledger must be open to be charged", found="one opened for reading", remedy="Use Ledger.open.")
        previous = self.entries[-1].hash if self.entries else GENESIS
        sealed = entry.sealed(previous=previous, charged_utc=datetime.now(UTC).date().isoformat())
        try:
            line = sealed.model_dump_json().encode() + b"\n"
            if os.write(self._handle, line) != len(line):
                raise OSError(None, "a short write")
            os.fsync(self._handle)
        except OSError as error:
            raise BudgetError("the ledger must be written before the log is used", found=error.strerror or "a failed write",
                              remedy="Free space on the ledger's disk and start again.") from None
        self.entries = (*self.entries, sealed)
        return sealed

    def of_release(self, release_id: str) -> tuple[Entry, ...]:
        """Entries whose outputs are in one release."""
        return tuple(entry for entry in self.entries if entry.release_id == release_id and entry.kind == "release")

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
            rate = "" if entry.event.sampling_rate == 1 else f", each user in with chance {entry.event.sampling_rate:.4g}"
            noise = "NO NOISE" if entry.event.kind == "none" else f"noise {entry.event.noise_multiplier:.4g} x norm"
            lines.append(f"{entry.charged_utc}  {entry.release_id}  {entry.kind:8}  {entry.mechanism:10}  {count:>4} x {noise}{rate}")
        return lines


def events_of(entries: tuple[Entry, ...]) -> tuple[Event, ...]:
    """What the accountants read."""
    return tuple(entry.event for entry in entries)


def extra_delta_of(entries: tuple[Entry, ...]) -> float:
    """Sum of the deltas that no event holds."""
    return sum(entry.extra_delta for entry in entries)


def _runs(entries: tuple[Entry, ...]) -> list[tuple[tuple[str, ...], Entry, int]]:
    runs: list[tuple[tuple[str, ...], Entry, int]] = []
    for entry in entries:
        event = entry.event
        key = (entry.release_id, entry.kind, entry.mechanism, repr(event.noise_multiplier), repr(event.sampling_rate))
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
        raise BudgetError("the ledger must be writable", found=f"{path.name}: {error.strerror}",
                          remedy="Make its folder writable, or correct [source] ledger.") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino != os.fstat(handle).st_ino:      # an empty one, removed by its holder between open and lock
            raise FileNotFoundError
        _sync_folder(path.parent)
    except OSError:
        os.close(handle)
        raise BudgetError("one process at a time may spend from a source", found=f"{path.name} in use",
                          remedy="Wait until the other `synthrec` has finished.") from None
    return handle


def _sync_folder(folder: Path) -> None:
    """A new file is on disk when its name is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mend_torn_line(handle: int, *, whole: int) -> None:
    """After the last newline: end an entry that is whole, drop a torn one, for which `charge` never returned."""
    content = os.pread(handle, os.fstat(handle).st_size, 0)
    end = content.rfind(b"\n") + 1
    if end == len(content):
        return
    if content.count(b"\n") < whole:
        os.write(handle, b"\n")
    else:
        os.ftruncate(handle, end)
    os.fsync(handle)


def _chain(lines: list[bytes], *, name: str) -> tuple[Entry, ...]:
    """Parse and verify. What follows the last newline counts if it is a whole entry; else it is a write that never succeeded."""
    entries: list[Entry] = []
    torn = lines[-1][: len(BEGINNING)] == BEGINNING[: len(lines[-1])] and not _is_entry(lines[-1])
    for place, line in enumerate(lines[:-1] if torn else lines, start=1):
        where = f"{name}, line {place}"
        try:
            entry = Entry.model_validate_json(line)
        except ValidationError:
            raise BudgetError("every line of the ledger must be an entry that this version knows", found=f"another thing at {where}",
                              remedy="Restore the ledger from a backup: entries may not be lost.") from None
        expected = entries[-1].hash if entries else GENESIS
        if entry.previous != expected or entry.hash != entry.digest():
            raise BudgetError("the ledger's lines must form an unbroken chain", found=f"a broken link at {where}",
                              remedy="Restore the ledger from a backup: entries may not be altered or lost.")
        entries.append(entry)
    return tuple(entries)


def _is_entry(line: bytes) -> bool:
    try:
        Entry.model_validate_json(line)
    except ValidationError:
        return False
    return True
