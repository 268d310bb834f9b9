"""Density ratio (DOMIAS; van Breugel, Sun, Qian, van der Schaar 2023): is a person where synthetic users are denser than real ones?

Densities by nearest neighbours in the behaviour space: the score is the mean logarithm of the distances to the nearest few reference
users less that to the nearest few synthetic ones. Sizes and dimension shift all users alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthrec.audit.attacks.behaviour_space import BehaviourSpace
from synthrec.audit.attacks.search import Nearest
from synthrec.data.eventlog import EventLog

NAME = "density ratio"
KNOWS = "items, ratings, times of events"
NEIGHBOURS = 5
_SMALLEST = 1e-6            # squared distance of a perfect copy


@dataclass(frozen=True, repr=False, eq=False)
class Densities:
    """Nearness in the behaviour space."""

    behaviour: BehaviourSpace

    def asked(self, log: EventLog) -> np.ndarray:
        """Shapes: float32[B, F]."""
        return self.behaviour(log)

    given = asked

    def likeness(self, asked: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Squared distances, negated."""
        squares = (asked**2).sum(axis=1)[:, None] + (given**2).sum(axis=1)
        return np.asarray(2 * asked @ given.T - squares)

    def score(self, near: Nearest, far: Nearest) -> np.ndarray:
        """Logarithm of synthetic over real density, up to a constant."""
        if not near.likeness.shape[1] or not far.likeness.shape[1]:
            return np.zeros(len(near.likeness))
        return np.asarray(_log_distance(far) - _log_distance(near))


def _log_distance(found: Nearest) -> np.ndarray:
    squares = np.maximum(-found.likeness[:, :NEIGHBOURS].astype(np.float64), _SMALLEST)
    return np.asarray(0.5 * np.log(squares).mean(axis=1))
