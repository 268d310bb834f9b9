"""Verbatim replay: the longest run of items, in order of time, that a user shares with any
synthetic user.

All users' items stand in one text, with a mark of its own after each user, so that no run goes past
one. Prefix doubling (Karp, Miller, Rosenberg 1972; Manber, Myers 1993) names every stretch of 1, 2,
4, ... items, alike stretches alike, and in the end sorts all suffixes. A suffix shares its longest
beginning with one of its two synthetic neighbours in that order, and names say how long it is.
Exact, and about n log n for n events. Without times a user's items stand in the order of the
catalogue; events of the same second do, too.
"""

from __future__ import annotations

import numpy as np

from synthrec.audit import intervals
from synthrec.audit.record import Replay
from synthrec.data.eventlog import EventLog

RESAMPLES = 1_000


def replay(
    trained: EventLog, *, holdout: EventLog, synthetic: EventLog, rng: np.random.Generator
) -> Replay:
    """Mean and longest, of equally many trained and holdout users."""
    runs = longest_runs((trained, holdout), synthetic=synthetic)
    inside, outside = np.split(runs, [trained.users])
    members, others = (
        intervals.mean(part, weights=intervals.resamples(len(part), count=RESAMPLES, rng=rng))
        for part in (inside, outside)
    )
    return Replay(
        members=members,
        holdout=others,
        longest_member=int(inside.max(initial=0)),
        longest_holdout=int(outside.max(initial=0)),
    )


def longest_runs(logs: tuple[EventLog, ...], *, synthetic: EventLog) -> np.ndarray:
    """Of each user of all logs, one after the other. Shapes: int64[B]."""
    everybody = (*logs, synthetic)
    users = sum(log.users for log in everybody)
    text, owner = (
        np.concatenate(parts) for parts in zip(*_texts(everybody, users=users), strict=True)
    )
    names = _names(text, longest=max(int(log.activity.max(initial=0)) for log in everybody))
    real = users - (synthetic.users)
    order = np.argsort(names[-1], kind="stable")
    is_synthetic = owner[order] >= real
    place = np.arange(len(order))
    before = np.maximum.accumulate(np.where(is_synthetic, place, -1))
    after = np.minimum.accumulate(np.where(is_synthetic, place, len(order))[::-1])[::-1]
    shared = np.zeros(len(order), dtype=np.int64)
    asked = np.flatnonzero(~is_synthetic)
    for neighbour in (before[asked], after[asked]):
        known = (neighbour >= 0) & (neighbour < len(order))
        one, other = order[asked[known]], order[neighbour[known]]
        shared[one] = np.maximum(shared[one], _common(one, other, names=names))
    runs = np.zeros(users, dtype=np.int64)
    np.maximum.at(runs, owner, shared)
    return runs[:real]


def _texts(logs: tuple[EventLog, ...], *, users: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Items in order of time, a mark after each user, and whose they are; marks are numbers below
    all items. Shapes: int64[N + B] each.
    """
    first, texts = 0, []
    for log in logs:
        count = log.users
        user = np.concatenate((log.user_of_event(), np.arange(count)))
        item = np.concatenate(
            (users + np.asarray(log.item, dtype=np.int64), first + np.arange(count))
        )
        time = (
            np.zeros(len(log.item)) if log.time is None else np.asarray(log.time, dtype=np.float64)
        )
        order = np.lexsort((item, np.concatenate((time, np.full(count, np.inf))), user))
        texts.append((item[order], first + user[order].astype(np.int64)))
        first += count
    return texts


def _names(text: np.ndarray, *, longest: int) -> list[np.ndarray]:
    """Ranks of the stretches of 1, 2, 4, ... from each place, until all differ: no two suffixes
    agree past their marks.
    """
    names = [np.unique(text, return_inverse=True)[1].astype(np.int64)]
    while 2 ** (len(names) - 1) <= longest:
        length, last = 2 ** (len(names) - 1), names[-1]
        following = np.zeros_like(last)
        following[:-length] = last[length:] + 1
        names.append(
            np.unique(last * (len(text) + 1) + following, return_inverse=True)[1].astype(np.int64)
        )
    return names


def _common(one: np.ndarray, other: np.ndarray, *, names: list[np.ndarray]) -> np.ndarray:
    """How many items two suffixes share at their beginnings. Shapes: int[N] places in the text ->
    int64[N].
    """
    length = np.zeros(len(one), dtype=np.int64)
    end = len(names[0]) - 1
    for step in range(len(names) - 1, -1, -1):
        first, second = (np.minimum(start + length, end) for start in (one, other))
        length += np.where(names[step][first] == names[step][second], 2**step, 0)
    return length
