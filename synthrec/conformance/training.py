"""Sampling: in each step every user takes part by an independent coin of the public rate, and every
step is paid for before it runs.

The sampler that sessions use is asked for enough coins to see a rate that is off by a tenth; the
batches of a whole training must be its.

One whole training as installed, watched: who was drawn, what was paid when, and what noise fell on
weights that nobody's loss touches.

The critic gets spare weights whose gradient is exactly zero for every user: what arrives there is
noise and nothing else. Canary users, each in the log by a fair coin, have a gradient of ten clip
norms on one spare weight of their own and none elsewhere.

Canary users: what an attacker who sees every released gradient learns about who was in the log,
against the claim.

Each canary was put in by a fair coin, with a gradient that only clipping keeps small, on a weight
of its own; its score is the sum of what arrived there. The audit's own estimator
(`audit.lower_bound`: Steinke, Nasr and Jagielski 2023) turns scores and coins into a lower bound on
epsilon, which must not exceed what training's entries are charged with. How much could have been
shown is printed beside it.

The bound is asked for at a far smaller delta than the plan's, since so small a false alarm cannot
be had at a large one; the claim is read at the same delta.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from scipy import stats
from torch import nn

from synthrec.audit.epsilon_bounds import one_run_lower_bound
from synthrec.conformance.answers import CHARGE, QUICK, RecordingNoise
from synthrec.conformance.noise import noise_of_tensors
from synthrec.conformance.open_domains import look
from synthrec.conformance.record import Check, judged
from synthrec.conformance.statistics import (
    FALSE_ALARM,
    binomial_spread,
    correlation,
    largest_correlation,
    scale_of,
    scale_range,
    spread_range,
    tells_scales_apart,
)
from synthrec.conformance.subject import Subject
from synthrec.data.eventlog import EventLog
from synthrec.model.critic import Critic
from synthrec.model.dp_sgd import PrivateCritic, UserOptimizer
from synthrec.model.train import Means, train
from synthrec.privacy.accounting import Accountant
from synthrec.privacy.event import Event
from synthrec.privacy.ledger import Entry, Ledger
from synthrec.privacy.mechanisms import SystemNoise
from synthrec.privacy.plan import Training
from synthrec.privacy.session import Session
from synthrec.progress import Progress

SPARE = 400  # weights that collect pure noise
CANARIES = 1_500  # weights of one canary each
CANARY_NORMS = 10.0  # of a canary's gradient, before clipping


@dataclass
class Watched:
    """What a training did.

    Shapes:
        noise float64[steps, SPARE], canary float64[steps, CANARIES]: released gradients of the sum,
        in clip norms; included bool[CANARIES].
    """

    included: np.ndarray
    users: int = 0
    released: list[np.ndarray] = field(default_factory=list)
    batches: list[np.ndarray] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)  # users whom each step was given
    paid: list[int] = field(default_factory=list)  # steps on the ledger's disk when each step ran
    constants: list[tuple[float, ...]] = field(
        default_factory=list
    )  # clip norm, expected batch size and number of fakes of each step
    given: RecordingNoise = field(
        default_factory=RecordingNoise
    )  # what the source of noise was asked for
    entries: tuple[Entry, ...] = ()

    @property
    def steps_charged(self) -> Event:
        """A block of steps as the ledger on disk has it."""
        return next(entry.event for entry in self.entries if entry.mechanism == "game")

    @property
    def noise(self) -> np.ndarray:
        """What arrived on weights that no loss touches."""
        return np.array(self.released).reshape(-1, SPARE + CANARIES)[:, :SPARE]

    @property
    def canary(self) -> np.ndarray:
        """What arrived on the canaries' weights."""
        return np.array(self.released).reshape(-1, SPARE + CANARIES)[:, SPARE:]


class SpareCritic(Critic):
    """The installed critic with weights beside it that see nothing but zeros."""

    def __init__(self, *, inputs: int, hidden: int) -> None:
        super().__init__(inputs=inputs, hidden=hidden)
        self.spare = nn.Linear(1, SPARE + CANARIES, bias=False)
        self._modules = {
            "spare": self._modules.pop("spare"),
            **self._modules,
        }  # first to be noised, however wide the others are

    def forward(self, users: torch.Tensor) -> torch.Tensor:
        """Scores, to which the spare weights add exactly 0."""
        nothing: torch.Tensor = self.spare(torch.zeros_like(users[:, :1])).sum(dim=1)
        return super().forward(users) + nothing


