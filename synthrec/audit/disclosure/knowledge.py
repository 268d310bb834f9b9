"""What the intruder knows of a person: a few random events, dates a little off, ratings a little off; and what remains to be learned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthrec.audit import profiles
from synthrec.data.eventlog import EventLog

DAY = 86_400
DATE_ERROR_SECONDS = 14 * DAY
RATING_ERROR = 1.0


@dataclass(frozen=True, repr=False, eq=False)
class Person:
    """One person as the intruder sees them, and the truth to judge by. Private.

    Shapes:
        row: in the log. item int[k], rating float[k] or None, time int[k] or None: known, in random order. hidden int[N]: the events of
        other items.
    """

    row: int
    item: np.ndarray
    rating: np.ndarray | None
    time: np.ndarray | None
    hidden: np.ndarray


def people_known(log: EventLog, *, events: int, rng: np.random.Generator) -> list[Person]:
    """Everybody with `events` events and something besides that the intruder does not know."""
    rank = profiles.random_rank(log, rng=rng)
    rating = None if log.rating is None else log.rating + rng.integers(-1, 2, len(log.item)) * RATING_ERROR
    time = None if log.time is None else log.time + rng.integers(-DATE_ERROR_SECONDS, DATE_ERROR_SECONDS + 1, len(log.item))
    people = []
    for row, (first, end) in enumerate(zip(log.offsets[:-1], log.offsets[1:], strict=True)):
        by_rank = first + np.argsort(rank[first:end])
        known, rest = by_rank[:events], by_rank[events:]
        hidden = rest[~np.isin(log.item[rest], log.item[known])]
        if len(known) == events and len(hidden):
            people.append(Person(row=row, item=log.item[known], rating=None if rating is None else rating[known],
                                 time=None if time is None else time[known], hidden=hidden))
    return people


def equally_many(trained: list[Person], holdout: list[Person]) -> tuple[list[Person], list[Person]]:
    """The first of either; rows are in random order already."""
    users = min(len(trained), len(holdout))
    return trained[:users], holdout[:users]
