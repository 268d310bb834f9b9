"""Confidence intervals of the audit's figures; every statistic leaves this package with one and
with its n.

Two-sided at 95 % unless said. Proportions: Wilson 1927, Clopper-Pearson 1934. AUC: DeLong, DeLong,
Clarke-Pearson 1988 with midranks (Sun, Xu 2014). Means over users and anything made of them: paired
bootstrap over users, percentile interval.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize, special, stats

from synthrec.audit.record import Figure

CONFIDENCE = 0.95
SCIPY_METHODS = {"Wilson": "wilson", "Clopper-Pearson": "exact"}


def wilson(successes: int, *, n: int, confidence: float = CONFIDENCE) -> Figure:
    """A proportion with its score interval; the whole of [0, 1] when n is 0."""
    return _proportion(successes, n=n, method="Wilson", confidence=confidence)


def clopper_pearson(successes: int, *, n: int, confidence: float = CONFIDENCE) -> Figure:
    """A proportion with its exact interval: covers at least as often as it says, whatever the
    truth.
    """
    return _proportion(successes, n=n, method="Clopper-Pearson", confidence=confidence)


def _proportion(successes: int, *, n: int, method: str, confidence: float) -> Figure:
    low, high = 0.0, 1.0
    if n:
        test = stats.binomtest(int(successes), n)
        low, high = test.proportion_ci(confidence, method=SCIPY_METHODS[method])
    value = successes / n if n else 0.0
    return Figure(
        value=value, low=float(low), high=float(high), n=n, method=method, confidence=confidence
    )


def auc(positive: np.ndarray, *, negative: np.ndarray, confidence: float = CONFIDENCE) -> Figure:
    """Chance that a positive scores above a negative, ties half, with DeLong's interval on the
    logit scale.

    Where DeLong's variance is zero it says nothing. Separated classes then get the exact limit of a
    proportion all of whose units, as many as the smaller class has, succeeded; constant scores the
    spread of scores that tell nothing, both classes as small as the smaller.
    """
    m, n = len(positive), len(negative)
    value, low, high, method = 0.5, 0.0, 1.0, "DeLong"
    if min(m, n) >= 2:
        below, above = _placements(positive, negative)
        value = float(below.mean())
        variance = float(below.var(ddof=1) / m + above.var(ddof=1) / n)
        if variance <= 0.0 and value in (0.0, 1.0):
            exact = clopper_pearson(int(value) * min(m, n), n=min(m, n), confidence=confidence)
            low, high, method = exact.low, exact.high, "exact, classes separated"
        else:
            if variance <= 0.0:
                variance = auc_variance(0.5, m=min(m, n), n=min(m, n))
            half = stats.norm.isf((1 - confidence) / 2) * np.sqrt(variance) / (value * (1 - value))
            low, high = special.expit(special.logit(value) + half * np.array([-1, 1]))
    return Figure(
        value=value,
        low=float(low),
        high=float(high),
        n=m + n,
        method=method,
        confidence=confidence,
    )


def _placements(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each positive the share of negatives below it, for each negative of positives above."""
    m, n = len(positive), len(negative)
    ranks = stats.rankdata(np.concatenate((positive, negative)))
    below = (ranks[:m] - stats.rankdata(positive)) / n
    return below, 1 - (ranks[m:] - stats.rankdata(negative)) / m


def auc_difference(
    one: tuple[np.ndarray, np.ndarray], *, other: tuple[np.ndarray, np.ndarray]
) -> Figure:
    """AUC of one score less that of another of the same people, with DeLong's paired interval.
    Shapes: positive float[m] and negative float[n], both times in the same order.
    """
    below, above = (
        first - second for first, second in zip(_placements(*one), _placements(*other), strict=True)
    )
    value = float(below.mean())
    spread = float(np.sqrt(below.var(ddof=1) / len(below) + above.var(ddof=1) / len(above)))
    half = float(stats.norm.isf((1 - CONFIDENCE) / 2)) * spread
    return Figure(
        value=value,
        low=value - half,
        high=value + half,
        n=len(below) + len(above),
        method="DeLong, paired",
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
    if needed >= 1:
        return 1.0
    z_power = float(stats.norm.ppf(power))

    def surplus(value: float) -> float:
        return float(value - needed - z_power * np.sqrt(max(auc_variance(value, m=m, n=n), 0.0)))

    return float(optimize.brentq(surplus, above, 1.0, xtol=1e-15))


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
    method = f"paired bootstrap over users, {len(weights):,} resamples"
    return percentile(value, drawn=drawn, n=n, method=method, confidence=confidence)


def mean(values: np.ndarray, *, weights: np.ndarray) -> Figure:
    """Mean of finite figures of users. Shapes: values float[U], weights float32[R, U]."""
    found = bootstrap(lambda w: (w @ values) / w.sum(axis=1), weights=weights, n=len(values))
    assert found is not None, "a mean of finite values is finite"
    return found


def percentile(
    value: float, *, drawn: np.ndarray, n: int, method: str, confidence: float = CONFIDENCE
) -> Figure:
    """A statistic with the percentile interval of its resamples, which always holds it. Shapes:
    drawn float[R].
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return Figure(
        value=value,
        low=float(min(low, value)),
        high=float(max(high, value)),
        n=n,
        method=method,
        confidence=confidence,
    )
