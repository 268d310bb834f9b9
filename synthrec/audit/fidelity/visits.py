"""Visits and baskets: what a user does on one item, and what is done together.

A visit is all of a user's events on one item. Sizes are compared over buckets that grow by the square root of two.
"""

from __future__ import annotations

import numpy as np

from synthrec.audit.fidelity.question import Question, buckets, histogram, number
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema


def questions(schema: Schema, *, timed: bool) -> list[Question]:
    """Of logs in which a user may come back to an item, or with baskets."""
    found: list[Question] = []
    if schema.several:
        found += [histogram("events", "events of a visit", lambda sample: buckets(visit_sizes(sample.whole)), over="visits", linked=True),
                  number("events", "visits of more than one event", lambda sample: float((visit_sizes(sample.whole) > 1).mean()),
                         method="difference of shares of visits", linked=True)]
    if (basket := schema.basket) is not None:
        name = basket.name
        found.append(histogram("events", f"events per {name}", lambda sample: buckets(basket_sizes(sample.whole, name)),
                               over=name))
        if timed:
            found.append(number("events", f"{name} at one moment", lambda sample: at_one_moment(sample.whole, name),
                                method="difference of shares"))
    return found


def in_visits(log: EventLog) -> tuple[np.ndarray, np.ndarray]:
    """Order by user and item, by place in the log within; the visit of each event in that order."""
    user, item = log.user_of_event(), np.asarray(log.item)
    order = np.lexsort((np.arange(len(item)), item, user))
    new = (np.diff(user[order]) != 0) | (np.diff(item[order]) != 0)
    return order, np.concatenate((np.zeros(min(1, len(order)), dtype=np.int64), np.cumsum(new)))


def visit_sizes(log: EventLog) -> np.ndarray:
    """Events of each visit."""
    return np.unique(_grouped(log, np.asarray(log.item)), return_counts=True)[1]


def basket_sizes(log: EventLog, name: str) -> np.ndarray:
    """Events of each basket."""
    return np.unique(_grouped(log, log.marks[name]), return_counts=True)[1]


def _grouped(log: EventLog, group: np.ndarray) -> np.ndarray:
    """One number for each pair of user and group."""
    return np.asarray(log.user_of_event().astype(np.int64) * (int(np.max(group, initial=0)) + 1) + group)


def at_one_moment(log: EventLog, name: str) -> float:
    """Share of baskets whose events have one time; 1 of none."""
    _, place = np.unique(_grouped(log, log.marks[name]), return_inverse=True)
    if not len(place):
        return 1.0
    time = np.asarray(log.time, dtype=np.int64)
    low, high = np.full(place.max() + 1, np.iinfo(np.int64).max), np.full(place.max() + 1, np.iinfo(np.int64).min)
    np.minimum.at(low, place, time)
    np.maximum.at(high, place, time)
    return float((low == high).mean())
