"""Spectrum: how much of the user-item matrix its leading directions hold.

Singular values of the matrix of zeros and ones (at most K events and a few hundred users of either log): the squares as shares of all of
it. The first direction is popularity and activity; what follows is what users have in common besides. Noise spreads it over all
directions, a collapsed generator heaps it on a few.
"""

from __future__ import annotations

import numpy as np

from synthrec.audit import profiles
from synthrec.audit.fidelity.question import Question, Sample
from synthrec.audit.realism import total_variation
from synthrec.data.eventlog import EventLog

LEADING = 50


def questions(items: int) -> list[Question]:
    """Of any log."""
    def shares(sample: Sample) -> np.ndarray:
        return energy(sample.few, items=items)

    return [
        Question("spectrum", "squared singular values of the user-item matrix", "total variation over directions", shares,
                 lambda one, other: total_variation(one, other=other), linked=True),
        Question("spectrum", f"the same from the second to number {LEADING + 1}", "total variation over directions", shares,
                 lambda one, other: total_variation(one[1 : LEADING + 1], other=other[1 : LEADING + 1]), linked=True),
        Question("spectrum", f"share of directions 2 to {LEADING + 1}", "difference", shares,
                 lambda one, other: abs(leading(one) - leading(other)), value=leading, linked=True),
    ]


def energy(log: EventLog, *, items: int) -> np.ndarray:
    """Shares of the squared singular values, the first LEADING + 1 one by one, then all others. Shapes: float64[LEADING + 2]."""
    matrix = profiles.pattern(log, items=items).astype(np.float64)
    gram = (matrix @ matrix.T if matrix.shape[0] <= items else matrix.T @ matrix).toarray()
    squares = np.maximum(np.linalg.eigvalsh(gram)[::-1], 0)
    squares = np.pad(squares, (0, max(0, LEADING + 2 - len(squares))))
    total = max(squares.sum(), 1e-12)
    return np.asarray(np.append(squares[: LEADING + 1], squares[LEADING + 1 :].sum()) / total)


def leading(shares: np.ndarray) -> float:
    """What the directions after the first hold."""
    return float(shares[1 : LEADING + 1].sum())
