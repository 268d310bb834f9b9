"""Classifier of synthetic against reference users (after LOGAN; Hayes, Melis, Danezis, De Cristofaro 2019): who looks synthetic?

A generator that remembers makes training users look more synthetic than others. Logistic regression and boosted trees in the behaviour
space, each fitted on synthetic and reference users without a third of them in turn; a person's score is the mean log odds. Cross-fitting
weighs the two: by how well they tell the left-out third, so a method that learned its own users by heart weighs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import logit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

NAME = "classifier, synthetic against reference"
KNOWS = "items, ratings, times of events"
FOLDS = 3
_CLIP = 1e-4

METHODS: tuple[Callable[[], Any], ...] = (
    lambda: LogisticRegression(C=0.1, max_iter=300, class_weight="balanced"),
    lambda: HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=8, l2_regularization=1.0, early_stopping=False, random_state=0),
)


def score(targets: np.ndarray, *, synthetic: np.ndarray, reference: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mean log odds of being synthetic, each method weighed by its left-out AUC above one half.

    Shapes:
        targets [T, F], synthetic [S, F], reference [R, F] -> float64[T].
    """
    if min(len(synthetic), len(reference)) < FOLDS:
        return np.zeros(len(targets))
    rows = np.concatenate((synthetic, reference))
    label = np.arange(len(rows)) < len(synthetic)
    fold = np.concatenate([rng.permutation(len(part)) % FOLDS for part in (synthetic, reference)])
    total, weights = np.zeros(len(targets)), 1e-9
    for method in METHODS:
        odds, left_out = np.zeros(len(targets)), np.zeros(len(rows))
        for out in range(FOLDS):
            model = method().fit(rows[fold != out], label[fold != out])
            odds += _odds(model, targets) / FOLDS
            left_out[fold == out] = _odds(model, rows[fold == out])
        weight = max(0.0, _auc(left_out, label) - 0.5)
        total, weights = total + weight * odds, weights + weight
    return np.asarray(total / weights)


def _odds(model: Any, rows: np.ndarray) -> np.ndarray:
    return np.asarray(logit(np.clip(model.predict_proba(rows)[:, 1], _CLIP, 1 - _CLIP)))


def _auc(score: np.ndarray, label: np.ndarray) -> float:
    ranks, inside = stats.rankdata(score), int(label.sum())
    return float((ranks[label].sum() - inside * (inside + 1) / 2) / (inside * (len(label) - inside)))