def watch(subject: Subject, *, users: int | None = None, canaries: bool = True) -> Watched:
    """Train on the subject's log with canaries in it, or on its first `users` without. Libraries
    are seeded alike each time.
    """
    assert subject.plan.training is not None
    log = subject.read(subject.events)
    log = log if users is None else log.select(np.arange(users))
    included = (
        np.random.default_rng().random(CANARIES) < 0.5
        if canaries
        else np.zeros(CANARIES, dtype=bool)
    )
    found = Watched(included=included, users=log.users)
    shadows = log.select(np.zeros(int(included.sum()), dtype=np.int64) + _shortest(log))
    _seed_libraries()
    with TemporaryDirectory(prefix="synthrec-") as scratch:
        path = Path(scratch) / "ledger.jsonl"
        found.given = RecordingNoise(batches_drawn=found.batches)
        with Ledger.open(path) as ledger:
            look(subject, subject.events, ledger=ledger)
            train(
                EventLog.concat([log, shadows]),
                catalogue=subject.catalogue,
                schema=subject.schema,
                progress=Progress(),
                session=Session(subject.plan, ledger=ledger, charge=CHARGE, noise=found.given),
                means=Means(
                    effort=QUICK,
                    critic=_instrumented(found, path=path, plan=subject.plan.training),
                    seed=0,
                ),
            )
        found.entries = Ledger.read(path).entries
    return found


