"""What the audit concludes, by a policy fixed before anything is scored: a versioned file of the
package, hashed into the record.

A verdict says what was found and what could have been found; similarity is never a pass, and a pass
without a planted leak that was found is none. The blind attacker is judged first: where it tells
members from holdout users, nothing that tells them apart accuses. Then the worst finding counts.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from synthrec.audit import intervals
from synthrec.audit.attacks import learned
from synthrec.audit.attacks.exact import WHOLE_HISTORIES
from synthrec.audit.attacks.metrics import strongest, told_apart
from synthrec.audit.disclosure.common import excess
from synthrec.audit.record import (
    WITHIN_CLAIM,
    Attack,
    AttackBound,
    CopyProbe,
    Disclosure,
    Figure,
    LowerBound,
    Membership,
    Policy,
    Record,
    Risk,
    Verdict,
)


@cache
def policy() -> Policy:
    """The package's policy."""
    return Policy.model_validate_json(_text())


@cache
def policy_sha256() -> str:
    """Of the file, byte for byte."""
    return hashlib.sha256(_text().encode()).hexdigest()


def _text() -> str:
    return files("synthrec.audit").joinpath("policy.json").read_text(encoding="utf-8")


class Conclusion(NamedTuple):
    """A verdict and the sentence that gives its reason."""

    verdict: Verdict
    reason: str


def conclude(
    membership: Membership | None,
    *,
    lower_bound: LowerBound | None,
    disclosure: Disclosure | None,
    policy: Policy,
) -> Conclusion:
    """The worst of what the figures allow to be said; `None` for what was not run, not proved or
    not claimed.

    Figures that are no numbers find nothing and clear nobody: inconclusive.
    """
    if not all(map(_is_told, (membership, lower_bound, disclosure))):
        return Conclusion(
            Verdict.INCONCLUSIVE, "A figure of the audit is no number, so the audit says nothing."
        )
    if membership is not None and groups_differ(membership, policy=policy):
        return Conclusion(
            Verdict.INCONCLUSIVE,
            (
                "The groups differ: members are told from holdout users without the synthetic log, by something "
                "else than membership. So nothing is found and nothing cleared: draw both groups by chance."
            ),
        )
    refuted = [
        Conclusion(Verdict.CLAIM_REFUTED, text)
        for text in _refutations(membership, lower_bound=lower_bound, policy=policy)
    ]
    claim = None if membership is None else membership.bound
    within = "" if claim is None else f" {WITHIN_CLAIM}: {_within(claim)}"
    leaks = [
        Conclusion(Verdict.LEAK_DETECTED, f"{text}{within}")
        for text in _leaks(membership, disclosure=disclosure, policy=policy)
    ]
    return next(iter([*refuted, *leaks]), None) or _nothing_found(membership, policy=policy)


def _within(bound: AttackBound) -> str:
    """What a leak means where a claim was proved, or made, and nothing contradicts it."""
    return (
        f"nothing contradicts the claim, which lets an attack reach an AUC of {bound.auc:.3f} and, at {bound.fpr:.0%} false alarms, "
        f"{bound.tpr:.1%} of members; whether so much may be found out is the owner's decision."
    )


def groups_differ(membership: Membership, *, policy: Policy) -> bool:
    """Does an attacker without the synthetic log tell members from holdout users, or pass the
    bound?
    """
    blind = membership.controls.blind
    return told_apart(blind, policy) or any(_beyond(blind, bound=membership.bound, policy=policy))


def _is_told(part: Any) -> bool:
    """Is every number in a part of the record a number?"""
    if isinstance(part, Record):
        return all(_is_told(getattr(part, name)) for name in type(part).model_fields)
    if isinstance(part, tuple):
        return all(map(_is_told, part))
    return not (isinstance(part, float) and math.isnan(part))


def _nothing_found(membership: Membership | None, *, policy: Policy) -> Conclusion:
    if membership is None:
        return Conclusion(
            Verdict.NOT_RUN,
            (
                "There were no holdout users to compare with: run with --audit-share above 0, or audit with --sacrifice."
            ),
        )
    if doubt := _doubt(membership, policy=policy):
        return Conclusion(Verdict.INCONCLUSIVE, doubt)
    attack, power = membership.strongest, membership.controls.power
    findable = intervals.detectable_auc(
        attack.members, n=attack.holdout, level=(1 - policy.confidence) / 2, above=policy.leak_auc
    )
    assert power is not None
    return Conclusion(
        Verdict.NO_LEAK_FOUND,
        (
            f"The strongest of {len(membership.attacks)} attacks has AUC {attack.auc.value:.3f} (95 % interval {attack.auc.low:.3f} to "
            f"{attack.auc.high:.3f}). With {attack.members:,} members and {attack.holdout:,} holdout users an AUC of {findable:.3f} or more "
            f"would be called a leak four times in five, and so would training users planted in place of {power:.0%} of the synthetic ones."
            f"{_findable(membership, policy=policy)}"
        ),
    )


