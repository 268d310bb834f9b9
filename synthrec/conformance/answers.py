"""Frozen answers: every mechanism replies what it replied to the first log that asked, and shows
what it was about to add noise to.

Everything runs as installed, with its charge, its clipping, its adding up and its coins; only the
source of noise is exchanged, as an argument of the session. For simulated logs inside a check:
nothing made this way can be written as a release.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.model.measurements import measure
from synthrec.model.recipe import Effort
from synthrec.privacy.ledger import Charge, Entry, Ledger
from synthrec.privacy.mechanisms import SystemNoise
from synthrec.privacy.plan import Plan
from synthrec.privacy.session import Session
from synthrec.progress import Progress

Replies = dict[str, np.ndarray]
CHARGE = Charge(source="simulated", release_id="conformance", kind="trial")
QUICK = Effort(
    calibration_users=150, standard_users=256, watch_users=256, fitting_users=100, fitting_rounds=2
)


class NullLedger(Ledger):
    """A ledger for what never leaves a check: on no disk."""

    def __init__(self) -> None:
        super().__init__(Path(), entries=())

    def charge(self, entry: Entry) -> Entry:
        """Keep it in memory."""
        self.entries = (*self.entries, entry)
        return entry


@dataclass
class RecordingNoise(SystemNoise):
    """The installed noise and coins; `draws` counts them by mechanism, `totals` holds what noise
    was last added to, `batches_drawn` all batches; `scales` what each mechanism asked for at each
    draw, `sampled` the users and the rate that coins were asked for.
    """

    draws: Counter[str] = field(default_factory=Counter)
    totals: Replies = field(default_factory=dict)
    batches_drawn: list[np.ndarray] = field(default_factory=list)
    scales: dict[str, list[float]] = field(default_factory=dict)
    sampled: list[tuple[int, float]] = field(default_factory=list)

    def lattice(self, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
        """See `Noise.lattice`."""
        self.draws[name] += 1
        self.totals[name] = total.copy()
        self.scales.setdefault(name, []).append(scale)
        return self.sum_reply(name, total, scale=scale)

    def gradient(self, summed: np.ndarray, *, scale: float) -> np.ndarray:
        """See `Noise.gradient`."""
        self.draws["game"] += 1
        self.scales.setdefault("game", []).append(scale)
        return self.gradient_reply(summed, scale=scale)

    def batches(self, users: int, *, sampling_rate: float, steps: int) -> Iterator[np.ndarray]:
        """See `Noise.batches`."""
        self.sampled.append((users, sampling_rate))
        for batch in super().batches(users, sampling_rate=sampling_rate, steps=steps):
            self.batches_drawn.append(batch)
            yield batch

    def sum_reply(self, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
        """What a sum releases."""
        return super().lattice(name, total, scale=scale)

    def gradient_reply(self, summed: np.ndarray, *, scale: float) -> np.ndarray:
        """What a critic step releases."""
        return super().gradient(summed, scale=scale)


@dataclass
class FrozenNoise(RecordingNoise):
    """Replies what it replied before, by mechanism and step; `replies` gets what was asked for the
    first time.
    """

    replies: Replies = field(default_factory=dict)

    def sum_reply(self, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
        """The answer to the first log that asks."""
        if len(self.replies.get(name, ())) != len(total):  # of a union, only as many as are held
            self.replies[name] = total + np.random.default_rng(len(name)).normal(
                0, scale, len(total)
            )
        return self.replies[name]

    def gradient_reply(self, summed: np.ndarray, *, scale: float) -> np.ndarray:
        """The released gradient of the first log's step of this number."""
        step = self.draws["game"]
        name = f"game, step {step}"
        if name not in self.replies:
            self.replies[name] = summed + np.random.default_rng(step).normal(0, scale, len(summed))
        return self.replies[name]


class _AllAsked(Exception):
    """Every planned sum was."""


@dataclass
class _LastOf(FrozenNoise):
    """Ends a `measure` at its last sum: nothing that it would make of the answer is looked at."""

    wanted: int = 0

    def sum_reply(self, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
        """See `FrozenNoise`."""
        reply = super().sum_reply(name, total, scale=scale)
        if len(self.totals) == self.wanted:
            raise _AllAsked
        return reply


def clipped_sums(
    log: EventLog, *, schema: Schema, catalogue: Catalogue, plan: Plan, replies: Replies
) -> Replies:
    """The clipped lattice sum of each measurement of a log, when all released values are `replies`."""
    noise = _LastOf(replies=replies, wanted=len(plan.measurements))
    with suppress(_AllAsked):
        measure(
            log,
            catalogue=catalogue,
            schema=schema,
            session=Session(plan, ledger=NullLedger(), charge=CHARGE, noise=noise),
            progress=Progress(),
            effort=QUICK,
        )
    return noise.totals
