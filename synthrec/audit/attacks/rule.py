"""When attacks say that a release leaks: the one rule that the verdict and every control use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from synthrec.audit.record import Attack


class Rule(Protocol):
    """The part of the policy that this rule reads, fixed before anything is scored."""

    @property
    def leak_auc(self) -> float:
        """A leak's AUC lies above this with confidence."""

    @property
    def confidence(self) -> float:
        """Of intervals; what is left of 1 is how often all attacks together may raise a false alarm."""

    @property
    def power(self) -> float:
        """The share of draws in which a planted leak must be found."""


def flagged(attacks: Sequence[Attack], policy: Rule) -> bool:
    """Is there an attack whose AUC passes one half after Holm's correction, and whose lower limit passes the policy's limit?"""
    return any(attack.p_holm <= 1 - policy.confidence and attack.auc.low > policy.leak_auc for attack in attacks)


def strongest(attacks: Sequence[Attack]) -> Attack:
    """The headline: the largest lower limit of AUC."""
    return max(attacks, key=lambda attack: attack.auc.low)
