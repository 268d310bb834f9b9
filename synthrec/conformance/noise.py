"""Noise: of the planned scale on every coordinate, new at each draw, drawn once a charge, no seed.

The scale is the one that the ledger names: a chi-square range that an honest noise leaves with
chance 1e-7, and that the same noise times 0.95 or 1.05 would leave; without enough draws to tell
these apart a check fails. Of each tensor of the critic by itself 0.7 and 1.3 are seen, since the
smallest has one number. A sum whose noise is drawn again until it pleases, or twice and averaged,
has that scale on paper only: so a source of noise answers a whole training with what nobody would
like (far below 0, then far above, and the other way round) and counts how often it is asked.
Sources of randomness are `SystemNoise.random_bytes` alone for training and coins: given the same
bytes again they must be the same (no clock, no generator of a library), and one byte changed at a
time says how many of them matter (a seed of 16 bits keeps two). OpenDP's source cannot be given: of
its noise only that thousands of draws never meet is seen, as those from fewer than about 17 bits
would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy import stats

from synthrec.conformance.answers import CHARGE, QUICK, NullLedger, RecordingNoise
from synthrec.conformance.record import Check, judged
from synthrec.conformance.sensitivity import CriticStep, some_users
from synthrec.conformance.statistics import (
    FALSE_ALARM,
    correlation,
    draws_for_scale,
    largest_correlation,
    scale_of,
    scale_range,
    tells_scales_apart,
)
from synthrec.conformance.subject import Subject
from synthrec.data.eventlog import EventLog
from synthrec.model.measurements import measure
from synthrec.model.train import Means, train
from synthrec.privacy.mechanisms import LATTICE, Measurement, SystemNoise, lattice_sum
from synthrec.privacy.plan import BLOCK, Plan, Training
from synthrec.privacy.session import Session
from synthrec.progress import Progress

REPEATS = 12  # of each sum, fewer of large ones
COARSELY = (0.7, 1.3)
STEPS = 900  # on nobody: enough to see that of one number
ELSEWHERE = """
import json, os, numpy
from synthrec.privacy.mechanisms import SystemNoise
for _ in range(2):
    child = os.fork()
    if not child:
        noise = SystemNoise()
        print(json.dumps({"noise of training": list(noise.gradient(numpy.zeros(500), scale=1.0)),
                          "coins": [len(batch) - 250.0 for batch in noise.batches(500, sampling_rate=0.5, steps=500)],
                          "noise of sums": list(noise.lattice("any", numpy.zeros(500, dtype=numpy.int64), scale=1e6))}), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def _at_hand(blocks: list[Any]) -> Any:
    """Rows of users that need no further reading."""
    return SimpleNamespace(blocks=blocks.__iter__)


class _Repeated(Session):
    """Asks each planned sum again and again, each time in a session of its own; `checks` gets what
    its noise is like.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, ledger=NullLedger(), charge=CHARGE)
        self.checks: list[Check] = []

    def noisy_sum(
        self, name: str, users: Any, vectors: Any, *, size: int, add_up: Any = None
    ) -> Measurement:
        """An answer as asked. Small sums are drawn side by side, on columns that are repeated."""
        plan, kept = self.plan.measurement(name), [vectors(block) for block in users.blocks()]
        repeats = min(REPEATS, 2 + draws_for_scale() // size)
        rows = [_tiles(-(-draws_for_scale() // ((repeats - 1) * size)))(block) for block in kept]
        exact = np.sum(
            [(add_up or lattice_sum)(block, norm=plan.sensitivity) for block in rows], axis=0
        )
        draws = np.zeros((repeats, len(exact)))
        for row in draws:
            again = Session(self.plan, ledger=NullLedger(), charge=CHARGE).noisy_sum(
                name, _at_hand(rows), _tiles(1), size=len(row), add_up=add_up
            )
            row[:] = again.values - exact * (plan.sensitivity / LATTICE)
        self.checks += sum_checks(
            draws, name=name, std=plan.sensitivity * again.entry.event.noise_multiplier
        )
        return super().noisy_sum(name, _at_hand(kept), _tiles(1), size=size, add_up=add_up)


def _tiles(times: int) -> Callable[[Any], Any]:
    """A block of rows with its columns repeated."""
    return lambda block: (
        sp.hstack([block] * times, format="csr")
        if sp.issparse(block)
        else np.tile(block, (1, times))
    )


def noise_of_sums(subject: Subject, *, log: EventLog) -> list[Check]:
    """Each planned sum, asked again and again through `measure` itself, less what it would be
    without noise.
    """
    session = _Repeated(subject.plan)
    measure(
        log,
        catalogue=subject.catalogue,
        schema=subject.schema,
        session=session,
        progress=Progress(),
        effort=QUICK,
    )
    return session.checks


def noise_of_tensors(training: Training) -> list[Check]:
    """Each tensor of the critic by itself, in steps on nobody, and whether any two share their
    noise.
    """
    step, nobody = CriticStep(training, noise=training.noise_multiplier, fakes=False), some_users(0)
    draws = np.array([step(nobody, nobody) for _ in range(STEPS)])
    tensors = dict(step.critic._hooked._module.named_parameters())
    parts = np.split(draws, np.cumsum([tensor.numel() for tensor in tensors.values()])[:-1], axis=1)
    checks = []
    for name, part in zip(tensors, parts, strict=True):
        low, high = scale_range(part.size)
        checks.append(
            judged(
                "noise",
                "critic step, {tensor}",
                low=low,
                high=high,
                statistic=scale_of(part, training.noise_multiplier),
                power=tells_scales_apart(part.size, wrong=COARSELY),
                tensor=name,
            )
        )
    pairs = [
        (one[:, :width], two[:, :width])
        for one, two in combinations(parts, 2)
        for width in [min(one.shape[1], two.shape[1])]
    ]
    worst = max(
        abs(correlation(one, two)) / largest_correlation(one.size, pairs=len(pairs))
        for one, two in pairs
    )
    checks.append(
        judged("noise", "critic step, tensors are apart", statistic=worst, low=0, high=1.0)
    )
    return checks


def noise_of_processes(*, prelude: str = "") -> list[Check]:
    """Two processes that start alike, since one program became both, draw other noise and other
    coins: no seed is built in. `prelude` runs first.
    """
    said = subprocess.run(
        [sys.executable, "-c", f"{prelude}\n{ELSEWHERE}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    one, two = (json.loads(line) for line in said.splitlines())
    return [
        judged(
            "noise",
            "{drawn} of another process",
            statistic=abs(correlation(one[name], two[name])),
            high=largest_correlation(len(one[name])),
            drawn=name,
        )
        for name in one
    ]


def sum_checks(draws: np.ndarray, *, name: str, std: float) -> list[Check]:
    """Scale and freshness of many draws of one sum's noise; `std` is what the ledger says of it.

    Shapes:
        draws[repeats, cells].
    """
    low, high = scale_range(draws.size)
    one, two = draws[:-1].ravel(), draws[1:].ravel()
    return [
        judged(
            "noise",
            "{mechanism}",
            statistic=scale_of(draws, std),
            low=low,
            high=high,
            power=tells_scales_apart(draws.size),
            mechanism=name,
            draws=draws.size,
        ),
        judged(
            "noise",
            "{mechanism} is fresh",
            statistic=abs(correlation(one, two)),
            high=largest_correlation(len(one)),
            mechanism=name,
        ),
    ]


MIN_BYTES = 16  # 128 bits
NUMBERS, USERS = 4, 400
DRAWS = 2_000  # of 16-bit seeds so many would meet but for a chance of 1e-13


class _Given(SystemNoise):
    """The installed source on bytes that are given; those that are asked for beyond them are fresh."""

    def __init__(self, given: bytes = b"") -> None:
        self.given, self.read = given, b""

    def random_bytes(self, count: int) -> bytes:
        """The next of them."""
        start = len(self.read)
        found = self.given[start : start + count]
        found += os.urandom(count - len(found))
        self.read += found
        return found


def noise_of_sources() -> list[Check]:
    """Noise of training, coins and noise of sums."""
    sums = {
        SystemNoise().lattice("any", np.zeros(2, dtype=np.int64), scale=2.0**36).tobytes()
        for _ in range(DRAWS)
    }
    return [
        judged(
            "noise",
            "bytes behind noise of training",
            statistic=bytes_that_matter(_numbers) / NUMBERS,
            low=MIN_BYTES,
        ),
        judged("noise", "bytes behind coins", statistic=bytes_that_matter(_coins), low=MIN_BYTES),
        judged(
            "noise",
            "noise of sums never meets",
            statistic=DRAWS - len(sums),
            low=0,
            high=0,
            draws=DRAWS,
        ),
    ]


def bytes_that_matter(draw: Callable[[SystemNoise], bytes]) -> int:
    """How many of the bytes that are read change what is drawn; 0 if the same bytes do not give the
    same.
    """
    first = _Given()
    drawn = draw(first)
    read = np.frombuffer(first.read, dtype=np.uint8)
    if draw(_Given(first.read)) != drawn:
        return 0
    flipped = (
        read ^ (np.uint8(255) * (np.arange(len(read)) == place)).astype(np.uint8)
        for place in range(len(read))
    )
    return sum(draw(_Given(each.tobytes())) != drawn for each in flipped)


def _numbers(noise: SystemNoise) -> bytes:
    return noise.gradient(np.zeros(NUMBERS), scale=1.0).tobytes()


def _coins(noise: SystemNoise) -> bytes:
    return b",".join(batch.tobytes() for batch in noise.batches(USERS, sampling_rate=0.5, steps=2))


FAR = 100.0  # standard deviations of the noise
SINGLE_DRAWS = 1_000


@dataclass
class Unpleasant(RecordingNoise):
    """Answers a first question far on one side of 0, and each further one on the other."""

    side: float = -1.0

    def sum_reply(self, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
        """See `RecordingNoise`."""
        return np.full(len(total), self.side * FAR * scale * (1 if self.draws[name] == 1 else -1))


def drawn_once(subject: Subject, *, log: EventLog) -> list[Check]:
    """A training whose sums are all far below 0, one whose sums are all far above, and single draws
    of the installed noise.
    """
    plan = _short(subject.plan)
    again = 0
    for side in (-1.0, 1.0):
        noise, ledger = Unpleasant(side=side), NullLedger()
        train(
            log,
            catalogue=subject.catalogue,
            schema=subject.schema,
            means=Means(effort=QUICK, seed=0),
            progress=Progress(),
            session=Session(plan, ledger=ledger, charge=CHARGE, noise=noise),
        )
        charged = sum(entry.event.count for entry in ledger.entries)
        again += abs(noise.draws.total() - charged) + sum(
            noise.draws[each.name] != 1 for each in plan.measurements
        )
    nothing, system = np.zeros(1, dtype=np.int64), SystemNoise()
    sums = [float(system.lattice("any", nothing, scale=1e6)[0]) / 1e6 for _ in range(SINGLE_DRAWS)]
    steps = [float(system.gradient(np.zeros(1), scale=1.0)[0]) for _ in range(SINGLE_DRAWS)]
    return [
        judged("noise", "drawn once, whatever comes out", statistic=again, low=0, high=0),
        *(
            judged(
                "noise",
                "{noise} leans nowhere",
                statistic=abs(float(np.mean(drawn))) * SINGLE_DRAWS**0.5,
                high=float(stats.norm.isf(FALSE_ALARM / 2)),
                noise=name,
                draws=SINGLE_DRAWS,
            )
            for name, drawn in (("noise of sums", sums), ("noise of training", steps))
        ),
    ]


def _short(plan: Plan) -> Plan:
    """The plan with one block of steps."""
    steps = (
        None
        if plan.training is None
        else plan.training.model_copy(update={"steps": min(BLOCK, plan.training.steps)})
    )
    return plan.model_copy(update={"training": steps})