def smallest_found(membership: Membership, *, policy: Policy) -> dict[str, CopyProbe | None]:
    """Of each kind of copies the fewest that were found often enough, none if the most were not."""
    found: dict[str, CopyProbe | None] = {}
    for probe in sorted(membership.controls.copies, key=lambda each: -each.users):
        enough = probe.found.value >= policy.power
        if probe.what not in found or found[probe.what] is not None:
            found[probe.what] = probe if enough else found.get(probe.what)
    return found


def _findable(membership: Membership, *, policy: Policy) -> str:
    found = smallest_found(membership, policy=policy)
    if not found:
        return ""
    whole = found.pop(WHOLE_HISTORIES, None)
    fewest = (
        "A single person's history copied whole would have been found"
        if whole and whole.users == 1
        else f"Whole histories copied from {whole.users} people would have been found; a single one could not be"
        if whole
        else "Whole histories copied from a few people could not have been found"
    )
    told = [f"{what} of {probe.users}" for what, probe in found.items() if probe]
    alone = (
        f"; of one column alone, the values of so many people: {', '.join(told)}" if told else ""
    )
    lost = [what for what, probe in found.items() if probe is None]
    unseen = f"; not those of 5 %: {', '.join(lost)}" if lost else ""
    return f" {fewest}{alone}{unseen}."


def _refutations(
    membership: Membership | None, *, lower_bound: LowerBound | None, policy: Policy
) -> Iterator[str]:
    if (
        lower_bound is not None
        and lower_bound.claimed is not None
        and lower_bound.epsilon > lower_bound.claimed
    ):
        yield (
            f"Epsilon at delta {lower_bound.delta:g} is at least {lower_bound.epsilon:.2f} with {lower_bound.confidence:.0%} confidence "
            f"({lower_bound.correct:,} of {lower_bound.guesses:,} guesses were right); {lower_bound.claimed:.2f} was claimed."
        )
    if membership is not None:
        yield from _beyond(membership.attacks, bound=membership.bound, policy=policy)


def _beyond(
    attacks: Sequence[Attack], *, bound: AttackBound | None, policy: Policy
) -> Iterator[str]:
    """A sentence for each attack beyond the proved bound: any is wrong with chance 1 - confidence
    at most.
    """
    for attack in attacks:
        if bound is None or attack.name in (learned.BLEND, learned.GROUPS):
            continue  # halves depend on each other, so their pooled rates have no exact limits
        if broken := _passes(attack, bound=bound, error=(1 - policy.confidence) / len(attacks)):
            yield f"{broken} (attack: {attack.name})."


def _passes(attack: Attack, *, bound: AttackBound, error: float) -> str | None:
    """The sentence that says how the proved bound was passed, or None: wrong with chance `error` at
    most, both tests together.

    The TPR's threshold was chosen on the holdout users, so its true false positive rate is only
    known up to an exact upper limit; the bound is read there, and the member's rate is compared by
    its own exact lower limit.
    """
    if _limits(attack.auc, error=error)[0] > bound.auc:
        return f"The attack's AUC is {attack.auc.value:.3f}, beyond chance; it is proved that no attack passes {bound.auc:.3f}"
    split = 1 - error / 2
    allowed_fpr = intervals.clopper_pearson(
        int(np.ceil(attack.fpr * attack.holdout)), n=attack.holdout, confidence=split
    ).high
    least_tpr = intervals.clopper_pearson(
        int(np.floor(attack.tpr.value * attack.members)), n=attack.members, confidence=split
    ).low
    rates = np.asarray(bound.roc)
    most_tpr = max(bound.tpr, float(np.interp(allowed_fpr, rates[:, 0], rates[:, 1])))
    if least_tpr > most_tpr:
        return (
            f"At {attack.fpr:.0%} false alarms the attack finds at least {least_tpr:.1%} of members; it is proved that no attack finds "
            f"more than {most_tpr:.1%}"
        )
    return None


def _limits(figure: Figure, *, error: float) -> tuple[float, float]:
    """Both limits at a stricter error, their distances from the value scaled as a normal's."""
    wider = float(norm.isf(error / 2) / norm.isf((1 - figure.confidence) / 2))
    value = figure.value
    return value - (value - figure.low) * wider, value + (figure.high - value) * wider


def _least(risk: Risk, *, error: float) -> float:
    """The risk's lower limit at a stricter error (Bonferroni over all risks): one of ten would pass
    its own limit by chance too often.
    """
    attack, control = (int(np.rint(rate.value * rate.n)) for rate in (risk.attack, risk.control))
    return excess(
        attack, of=risk.attack.n, control=control, among=risk.control.n, confidence=1 - error
    ).low


