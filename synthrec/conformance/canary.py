"""Canary users: what an attacker who sees every released gradient learns about who was in the log, against the claim.

Each canary was put in by a fair coin, with a gradient that only clipping keeps small, on a weight of its own; in an honest training their
scores are independent, so they are pooled. Thresholds are fixed by the plan before a score is seen; intervals are Clopper and Pearson's,
with their errors added over all thresholds. A lower bound on epsilon follows from both rates of error (Kairouz, Oh and Viswanath 2015); it
must not exceed what the entries of training are charged with. How much could have been shown at most is printed beside it. Several
canaries in one run: Steinke, Nasr and Jagielski (2023).
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from synthrec.conformance.record import Check, judged
from synthrec.conformance.statistics import FALSE_ALARM
from synthrec.conformance.watched import Watched
from synthrec.privacy.accounting import Accountant
from synthrec.privacy.plan import Training

PLACES = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)        # thresholds, in standard deviations of the noise about the middle


def canaries(training: Training, *, delta: float, crowd: Watched) -> list[Check]:
    """One check: the pooled lower bound against the claim for the training's entries."""
    claim = Accountant([training.event(training.steps)]).epsilon(delta)
    scores = crowd.canary.sum(axis=0)
    found = lower_bound(scores, included=crowd.included, thresholds=thresholds(training), delta=delta)
    most = ceiling(included=crowd.included, delta=delta)
    return [judged("canaries", "lower bound on training's epsilon", statistic=found, low=0.0, high=claim, power=most > claim,
                   asked=f"from {len(scores):,} canaries at ten clip norms, half of them in; could have shown up to {most:.2f}")]


def thresholds(training: Training) -> np.ndarray:
    """Between the scores to expect out and in: public constants."""
    middle = training.steps * training.sampling_rate / 2
    return np.asarray(middle + training.noise_multiplier * math.sqrt(training.steps) * np.asarray(PLACES))


def lower_bound(scores: np.ndarray, *, included: np.ndarray, thresholds: np.ndarray, delta: float) -> float:
    """The largest epsilon that some threshold proves, at least 0; wrong with chance FALSE_ALARM at most.

    Shapes:
        scores float64[C], included bool[C].
    """
    error = FALSE_ALARM / (4 * len(thresholds))
    best = 0.0
    for threshold in thresholds:
        above = scores > threshold
        hits, alarms = int((above & included).sum()), int((above & ~included).sum())
        ins, outs = int(included.sum()), int((~included).sum())
        best = max(best, _epsilon(hits, ins, alarms, outs, delta=delta, error=error),
                   _epsilon(outs - alarms, outs, ins - hits, ins, delta=delta, error=error))
    return best


def ceiling(*, included: np.ndarray, delta: float) -> float:
    """What scores that never err would prove."""
    return lower_bound(included.astype(np.float64), included=included, thresholds=np.full(len(PLACES), 0.5), delta=delta)


def _epsilon(right: int, of: int, wrong: int, among: int, *, delta: float, error: float) -> float:
    least = float(stats.beta.ppf(error, right, of - right + 1)) if right else 0.0
    most = float(stats.beta.ppf(1 - error, wrong + 1, among - wrong)) if wrong < among else 1.0
    return math.log((least - delta) / most) if least > delta else 0.0
