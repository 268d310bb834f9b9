"""A user's tastes as one short vector: how they rate and which items they pick, along item
features.

Two ridge estimates of one user, stacked: the slope of the user's rating deviations on the features
(with an intercept, the user's bias), and the tilt of the user's item choice against popularity. The
same function reads real users and synthetic ones, so the calibration can compare them measurement
by measurement.

Guarantees: row b of the result is a function of user b's own events, public features and released
measurements only, of norm at most 1 (adaptive composition applies to the released ones).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from synthrec.data.eventlog import EventLog
from synthrec.model.statistic import Known, Statistic, Tensor, project_to_simplex
from synthrec.privacy.mechanisms import Measurement

BIAS_RIDGE, RATING_RIDGE, CHOICE_RIDGE = 5.0, 30.0, 40.0
BIAS_WEIGHT = 0.5  # of the intercept, which varies more than the slopes
RATING_NORM = 0.7  # slopes and weighted intercept are clipped to this
CHOICE_NORM = 1.0  # the tilt is clipped to this
HALF = 0.7  # norm of either half in the stack, so that a stack of two full halves has norm below 1
WHOLE = 0.99  # norm of the tilt where it is alone
MIN_TRACE = 1e-4  # of a second moment, in squared taste norms


@dataclass(frozen=True)
class TasteFrame:
    """What tastes are measured against; public or paid for.

    Shapes:
        features float64[V, F], standardised under `popularity`; item_mean float64[V]; popularity
        float64[V], sums to 1.
    """

    features: np.ndarray
    item_mean: np.ndarray
    popularity: np.ndarray
    rating_unit: float  # a quarter of the rating scale
    # does the log have ratings? If not, bias and slopes are zero and the tilt has the whole norm
    rated: bool = True

    @classmethod
    def of(cls, known: Known) -> TasteFrame:
        """Once the items are known."""
        return cls(**known.room("frame."), rating_unit=known.rating_unit, rated=known.rated)

    @property
    def size(self) -> int:
        """Length of a stacked vector: bias, F slopes, F tilts."""
        return 2 * len(self.features.T) + 1

    @property
    def measured(self) -> slice:
        """The coordinates of a stacked vector that can be other than zero."""
        return slice(0 if self.rated else self.features.shape[1] + 1, self.size)

    @property
    def dimensions(self) -> int:
        """How many coordinates those are."""
        return len(range(self.size)[self.measured])

    @cached_property
    def design(self) -> np.ndarray:
        """float64[V, 1 + F]: the features with an intercept."""
        return np.column_stack([np.ones(len(self.features)), self.features])

    @cached_property
    def feature_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """float64[F], float64[F, F]: mean and covariance of the features under `popularity`."""
        mean = self.popularity @ self.features
        return mean, (self.features * self.popularity[:, None]).T @ self.features - np.outer(
            mean, mean
        )

    @property
    def choice_part(self) -> float:
        """Norm of the tilts in the stack."""
        return HALF if self.rated else WHOLE

    @property
    def scale(self) -> np.ndarray:
        """float64[size]: what one unit of each stacked coordinate is in ratings per feature
        (slopes) or log odds per feature (tilts).
        """
        count = self.features.shape[1]
        rating = RATING_NORM / HALF * self.rating_unit
        return np.concatenate(
            (
                [rating / BIAS_WEIGHT],
                np.full(count, rating),
                np.full(count, CHOICE_NORM / self.choice_part),
            )
        )


def taste_vectors(users: EventLog, *, frame: TasteFrame) -> np.ndarray:
    """Stacked taste vectors of a block of users.

    Shapes:
        -> float64[B, 2F + 1].
    """
    features, count = frame.features, frame.features.shape[1]
    mean, covariance = frame.feature_moments
    events, items = users.activity.astype(np.float64), len(features)
    picked = by_user(users, np.ones(len(users.item)), items=items)
    deviation = by_user(users, deviations(users, frame=frame), items=items)
    gram = _grams(frame.design[users.item], offsets=users.offsets)
    ridge = np.diag(np.concatenate(([BIAS_RIDGE], np.full(count, RATING_RIDGE))))
    slopes = np.linalg.solve(gram + ridge, (deviation @ frame.design)[..., None])[
        ..., 0
    ]  # zero where nothing is rated
    slopes[:, 0] *= BIAS_WEIGHT
    pull = picked @ features - events[:, None] * mean
    tilts = np.linalg.solve(
        events[:, None, None] * covariance + CHOICE_RIDGE * np.eye(count), pull[..., None]
    )[..., 0]
    stacked = np.concatenate(
        (
            _clipped(slopes, RATING_NORM) * (HALF / RATING_NORM),
            _clipped(tilts, CHOICE_NORM) * (frame.choice_part / CHOICE_NORM),
        ),
        axis=1,
    )
    return np.nan_to_num(stacked, nan=0.0, posinf=0.0, neginf=0.0)


def second_moments(users: EventLog, *, frame: TasteFrame) -> np.ndarray:
    """Half vectors of the coordinates of users' tastes that are measured.

    Shapes:
        -> float64[B, D (D + 1) / 2], D = the length of `frame.measured`.
    """
    return half_vectors(taste_vectors(users, frame=frame)[:, frame.measured])


def half_vectors(tastes: np.ndarray) -> np.ndarray:
    """Outer products of rows with themselves as isometric half vectors: off-diagonals times sqrt 2,
    norm = squared norm of the row.

    Shapes:
        float64[B, D] -> float64[B, D (D + 1) / 2].
    """
    rows, columns = np.triu_indices(tastes.shape[1])
    weight = np.where(rows == columns, 1.0, np.sqrt(2.0))
    return np.asarray(tastes[:, rows] * tastes[:, columns] * weight)


def from_half_vector(half: np.ndarray, *, size: int) -> np.ndarray:
    """The symmetric matrix of an isometric half vector.

    Shapes:
        float64[D (D + 1) / 2] -> float64[D, D].
    """
    rows, columns = np.triu_indices(size)
    matrix = np.zeros((size, size))
    matrix[rows, columns] = half / np.where(rows == columns, 1.0, np.sqrt(2.0))
    return matrix + np.triu(matrix, 1).T


def by_user(log: EventLog, values: np.ndarray, *, items: int) -> sp.csr_matrix:
    """One value per event as a matrix of users by items.

    Shapes:
        values float64[N] -> csr float64[B, V].
    """
    return sp.csr_matrix((values, log.item, log.offsets), shape=(log.users, items))


def deviations(log: EventLog, *, frame: TasteFrame) -> np.ndarray:
    """Each event's rating less its item's mean, in quarters of the scale; zero in a log without
    ratings.

    Shapes:
        -> float64[N].
    """
    if log.rating is None:
        return np.zeros(len(log.item))
    return np.asarray(
        (np.asarray(log.rating, dtype=np.float64) - frame.item_mean[log.item]) / frame.rating_unit
    )


def _grams(rows: np.ndarray, *, offsets: np.ndarray) -> np.ndarray:
    """Each user's sum of outer products of event rows; one small product a user, so that its cost
    does not grow with the catalogue.

    Shapes:
        float64[N, D], offsets int64[B + 1] -> float64[B, D, D].
    """
    grams = np.empty((len(offsets) - 1, rows.shape[1], rows.shape[1]))
    for user, (start, end) in enumerate(pairwise(offsets)):
        np.matmul(rows[start:end].T, rows[start:end], out=grams[user])
    return grams


def _clipped(rows: np.ndarray, norm: float) -> np.ndarray:
    length = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.asarray(rows * np.minimum(1.0, norm / length))


def project_to_moment(half: np.ndarray, *, size: int) -> np.ndarray:
    """The nearest positive semi-definite matrix to a noisy second moment that has the same trace.

    Without the trace, cutting off negative eigenvalues would add the positive half of the noise to
    every variance.

    Shapes:
        float64[D (D + 1) / 2] -> float64[D, D].
    """
    values, vectors = np.linalg.eigh(from_half_vector(half, size=size))
    trace = float(values.sum())
    total = max(trace, MIN_TRACE)
    spectrum = total * project_to_simplex(values * (total / trace) if trace > 0 else values)
    return np.asarray((vectors * spectrum) @ vectors.T)


def taste_variances(half: np.ndarray, *, size: int, rated: bool = True) -> np.ndarray:
    """Variance of bias, of all slopes and of all tilts, before any projection: unbiased but for a
    floor. Unrated: tilts alone.

    Shapes:
        float64[D (D + 1) / 2] -> float64[3].
    """
    diagonal = np.diag(from_half_vector(half, size=size))
    cuts = (1, (size - 1) // 2 + 1) if rated else (0, 0)
    return np.maximum([part.sum() for part in np.split(diagonal, cuts)], MIN_TRACE)


def _decoded(known: Known, noisy: Measurement) -> Known:
    """The second moment of stacked tastes, over the noisy number of active users that the activity
    histogram paid for.
    """
    frame, half = TasteFrame.of(known), noisy.values / known["users"]
    moment, part = np.zeros((frame.size, frame.size)), frame.measured
    moment[part, part] = project_to_moment(half, size=frame.dimensions)
    variances = taste_variances(half, size=frame.dimensions, rated=frame.rated)
    return known.adding({"estimates.moment": moment, "estimates.taste_variance": variances})


def _tensors(known: Known) -> dict[str, Tensor]:
    if not known.plan.has("tastes"):
        return {}
    size = 2 * len(known.feature_names) + 1
    return {
        "estimates.moment": Tensor("F64", (size, size), "paid", ("tastes",)),
        "estimates.taste_variance": Tensor("F64", (3,), "paid", ("tastes",)),
    }


TASTES = Statistic(
    name="tastes",
    purpose="how users' tastes vary together, along item features",
    unit="squared taste norms",
    share=0.13,
    sensitivity=lambda schema: 1.0,
    noise_words="on each second moment of tastes, where one user counts at most 1",
    models=("gan", "moments"),
    vectors=lambda known: partial(second_moments, frame=TasteFrame.of(known)),
    size=lambda known: math.comb(TasteFrame.of(known).dimensions + 1, 2),
    decode=_decoded,
    tensors=_tensors,
)
