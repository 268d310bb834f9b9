"""The shape of a recommender: learned from a log, then asked about users it has never seen, by what they have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse

from synthrec.data.eventlog import EventLog

# which items users have, as ones -> a score of every item. Shapes: [b, V] -> float32[b, V], writable
Ranker = Callable[[sparse.csr_array], np.ndarray]


class Fit(Protocol):
    """Learns from a log."""

    def __call__(self, log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
        """A ranker; equal logs and states of `rng` give equal ones."""


@dataclass(frozen=True)
class Recommender:
    """One of the panel: its name for people, and how it learns."""

    name: str
    fit: Fit


def same_for_all(score: np.ndarray) -> Ranker:
    """A ranker that asks nobody anything. Shapes: float[V]."""
    return lambda have: np.tile(score.astype(np.float32), (have.shape[0], 1))
