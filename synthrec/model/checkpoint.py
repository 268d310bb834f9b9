"""What a training that died can be continued from: measurements that were paid for, and the game
after each paid block.

Guarantees: holds released values and weights that DP-SGD made, thus nothing that an entry of the
ledger has not paid for; no row of the log, no state of any random generator. Each file is written
whole (fsync, rename) or not at all, below `private/`. `charged_steps` refuses to continue where
something kept is not paid for, or something paid for was lost: noise is never drawn twice for one
charge, and nothing runs unpaid (rule: write-ahead ledger). Reading runs no code.

A block that was charged and whose result was lost stays lost: the game continues at the first step
not charged, so that the number of charged steps is the plan's. A measurement has room on the disk
before it is charged, and that room gets another name before its noise is drawn: one that was
charged last and surely never drawn is drawn when the training is continued. One that may have been
drawn and was lost cannot be asked again without paying again, beyond the plan: such a training is
not continued.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from synthrec.errors import BudgetError, ReleaseError
from synthrec.privacy.event import PublicRecord
from synthrec.privacy.ledger import Entry
from synthrec.privacy.mechanisms import Measurement
from synthrec.privacy.plan import Plan
from synthrec.storage import (
    as_its_folder,
    plain_json,
    read_bounded,
    record_json,
    sync,
    write_atomic,
)

FORMAT_VERSION = 1
MAX_BEGUN, MAX_FILE = 1 << 20, 1 << 32
MAX_ENTRY = 1 << 14
BEGUN, START, GAME, DRAWN = "begun.json", "start.safetensors", "game.safetensors", ".drawn"
REQUESTS_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Arrays = dict[str, np.ndarray]


class Begun(PublicRecord):
    """Which training this is. `settled`: hashes of entries charged before the first measurement;
    `same`: what must be as it was.
    """

    format_version: int
    release_id: str
    settled: tuple[str, ...]
    same: dict[str, str]


@dataclass(frozen=True)
class Checkpoint:
    """A folder below private/."""

    folder: Path
    begun: Begun

    @classmethod
    def begin(
        cls, folder: Path, *, release_id: str, settled: Sequence[Entry], same: Mapping[str, str]
    ) -> Checkpoint:
        """The checkpoint of a new training."""
        folder.mkdir(mode=0o700)
        begun = Begun(
            format_version=FORMAT_VERSION,
            release_id=release_id,
            settled=tuple(entry.hash for entry in settled),
            same=dict(same),
        )
        write_atomic(folder / BEGUN, begun.model_dump_json())
        return cls(folder, begun)

    @classmethod
    def open(cls, folder: Path, *, same: Mapping[str, str]) -> Checkpoint:
        """The checkpoint of a training that died. Raises ReleaseError if it is no such thing, or of
        another plan, configuration ...
        """
        try:
            begun = Begun.model_validate_json(record_json(folder / BEGUN, most=MAX_BEGUN))
        except (OSError, ValueError):
            raise _damaged(BEGUN) from None
        if begun.format_version != FORMAT_VERSION:
            raise ReleaseError(
                "a checkpoint must be of a format that this version reads",
                found="another format_version",
                remedy="Continue with the version of synthrec that made it.",
            )
        if other := [name for name, value in same.items() if begun.same.get(name) != value]:
            raise ReleaseError(
                "a training is continued with everything as it was",
                found=f"another {' and another '.join(other)}",
                remedy="Give what the first run was given, or start a new one with another --out.",
            )
        return cls(folder, begun)

    def charged_steps(self, entries: Sequence[Entry], *, plan: Plan) -> int:
        """How many steps of the game are spent, of what the ledger holds for this training. Raises
        BudgetError as the file says.
        """
        games = [entry for entry in entries if entry.mechanism == "game"]
        sums = {entry.hash: entry for entry in entries if entry.mechanism != "game"}
        paid = {
            measured.entry.hash
            for planned in plan.measurements
            if (measured := self.measured(planned.name)) is not None
            and sums.get(measured.entry.hash) == measured.entry
            and measured.entry.event == planned.event
        }
        files = len(list(self.folder.glob("measured-*.safetensors")))
        done, charged = self.done(), sum(entry.event.count for entry in games)
        of_plan = all(
            plan.training is not None and entry.event == plan.training.event(entry.event.count)
            for entry in games
        )
        if (
            len(paid) != files
            or not set(self.begun.settled) <= set(sums)
            or done > charged
            or not of_plan
        ):
            raise BudgetError(
                "what a training continues from must be paid for",
                found="a value that the ledger does not hold an entry for",
                remedy="Bring back the ledger as it was last written, and look at it with `synthrec ledger verify`.",
            )
        undrawn = {entry.hash for entry in entries[-1:] if self.undrawn(entry.mechanism, entries)}
        if lost := sums.keys() - paid - undrawn - set(self.begun.settled):
            names = ", ".join(sorted(sums[each].mechanism for each in lost))
            raise BudgetError(
                "a measurement is never drawn twice for one charge",
                found=f"{names} charged, and its value lost",
                remedy="This training cannot be continued; what it was charged is spent. Remove its folder and start a new "
                "one: `synthrec ledger show LEDGER --config TOML` says what is left.",
            )
        if games and not (self.folder / START).exists():
            raise _damaged(START)
        return charged

    def measured(self, name: str) -> Measurement | None:
        """A measurement that was kept."""
        if not self._measured(name).exists():
            return None
        arrays, words = _read(self._measured(name))
        try:
            entry = Entry.model_validate_json(words["entry"])
            if entry.mechanism != name or not np.isfinite(arrays["values"]).all():
                raise ValueError
            return Measurement(
                values=arrays["values"].astype(np.float64),
                noise_std=float(words["noise_std"]),
                entry=entry,
            )
        except (LookupError, ValueError):
            raise _damaged("a measurement") from None

    def make_room(self, name: str, *, size: int) -> None:
        """Room for a measurement of `size` values, before it is charged: a full disk must say so
        now. Raises OSError.
        """
        with open(self._room(name), "wb", opener=as_its_folder) as stream:
            os.posix_fallocate(stream.fileno(), 0, 8 * size + MAX_ENTRY)

    def undrawn(self, name: str, entries: Sequence[Entry]) -> Entry | None:
        """The entry of a measurement that was charged last and whose noise was surely never drawn."""
        return next(
            (
                entry
                for entry in entries[-1:]
                if entry.mechanism == name and self._room(name).exists()
            ),
            None,
        )

    @contextmanager
    def drawing(self, name: str) -> Iterator[None]:
        """Inside, its noise is drawn, and never again for that charge; a request to end waits until
        it is kept.
        """
        with undisturbed():
            os.replace(self._room(name), self._measured(name).with_suffix(DRAWN))
            sync(self.folder)
            yield

    def keep(self, name: str, measurement: Measurement) -> None:
        """Keep a measurement that has just been drawn, in the room that was made for it."""
        _save(
            self._measured(name),
            {"values": measurement.values},
            part=self._measured(name).with_suffix(DRAWN),
            entry=measurement.entry.model_dump_json(),
            noise_std=repr(measurement.noise_std),
        )

    def state(self, name: str) -> Arrays | None:
        """Where the game started from ("start"), or the game after its last kept block ("game")."""
        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            return None
        state, _ = _read(path)
        done = state.get("done", np.zeros(0))
        if name == "game" and (done.shape != (1,) or done.dtype != np.int64 or done[0] < 0):
            raise _damaged(GAME)
        return state

    def keep_state(self, name: str, arrays: Arrays) -> None:
        """Keep either; once the start is kept, the game can be continued."""
        _save(self.folder / f"{name}.safetensors", arrays)

    def done(self) -> int:
        """How many steps the kept state of the game has seen."""
        state = self.state("game")
        return 0 if state is None else int(state["done"][0])

    def _measured(self, name: str) -> Path:
        return (
            self.folder / f"measured-{hashlib.sha256(name.encode()).hexdigest()[:16]}.safetensors"
        )

    def _room(self, name: str) -> Path:
        return self._measured(name).with_suffix(".room")


@contextmanager
def undisturbed() -> Iterator[None]:
    """A request to end waits until the block is done: it is for the moment between a draw of noise
    and its value on disk.
    """
    came: list[int] = []
    listeners = {}
    if threading.current_thread() is threading.main_thread():
        listeners = {
            each: signal.signal(each, lambda number, _: came.append(number))
            for each in REQUESTS_TO_END
            if signal.getsignal(each) is not None
        }
    try:
        yield
    finally:
        for each, listener in listeners.items():
            signal.signal(each, listener)
        for number in came[:1]:
            signal.raise_signal(number)


def require_alike(arrays: Arrays, like: Arrays) -> None:
    """Raise ValueError unless each array of `like` is kept, of its type and shape, and finite; a
    file has a number as an array of one.
    """
    for name, array in like.items():
        other = arrays.get(name)
        if (
            other is None
            or other.shape != np.atleast_1d(array).shape
            or other.dtype != array.dtype
            or not np.isfinite(other).all()
        ):
            raise ValueError


def is_resumable(folder: Path) -> bool:
    """Is this what a training left that was charged something? Before its first charge it leaves
    nothing.
    """
    return os.path.lexists(folder / BEGUN)


def same_words(plan: Plan, **more: str) -> dict[str, str]:
    """What must be as it was, by name: hashes of public values and of the owner's files."""
    return {"plan (epsilon, delta, model, or version)": digest(plan.model_dump_json())} | {
        name.replace("_", " "): value for name, value in more.items()
    }


def digest(text: str | bytes) -> str:
    """sha256."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def _save(path: Path, arrays: Arrays, *, part: Path | None = None, **words: str) -> None:
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_atomic(path, save(plain, metadata=words or None), part=part)


def _read(path: Path) -> tuple[Arrays, dict[str, str]]:
    try:
        content = read_bounded(path, most=MAX_FILE)
        header = plain_json(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return load(content), dict(header.get("__metadata__", {}))
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError):
        raise _damaged(path.name) from None


def _damaged(name: str) -> ReleaseError:
    return ReleaseError(
        "a training is continued from a whole checkpoint",
        found=f"{name} missing or altered",
        remedy="Start a new one; what this one was charged is spent.",
    )
