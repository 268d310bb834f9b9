"""Confidence intervals of the audit's figures; every statistic leaves this package with one and
with its n.

Two-sided at 95 % unless said. Proportions: Wilson 1927, Clopper-Pearson 1934. AUC: DeLong, DeLong,
Clarke-Pearson 1988 with midranks (Sun, Xu 2014). Means over users and anything made of them: paired
bootstrap over users, percentile interval.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from synthrec.audit.record import Figure

CONFIDENCE = 0.95


def wilson(successes: int, *, n: int, confidence: float = CONFIDENCE) -> Figure:
    """A proportion with its score interval; the whole of [0, 1] when n is 0."""
    if n == 0:
        return Figure(value=0.0, low=0.0, high=1.0, n=0, method="Wilson", confidence=confidence)
    z = float(stats.norm.isf((1 - confidence) / 2))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Figure(
        value=share, low=float(low), high=float(high), n=n, method="Wilson", confidence=confidence
    )


def clopper_pearson(successes: int, *, n: int, confidence: float = CONFIDENCE) -> Figure:
    """A proportion with its exact interval: covers at least as often as it says, whatever the
    truth.
    """
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(stats.beta.ppf(tail, successes, n - successes + 1))
    high = 1.0 if successes == n else float(stats.beta.isf(tail, successes + 1, n - successes))
    return Figure(
        value=successes / n if n else 0.0,
        low=low,
        high=high,
        n=n,
        method="Clopper-Pearson",
        confidence=confidence,
    )


def auc(positive: np.ndarray, *, negative: np.ndarray, confidence: float = CONFIDENCE) -> Figure:
    """Chance that a positive scores above a negative, ties half, with DeLong's interval on the
    logit scale.

    Where DeLong's variance is zero it says nothing. Separated classes then get the exact limit of a
    proportion all of whose units, as many as the smaller class has, succeeded; constant scores the
    spread of scores that tell nothing, both classes as small as the smaller.
    """
    m, n = len(positive), len(negative)
    if m < 2 or n < 2:
        return Figure(value=0.5, low=0.0, high=1.0, n=m + n, method="DeLong", confidence=confidence)
    together = stats.rankdata(np.concatenate((positive, negative)))
    above_negative = (
        together[:m] - stats.rankdata(positive)
    ) / n  # for each positive: share of negatives below it
    above_positive = (
        1 - (together[m:] - stats.rankdata(negative)) / m
    )  # for each negative: share of positives above it
    value = float(above_negative.mean())
    variance = float(above_negative.var(ddof=1) / m + above_positive.var(ddof=1) / n)
    fewer = min(m, n)
    if variance <= 0.0 and value in (0.0, 1.0):
        exact = clopper_pearson(int(value) * fewer, n=fewer, confidence=confidence)
        return Figure(
            value=value,
            low=exact.low,
            high=exact.high,
            n=m + n,
            method="exact, classes separated",
            confidence=confidence,
        )
    if variance <= 0.0:
        variance = auc_variance(0.5, m=fewer, n=fewer)
    logit, z = np.log(value / (1 - value)), float(stats.norm.isf((1 - confidence) / 2))
    half = z * np.sqrt(variance) / (value * (1 - value))
    low, high = (1 / (1 + np.exp(-np.clip(logit + side * half, -700, 700))) for side in (-1, 1))
    return Figure(
        value=value,
        low=float(low),
        high=float(high),
        n=m + n,
        method="DeLong",
        confidence=confidence,
    )


def auc_variance(value: float, *, m: int, n: int) -> float:
    """Hanley and McNeil's (1982) variance of an AUC of `value`, m against n; at 0.5 that of scores
    that tell nothing.
    """
    q1, q2 = value / (2 - value), 2 * value * value / (1 + value)
    return (value * (1 - value) + (m - 1) * (q1 - value**2) + (n - 1) * (q2 - value**2)) / (m * n)


def detectable_auc(
    m: int, *, n: int, power: float = 0.8, level: float = 0.05, above: float = 0.5
) -> float:
    """Smallest AUC that a one-sided test at `level` tells from `above` with chance `power`; 1.0
    when classes are too small for any.
    """
    if m < 2 or n < 2:
        return 1.0
    needed = above + float(stats.norm.isf(level)) * np.sqrt(auc_variance(above, m=m, n=n))
    z_power = float(stats.norm.ppf(power))
    low, high = above, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        enough = middle - needed >= z_power * np.sqrt(max(auc_variance(middle, m=m, n=n), 0.0))
        low, high = (low, middle) if enough else (middle, high)
    return high


def resamples(users: int, *, count: int, rng: np.random.Generator) -> np.ndarray:
    """How often each bootstrap resample takes each user; one array for all arms pairs them. Shapes:
    float32[count, U].
    """
    return np.stack(
        [np.bincount(rng.integers(0, users, users), minlength=users) for _ in range(count)]
    ).astype(np.float32)


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    weights: np.ndarray,
    n: int,
    confidence: float = CONFIDENCE,
) -> Figure | None:
    """A statistic of weighted users with its percentile interval; None where it is not defined (a
    zero denominator).

    Shapes:
        statistic: float[R, U] weights -> float[R]; weights float32[R, U] from `resamples`.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(np.ones((1, weights.shape[1]), dtype=np.float64))[0])
        drawn = np.asarray(statistic(weights), dtype=np.float64)
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or len(drawn) < 0.9 * len(weights):
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return Figure(
        value=value,
        low=float(min(low, value)),
        high=float(max(high, value)),
        n=n,
        method=f"paired bootstrap over users, {len(weights):,} resamples",
        confidence=confidence,
    )
