"""What the intruder knows of a person (a few random events, dates and ratings a little off), what
remains to be learned, and how successes of three attackers become a risk with its interval.

(attack - control) / (1 - control) is one less the ratio of two failure rates, so its interval is
one less that of a ratio of proportions: Koopman's (1984) score interval, which needs no normal
approximation of a logarithm and holds at rates of 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from synthrec.audit import intervals, profiles
from synthrec.audit.record import Figure, Risk
from synthrec.data.eventlog import EventLog

DAY = 86_400
DATE_ERROR_SECONDS = 14 * DAY
RATING_ERROR = 1.0


@dataclass(frozen=True, repr=False, eq=False)
class Person:
    """One person as the intruder sees them, and the truth to judge by. Private.

    Shapes:
        row: in the log. item int[k], rating float[k] or None, time int[k] or None: known, in random
        order. hidden int[N]: the events of other items.
    """

    row: int
    item: np.ndarray
    rating: np.ndarray | None
    time: np.ndarray | None
    hidden: np.ndarray


def people_known(log: EventLog, *, events: int, rng: np.random.Generator) -> list[Person]:
    """Everybody with `events` events and something besides that the intruder does not know."""
    rank = profiles.random_rank(log, rng=rng)
    rating = (
        None
        if log.rating is None
        else log.rating + rng.integers(-1, 2, len(log.item)) * RATING_ERROR
    )
    time = (
        None
        if log.time is None
        else log.time + rng.integers(-DATE_ERROR_SECONDS, DATE_ERROR_SECONDS + 1, len(log.item))
    )
    people = []
    for row, (first, end) in enumerate(zip(log.offsets[:-1], log.offsets[1:], strict=True)):
        by_rank = first + np.argsort(rank[first:end])
        known, rest = by_rank[:events], by_rank[events:]
        hidden = rest[~np.isin(log.item[rest], log.item[known])]
        if len(known) == events and len(hidden):
            people.append(
                Person(
                    row=row,
                    item=log.item[known],
                    rating=None if rating is None else rating[known],
                    time=None if time is None else time[known],
                    hidden=hidden,
                )
            )
    return people


def equally_many(trained: list[Person], holdout: list[Person]) -> tuple[list[Person], list[Person]]:
    """The first of either; rows are in random order already."""
    users = min(len(trained), len(holdout))
    return trained[:users], holdout[:users]


LEAST = -1.0  # a risk below 0 is none; below this it is written as this, since it has no lower end
METHOD = "one less the ratio of failure rates, score interval (Koopman 1984)"


def risk_of(
    name: Literal["singling out", "linkability", "attribute inference"],
    *,
    setting: str,
    attack: np.ndarray,
    control: np.ndarray,
    random: np.ndarray,
) -> Risk:
    """One row of the record. Shapes: success per user, attack bool[A], control bool[C], random
    bool[R].
    """
    main, base, guess = (
        intervals.wilson(int(np.count_nonzero(each)), n=len(each))
        for each in (attack, control, random)
    )
    return Risk(
        name=name,
        setting=setting,
        attack=main,
        control=base,
        random=guess,
        risk=excess(
            int(np.count_nonzero(attack)),
            of=len(attack),
            control=int(np.count_nonzero(control)),
            among=len(control),
        ),
    )


def excess(
    attack: int, *, of: int, control: int, among: int, confidence: float = intervals.CONFIDENCE
) -> Figure:
    """(attack - control) / (1 - control) of two proportions; nothing is known where the control
    never fails, or nobody was attacked.
    """
    if of == 0 or among == 0 or control == among:
        return Figure(
            value=0.0, low=LEAST, high=1.0, n=of + among, method=METHOD, confidence=confidence
        )
    failed, base = of - attack, among - control
    low, high = ratio_interval(failed, of=of, base=base, among=among, confidence=confidence)
    value = 1 - (failed / of) / (base / among)
    return Figure(
        value=max(LEAST, value),
        low=max(LEAST, 1 - high),
        high=max(LEAST, 1 - low),
        n=of + among,
        method=METHOD,
        confidence=confidence,
    )


def ratio_interval(
    hits: int, *, of: int, base: int, among: int, confidence: float
) -> tuple[float, float]:
    """Of (hits / of) / (base / among), base at least 1: all ratios that the score test does not
    refuse.
    """
    most, estimate = float(stats.chi2.isf(1 - confidence, 1)), (hits / of) / (base / among)

    def refused(ratio: float) -> bool:
        return _distance(ratio, hits=hits, of=of, base=base, among=among) > most

    low = 0.0 if hits == 0 else _edge(estimate, towards=0.0, refused=refused)
    far = max(1.0, 2 * estimate)
    while not refused(far):
        far *= 2
    return low, _edge(estimate, towards=far, refused=refused)


def _distance(ratio: float, *, hits: int, of: int, base: int, among: int) -> float:
    """Score statistic of a ratio at its constrained maximum likelihood (Koopman 1984, equations 2
    and 3).
    """
    total = ratio * (of + base) + hits + among
    first = (
        total - math.sqrt(max(0.0, total * total - 4 * ratio * (of + among) * (hits + base)))
    ) / (2 * (of + among))
    second = first / ratio
    spread = first * (1 - first) / of, second * (1 - second) / among
    off = hits / of - first, base / among - second
    return sum(
        0.0 if difference == 0 else difference * difference / max(variance, 1e-300)
        for difference, variance in zip(off, spread, strict=True)
    )


def _edge(inside: float, *, towards: float, refused: Callable[[float], bool]) -> float:
    """Where a ratio begins to be refused, between one that is not and one that is, on the refused
    side.
    """
    outside = towards
    for _ in range(40):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if refused(middle) else (middle, outside)
    return outside