def _instrumented(found: Watched, *, path: Path, plan: Training) -> type[PrivateCritic]:
    """The installed critic with spare weights, canaries' gradients, and a look at every batch,
    payment and released gradient.
    """
    names = np.flatnonzero(found.included)

    class Forced(UserOptimizer):
        def clip_and_accumulate(self) -> None:
            who = torch.as_tensor(np.flatnonzero(found.batches[-1] >= found.users))
            weight = torch.as_tensor(SPARE + names[found.batches[-1][who.numpy()] - found.users])
            for parameter in self.params:
                parameter.grad_sample[who] = 0
            spare = self.params[0]
            spare.grad_sample[who, weight, 0] = CANARY_NORMS * plan.clip_norm
            super().clip_and_accumulate()

    class Instrumented(PrivateCritic):
        network, optimizer = SpareCritic, Forced

        def step(self, real: torch.Tensor, fake: torch.Tensor) -> None:
            found.paid.append(
                sum(
                    entry.event.count
                    for entry in Ledger.read(path).entries
                    if entry.mechanism == "game"
                )
            )
            found.seen.append(len(real))
            super().step(real, fake)
            gradient = self._hooked._module.spare.weight.grad[:, 0].double().numpy() * (
                plan.expected_batch_size / plan.clip_norm
            )
            found.released.append(gradient.copy())

        def _fake_gradients(self, fake: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found.constants.append(
                (self._optimizer.max_grad_norm, self._optimizer.expected_batch_size, len(fake))
            )
            return super()._fake_gradients(fake)

    return Instrumented


def _shortest(log: EventLog) -> int:
    return int(log.activity.argmin())


def _seed_libraries() -> None:
    """What a careless caller does: no privacy noise may follow from it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


MAX_PAIRS = 2_000  # of steps whose noise is compared
SEEN = 0.1  # a rate that is off by this part is seen
MAX_COINS = 20_000_000
AGAIN = "two users, or one user in two steps, who take part together"


def noise_of_game(training: Training, *, crowd: Watched, few: Watched) -> list[Check]:
    """The spare weights of a training with many users, of one with batches that are mostly empty,
    and of the two side by side.
    """
    checks = noise_of_tensors(training)
    for name, found in (("critic step", crowd), ("critic step, mostly empty batches", few)):
        low, high = scale_range(max(found.noise.size, 2))
        checks.append(
            judged(
                "noise",
                name,
                low=low,
                high=high,
                statistic=scale_of(found.noise, found.steps_charged.noise_multiplier),
                power=tells_scales_apart(max(found.noise.size, 2))
                and len(found.noise) == training.steps,
                asked="scale of what collects on weights that no loss touches, in noise as charged; every step counts",
            )
        )
    steps = min(len(crowd.noise), 1 + int((2 * MAX_PAIRS) ** 0.5))
    pairs = list(combinations(range(steps), 2))
    worst = max(
        (abs(correlation(crowd.noise[one], crowd.noise[two])) for one, two in pairs), default=1.0
    )
    bound = largest_correlation(crowd.noise.shape[1], pairs=max(1, len(pairs)))
    checks.append(
        judged(
            "noise",
            "critic steps are fresh",
            statistic=worst,
            high=bound,
            asked="largest correlation of the noise of two steps",
        )
    )
    checks.append(
        judged(
            "noise",
            "seeds repeat nothing",
            high=largest_correlation(max(1, crowd.noise[:1].size)),
            statistic=abs(correlation(crowd.noise[:1], few.noise[:1])),
            asked="correlation of the first noise of two trainings for which every library was seeded alike",
        )
    )
    return checks


def sampling(training: Training, *, crowd: Watched, few: Watched) -> list[Check]:
    """The sampler by itself, the batches of a training, and those of a training on three users, by
    the rate that the ledger names.
    """
    users, charged = users_for(training), crowd.steps_charged.sampling_rate
    drawn = as_table(
        list(
            SystemNoise().batches(users, sampling_rate=training.sampling_rate, steps=training.steps)
        ),
        users=users,
        steps=training.steps,
    )
    checks = coins(drawn, rate=charged, whose="sampler")
    everybody = crowd.users + int(crowd.included.sum())
    taken = as_table(crowd.batches, users=everybody, steps=training.steps)
    checks += coins(taken, rate=charged, whose="training", whole=False)
    given = sum(
        seen != len(batch)
        for found in (crowd, few)
        for seen, batch in zip(found.seen, found.batches, strict=False)
    )
    checks.append(
        judged(
            "sampling",
            "steps see the batch",
            statistic=given,
            low=0,
            high=0,
            asked="steps that were given another number of users than were drawn",
        )
    )
    checks.append(
        judged(
            "sampling",
            "empty batches count",
            statistic=len(few.seen),
            low=training.steps,
            high=training.steps,
            power=0 in few.seen,
            asked="steps of a training on three users, whose batches are sometimes empty",
        )
    )
    return checks


def users_for(training: Training) -> int:
    """Fewest users among whom a rate that is off by a tenth is seen in a training's coins, with
    chances as in FALSE_ALARM.
    """
    rate, wanted = training.sampling_rate, (2 * float(stats.norm.isf(FALSE_ALARM / 2)) / SEEN) ** 2
    return int(min(MAX_COINS / training.steps, max(300.0, wanted / (training.steps * rate))))


def as_table(batches: list[np.ndarray], *, users: int, steps: int) -> np.ndarray:
    """Shapes: -> bool[steps, users]; steps that were not drawn are empty, users of no log are left
    out.
    """
    drawn = np.zeros((steps, users), dtype=bool)
    for step, batch in enumerate(batches[:steps]):
        drawn[step, batch[batch < users]] = True
    return drawn


def coins(drawn: np.ndarray, *, rate: float, whose: str, whole: bool = True) -> list[Check]:
    """Number and spread of inclusions; with `whole` also whether a coin depends on the last one or
    on another user's.

    Shapes:
        drawn bool[steps, users].
    """
    steps, users = drawn.shape
    total = drawn.size
    checks = [
        _count(
            f"{whose}: rate",
            int(drawn.sum()),
            trials=total,
            chance=rate,
            asked="inclusions over the planned number",
        )
    ]
    for name, counts, trials in (
        ("inclusions of a user", drawn.sum(axis=0), steps),
        ("batch sizes", drawn.sum(axis=1), users),
    ):
        low, high = spread_range(len(counts))
        checks.append(
            judged(
                "sampling",
                f"{whose}: {name}",
                low=low,
                high=high,
                statistic=binomial_spread(counts, trials=trials, chance=rate),
                asked="spread, in that of independent coins",
            )
        )
    if whole:
        together = int((drawn[1:] & drawn[:-1]).sum() + (drawn[:, 1:] & drawn[:, :-1]).sum())
        checks.append(
            _pairs(
                f"{whose}: pairs",
                together,
                trials=(steps - 1) * users + steps * (users - 1),
                chance=rate,
                coins=total,
            )
        )
    return checks


def _count(name: str, found: int, *, trials: int, chance: float, asked: str) -> Check:
    low, high = stats.binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], trials, chance) / (
        trials * chance
    )
    return judged(
        "sampling", name, statistic=found / (trials * chance), low=low, high=high, asked=asked
    )


def _pairs(name: str, found: int, *, trials: int, chance: float, coins: int) -> Check:
    """Neighbouring pairs share coins: their count spreads as its own coins do, and with the rate
    that all of them share.
    """
    expected = trials * chance**2
    spread = math.sqrt(expected * (1 - chance**2) + 12 * coins * chance**3 * (1 - chance))
    away = float(stats.norm.isf(FALSE_ALARM / 2)) * spread / expected + 10 / expected
    return judged(
        "sampling",
        name,
        statistic=found / expected,
        low=1 - away,
        high=1 + away,
        asked=f"{AGAIN}, over the planned number",
    )


DELTA = 1e-10


def canaries(training: Training, *, crowd: Watched) -> list[Check]:
    """One check: the lower bound from all canaries against the claim for the training's entries."""
    claim = Accountant([training.event(training.steps)]).epsilon(DELTA)
    scores, rng = (
        crowd.canary.sum(axis=0),
        np.random.default_rng(0),
    )  # ties alone are broken at random
    found, most = (
        _epsilon(each, included=crowd.included, rng=rng)
        for each in (scores, crowd.included.astype(np.float64))
    )
    return [
        judged(
            "canaries",
            "lower bound on training's epsilon",
            statistic=found,
            low=0.0,
            high=claim,
            power=most > claim,
            asked=f"from {len(scores):,} canaries at ten clip norms, half of them in; could have shown up to {most:.2f}, "
            f"at delta {DELTA:g}",
        )
    ]


def _epsilon(scores: np.ndarray, *, included: np.ndarray, rng: np.random.Generator) -> float:
    """Wrong with chance FALSE_ALARM at most. Shapes: scores float64[C], included bool[C]."""
    bound = one_run_lower_bound(
        {"canaries": (scores[included], scores[~included])},
        coined=np.ones(int(included.sum()), dtype=bool),
        delta=DELTA,
        rng=rng,
        confidence=1 - FALSE_ALARM,
    )
    assert bound is not None, "canaries without a coin"
    return bound.epsilon
