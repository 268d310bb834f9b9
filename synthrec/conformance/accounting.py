"""Accounting: the ledger of a whole training holds what the plan lists, ahead of use, and its epsilon is what three accountants say.

The claim is by privacy loss distributions; the second opinion (PRV) differs by at most both stated errors, Renyi accounting bounds it from
above, and the claim is never below what the second proves. Deltas of thresholds count.
"""

from __future__ import annotations

from collections.abc import Sequence

from synthrec.conformance.record import Check, judged
from synthrec.conformance.watched import Watched
from synthrec.privacy.accounting import CROSS_CHECK_ERROR, Accountant, cross_check, renyi_bound
from synthrec.privacy.event import Event, gaussian
from synthrec.privacy.ledger import Entry, events_of, extra_delta_of
from synthrec.privacy.plan import BLOCK, Plan

AGREEMENT = 0.02        # absolute, plus AGREEMENT_PART of epsilon: discretisations of both, pessimistic
AGREEMENT_PART = 0.01


def accounting(plan: Plan, *, watched: Sequence[Watched]) -> list[Check]:
    """The ledger of each watched training, and the accountants on the first of them."""
    checks = []
    for name, found in zip(("many users", "three users"), watched, strict=True):
        checks.append(judged("accounting", f"ledger is whole, {name}", statistic=unpaid(plan, found.entries), low=0, high=0,
                             asked="looks, measurements and steps of the plan that the ledger lacks, or has otherwise"))
        checks.append(judged("accounting", f"paid ahead, {name}", statistic=late(found), low=0, high=0,
                             asked="steps that ran before the ledger on disk was charged, or more than a block ahead"))
    entries = watched[0].entries
    return checks + accountants(events_of(entries), delta=plan.delta, extra_delta=extra_delta_of(entries), asked_for=plan.epsilon)


def accountants(events: Sequence[Event], *, delta: float, extra_delta: float, asked_for: float) -> list[Check]:
    """Three opinions on some entries, and what they cost with a threshold's delta beside them."""
    claim = Accountant(events, extra_delta=extra_delta).epsilon(delta)
    second = cross_check(events, delta=delta, extra_delta=extra_delta)
    renyi = renyi_bound(events, delta=delta, extra_delta=extra_delta)
    third = (delta - extra_delta) / 3
    with_threshold = Accountant(events, extra_delta=extra_delta + third).epsilon(delta) - claim
    return [
        judged("accounting", "within what was asked for", statistic=claim, low=0.9 * asked_for, high=asked_for,
               asked="epsilon of the recorded ledger"),
        judged("accounting", "second accountant agrees", statistic=claim - second, low=-2 * CROSS_CHECK_ERROR,
               high=AGREEMENT + AGREEMENT_PART * claim, asked=f"epsilon by PLD, {claim:.4f}, less by PRV, {second:.4f}"),
        judged("accounting", "Renyi accounting is above", statistic=renyi - claim, low=0.0,
               asked=f"epsilon by RDP, {renyi:.4f}, less the claim"),
        judged("accounting", "a threshold's delta counts", statistic=with_threshold, low=1e-3,
               asked="what epsilon grows by when an entry holds a third of delta besides"),
    ]


def unpaid(plan: Plan, entries: Sequence[Entry]) -> int:
    """How many of the plan's looks, measurements and steps the entries lack, plus how many they hold that no plan lists."""
    wanted = [(each.name, gaussian(noise_multiplier=each.noise_multiplier, sampling_rate=1.0, count=1), getattr(each, "extra_delta", 0.0))
              for each in (*plan.openings, *plan.measurements)]
    found = [(entry.mechanism, entry.event, entry.extra_delta) for entry in entries]
    sums = [each for each in found if each[0] != "game"]
    wrong = sum(each not in sums for each in wanted) + max(0, len(sums) - len(wanted))
    steps = plan.training.steps if plan.training else 0
    blocks = [event for name, event, _ in found if name == "game"]
    right = [event for event in blocks if plan.training and event == plan.training.event(event.count) and event.count <= BLOCK]
    return wrong + abs(steps - sum(event.count for event in right)) + len(blocks) - len(right)


def late(found: Watched) -> int:
    """Steps that were not paid for when they ran, or too far ahead."""
    return sum(not step <= paid < step + BLOCK for step, paid in enumerate(found.paid, start=1))
