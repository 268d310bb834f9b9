"""The statistical tests of the conformance suite as yes or no: numbers of draws, ranges and
false-alarm rate are the suite's own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from synthrec.conformance.statistics import (
    FALSE_ALARM,
    WRONG_SCALES,
    binomial_spread,
    correlation,
    draws_for_scale,
    largest_correlation,
    scale_of,
    scale_range,
    spread_range,
)

__all__ = [
    "FALSE_ALARM",
    "WRONG_SCALES",
    "accepts_only_the_truth",
    "are_binomial",
    "draws_for_scale",
    "has_scale",
    "is_fresh",
]


def has_scale(noise: np.ndarray, std: float) -> bool:
    """Is normal noise of mean 0 of this standard deviation? Chi-square test."""
    noise = np.asarray(noise, dtype=np.float64).ravel()
    assert len(noise) >= draws_for_scale(), "too few draws for a test with power"
    low, high = scale_range(len(noise))
    return low <= scale_of(noise, std) <= high


def is_fresh(draw: Callable[[], np.ndarray]) -> bool:
    """Are two calls independent? Their correlation, at FALSE_ALARM; noise that is not there is not
    fresh.
    """
    one, two = (np.asarray(draw(), dtype=np.float64).ravel() for _ in range(2))
    return abs(correlation(one, two)) <= largest_correlation(len(one))


def accepts_only_the_truth(draw: Callable[[], np.ndarray], std: float) -> bool:
    """Draws of `std` pass, the same draws times 0.95 and 1.05 do not, and the next ones are new."""
    noise = np.asarray(draw(), dtype=np.float64)
    while noise.size < draws_for_scale():
        noise = np.concatenate((noise.ravel(), np.asarray(draw(), dtype=np.float64).ravel()))
    return (
        has_scale(noise, std)
        and not any(has_scale(noise * wrong, std) for wrong in WRONG_SCALES)
        and is_fresh(draw)
    )


def are_binomial(counts: np.ndarray, *, trials: int, chance: float) -> bool:
    """Are all these counts plausible draws of Binomial(trials, chance), and as spread as such draws
    are?
    """
    return within_binomial(counts, trials=trials, chance=chance) and is_binomial_spread(
        counts, trials=trials, chance=chance
    )


def within_binomial(counts: np.ndarray, *, trials: int, chance: float) -> bool:
    """Is each count a plausible draw?"""
    counts = np.asarray(counts)
    rate = FALSE_ALARM / len(counts) / 2
    low, high = stats.binom.ppf([rate, 1 - rate], trials, chance)
    return bool(((counts >= low) & (counts <= high)).all())


def is_binomial_spread(counts: np.ndarray, *, trials: int, chance: float) -> bool:
    """Do the counts scatter as such draws do?"""
    low, high = spread_range(len(np.asarray(counts)))
    return low <= binomial_spread(counts, trials=trials, chance=chance) <= high
