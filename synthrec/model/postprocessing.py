"""From noisy sums to estimates: post-processing, which costs nothing.

Counts by a nonparametric empirical Bayes prior (Koenker and Mizera 2014, by fixed-point iteration
on a grid), item means by a regression on features with estimated prior variance (Fay and Herriot
1979), histograms and second moments by projection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthrec.model.attribute_effects import GroupDifferences
from synthrec.model.event_types import EventTypeTables
from synthrec.model.item_features import ItemFeatures
from synthrec.model.population import Shares
from synthrec.model.tastes import TasteFrame, from_half_vector
from synthrec.model.time_stats import TimeTables
from synthrec.privacy.mechanisms import Measurement

# of an event's count beside its rating deviation (in quarters of the scale) in a user's vector
COUNT_WEIGHT = 0.7
GRID = 150
ROUNDS = 200
PRIOR_ITEMS = 5000  # items that the prior of counts is fitted on, at most
RATING_VARIANCE = 1.1  # of one rating around its item's mean, in squared quarters of the scale
MIN_PRIOR_VARIANCE = 0.005
SLOPE_PENALTY = 5.0
MIN_TRACE = 1e-4  # of a second moment, in squared taste norms


@dataclass(frozen=True)
class Estimates:
    """What the generator is anchored to; all of it paid for.

    Shapes:
        activity float64[len(activity_edges) - 1]; levels, rating_shares float64[L]; moment
        float64[D, D], D = frame.size, the second moment of stacked tastes, or None; taste_variance
        float64[3] of bias, slopes and tilts, or None; attributes name -> float64[size + 1]. Shares
        sum to 1. groups: None where no attribute's values are told apart.
    """

    frame: TasteFrame
    feature_names: tuple[str, ...]
    activity_edges: tuple[int, ...]
    activity: np.ndarray
    levels: np.ndarray
    rating_shares: np.ndarray
    moment: np.ndarray | None
    taste_variance: np.ndarray | None
    attributes: dict[str, np.ndarray]
    times: TimeTables | None
    groups: GroupDifferences | None = None
    habits: EventTypeTables | None = (
        None  # of a log whose events have types, numbers, baskets or repeats
    )

    @property
    def shares(self) -> Shares:
        """What users' conditions are drawn from."""
        return Shares(edges=self.activity_edges, activity=self.activity, attributes=self.attributes)


def estimate_items(items: Measurement, *, features: ItemFeatures) -> tuple[np.ndarray, np.ndarray]:
    """How often each item is picked (in events, above 0) and its mean deviation in quarters of the
    scale.

    Shapes:
        items.values float64[2V], or float64[V] of a log without ratings, whose mean deviations are
        0 -> float64[V], float64[V].
    """
    if len(items.values) == len(features.values):
        return shrunken_counts(items.values, noise_std=items.noise_std), np.zeros(len(items.values))
    counts, sums = np.split(items.values, 2)
    count = shrunken_counts(counts, noise_std=items.noise_std)
    return count, _means(
        sums * COUNT_WEIGHT,
        count=count,
        noise_std=items.noise_std * COUNT_WEIGHT,
        features=features,
    )


def item_codes(
    sums: np.ndarray,
    *,
    noise_std: float,
    count: np.ndarray,
    shares: np.ndarray,
    features: ItemFeatures,
) -> np.ndarray:
    """One code for each item, such that their shares, weighted by popularity, are as measured, and
    their order is the estimated one.

    Shapes:
        sums float64[V] of standardised codes over picks, shares float64[cells] -> int16[V].
    """
    order = np.argsort(
        _means(sums, count=count, noise_std=noise_std, features=features), kind="stable"
    )
    weight = count[order] / count.sum()
    found = np.empty(len(count), dtype=np.int16)
    found[order] = np.searchsorted(np.cumsum(shares), np.cumsum(weight) - weight / 2).clip(
        0, len(shares) - 1
    )
    return found