def _leaks(
    membership: Membership | None, *, disclosure: Disclosure | None, policy: Policy
) -> Iterator[str]:
    if membership is not None and not _too_few(membership.attacks, policy=policy, known=False):
        yield from _copies(membership)
        yield from _told_apart(membership, policy=policy)
    if disclosure is None:
        return
    error = (1 - policy.confidence) / (
        len(disclosure.risks) + 1
    )  # shared by all risks and the replay
    least = [_least(risk, error=error) for risk in disclosure.risks]
    if least and max(least) > policy.leak_risk:
        worst_risk = disclosure.risks[int(np.argmax(least))]
        yield (
            f"{worst_risk.name.capitalize()} ({worst_risk.setting}) succeeds on {worst_risk.attack.value:.1%} of members and "
            f"{worst_risk.control.value:.1%} of people outside: a risk of at least {max(least):.1%}; the policy's limit is "
            f"{policy.leak_risk:.0%}."
        )
    replay = disclosure.replay
    if (
        _limits(replay.members, error=error)[0] - _limits(replay.holdout, error=error)[1]
        > policy.leak_replay_items
    ):
        yield (
            f"Synthetic users repeat members' items in order for {replay.members.value:.1f} items on average, and those of people "
            f"outside for {replay.holdout.value:.1f}."
        )


def _copies(membership: Membership) -> Iterator[str]:
    """How many people, never who."""
    attacks = [attack for attack in membership.attacks if attack.copied]
    if not attacks:
        return
    most = max(attacks, key=lambda each: each.shared_by_copied / (1 + each.shared_outside))
    with_items = {name for column in membership.columns[:1] for name in column.attacks}
    if with_items and not any(attack.name in with_items for attack in attacks):
        who = "One person's" if membership.copied == 1 else f"{membership.copied:,} people's"
        what = f"{who} own values appear in the synthetic log, on other people's items"
    elif membership.copied == 1:
        what = "One person's history appears in the synthetic log, whole or in a long part"
    else:
        what = f"{membership.copied:,} people's histories appear in the synthetic log, whole or in long parts"
    yield (
        f"{what} ({most.name}: {most.shared_by_copied:,} values of one person in one synthetic user, and of nobody outside more than "
        f"{most.shared_outside:,})."
    )


def _told_apart(membership: Membership, *, policy: Policy) -> Iterator[str]:
    """The swapped tables first: whatever else accuses then has that cause."""
    error = policy.tail_level / len(membership.attacks)
    for attack in membership.attacks:
        if error and _limits(attack.auc, error=error)[1] < 1 - policy.leak_auc:
            yield (
                f"The tables look swapped: an attack ({attack.name}) takes holdout users for members, with AUC {attack.auc.value:.3f}. "
                "Were the synthetic users made from the holdout users?"
            )
    flags = [attack for attack in membership.attacks if told_apart([attack], policy)]
    if not flags:
        return
    worst = strongest(flags)
    if worst.p_holm <= 1 - policy.confidence and worst.auc.low > policy.leak_auc:
        yield (
            f"An attack ({worst.name}) tells members from holdout users with AUC {worst.auc.value:.3f}, at least {worst.auc.low:.3f}; "
            f"the policy's limit is {policy.leak_auc:.2f}."
        )
        return
    worst = min(flags, key=lambda attack: attack.p_tops)
    wholes = worst.wholes
    if wholes and wholes.people and wholes.p_value < min(top.p_value for top in worst.tops):
        yield (
            f"{wholes.members:,} members and {wholes.people - wholes.members:,} people outside have a whole copy among the synthetic "
            f"users ({worst.name}; p = {worst.p_tops:.2g}, corrected for all attacks)."
        )
        return
    top = min(worst.tops, key=lambda each: each.p_value)
    expected = top.people * worst.members / (worst.members + worst.holdout)
    yield (
        f"Of the {top.people:,} people with the highest scores of an attack ({worst.name}), {top.members:,} are members; chance would "
        f"make {expected:.1f} of them members (p = {worst.p_tops:.2g}, corrected for all places of all attacks)."
    )


def _doubt(membership: Membership, *, policy: Policy) -> str | None:
    if _too_few(membership.attacks, policy=policy, known=True):
        return (
            f"An attack needs at least {policy.least_users_per_class} members, holdout users and reference users each: use a larger "
            "log or a larger --audit-share."
        )
    controls = membership.controls
    if not controls.leaks:
        return "No leak was planted to see whether the attacks would find one."
    if controls.power is None or controls.power > policy.planted_share:
        most = 1.0 if controls.power is None else policy.planted_share
        return (
            f"Training users planted in place of {f'{most:.0%} of the' if most < 1 else 'all'} synthetic users were not found often enough, "
            "so finding nothing in the release says nothing."
        )
    if unseen := [column.name for column in membership.columns if not column.attacks]:
        return f"No attack looks at {', '.join(unseen)}, so finding nothing says nothing of it."
    whole = smallest_found(membership, policy=policy).get(WHOLE_HISTORIES)
    if controls.copies and policy.copied_share < 1 and whole is None:
        return (
            f"Whole histories of members, copied in place of {policy.copied_share:.0%} of the synthetic users, were not found often "
            "enough, so finding nothing says nothing of a few people."
        )
    return None


def _too_few(attacks: Iterable[Attack], *, policy: Policy, known: bool) -> bool:
    """Of users in and out of training; of those `known` to the attacker few make an attack weak,
    but no leak that it finds less of one.
    """
    return any(
        min(attack.members, attack.holdout, *([attack.reference] if known else []))
        < policy.least_users_per_class
        for attack in attacks
    )
