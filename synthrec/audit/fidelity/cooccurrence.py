"""Co-occurrence: which items the same users have, beyond what the items' popularity says.

The lift of two items is the number of users who have both over what independence would give; half a user is added above and below. The
row compares the logarithms over all pairs of the items that most real users have: 1 - Pearson's correlation, 0 where the same pairs
attract and repel each other as much, 1 where what goes together in one log says nothing of the other.
"""

from __future__ import annotations

import numpy as np

from synthrec.audit import profiles
from synthrec.audit.fidelity.question import Question, Sample, number
from synthrec.data.eventlog import EventLog

TOP_ITEMS = 100


def questions(real: EventLog, *, items: int) -> list[Question]:
    """Of logs with two items that somebody has."""
    count = np.bincount(profiles.pattern(real, items=items).indices, minlength=items)
    top = np.argsort(-count, kind="stable")[: min(TOP_ITEMS, int((count > 0).sum()))]
    if len(top) < 3:
        return []

    def lift(sample: Sample) -> np.ndarray:
        return log_lift(sample.cut, top=top, items=items)

    return [
        Question("co-occurrence", f"lift of pairs of the {len(top)} most popular items", "1 - correlation of log lifts", lift,
                 lambda one, other: 1 - correlation(one, other), linked=True),
        number("co-occurrence", "how far pairs are from independent", lift, value=lambda found: float(found.std()), linked=True,
               method="difference of standard deviations of log lifts"),
    ]


def log_lift(log: EventLog, *, top: np.ndarray, items: int) -> np.ndarray:
    """Of every pair of different items of `top`. Shapes: int64[T] -> float64[T (T - 1) / 2]."""
    has = profiles.pattern(log, items=items)[:, top].astype(np.float64)
    both, users = (has.T @ has).toarray(), max(1, has.shape[0])
    alone = both.diagonal()
    pair = np.triu_indices(len(top), 1)
    return np.asarray(np.log((both[pair] + 0.5) / (np.outer(alone, alone)[pair] / users + 0.5)))


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's; 0 where one of both does not vary."""
    first, second = one - one.mean(), other - other.mean()
    size = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / size if size > 1e-12 else 0.0
