"""Calibrated nearest user: does somebody's set of items lie closer to a synthetic user than the population explains?

A profile is the set of items a user has, weighted by inverse document frequency (rare items tell more). The score is the cosine to the
nearest synthetic user less the mean cosine to the nearest few reference users, who were in no training (calibration: Watson, Guo, Cormode,
Sablayrolles 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from synthrec.audit import profiles
from synthrec.audit.attacks.search import Nearest
from synthrec.data.eventlog import EventLog

NAME = "calibrated nearest user"
KNOWS = "which items a person has"
CALIBRATION_NEIGHBOURS = 5


@dataclass(frozen=True, repr=False, eq=False)
class ItemSets:
    """Cosine of item sets. Shapes: weights float32[V]."""

    weights: np.ndarray

    @classmethod
    def fit(cls, synthetic: EventLog, *, reference: EventLog, items: int) -> ItemSets:
        """Weights from synthetic and reference users only: under the null, members and holdout users are exchangeable."""
        return cls(inverse_document_frequency(synthetic, reference, items=items))

    def asked(self, log: EventLog) -> sparse.csr_array:
        """Shapes: float32[B, V], rows of length one; a user without events keeps an empty row."""
        return unit_profiles(log, weights=self.weights)

    given = asked

    def likeness(self, asked: sparse.csr_array, given: sparse.csr_array) -> np.ndarray:
        """Cosines."""
        return np.asarray((asked @ given.T.tocsr()).toarray())

    def score(self, near: Nearest, far: Nearest) -> np.ndarray:
        """Closeness to a synthetic user that reference users do not have."""
        return np.asarray(first(near, 1) - first(far, CALIBRATION_NEIGHBOURS))


def first(found: Nearest, count: int) -> np.ndarray:
    """Mean likeness of the nearest few; zero where nobody was there. Shapes: float64[T]."""
    top = found.likeness[:, :count]
    return np.asarray(top.mean(axis=1, dtype=np.float64) if top.shape[1] else np.zeros(len(top)))


def inverse_document_frequency(*logs: EventLog, items: int) -> np.ndarray:
    """log((1 + users) / (1 + users with the item)) over the users of all logs. Shapes: float32[V]."""
    having = sum(profiles.pattern(log, items=items).sum(axis=0) for log in logs)
    users = sum(len(log.offsets) - 1 for log in logs)
    return np.asarray(np.log((1.0 + users) / (1.0 + having)), dtype=np.float32)


def unit_profiles(log: EventLog, *, weights: np.ndarray) -> sparse.csr_array:
    """Weighted item sets of length one. Shapes: float32[B, V]."""
    matrix = profiles.pattern(log, items=len(weights))
    matrix.data = weights[matrix.indices]
    norm = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    matrix.data = (matrix.data / np.repeat(np.where(norm > 0, norm, 1.0), np.diff(matrix.indptr))).astype(np.float32)
    return matrix
