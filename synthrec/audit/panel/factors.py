"""Factors of users and items: weighted least squares for implicit feedback (Hu, Koren, Volinsky 2008), and plain singular vectors."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from synthrec.audit import profiles
from synthrec.audit.panel.recommender import Ranker
from synthrec.data.eventlog import EventLog

FACTORS = 24
WEIGHT = 10.0           # of an item had, beyond that of one not had
RIDGE_PER_USER = 4.0 / 1_000
ROUNDS = 6
DIRECTIONS = 32


def implicit_least_squares(log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
    """Alternating least squares; a new user's factors are one more step."""
    have = profiles.pattern(log, items=items)
    by_item = have.T.tocsr()
    ridge = max(1.0, RIDGE_PER_USER * have.shape[0])
    factors = rng.normal(0.0, 0.1, (items, FACTORS)).astype(np.float32)
    for _ in range(ROUNDS):
        factors = _solved(by_item, _solved(have, factors, ridge=ridge), ridge=ridge)
    return lambda asked: np.asarray(_solved(asked, factors, ridge=ridge) @ factors.T, dtype=np.float32)


def singular_vectors(log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
    """What a user has, projected on the leading directions of all users (PureSVD; Cremonesi, Koren, Turrin 2010)."""
    have = profiles.pattern(log, items=items)
    count = max(1, min(DIRECTIONS, min(have.shape) - 1))
    _, _, directions = randomized_svd(sparse.csr_matrix(have), n_components=count, n_iter=4, random_state=int(rng.integers(2**31)))
    return lambda asked: np.asarray((asked @ directions.T) @ directions, dtype=np.float32)


def _solved(have: sparse.csr_array, other: np.ndarray, *, ridge: float) -> np.ndarray:
    """Factors of the rows, given those of the columns. Shapes: have [R, C], other float32[C, k] -> float32[R, k]."""
    k = other.shape[1]
    left, right = np.triu_indices(k)
    half = WEIGHT * (have @ (other[:, left] * other[:, right])) + (other.T @ other)[left, right]
    gram = np.empty((have.shape[0], k, k), dtype=np.float32)
    gram[:, left, right] = gram[:, right, left] = half
    gram[:, np.arange(k), np.arange(k)] += np.float32(ridge)
    return np.asarray(np.linalg.solve(gram, ((1 + WEIGHT) * (have @ other))[:, :, None])[:, :, 0], dtype=np.float32)