def shrunken_counts(noisy: np.ndarray, *, noise_std: float) -> np.ndarray:
    """Posterior means of counts under a prior estimated from all of them; without noise the counts
    themselves, above 0.

    Shapes:
        float64[V] -> float64[V].
    """
    if noise_std == 0:
        return np.maximum(noisy, 1e-3)
    grid = np.geomspace(0.02 * noise_std, 1.05 * max(noisy.max(), 3 * noise_std), GRID)
    some = noisy[:: max(1, len(noisy) // PRIOR_ITEMS)]
    likelihood = np.exp(-0.5 * ((some[:, None] - grid) / noise_std) ** 2) + 1e-300
    prior = np.full(GRID, 1 / GRID)
    for _ in range(ROUNDS):
        posterior = likelihood * prior
        prior = (posterior / posterior.sum(axis=1, keepdims=True)).mean(axis=0)
    found = np.empty(len(noisy))
    for start in range(0, len(noisy), PRIOR_ITEMS):
        part = slice(start, start + PRIOR_ITEMS)
        weight = (np.exp(-0.5 * ((noisy[part, None] - grid) / noise_std) ** 2) + 1e-300) * prior
        found[part] = weight @ grid / weight.sum(axis=1)
    clear = (
        noise_std / (grid[1] / grid[0] - 1) / 2
    )  # beyond, the grid is coarser than the noise, which is then a small part of a count
    return np.where(noisy > clear, noisy, found)


def _means(
    sums: np.ndarray, *, count: np.ndarray, noise_std: float, features: ItemFeatures
) -> np.ndarray:
    """Posterior mean deviation of each item: a regression on features and log count, pulled to the
    item's own noisy mean.
    """
    own = sums / count
    variance = (noise_std / count) ** 2 + RATING_VARIANCE / count
    plain = features.standardised(np.ones(len(count))).values
    design = np.column_stack([np.ones(len(count)), plain, np.log(count) / 2])
    penalty = np.diag(np.concatenate(([1e-3], np.full(design.shape[1] - 1, SLOPE_PENALTY))))
    prior = 0.15
    for _ in range(30):
        weight = 1 / (variance + prior)
        fitted = design @ np.linalg.solve(
            (design * weight[:, None]).T @ design + penalty, (design * weight[:, None]).T @ own
        )
        posterior = fitted + prior * weight * (own - fitted)
        spread = (posterior - fitted) ** 2 + 1 / (1 / variance + 1 / prior)
        prior = max(MIN_PRIOR_VARIANCE, float(spread @ weight / weight.sum()))
    return posterior


def project_to_simplex(noisy: np.ndarray) -> np.ndarray:
    """The nearest shares (at least 0, sum 1) to a noisy histogram over its own total (Duchi et al.
    2008).

    Shapes:
        float64[L] -> float64[L].
    """
    total = noisy.sum()
    if total <= 0:
        return np.full(len(noisy), 1 / max(1, len(noisy)))
    shares = noisy / total
    falling = np.sort(shares)[::-1]
    excess = (np.cumsum(falling) - 1) / np.arange(1, len(shares) + 1)
    threshold = excess[np.flatnonzero(falling > excess)[-1]]
    found = np.maximum(shares - threshold, 0)
    return found / found.sum()


def project_to_moment(half: np.ndarray, *, size: int) -> np.ndarray:
    """The nearest positive semi-definite matrix to a noisy second moment that has the same trace.

    Without the trace, cutting off negative eigenvalues would add the positive half of the noise to
    every variance.

    Shapes:
        float64[D (D + 1) / 2] -> float64[D, D].
    """
    values, vectors = np.linalg.eigh(from_half_vector(half, size=size))
    total = max(float(values.sum()), MIN_TRACE)
    return np.asarray(
        (
            vectors
            * (
                total
                * project_to_simplex(
                    values * (total / values.sum()) if values.sum() > 0 else values
                )
            )
        )
        @ vectors.T
    )


def taste_variances(half: np.ndarray, *, size: int, rated: bool = True) -> np.ndarray:
    """Variance of bias, of all slopes and of all tilts, before any projection: unbiased but for a
    floor. Unrated: tilts alone.

    Shapes:
        float64[D (D + 1) / 2] -> float64[3].
    """
    diagonal = np.diag(from_half_vector(half, size=size))
    if not rated:
        return np.maximum([0.0, 0.0, diagonal.sum()], MIN_TRACE)
    count = (size - 1) // 2
    parts = [diagonal[:1].sum(), diagonal[1 : count + 1].sum(), diagonal[count + 1 :].sum()]
    return np.maximum(parts, MIN_TRACE)
