"""Accounting: the ledger of a whole training holds what the plan lists, ahead of use, and its
epsilon is no less than it must be.

The claim is by privacy loss distributions; the second opinion (PRV) differs by at most both stated
errors, and Renyi accounting bounds it from above. All three are fed by one list of events and one
grouping of them, so what that leaves out none of them sees: a lower bound is worked out from the
ledger's lines by `closed_form`, which shares no code with them. Deltas of thresholds count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from synthrec.conformance.closed_form import least_epsilon
from synthrec.conformance.record import Check, judged
from synthrec.conformance.training import TrainingTrace
from synthrec.privacy.accounting import CROSS_CHECK_ERROR, Accountant, cross_check, renyi_bound
from synthrec.privacy.event import gaussian
from synthrec.privacy.ledger import Entry, events_of, extra_delta_of
from synthrec.privacy.mechanisms import LATTICE
from synthrec.privacy.plan import BLOCK, Plan

AGREEMENT = 0.02  # absolute, plus AGREEMENT_PART of epsilon: discretisations of both, pessimistic
AGREEMENT_PART = 0.01
SUMS_AGREE = 1e-3  # the claim is rounded up


def accounting(plan: Plan, *, watched: Sequence[TrainingTrace]) -> list[Check]:
    """The ledger of each watched training, and the accountants on the first of them."""
    checks = []
    for whose, trace in zip(("many users", "three users"), watched, strict=True):
        late = sum(not step <= paid < step + BLOCK for step, paid in enumerate(trace.paid, start=1))
        lacking = unpaid(plan, trace.entries)
        checks += [
            judged(
                "accounting",
                "ledger is whole, {whose}",
                statistic=lacking,
                low=0,
                high=0,
                whose=whose,
            ),
            judged("accounting", "paid ahead, {whose}", statistic=late, low=0, high=0, whose=whose),
            *as_charged(plan, trace, name=whose),
        ]
    return checks + accountants(watched[0].entries, delta=plan.delta, asked_for=plan.epsilon)


def as_charged(plan: Plan, found: TrainingTrace, *, name: str) -> list[Check]:
    """What the source of noise and the optimizer were given, against the ledger on disk and the
    plan.
    """
    training = plan.training
    assert training is not None
    clips, given = {clip for clip, *_ in found.constants}, found.given
    units = {each.name: float(LATTICE) for each in plan.measurements} | {
        "game": max(clips, default=math.nan)
    }
    wrong = [
        abs(scale / units[entry.mechanism] / entry.event.noise_multiplier - 1)
        for entry in found.entries
        if entry.mechanism in units
        for scale in given.scales.get(entry.mechanism, [math.inf])
    ]
    users = found.users + int(found.included.sum())
    rates = [abs(rate / found.steps_charged.sampling_rate - 1) for _, rate in given.sampled]
    planned = (training.clip_norm, training.expected_batch_size, training.fakes_per_step)
    return [
        judged(
            "accounting",
            "noise as charged, {whose}",
            statistic=max(wrong, default=math.inf),
            low=0,
            high=1e-09,
            whose=name,
        ),
        judged(
            "accounting",
            "rate as charged, {whose}",
            statistic=max(rates, default=math.inf),
            low=0,
            high=1e-09,
            whose=name,
        ),
        judged(
            "accounting",
            "constants as planned, {whose}",
            statistic=sum(each != planned for each in found.constants),
            low=0,
            high=0,
            power=len(found.constants) == training.steps,
            whose=name,
        ),
        judged(
            "accounting",
            "coins for everybody, {whose}",
            statistic=sum((asked != users for asked, _ in given.sampled)),
            low=0,
            high=0,
            power=bool(given.sampled),
            whose=name,
        ),
    ]


def accountants(entries: Sequence[Entry], *, delta: float, asked_for: float) -> list[Check]:
    """Three opinions on some entries, what they must say at least, and what a threshold's delta
    costs beside them.
    """
    events, extra_delta = events_of(tuple(entries)), extra_delta_of(tuple(entries))
    claim = claimed(entries, delta=delta)
    second, renyi = (
        other(events, delta=delta, extra_delta=extra_delta) for other in (cross_check, renyi_bound)
    )
    sums = [entry for entry in entries if entry.event.sampling_rate == 1.0]
    least, of_sums = (least_epsilon(some, delta=delta) for some in (entries, sums))
    *others, last = entries
    third = (delta - sum(entry.extra_delta for entry in entries)) / 3
    with_threshold = (
        claimed(
            [*others, last.model_copy(update={"extra_delta": last.extra_delta + third})],
            delta=delta,
        )
        - claim
    )
    return [
        judged(
            "accounting",
            "within what was asked for",
            statistic=claim,
            low=0.9 * asked_for,
            high=asked_for,
        ),
        judged(
            "accounting",
            "claim is no less than it must be",
            statistic=claim - least,
            low=0.0,
            power=math.isfinite(claim),
            least=least,
        ),
        judged(
            "accounting",
            "sums compose in closed form",
            statistic=claimed(sums, delta=delta) - of_sums,
            low=-1e-06,
            high=SUMS_AGREE,
            of_sums=of_sums,
        ),
        judged(
            "accounting",
            "second accountant agrees",
            statistic=claim - second,
            low=-2 * CROSS_CHECK_ERROR,
            high=AGREEMENT + AGREEMENT_PART * claim,
            claim=claim,
            second=second,
        ),
        judged(
            "accounting", "Renyi accounting is above", statistic=renyi - claim, low=0.0, renyi=renyi
        ),
        judged("accounting", "a threshold's delta counts", statistic=with_threshold, low=0.001),
    ]


def claimed(entries: Sequence[Entry], *, delta: float) -> float:
    """Epsilon of some entries, as a release states it."""
    return Accountant(
        events_of(tuple(entries)), extra_delta=extra_delta_of(tuple(entries))
    ).epsilon(delta)


def unpaid(plan: Plan, entries: Sequence[Entry]) -> int:
    """How many of the plan's looks, measurements and steps the entries lack, plus how many they
    hold that no plan lists.
    """
    wanted = [
        (
            each.name,
            gaussian(noise_multiplier=each.noise_multiplier, sampling_rate=1.0, count=1),
            getattr(each, "extra_delta", 0.0),
        )
        for each in (*plan.openings, *plan.measurements)
    ]
    found = [(entry.mechanism, entry.event, entry.extra_delta) for entry in entries]
    sums = [each for each in found if each[0] != "game"]
    wrong = sum(each not in sums for each in wanted) + max(0, len(sums) - len(wanted))
    steps = plan.training.steps if plan.training else 0
    blocks = [event for name, event, _ in found if name == "game"]
    right = [
        event
        for event in blocks
        if plan.training and event == plan.training.event(event.count) and event.count <= BLOCK
    ]
    return wrong + abs(steps - sum(event.count for event in right)) + len(blocks) - len(right)
