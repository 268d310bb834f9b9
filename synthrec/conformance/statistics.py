"""The statistical tests: numbers of draws follow from a stated false-alarm rate, tests have power
against x0.95 and x1.05.

Privacy noise has no seed (rule: system noise), so what is tested here is fresh at each run; the
false-alarm rate says how seldom a right tool fails.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import stats

FALSE_ALARM = 1e-7
WRONG_SCALES = (0.95, 1.05)


@lru_cache(maxsize=1)
def draws_for_scale() -> int:
    """Fewest draws with which a chi-square test of a scale fails neither the truth nor to see x0.95
    and x1.05, each at FALSE_ALARM.
    """
    draws = 10
    while not tells_scales_apart(draws):
        draws += max(10, draws // 100)
    return draws


def scale_range(draws: int) -> tuple[float, float]:
    """Where the root mean square of so many standard normal numbers lies, but for FALSE_ALARM: a
    chi-square test.
    """
    low, high = stats.chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], draws)
    return math.sqrt(low / draws), math.sqrt(high / draws)


def scale_of(noise: np.ndarray, std: float) -> float:
    """Root mean square in units of `std`."""
    return float(np.sqrt(np.mean((np.asarray(noise, dtype=np.float64) / std) ** 2)))


def tells_scales_apart(draws: int, *, wrong: tuple[float, float] = WRONG_SCALES) -> bool:
    """Would a noise of the right scale times 0.95 or 1.05 leave the range?"""
    low, high = scale_range(draws)
    return high * wrong[0] < low and low * wrong[1] > high


def correlation(one: np.ndarray, two: np.ndarray) -> float:
    """Of two series of mean 0; 1 where one of them is nothing at all."""
    one, two = (np.asarray(each, dtype=np.float64).ravel() for each in (one, two))
    size = float(np.linalg.norm(one) * np.linalg.norm(two))
    return float(one @ two) / size if size > 0 else 1.0


def largest_correlation(draws: int, *, pairs: int = 1) -> float:
    """How far the largest of so many correlations of independent series goes, but for FALSE_ALARM;
    never as far as 1.
    """
    return min(1 - 1e-9, float(stats.norm.isf(FALSE_ALARM / 2 / pairs) / math.sqrt(draws)))


def binomial_spread(counts: np.ndarray, *, trials: int, chance: float) -> float:
    """Mean squared distance from the expectation, in variances."""
    return float(
        ((np.asarray(counts) - trials * chance) ** 2).mean() / (trials * chance * (1 - chance))
    )


def spread_range(draws: int) -> tuple[float, float]:
    """Where that mean lies, but for FALSE_ALARM; a little wider, since a binomial is not quite
    normal.
    """
    low, high = stats.chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], draws) / draws
    return 0.9 * float(low), 1.1 * float(high)
