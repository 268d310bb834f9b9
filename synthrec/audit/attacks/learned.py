"""Attacks that learn: a person's behaviour as a few dozen numbers, and what a classifier, a density
ratio and a blend of all attacks make of them.

Directions of item sets (randomised SVD), centre and scale are learned of synthetic and reference
users only, so they cannot know who trained. Classifier (after LOGAN; Hayes, Melis, Danezis, De
Cristofaro 2019): logistic regression and boosted trees, each fitted on synthetic and reference
users without a third of them in turn; the score is the mean log odds, each method weighed by how
well it tells the left-out third, so one that learned its own users by heart weighs nothing. Density
ratio (DOMIAS; van Breugel, Sun, Qian, van der Schaar 2023): mean logarithm of the distances to the
nearest few reference users less that to the nearest few synthetic ones. Blend: a logistic
regression that was told who of one half trained, asked about the other; then the reverse. Nobody is
scored by a model that saw their own label, but each half chose the weights for the other, so the
pooled sample is worth no more than one half: halves are measured apart and their intervals averaged
(`metrics.averaged`), and the blend's scores are no input to a bound that takes each person's coin
for independent of all guesses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse, stats
from scipy.special import logit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.utils.extmath import randomized_svd

from synthrec.audit.attacks.nearest_user import ItemSets, Nearest, Space
from synthrec.data.eventlog import EventLog

CLASSIFIER = "classifier, synthetic against reference"
CLASSIFIER_KNOWS = "items, ratings, times of events"
FOLDS = 3
MAX_LEARNED_FROM = 20_000  # synthetic users, for directions and classifier
_MIN_PROBABILITY = 1e-4

METHODS: tuple[Callable[[], Any], ...] = (
    lambda: LogisticRegression(C=0.1, max_iter=300, class_weight="balanced"),
    lambda: HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=8, l2_regularization=1.0, early_stopping=False, random_state=0
    ),
)


def classifier_scores(
    targets: np.ndarray, *, synthetic: np.ndarray, reference: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
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
        weight = max(0.0, float(roc_auc_score(label, left_out)) - 0.5)
        total, weights = total + weight * odds, weights + weight
    return np.asarray(total / weights)


def _odds(model: Any, rows: np.ndarray) -> np.ndarray:
    return np.asarray(
        logit(np.clip(model.predict_proba(rows)[:, 1], _MIN_PROBABILITY, 1 - _MIN_PROBABILITY))
    )


DIRECTIONS = 32
DAY, HOUR = 86_400, 3_600
DAY_PARTS = 6  # of four hours each
SESSION_GAP_SECONDS = 1_800


@dataclass(frozen=True, repr=False, eq=False)
class BehaviourSpace:
    """Shapes: directions float32[V, k], centre and scale float64[k + statistics]."""

    sets: ItemSets
    directions: np.ndarray
    rated: bool
    timed: bool
    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(
        cls, synthetic: EventLog, *, reference: EventLog, sets: ItemSets, rng: np.random.Generator
    ) -> BehaviourSpace:
        """Directions, centre and scale of synthetic and reference users together."""
        seen = EventLog.concat([synthetic, reference])
        rows = sets.asked(seen)
        count = max(1, min(DIRECTIONS, rows.shape[0] - 1, rows.shape[1] - 1))
        _, _, directions = randomized_svd(
            sparse.csr_matrix(rows),
            n_components=count,
            n_iter=3,
            random_state=int(rng.integers(2**31)),
        )
        bare = cls(
            sets=sets,
            directions=directions.T.astype(np.float32),
            rated=seen.rating is not None,
            timed=seen.time is not None,
            centre=np.zeros(1),
            scale=np.ones(1),
        )
        raw = bare._raw(seen)
        scale = raw.std(axis=0)
        scale[:count] = max(
            float(np.sqrt(np.mean(scale[:count] ** 2))), 1e-12
        )  # one scale for all directions: the leading ones lead
        return replace(bare, centre=raw.mean(axis=0), scale=np.where(scale > 1e-9, scale, 1.0))

    def __call__(self, log: EventLog) -> np.ndarray:
        """Shapes: float32[B, F], about centred and of unit variance."""
        return np.asarray((self._raw(log) - self.centre) / self.scale, dtype=np.float32)

    def _raw(self, log: EventLog) -> np.ndarray:
        columns = [
            self.sets.asked(log) @ self.directions,
            np.log1p(log.activity)[:, None],
            _mean(log, self.sets.weights[log.item]),
        ]
        if self.rated:
            columns.append(_ratings(log))
        if self.timed:
            columns += [_week(log), _gaps(log)]
        return np.concatenate(columns, axis=1, dtype=np.float64)


def _mean(log: EventLog, values: np.ndarray) -> np.ndarray:
    """Mean of a value over each user's events, zero for nobody's. Shapes: float[N] -> float64[B,
    1].
    """
    total = np.bincount(log.user_of_event(), weights=values, minlength=log.users)
    return np.asarray(total / np.maximum(log.activity, 1))[:, None]


def _ratings(log: EventLog) -> np.ndarray:
    """Mean and spread. Shapes: float64[B, 2]."""
    rating = np.asarray(log.rating, dtype=np.float64)
    mean = _mean(log, rating)
    return np.concatenate((mean, np.sqrt(np.maximum(_mean(log, rating**2) - mean**2, 0.0))), axis=1)


def _week(log: EventLog) -> np.ndarray:
    """Share of events in each part of the day, on working days and at weekends. Shapes: float64[B,
    12].
    """
    time = np.asarray(log.time, dtype=np.int64)
    part = (time % DAY) // (DAY // DAY_PARTS)
    weekend = (time // DAY + 3) % 7 >= 5  # 1970-01-01 was a Thursday
    return np.concatenate(
        [
            _mean(log, ((part == p) & (weekend == w)).astype(np.float64))
            for w in (False, True)
            for p in range(DAY_PARTS)
        ],
        axis=1,
    )


def _gaps(log: EventLog) -> np.ndarray:
    """First day, span, mean and spread of the logarithm of gaps, share of gaps within a session.
    Shapes: float64[B, 5].
    """
    time, user = np.asarray(log.time, dtype=np.float64), log.user_of_event()
    users, events = log.users, log.activity
    within = user[1:] == user[:-1]
    gap, owner = np.log1p(np.maximum(np.diff(time), 0.0))[within], user[1:][within]
    count = np.maximum(np.bincount(owner, minlength=users), 1)
    mean, square, short = (
        np.bincount(owner, weights=w, minlength=users) / count
        for w in (gap, gap**2, gap < np.log1p(SESSION_GAP_SECONDS))
    )
    some = events > 0
    begins, ends = np.zeros(users), np.zeros(users)
    begins[some], ends[some] = time[log.offsets[:-1][some]], time[log.offsets[1:][some] - 1]
    span, spread = (
        np.log1p(np.maximum(ends - begins, 0.0) / HOUR),
        np.sqrt(np.maximum(square - mean**2, 0.0)),
    )
    return np.stack((begins / DAY, span, mean, spread, short), axis=1)


BLEND = "blend of all attacks"
GROUPS = "behaviour of the two groups"  # the same, of behaviour and without the synthetic log
BLEND_KNOWS = "all that the others know, and who of other people trained"
MIN_PER_CLASS = 8  # in both halves together
_MAX_DEVIATIONS = 6.0  # robust standard deviations


def halves(member: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """A random half, with half of each class. Shapes: member bool[T] -> bool[T]."""
    first = np.zeros(len(member), dtype=bool)
    for label in (True, False):
        users = rng.permutation(np.flatnonzero(member == label))
        first[users[: (len(users) + int(rng.integers(2))) // 2]] = True
    return first


def blend_scores(scores: np.ndarray, *, member: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Out-of-half ranks in (0, 1) within the scored half, made without its labels.

    Shapes:
        scores float[T, A], member bool[T], first bool[T] -> float64[T].
    """
    columns = standardised(scores)
    found = np.empty(len(member))
    for half in (first, ~first):
        model = LogisticRegression(C=0.1, max_iter=500, class_weight="balanced").fit(
            columns[~half], member[~half]
        )
        found[half] = (stats.rankdata(model.decision_function(columns[half])) - 0.5) / half.sum()
    return found


def standardised(scores: np.ndarray) -> np.ndarray:
    """Around the median, in robust standard deviations, with tails kept but bounded. Shapes:
    float[T, A] -> float64[T, A].
    """
    centred = scores - np.median(scores, axis=0)
    spread = 1.4826 * np.median(np.abs(centred), axis=0)
    spread = np.where(spread > 0, spread, np.maximum(centred.std(axis=0), 1e-12))
    return np.asarray(np.clip(centred / spread, -_MAX_DEVIATIONS, _MAX_DEVIATIONS))


DENSITY_RATIO = "density ratio"
DENSITY_RATIO_KNOWS = "items, ratings, times of events"
NEIGHBOURS = 5
_SMALLEST = 1e-6  # squared distance of a perfect copy


@dataclass(frozen=True, repr=False, eq=False)
class Densities(Space):
    """Nearness in the behaviour space."""

    behaviour: BehaviourSpace

    def asked(self, log: EventLog) -> np.ndarray:
        """Shapes: float32[B, F]."""
        return self.behaviour(log)

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
