"""From figures per test user to figures of a table: means over seeds, each with a bootstrap over
users and its spread over seeds.

Within a seed every arm meets the same users and the same resamples, so a difference of two arms is
paired. Over seeds, resample r of the mean is the mean of the seeds' own resamples r, drawn apart.
The intervals speak of the test users drawn; how much training noise moves a figure is seen in the
spread over seeds (highest minus lowest), each of which trained anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthrec.audit.intervals import CONFIDENCE
from synthrec.audit.scores import RatingErrors
from synthrec.audit.utility import NOTHING, POPULARITY, REAL, ArmScores

Statistic = Callable[[Mapping[str, ArmScores], np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Seed:
    """All arms of one split at one epsilon, and the resamples that pair them. Shapes: weights
    float32[R, U].
    """

    arms: Mapping[str, ArmScores]
    weights: np.ndarray


@dataclass(frozen=True)
class Mean:
    """A figure over seeds."""

    value: float
    low: float
    high: float
    by_seed: tuple[float, ...]

    @property
    def spread(self) -> float:
        """Highest seed minus lowest."""
        return max(self.by_seed) - min(self.by_seed)

    def rounded(self) -> dict[str, object]:
        """For JSON."""
        return {
            "value": round(self.value, 5),
            "low": round(self.low, 5),
            "high": round(self.high, 5),
            "by_seed": [round(value, 5) for value in self.by_seed],
        }


def mean_over(seeds: Sequence[Seed], statistic: Statistic) -> Mean:
    """A statistic's mean over seeds with its interval."""
    values = [float(statistic(seed.arms, np.ones((1, seed.weights.shape[1])))[0]) for seed in seeds]
    drawn = np.mean([statistic(seed.arms, seed.weights) for seed in seeds], axis=0)
    low, high = np.quantile(drawn, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Mean(
        value=float(np.mean(values)), low=float(low), high=float(high), by_seed=tuple(values)
    )


def rmse(arms: Mapping[str, ArmScores], weights: np.ndarray, *, arm: str) -> np.ndarray:
    """Of rating predictions."""
    errors = _errors(arms[arm])
    return np.asarray(np.sqrt((weights @ errors.squared) / (weights @ errors.events)))


def ndcg(arms: Mapping[str, ArmScores], weights: np.ndarray, *, arm: str) -> np.ndarray:
    """NDCG@10 over users with something relevant."""
    values = arms[arm].ndcg
    assert values is not None
    known = np.isfinite(values)
    return np.asarray((weights[:, known] @ values[known]) / weights[:, known].sum(axis=1))


def statistics(arm: ArmScores) -> dict[str, Statistic]:
    """What is said of one arm; what it has no scores for is left out."""
    found: dict[str, Statistic] = {}
    if arm.errors is not None:
        found["rmse"] = lambda arms, weights: rmse(arms, weights, arm=arm.name)
        found["bias_rmse"] = lambda arms, weights: np.sqrt(
            (weights @ _errors(arms[arm.name]).bias_squared)
            / (weights @ _errors(arms[arm.name]).events)
        )
    if arm.ndcg is not None:
        found["ndcg"] = lambda arms, weights: ndcg(arms, weights, arm=arm.name)
    if arm.name in (NOTHING, POPULARITY, REAL):
        return found
    if arm.errors is not None:
        found["gap_closed"] = lambda arms, weights: _gap(
            rmse, arms, weights, arm=arm.name, floor=NOTHING
        )
    if arm.ndcg is not None:
        found["ranking_gap_closed"] = lambda arms, weights: _gap(
            ndcg, arms, weights, arm=arm.name, floor=POPULARITY
        )
    return found


def differences(one: ArmScores, two: ArmScores) -> dict[str, Statistic]:
    """`one` minus `two`, of RMSE (below zero: `one` is better) and of NDCG@10 (above zero: `one` is
    better).
    """
    found: dict[str, Statistic] = {}
    if one.errors is not None and two.errors is not None:
        found["rmse"] = lambda arms, weights: (
            rmse(arms, weights, arm=one.name) - rmse(arms, weights, arm=two.name)
        )
    if one.ndcg is not None and two.ndcg is not None:
        found["ndcg"] = lambda arms, weights: (
            ndcg(arms, weights, arm=one.name) - ndcg(arms, weights, arm=two.name)
        )
    return found


def _gap(
    figure: Callable[..., np.ndarray],
    arms: Mapping[str, ArmScores],
    weights: np.ndarray,
    *,
    arm: str,
    floor: str,
) -> np.ndarray:
    bottom, top = (figure(arms, weights, arm=name) for name in (floor, REAL))
    return np.asarray((figure(arms, weights, arm=arm) - bottom) / (top - bottom))


def _errors(arm: ArmScores) -> RatingErrors:
    assert arm.errors is not None
    return arm.errors
