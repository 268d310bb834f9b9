"""Sampling: in each step every user takes part by an independent coin of the public rate, and every step is paid for before it runs.

The sampler that sessions use is asked for enough coins to see a rate that is off by a tenth; the batches of a whole training must be its.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from synthrec.conformance.record import Check, judged
from synthrec.conformance.statistics import FALSE_ALARM, binomial_spread, spread_range
from synthrec.conformance.watched import Watched
from synthrec.privacy.noise import SystemNoise
from synthrec.privacy.plan import Training

SEEN = 0.1              # a rate that is off by this part is seen
MOST_COINS = 20_000_000
AGAIN = "two users, or one user in two steps, who take part together"


def sampling(training: Training, *, crowd: Watched, few: Watched) -> list[Check]:
    """The sampler by itself, the batches of a training, and those of a training on three users, by the rate that the ledger names."""
    users, charged = users_for(training), crowd.steps_charged.sampling_rate
    drawn = as_table(list(SystemNoise().batches(users, sampling_rate=training.sampling_rate, steps=training.steps)), users=users,
                     steps=training.steps)
    checks = coins(drawn, rate=charged, whose="sampler")
    everybody = crowd.users + int(crowd.included.sum())
    taken = as_table(crowd.batches, users=everybody, steps=training.steps)
    checks += coins(taken, rate=charged, whose="training", whole=False)
    given = sum(seen != len(batch) for found in (crowd, few) for seen, batch in zip(found.seen, found.batches, strict=False))
    checks.append(judged("sampling", "steps see the batch", statistic=given, low=0, high=0,
                         asked="steps that were given another number of users than were drawn"))
    checks.append(judged("sampling", "empty batches count", statistic=len(few.seen), low=training.steps, high=training.steps,
                         power=0 in few.seen, asked="steps of a training on three users, whose batches are sometimes empty"))
    return checks


def users_for(training: Training) -> int:
    """Fewest users among whom a rate that is off by a tenth is seen in a training's coins, with chances as in FALSE_ALARM."""
    rate, wanted = training.sampling_rate, (2 * float(stats.norm.isf(FALSE_ALARM / 2)) / SEEN) ** 2
    return int(min(MOST_COINS / training.steps, max(300.0, wanted / (training.steps * rate))))


def as_table(batches: list[np.ndarray], *, users: int, steps: int) -> np.ndarray:
    """Shapes: -> bool[steps, users]; steps that were not drawn are empty, users of no log are left out."""
    drawn = np.zeros((steps, users), dtype=bool)
    for step, batch in enumerate(batches[:steps]):
        drawn[step, batch[batch < users]] = True
    return drawn


def coins(drawn: np.ndarray, *, rate: float, whose: str, whole: bool = True) -> list[Check]:
    """Number and spread of inclusions; with `whole` also whether a coin depends on the last one or on another user's.

    Shapes:
        drawn bool[steps, users].
    """
    steps, users = drawn.shape
    total = drawn.size
    checks = [_count(f"{whose}: rate", int(drawn.sum()), trials=total, chance=rate, asked="inclusions over the planned number")]
    for name, counts, trials in (("inclusions of a user", drawn.sum(axis=0), steps), ("batch sizes", drawn.sum(axis=1), users)):
        low, high = spread_range(len(counts))
        checks.append(judged("sampling", f"{whose}: {name}", low=low, high=high,
                             statistic=binomial_spread(counts, trials=trials, chance=rate), asked="spread, in that of independent coins"))
    if whole:
        together = int((drawn[1:] & drawn[:-1]).sum() + (drawn[:, 1:] & drawn[:, :-1]).sum())
        checks.append(_pairs(f"{whose}: pairs", together, trials=(steps - 1) * users + steps * (users - 1), chance=rate, coins=total))
    return checks


def _count(name: str, found: int, *, trials: int, chance: float, asked: str) -> Check:
    low, high = stats.binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], trials, chance) / (trials * chance)
    return judged("sampling", name, statistic=found / (trials * chance), low=low, high=high, asked=asked)


def _pairs(name: str, found: int, *, trials: int, chance: float, coins: int) -> Check:
    """Neighbouring pairs share coins: their count spreads as its own coins do, and with the rate that all of them share."""
    expected = trials * chance**2
    spread = math.sqrt(expected * (1 - chance**2) + 12 * coins * chance**3 * (1 - chance))
    away = float(stats.norm.isf(FALSE_ALARM / 2)) * spread / expected + 10 / expected
    return judged("sampling", name, statistic=found / expected, low=1 - away, high=1 + away, asked=f"{AGAIN}, over the planned number")
