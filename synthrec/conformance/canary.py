"""Canary users: what an attacker who sees every released gradient learns about who was in the log, against the claim.

Each canary was put in by a fair coin, with a gradient that only clipping keeps small, on a weight of its own; its score is the sum of what
arrived there. The audit's own estimator (`audit.lower_bound`: Steinke, Nasr and Jagielski 2023) turns scores and coins into a lower
bound on epsilon, which must not exceed what training's entries are charged with. How much could have been shown is printed beside it.

The bound is asked for at a far smaller delta than the plan's, since so small a false alarm cannot be had at a large one; the claim is read
at the same delta.
"""

from __future__ import annotations

import numpy as np

from synthrec.audit.lower_bound import one_run_lower_bound
from synthrec.conformance.record import Check, judged
from synthrec.conformance.statistics import FALSE_ALARM
from synthrec.conformance.watched import Watched
from synthrec.privacy.accounting import Accountant
from synthrec.privacy.plan import Training

DELTA = 1e-10


def canaries(training: Training, *, crowd: Watched) -> list[Check]:
    """One check: the lower bound from all canaries against the claim for the training's entries."""
    claim = Accountant([training.event(training.steps)]).epsilon(DELTA)
    scores, rng = crowd.canary.sum(axis=0), np.random.default_rng(0)       # ties alone are broken at random
    found, most = (_epsilon(each, included=crowd.included, rng=rng) for each in (scores, crowd.included.astype(np.float64)))
    return [judged("canaries", "lower bound on training's epsilon", statistic=found, low=0.0, high=claim, power=most > claim,
                   asked=f"from {len(scores):,} canaries at ten clip norms, half of them in; could have shown up to {most:.2f}, "
                         f"at delta {DELTA:g}")]


def _epsilon(scores: np.ndarray, *, included: np.ndarray, rng: np.random.Generator) -> float:
    """Wrong with chance FALSE_ALARM at most. Shapes: scores float64[C], included bool[C]."""
    bound = one_run_lower_bound({"canaries": (scores[included], scores[~included])}, coined=np.ones(int(included.sum()), dtype=bool),
                                delta=DELTA, rng=rng, confidence=1 - FALSE_ALARM)
    assert bound is not None, "canaries without a coin"
    return bound.epsilon
