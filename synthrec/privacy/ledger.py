"""What was ever asked of a source log: written ahead, never rewritten, one file per source across all releases.

Guarantees: an entry is on disk (fsync) before the log is touched for it, so a crash counts as spent and nothing runs unpaid
(rules 11, 12). Each line carries the hash of the line before, and `LEDGER.head` remembers the last: an altered, reordered, removed or
missing line is found. One process holds the ledger at a time. Entries hold public constants only, and days instead of moments, since how
long a step takes depends on the log: the file may be shown to anybody.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from synthrec.errors import BudgetError
from synthrec.privacy.chain import (
    BEGINNING,
    FORMAT_VERSION,
    GENESIS,
    LARGEST,
    MOST_LINES,
    Charge,
    Counted,
    Entry,
    Fault,
    Kind,
    split_lines,
    walk,
)
from synthrec.privacy.event import Event
from synthrec.privacy.head import Head, cut_short, remember, remembered

__all__ = ["BEGINNING", "FORMAT_VERSION", "GENESIS", "Charge", "Counted", "Entry", "Kind", "Ledger", "events_of", "extra_delta_of"]


class Ledger:
    """The entries of one source; `open` to spend, `read` to look."""

    def __init__(self, path: Path, *, entries: tuple[Entry, ...]) -> None:
        self.path = path
        self.entries = entries
        self._handle: int | None = None

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """All entries, chain and head verified. Raises BudgetError for a missing file, unknown format, broken chain or missing end."""
        head = remembered(path)             # before the entries: another process may add to them meanwhile
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
        """Hold the ledger for spending; a new source starts an empty one. Nobody else can spend meanwhile."""
        handle = _locked(path)
        ledger: Ledger | None = None
        try:
            ledger = cls.read(path)         # verified before it is mended: another file by this name stays as it is
            _mend_torn_line(handle, whole=len(ledger.entries))
            ledger._handle = handle
            yield ledger
        finally:
            if ledger is not None:
                ledger._handle = None       # its number may become another file's
            if os.fstat(handle).st_size == 0:
                path.unlink()               # nothing was charged: a refused run leaves nothing behind
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
            remember(self.path, Head(count=len(self.entries) + 1, hash=sealed.hash))
        except OSError as error:
            self._handle = None             # how much of the line is there is not known: nothing may follow it before it is read again
            raise BudgetError("the ledger must be written before the log is used", found=error.strerror or "a failed write",
                              remedy="Free space on the ledger's disk and start again.") from None
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
            rate = "" if entry.event.sampling_rate == 1 else f", each user in with chance {entry.event.sampling_rate:.4g}"
            noise = "NO NOISE" if entry.event.kind == "none" else f"noise {entry.event.noise_multiplier:.4g} x norm"
            lines.append(f"{entry.charged_utc}  {entry.release_id}  {entry.kind:8}  {entry.mechanism:10}  {count:>4} x {noise}{rate}")
        return lines


def read_lines(path: Path) -> list[bytes]:
    """The lines of a ledger that count. Raises BudgetError if there is no such file, or none that can be read."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST or content.count(b"\n") > MOST_LINES:
            raise OSError(None, f"more than {LARGEST >> 20} MiB or {MOST_LINES:,} lines")
        return split_lines(content)
    except FileNotFoundError:
        raise BudgetError("the ledger must exist to be read", found=f"no file {path.name}",
                          remedy="It is made by the first `synthrec fit` of its source.") from None
    except OSError as error:
        raise BudgetError("the ledger must be readable", found=error.strerror or "a failed read", remedy="Check permissions.") from None


def events_of(entries: tuple[Entry, ...]) -> tuple[Event, ...]:
    """What the accountants read."""
    return tuple(entry.event for entry in entries)


def extra_delta_of(entries: tuple[Entry, ...]) -> float:
    """Sum of the deltas that no event holds."""
    return sum(entry.extra_delta for entry in entries)


def _refusal(fault: Fault, *, path: Path) -> BudgetError:
    return BudgetError(fault.rule, found=f"{fault.found} at {path.name}, line {fault.line}", remedy=fault.remedy)


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
