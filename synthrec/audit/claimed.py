"""The most that any attacker can reach where all that is known is a claim of (epsilon, delta)."""

from __future__ import annotations

import math

import numpy as np

from synthrec.audit.record import AttackBound


def bound_of_claim(*, epsilon: float, delta: float, fpr: float = 0.1) -> AttackBound:
    """The trade-off of (epsilon, delta)-differential privacy (Kairouz, Oh, Viswanath 2015): tight for the worst such mechanism."""
    alphas = np.unique(np.concatenate((np.linspace(0.0, 1.0, 101), [fpr])))
    growth = math.exp(min(epsilon, 700.0))
    tprs = 1 - np.maximum(0.0, np.maximum(1 - delta - growth * alphas, (1 - delta - alphas) / growth))
    steps = np.diff(alphas) * tprs[1:]      # at or above the concave curve
    return AttackBound(fpr=fpr, tpr=float(tprs[np.searchsorted(alphas, fpr)]), auc=float(min(1.0, steps.sum())),
                       advantage=(growth - 1 + 2 * delta) / (growth + 1), roc=tuple(zip(alphas.tolist(), tprs.tolist(), strict=True)))
