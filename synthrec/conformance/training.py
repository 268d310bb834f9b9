"""Sampling, steps and canaries: one whole training as installed, watched.

In each step every user takes part by an independent coin of the public rate, and every step is paid
for before it runs; the sampler that sessions use is asked for enough coins to see a rate that is
off by a tenth, and the batches of the training must be its. The critic gets spare weights whose
gradient is exactly zero for every user: what arrives there is noise and nothing else. Canary users,
each in the log by a fair coin, have a gradient of ten clip norms, which only clipping keeps small,
on one spare weight of their own and none elsewhere; a canary's score is the sum of what arrived
there. The audit's own estimator (Steinke, Nasr and Jagielski 2023) turns scores and coins into a
lower bound on epsilon, which must not exceed what the training's entries are charged with; how much
could have been shown is printed beside it. The bound is asked for at a far smaller delta than the
plan's, since so small a false alarm cannot be had at a large one; the claim is read at the same.
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
from synthrec.model.dp_sgd import Critic, PrivateCritic, UserOptimizer
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
class TrainingTrace:
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
        nothing: torch.Tensor = self.spare(torch.zeros_like(users[:, :1], requires_grad=True)).sum(
            dim=1
        )
        return super().forward(users) + nothing


def watch(subject: Subject, *, users: int | None = None, canaries: bool = True) -> TrainingTrace:
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
    found = TrainingTrace(included=included, users=log.users)
    shadows = log.select(np.full(int(included.sum()), log.activity.argmin()))
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


def _instrumented(found: TrainingTrace, *, path: Path, plan: Training) -> type[PrivateCritic]:
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

    class CanaryCritic(PrivateCritic):
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

    return CanaryCritic


def _seed_libraries() -> None:
    """What a careless caller does: no privacy noise may follow from it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


MAX_PAIRS = 2_000  # of steps whose noise is compared
SEEN = 0.1  # a rate that is off by this part is seen
MAX_COINS = 20_000_000


def noise_of_game(training: Training, *, crowd: TrainingTrace, few: TrainingTrace) -> list[Check]:
    """The spare weights of a training with many users, of one with batches that are mostly empty,
    and of the two side by side.
    """
    checks = noise_of_tensors(training)
    for name, trained in (("critic step", crowd), ("critic step, mostly empty batches", few)):
        draws = max(trained.noise.size, 2)
        low, high = scale_range(draws)
        checks.append(
            judged(
                "noise",
                name,
                low=low,
                high=high,
                statistic=scale_of(trained.noise, trained.steps_charged.noise_multiplier),
                power=tells_scales_apart(draws) and len(trained.noise) == training.steps,
            )
        )
    steps = min(len(crowd.noise), 1 + int((2 * MAX_PAIRS) ** 0.5))
    pairs = list(combinations(crowd.noise[:steps], 2))
    return [
        *checks,
        judged(
            "noise",
            "critic steps are fresh",
            statistic=max((abs(correlation(one, two)) for one, two in pairs), default=1.0),
            high=largest_correlation(crowd.noise.shape[1], pairs=max(1, len(pairs))),
        ),
        judged(
            "noise",
            "seeds repeat nothing",
            high=largest_correlation(max(1, crowd.noise[:1].size)),
            statistic=abs(correlation(crowd.noise[:1], few.noise[:1])),
        ),
    ]


def sampling(training: Training, *, crowd: TrainingTrace, few: TrainingTrace) -> list[Check]:
    """The sampler by itself, the batches of a training, and those of a training on three users, by
    the rate that the ledger names.
    """
    users, charged = users_for(training), crowd.steps_charged.sampling_rate
    batches = SystemNoise().batches(
        users, sampling_rate=training.sampling_rate, steps=training.steps
    )
    everybody = crowd.users + int(crowd.included.sum())
    return [
        *coins(
            as_table(list(batches), users=users, steps=training.steps),
            rate=charged,
            whose="sampler",
        ),
        *coins(
            as_table(crowd.batches, users=everybody, steps=training.steps),
            rate=charged,
            whose="training",
            whole=False,
        ),
        judged(
            "sampling",
            "steps see the batch",
            statistic=sum(
                seen != len(batch)
                for watched in (crowd, few)
                for seen, batch in zip(watched.seen, watched.batches, strict=False)
            ),
            low=0,
            high=0,
        ),
        judged(
            "sampling",
            "empty batches count",
            statistic=len(few.seen),
            low=training.steps,
            high=training.steps,
            power=0 in few.seen,
        ),
    ]


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
    on another user's. Neighbouring pairs share coins: their count spreads as its own coins do, and
    with the rate that all of them share.

    Shapes:
        drawn bool[steps, users].
    """
    (steps, users), total = drawn.shape, drawn.size
    low, high = stats.binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], total, rate)
    checks = [
        judged(
            "sampling",
            "{whose_coins}: rate",
            statistic=int(drawn.sum()) / (total * rate),
            low=low / (total * rate),
            high=high / (total * rate),
            whose_coins=whose,
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
                "{whose_coins}: {counts}",
                low=low,
                high=high,
                statistic=binomial_spread(counts, trials=trials, chance=rate),
                whose_coins=whose,
                counts=name,
            )
        )
    if whole:
        together = int((drawn[1:] & drawn[:-1]).sum() + (drawn[:, 1:] & drawn[:, :-1]).sum())
        expected = ((steps - 1) * users + steps * (users - 1)) * rate**2
        spread = math.sqrt(expected * (1 - rate**2) + 12 * total * rate**3 * (1 - rate))
        away = float(stats.norm.isf(FALSE_ALARM / 2)) * spread / expected + 10 / expected
        checks.append(
            judged(
                "sampling",
                "sampler: pairs",
                statistic=together / expected,
                low=1 - away,
                high=1 + away,
            )
        )
    return checks


DELTA = 1e-10


def canaries(training: Training, *, crowd: TrainingTrace) -> list[Check]:
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
            canaries=len(scores),
            most=most,
            delta=DELTA,
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
