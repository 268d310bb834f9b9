"""The one helper of statistical tests: numbers of draws follow from a stated false-alarm rate, tests have power against x0.7 and x1.3.

Privacy noise has no seed (rule 7), so what is tested here is fresh at each run; the false-alarm rate says how seldom a right tool fails.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import stats

FALSE_ALARM = 1e-7
WRONG_SCALES = (0.7, 1.3)


@lru_cache(maxsize=1)
def draws_for_scale() -> int:
    """Fewest draws with which a chi-square test of a scale fails neither the truth nor to see x0.7 and x1.3, each at FALSE_ALARM."""
    draws = 10
    while True:
        low, high = stats.chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], draws)
        if high * WRONG_SCALES[0] ** 2 < low and low * WRONG_SCALES[1] ** 2 > high:
            return draws
        draws = draws + 10


def has_scale(noise: np.ndarray, std: float) -> bool:
    """Is normal noise of mean 0 of this standard deviation? Chi-square test."""
    noise = np.asarray(noise, dtype=np.float64).ravel()
    assert len(noise) >= draws_for_scale(), "too few draws for a test with power"
    low, high = stats.chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], len(noise))
    return bool(low <= float(((noise / std) ** 2).sum()) <= high)


def is_fresh(draw: Callable[[], np.ndarray]) -> bool:
    """Are two calls independent? Their correlation, at FALSE_ALARM; noise that is not there is not fresh."""
    one, two = (np.asarray(draw(), dtype=np.float64).ravel() for _ in range(2))
    size = np.linalg.norm(one) * np.linalg.norm(two)
    return bool(size > 0 and abs(one @ two) / size <= stats.norm.isf(FALSE_ALARM / 2) / np.sqrt(len(one)))


def accepts_only_the_truth(draw: Callable[[], np.ndarray], std: float) -> bool:
    """Draws of `std` pass, the same draws times 0.7 and 1.3 do not, and the next ones are new."""
    noise = np.asarray(draw(), dtype=np.float64)
    while noise.size < draws_for_scale():
        noise = np.concatenate((noise.ravel(), np.asarray(draw(), dtype=np.float64).ravel()))
    return has_scale(noise, std) and not any(has_scale(noise * wrong, std) for wrong in WRONG_SCALES) and is_fresh(draw)


def are_binomial(counts: np.ndarray, *, trials: int, chance: float) -> bool:
    """Are all these counts plausible draws of Binomial(trials, chance), and as spread as such draws are?"""
    counts = np.asarray(counts)
    rate = FALSE_ALARM / len(counts) / 2
    low, high = stats.binom.ppf([rate, 1 - rate], trials, chance)
    if not ((counts >= low) & (counts <= high)).all():
        return False
    spread = ((counts - trials * chance) ** 2).sum() / (trials * chance * (1 - chance))
    low, high = stats.chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], len(counts))
    return bool(0.9 * low <= spread <= 1.1 * high)      # a binomial is not quite normal
