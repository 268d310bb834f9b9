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


def random_rank(log: EventLog, *, rng: np.random.Generator) -> np.ndarray:
    """A random order within each user: place 0, 1, ... of every event. Shapes: int64[N]."""
    user = log.user_of_event()
    order = np.lexsort((rng.random(len(user)), user))
    rank = np.empty(len(user), dtype=np.int64)
    rank[order] = np.arange(len(user)) - np.asarray(log.offsets)[user]
    return rank


def pattern(log: EventLog, *, items: int) -> sparse.csr_array:
    """Which items each user has, as ones; an item had twice counts once. Shapes: float32[B, V]."""
    matrix = events(log, np.ones(len(log.item), dtype=np.float32), items=items)
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
