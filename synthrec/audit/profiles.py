"""A log as sparse matrices of users by items: the one way in which every audit figure looks at
events.

Private arrays in, private arrays out; nothing here is printed or kept.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from synthrec.data.eventlog import EventLog


def cut(log: EventLog, *, events_per_user: int, rng: np.random.Generator) -> EventLog:
    """At most `events_per_user` random events of each user."""
    return log.keep(random_rank(log, rng=rng) < events_per_user)


def some(log: EventLog, *, most: int, rng: np.random.Generator) -> EventLog:
    """The log, or `most` of its users by chance where it has more."""
    return log if log.users <= most else log.select(np.sort(rng.permutation(log.users)[:most]))


def random_rank(log: EventLog, *, rng: np.random.Generator) -> np.ndarray:
    """A random order within each user: place 0, 1, ... of every event. Shapes: int64[N]."""
    return rank_within(log.user_of_event(), rng=rng)


def rank_within(
    group: np.ndarray, *, by: np.ndarray | None = None, rng: np.random.Generator
) -> np.ndarray:
    """Place 0, 1, ... of every entry in its group, smallest `by` first, ties by chance. Shapes:
    group int[N], by float[N] -> int64[N].
    """
    chance = rng.random(len(group))
    order = np.lexsort((chance, group) if by is None else (chance, by, group))
    count = np.bincount(group)
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = np.arange(len(group)) - (np.cumsum(count) - count)[np.asarray(group)[order]]
    return rank


def pattern(log: EventLog, *, items: int) -> sparse.csr_array:
    """Which items each user has, as ones; an item had twice counts once. Shapes: float32[B, V]."""
    return as_ones(events(log, np.ones(len(log.item), dtype=np.float32), items=items))


def as_ones(matrix: sparse.csr_array) -> sparse.csr_array:
    """Every stored entry once, as one; in place."""
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def events(log: EventLog, values: np.ndarray, *, items: int) -> sparse.csr_array:
    """One stored entry per event, repeats kept apart. Shapes: values float[N] -> [B, V].

    The item column is copied: scipy sorts a matrix in place, and the log must stay as it was.
    """
    if len(log.item) and int(np.max(log.item)) >= items:
        raise ValueError("every item must be a row of the catalogue, found one past its end")
    item, offsets = (
        np.array(log.item, dtype=np.int32, copy=True),
        np.array(log.offsets, dtype=np.int32, copy=True),
    )
    return sparse.csr_array((values, item, offsets), shape=(len(offsets) - 1, items))
