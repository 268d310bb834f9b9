"""Learning to rank: an item had above one not had (BPR; Rendle, Freudenthaler, Gantner, Schmidt-Thieme 2009).

A user is what they have: the scaled sum of vectors of their items, the asked item left out (FISM; Kabbur, Ning, Karypis 2013). So a new
user needs no training.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.special import expit

from synthrec.audit import profiles
from synthrec.audit.panel.recommender import Ranker
from synthrec.data.eventlog import EventLog

FACTORS = 24
EPOCHS = 12
USERS_PER_STEP = 256
PAIRS_PER_USER = 24     # of a step
RATE, RIDGE = 0.05, 1e-4


def pairwise(log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
    """Adaptive gradient steps (AdaGrad; Duchi, Hazan, Singer 2011) over users in random order; pairs drawn anew each time."""
    have = profiles.pattern(log, items=items)
    have = have[np.flatnonzero(np.diff(have.indptr) > 1)]
    weights = [rng.normal(0, 0.05, (items, FACTORS)), rng.normal(0, 0.05, (items, FACTORS)), np.zeros((items, 1))]
    squares = [np.full_like(weight, 1e-3) for weight in weights]
    for _ in range(EPOCHS):
        order = rng.permutation(have.shape[0])
        for first in range(0, len(order), USERS_PER_STEP):
            gradients = _gradients(have[order[first:first + USERS_PER_STEP]], weights, rng=rng)
            for weight, square, gradient in zip(weights, squares, gradients, strict=True):
                gradient -= RIDGE * weight
                square += gradient**2
                weight += RATE * gradient / np.sqrt(square)
    given, asked_for, bias = weights
    return lambda asked: np.asarray(_pooled(asked, given) @ asked_for.T + bias[:, 0], dtype=np.float32)


def _pooled(have: sparse.csr_array, given: np.ndarray) -> np.ndarray:
    """Shapes: [b, V], float[V, k] -> float[b, k]."""
    return np.asarray((have @ given) / np.sqrt(np.maximum(np.diff(have.indptr), 1))[:, None])


def _gradients(have: sparse.csr_array, weights: list[np.ndarray], *, rng: np.random.Generator) -> list[np.ndarray]:
    """Of the mean log likelihood that the item had is above the one not had, uphill."""
    given, asked_for, bias = weights
    users, items = have.shape
    counts = np.diff(have.indptr)
    owner = np.repeat(np.arange(users), PAIRS_PER_USER)
    liked = have.indices[have.indptr[owner] + (rng.random(len(owner)) * counts[owner]).astype(np.int64)]
    other = rng.integers(0, items, len(owner))
    known = np.asarray(have[owner, other]).ravel() == 0         # one that the user has, too, teaches nothing
    rest = np.sqrt(counts[owner] - 1.0)[:, None]
    person = ((have @ given)[owner] - given[liked]) / rest
    margin = ((asked_for[liked] - asked_for[other]) * person).sum(axis=1) + (bias[liked] - bias[other])[:, 0]
    pull = (known * expit(-margin))[:, None] / PAIRS_PER_USER
    toward = pull * (asked_for[liked] - asked_for[other]) / rest
    to_given = have.T @ _added(owner, toward, size=users) - _added(liked, toward, size=items)
    to_asked = _added(liked, pull * person, size=items) - _added(other, pull * person, size=items)
    return [np.asarray(to_given), to_asked, _added(liked, pull, size=items) - _added(other, pull, size=items)]


def _added(place: np.ndarray, values: np.ndarray, *, size: int) -> np.ndarray:
    """Sum of rows by place. Shapes: int[n], float[n, k] -> float[size, k]."""
    return np.asarray(sparse.csr_array((np.ones(len(place)), (place, np.arange(len(place)))), shape=(size, len(place))) @ values)
