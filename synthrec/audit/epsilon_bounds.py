"""Bounds on epsilon: a lower one from one training run, by guessing who entered (Steinke, Nasr,
Jagielski 2023), and the most that any attacker can reach where all that is known is a claim.

Each of m coined users entered training by an independent fair coin. Whoever sees the release
guesses some of the coins and abstains from the others; v of r guesses are right. If the release is
(epsilon, delta)-DP for adding or removing one user, and guesses are made from the release, from
what is known of people, and not from any of these coins, then (their theorem 5.2), with q = 1 / (1
+ e^-epsilon),

    P[at least v right] <= f(v) + 2 m delta max_{1 <= i <= v} (f(v - i) - f(v)) / i,    f(k) =
    P[Binomial(r, q) >= k].

Why. Without delta, Bayes' rule bounds the chance that a guess is right, given the release and the
coins guessed before it, by q: whatever the release, a user's coin moves its probability by
e^epsilon at most. So the number of right guesses is stochastically at most a Binomial(r, q). With
delta, a release may besides be one that gives a coin away; how many coins it gives away, F, is at
most 2 delta for each of m users on average. So the number is at most Binomial + F, the chance at
most E[f(v - F)], and among all laws of F with mean 2 m delta or less that is no larger than what
the best law on 0 and one i reaches, which the line above bounds.

An epsilon is refuted when this chance lies below the error allowed. The chance rises with epsilon
wherever it is below one half (f does, and the second term is the slope of f over a stretch above
the binomial's mode), so the refuted ones are an interval from 0, and its end is found by bisection.
Many choices of attack and numbers of guesses are tried; they are fixed beforehand and share the
error (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from synthrec.audit.record import AttackBound, LowerBound
from synthrec.errors import DataError

CONFIDENCE = 0.95
CHOICES = (
    (0.02, 0.0),
    (0.05, 0.0),
    (0.1, 0.0),
    (0.2, 0.0),
    (0.1, 0.1),
    (0.4, 0.4),
)  # guessed in, guessed out: shares of all
METHOD = (
    "one-run audit (Steinke, Nasr, Jagielski 2023), binomial with delta, Bonferroni over choices"
)
UNFAIR = 1e-9  # chance of a fair coin to be as far from even as what is refused
_MAX_EPSILON = 700.0  # e^epsilon still is a number
_FAR = 40.0  # standard deviations of a binomial beyond which nothing of it is left


class _Choice(NamedTuple):
    attack: str
    guesses: int
    correct: int


def one_run_lower_bound(
    scores: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    coined: np.ndarray,
    delta: float,
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
) -> LowerBound | None:
    """The largest epsilon that one of the choices refutes at `delta`; None where no user's coin is
    known, or nothing was scored.

    A score may depend on the release, on the user and on anybody else, but on no coined user's
    coin: no attack that was fitted on their labels. Users whom an attack left out have a score of
    NaN: they are never guessed. Ties are broken by chance: an order of users that knows the coins
    would be a leak of the audit's own.

    Nothing is proved at a large delta: the chance is never far below 2 m delta / r. Ask at a
    smaller delta that the claim holds for too.

    Shapes:
        scores: attack -> (float[B] of `AuditSplits.trained`, float[H] of `AuditSplits.holdout`),
        higher says in; coined bool[B].

    Guarantees: wrong with chance 1 - confidence at most. The record is private (rule: audits are
    not private). Raises DataError where coins were not fair.
    """
    ins, outs = (
        int(np.count_nonzero(coined)),
        max((len(outside) for _, outside in scores.values()), default=0),
    )
    if ins == 0 or outs == 0:
        return None
    if stats.binomtest(ins, ins + outs, 0.5).pvalue < UNFAIR:
        raise DataError(
            "coined users must have entered by fair coins",
            found="far more on one side than a fair coin leaves",
            remedy="Mark as coined only users for whom a fair coin was thrown.",
        )
    tried = [
        choice
        for name, (inside, outside) in scores.items()
        for choice in _guessed(
            name, score=np.concatenate((inside[coined], outside)), ins=ins, rng=rng
        )
    ]
    if not tried:
        return None
    error = (1 - confidence) / len(tried)

    def most_refuted(guesses: int, correct: int) -> float:
        return epsilon_lower_bound(
            guesses=guesses, correct=correct, coined=ins + outs, delta=delta, error=error
        )

    found = [
        (most_refuted(each.guesses, each.correct), most_refuted(each.guesses, each.guesses), each)
        for each in tried
    ]
    epsilon, ceiling, best = max(found, key=lambda each: each[:2])
    return LowerBound(
        epsilon=epsilon,
        delta=delta,
        confidence=confidence,
        coined=ins + outs,
        guesses=best.guesses,
        correct=best.correct,
        choices=len(tried),
        ceiling=ceiling,
        attack=best.attack,
        method=METHOD,
    )


def _guessed(name: str, *, score: np.ndarray, ins: int, rng: np.random.Generator) -> list[_Choice]:
    """For each choice how many of its guesses are right; the first `ins` users are in. Shapes:
    score float[m].
    """
    order = np.lexsort(
        (rng.random(len(score)), -np.asarray(score, dtype=np.float64))
    )  # NaN comes last
    is_in = (order < ins)[: int(np.count_nonzero(~np.isnan(score)))]
    found = []
    for high, low in CHOICES:
        top, bottom = int(high * len(is_in)), int(low * len(is_in))
        if top + bottom:
            right = int(is_in[:top].sum()) + int((~is_in[len(is_in) - bottom :]).sum())
            found.append(_Choice(name, top + bottom, right))
    return found


@lru_cache(maxsize=4_096)
def epsilon_lower_bound(
    *, guesses: int, correct: int, coined: int, delta: float, error: float
) -> float:
    """The largest epsilon whose chance of so many right guesses is below `error`; 0 where even
    epsilon 0 explains them.
    """

    def refuted(epsilon: float) -> bool:
        return (
            one_run_p_value(epsilon, guesses=guesses, correct=correct, coined=coined, delta=delta)
            < error
        )

    if not refuted(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while refuted(high):
        low, high = high, 2 * high
        if high > _MAX_EPSILON:
            raise ValueError("a bound must be finite: error must lie above 0")
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def one_run_p_value(
    epsilon: float, *, guesses: int, correct: int, coined: int, delta: float
) -> float:
    """The most that (epsilon, delta)-DP leaves to the chance of `correct` right guesses or more:
    theorem 5.2, at most 1.

    All terms are sums of probabilities, so nothing cancels; terms of the maximum beyond the
    binomial's reach fall as 1 / i and are not looked at, which makes millions of guesses cheap.
    """
    right = float(special.expit(epsilon))
    reached = float(special.bdtrc(correct - 1, guesses, right))
    if delta == 0.0 or correct == 0:
        return min(1.0, reached)
    spread = np.sqrt(guesses * right * (1 - right)) + 1
    first = int(np.clip(guesses * right - _FAR * spread, 0, correct - 1))
    missed = np.cumsum(
        _binomial(np.arange(correct - 1, first - 1, -1), guesses=guesses, right=right)
    )  # P[correct > W >= correct - i]
    slope = float((missed / np.arange(1, len(missed) + 1)).max())
    return min(1.0, reached + 2 * coined * delta * slope)


def _binomial(outcome: np.ndarray, *, guesses: int, right: float) -> np.ndarray:
    """Chance of each outcome. Shapes: int[N] -> float64[N]."""
    ways = (
        special.gammaln(guesses + 1)
        - special.gammaln(outcome + 1)
        - special.gammaln(guesses - outcome + 1)
    )
    return np.asarray(
        np.exp(ways + special.xlogy(outcome, right) + special.xlog1py(guesses - outcome, -right))
    )


def bound_of_claim(*, epsilon: float, delta: float, fpr: float = 0.1) -> AttackBound:
    """The trade-off of (epsilon, delta)-differential privacy (Kairouz, Oh, Viswanath 2015): tight
    for the worst such mechanism.
    """
    alphas = np.unique(np.concatenate((np.linspace(0.0, 1.0, 101), [fpr])))
    growth = math.exp(min(epsilon, 700.0))
    tprs = 1 - np.maximum(
        0.0, np.maximum(1 - delta - growth * alphas, (1 - delta - alphas) / growth)
    )
    steps = np.diff(alphas) * tprs[1:]  # at or above the concave curve
    return AttackBound(
        fpr=fpr,
        tpr=float(tprs[np.searchsorted(alphas, fpr)]),
        auc=float(min(1.0, steps.sum())),
        advantage=(growth - 1 + 2 * delta) / (growth + 1),
        roc=tuple(zip(alphas.tolist(), tprs.tolist(), strict=True)),
    )
