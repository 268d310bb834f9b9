"""All attacks as one: a logistic regression that was told who of a calibration half trained, asked about the other half; then the reverse.

Nobody is scored by a model that saw their own label. The two halves' results still depend on each other: each half chose the weights for
the other, so both are high, or low, together, and the pooled sample is worth no more than one half of it. That is why the halves are
measured apart and their intervals averaged (`attack.averaged`), and why the blend's scores are no input to a bound that takes each
person's coin for independent of all guesses.
"""

from __future__ import annotations

import numpy as np
from scipy import stats
from sklearn.linear_model import LogisticRegression

NAME = "blend of all attacks"
GROUPS = "behaviour of the two groups"      # the same, of behaviour and without the synthetic log
KNOWS = "all that the others know, and who of other people trained"
LEAST_PER_CLASS = 8         # in both halves together
_CLIP = 6.0                 # robust standard deviations


def halves(member: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """A random half, with half of each class. Shapes: member bool[T] -> bool[T]."""
    first = np.zeros(len(member), dtype=bool)
    for label in (True, False):
        users = rng.permutation(np.flatnonzero(member == label))
        first[users[: (len(users) + int(rng.integers(2))) // 2]] = True
    return first


def score(scores: np.ndarray, *, member: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Out-of-half ranks in (0, 1) within the scored half, made without its labels.

    Shapes:
        scores float[T, A], member bool[T], first bool[T] -> float64[T].
    """
    columns = standardised(scores)
    found = np.empty(len(member))
    for half in (first, ~first):
        model = LogisticRegression(C=0.1, max_iter=500, class_weight="balanced").fit(columns[~half], member[~half])
        found[half] = (stats.rankdata(model.decision_function(columns[half])) - 0.5) / half.sum()
    return found


def standardised(scores: np.ndarray) -> np.ndarray:
    """Around the median, in robust standard deviations, with tails kept but bounded. Shapes: float[T, A] -> float64[T, A]."""
    centred = scores - np.median(scores, axis=0)
    spread = 1.4826 * np.median(np.abs(centred), axis=0)
    spread = np.where(spread > 0, spread, np.maximum(centred.std(axis=0), 1e-12))
    return np.asarray(np.clip(centred / spread, -_CLIP, _CLIP))
