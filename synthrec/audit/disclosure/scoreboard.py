"""Which synthetic user looks most like somebody of whom a few events are known: Narayanan and Shmatikov's (2008) scoreboard.

Each known event gives every synthetic user who has its item a weight, larger for rarer items, times one for the item itself and up to one
more each for a rating and a date that agree. A synthetic user who has the item several times counts the best of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from synthrec.audit.disclosure.knowledge import DATE_ERROR_SECONDS, RATING_ERROR, Person
from synthrec.data.eventlog import EventLog


class Scoreboard:
    """The synthetic log by item: columns of its events."""

    def __init__(self, synthetic: EventLog, *, items: int) -> None:
        self.log = synthetic
        self.users = len(synthetic.offsets) - 1
        self.user = np.asarray(synthetic.user_of_event())
        self._by_item = np.argsort(synthetic.item, kind="stable")
        self.having = np.bincount(synthetic.item, minlength=items)      # events of each item
        self._ends = np.cumsum(self.having)
        self._weight = 1.0 / np.log(2.0 + self.having)

    def column(self, item: int) -> np.ndarray:
        """Events of an item. Shapes: int[E]."""
        return self._by_item[self._ends[item] - self.having[item]:self._ends[item]]

    def has(self, user: int, item: int) -> bool:
        """Does a synthetic user have an item?"""
        first, end = self.log.offsets[user], self.log.offsets[user + 1]
        return bool((self.log.item[first:end] == item).any())

    def scores(self, person: Person) -> Iterator[np.ndarray]:
        """Everybody's score after each further known event; the array is reused. Shapes: float64[S]."""
        total = np.zeros(self.users)
        for place, item in enumerate(person.item):
            column, part = self.column(item), np.zeros(self.users)
            np.maximum.at(part, self.user[column], self._agreement(person, place=place, column=column))
            total += self._weight[item] * part
            yield total

    def _agreement(self, person: Person, *, place: int, column: np.ndarray) -> np.ndarray:
        found = np.ones(len(column))
        if person.rating is not None and self.log.rating is not None:
            found += np.exp(-np.abs(self.log.rating[column] - person.rating[place]) / RATING_ERROR)
        if person.time is not None and self.log.time is not None:
            found += np.exp(-np.abs(self.log.time[column] - person.time[place]) / DATE_ERROR_SECONDS)
        return found


def nearest(score: np.ndarray, *, count: int, rng: np.random.Generator) -> np.ndarray:
    """The highest positive scores, best first, ties by chance; fewer than `count` where fewer agree in anything. Shapes: int[<= count]."""
    among = np.flatnonzero(score > 0)
    if len(among) > count:
        least = np.partition(score[among], len(among) - count)[len(among) - count]
        among = among[score[among] >= least]
    order = np.lexsort((rng.random(len(among)), -score[among]))
    return among[order[:count]]
