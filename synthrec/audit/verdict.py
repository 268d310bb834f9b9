"""What the audit concludes, by a policy fixed before anything is scored.

A verdict is about one attack on one release. It says what was found and what could have been found; similarity is never a pass, and a pass
without a control that was found is none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from synthrec.audit import intervals
from synthrec.audit.record import Attack, AttackBound, Verdict

POLICY: dict[str, float] = {
    "version": 1,
    "leak_auc": 0.52,               # a leak: the AUC's lower limit lies above this; the control must be found by the same rule
    "least_users_per_class": 20,    # members, holdout and reference users each; fewer say nothing
    "confidence": intervals.CONFIDENCE,
}


class Conclusion(NamedTuple):
    """A verdict and the sentence that gives its reason."""

    verdict: Verdict
    reason: str


def conclude(attack: Attack | None, *, control: Attack | None, bound: AttackBound | None) -> Conclusion:
    """The worst of what the figures allow to be said; `None` for what was not run or not proved."""
    if attack is None:
        return Conclusion(Verdict.NOT_RUN, "There were no holdout users to compare with: run with --audit-share above 0.")
    if bound is not None and (broken := _refutes(attack, bound=bound)):
        return Conclusion(Verdict.CLAIM_REFUTED, broken)
    smallest = min(attack.members, attack.holdout, attack.reference)
    if smallest >= POLICY["least_users_per_class"] and _found(attack):
        return Conclusion(Verdict.LEAK_DETECTED, (
            f"The attack tells members from holdout users with AUC {attack.auc.value:.3f}, at least {attack.auc.low:.3f}; "
            f"the policy's limit is {POLICY['leak_auc']:.2f}."))
    if smallest < POLICY["least_users_per_class"]:
        return Conclusion(Verdict.INCONCLUSIVE, (
            f"The attack needs at least {POLICY['least_users_per_class']:.0f} members, holdout users and reference users each: "
            "use a larger log or a larger --audit-share."))
    if control is None:
        return Conclusion(Verdict.INCONCLUSIVE, "No leak was planted to see whether the attack would find one.")
    if not _found(control):
        return Conclusion(Verdict.INCONCLUSIVE, (
            f"A leak planted on purpose was not found (AUC {control.auc.value:.3f}, at least {control.auc.low:.3f}), "
            "so finding nothing in the release says nothing."))
    findable = intervals.detectable_auc(attack.members, n=attack.holdout, level=(1 - POLICY["confidence"]) / 2, above=POLICY["leak_auc"])
    return Conclusion(Verdict.NO_LEAK_FOUND, (
        f"The attack's AUC is {attack.auc.value:.3f} (95 % interval {attack.auc.low:.3f} to {attack.auc.high:.3f}); with "
        f"{attack.members:,} members and {attack.holdout:,} holdout users an AUC of {findable:.3f} or more would be called a leak four "
        f"times in five, and a leak planted on purpose was found (AUC {control.auc.value:.3f})."))


def _found(attack: Attack) -> bool:
    return attack.auc.low > POLICY["leak_auc"]


def _refutes(attack: Attack, *, bound: AttackBound) -> str | None:
    """The sentence that says how the proved bound was passed, or None: wrong at most once in twenty, both tests together.

    The TPR's threshold was chosen on the holdout users, so its true false positive rate is only known up to an exact upper limit; the
    bound is read there, and the member's rate is compared by its own exact lower limit.
    """
    if attack.auc.low > bound.auc:
        return f"The attack's AUC is at least {attack.auc.low:.3f}; the ledger proves that no attack passes {bound.auc:.3f}."
    split = 1 - (1 - POLICY["confidence"]) / 2
    allowed_fpr = intervals.clopper_pearson(int(np.ceil(attack.fpr * attack.holdout)), n=attack.holdout, confidence=split).high
    least_tpr = intervals.clopper_pearson(int(np.floor(attack.tpr.value * attack.members)), n=attack.members, confidence=split).low
    rates = np.asarray(bound.roc)
    most_tpr = max(bound.tpr, float(np.interp(allowed_fpr, rates[:, 0], rates[:, 1])))
    if least_tpr > most_tpr:
        return (f"At {attack.fpr:.0%} false alarms the attack finds at least {least_tpr:.1%} of members; the ledger proves that no attack "
                f"finds more than {most_tpr:.1%}.")
    return None
