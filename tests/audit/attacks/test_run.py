"""The whole battery on simulated truth: silent on strangers, loud on copies, and its controls say
what it could find.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from synthrec.audit.attacks import controls, flagged, learned, run_attacks
from synthrec.audit.attacks.battery import KNOWS, AttackSuite, Result
from synthrec.audit.attacks.controls import Workload, plant
from synthrec.audit.epsilon_bounds import bound_of_claim
from synthrec.audit.record import Membership, Verdict
from synthrec.audit.splits import AuditSplits
from synthrec.audit.verdict import Policy, conclude, groups_differ, smallest_found
from synthrec.data.eventlog import EventLog

LEVEL = 0.05


def attacked(people: AuditSplits, rng: np.random.Generator) -> Result:
    return AttackSuite.of(people, fpr=0.1, resamples=20).attack(
        people.synthetic, reference=people.reference, rng=rng
    )


def test_strangers_are_no_leak_and_the_controls_say_what_would_have_been(
    cast: Callable[..., AuditSplits], limits: Policy
) -> None:
    people = cast(np.random.default_rng(1))
    found = run_attacks(
        people, bound=None, policy=limits, effort="quick", rng=np.random.default_rng(2)
    )
    membership = found.membership
    replays = [attack.name for attack in membership.attacks if attack.copied is not None]
    assert [attack.name for attack in membership.attacks] == [*KNOWS, *replays, learned.BLEND]
    assert all(column.attacks for column in membership.columns) and membership.copied == 0
    assert {column.name for column in membership.columns} == {"item", "rating", "time"}
    assert not flagged(membership.attacks, limits)
    assert (
        membership.strongest.auc.low == max(attack.auc.low for attack in membership.attacks) < 0.5
    )
    assert [leak.share for leak in membership.controls.leaks] == [1.0, 0.2, 0.05, 0.01]
    assert (
        membership.controls.leaks[0].found.value == 1.0 and membership.controls.leaks[0].auc > 0.95
    )
    assert membership.controls.power is not None and membership.controls.power <= 0.05
    fewest = smallest_found(membership, policy=limits)
    assert all(probe is not None and probe.users == 1 for probe in fewest.values()), fewest
    assert not flagged(membership.controls.blind, limits)
    assert all(
        abs(attack.auc.value - 0.5) < 0.1 for attack in membership.controls.blind
    )  # 4 standard errors
    flagged_by_chance = membership.controls.bootstrap_flagged
    assert flagged_by_chance is not None and flagged_by_chance.low <= 1 - limits.confidence
    assert {name: tuple(map(len, pair)) for name, pair in found.scores.items()} == dict.fromkeys(
        [*KNOWS, *replays, learned.BLEND], (400, 200)
    )
    assert set(found.label_free) == {*KNOWS, *replays}


def test_copies_of_training_users_are_found_by_most_attacks(
    cast: Callable[..., AuditSplits], limits: Policy, rng: np.random.Generator
) -> None:
    people = cast(rng)
    leak = plant(people.trained, synthetic_users=480, share=1.0, rng=rng)
    attacks = attacked(replace(people, synthetic=leak.applied_to(people.synthetic)), rng).attacks
    assert flagged(attacks, limits)
    lower = {attack.name: attack.auc.low for attack in attacks}
    assert sum(low > 0.9 for low in lower.values()) >= 4 and lower[learned.BLEND] > 0.9, lower


@pytest.mark.parametrize("lacking", [("rating",), ("rating", "time")])
def test_copies_are_found_without_ratings_and_times(
    cast: Callable[..., AuditSplits],
    limits: Policy,
    rng: np.random.Generator,
    lacking: tuple[str, ...],
) -> None:
    people = cast(rng)
    bare = replace(
        people,
        **{
            part: replace(getattr(people, part), **dict.fromkeys(lacking))
            for part in ("trained", "holdout", "reference", "synthetic")
        },
    )
    leak = plant(bare.trained, synthetic_users=480, share=0.5, rng=rng)
    assert flagged(
        attacked(replace(bare, synthetic=leak.applied_to(bare.synthetic)), rng).attacks, limits
    )


def test_under_the_null_each_attack_and_all_together_keep_their_level(
    cast: Callable[..., AuditSplits], limits: Policy
) -> None:
    """Strangers pose as synthetic in 30 small worlds. A true level of 5 % an attack is refused here
    with chance below 1e-6.
    """
    rng, worlds = np.random.default_rng(8), 30
    found = [
        attacked(cast(rng, trained=150, holdout=120, reference=60, strangers=150), rng).attacks
        for _ in range(worlds)
    ]
    for name in (*KNOWS, learned.BLEND):
        alarms = sum(
            attack.p_value <= LEVEL
            for attacks in found
            for attack in attacks
            if attack.name == name
        )
        assert stats.binom.sf(alarms - 1, worlds, LEVEL) > 1e-6, name
        missed = sum(
            not attack.auc.low <= 0.5 <= attack.auc.high
            for attacks in found
            for attack in attacks
            if attack.name == name
        )
        assert stats.binom.sf(missed - 1, worlds, 0.06) > 1e-6, name
    assert (
        stats.binom.sf(sum(flagged(attacks, limits) for attacks in found) - 1, worlds, LEVEL) > 1e-6
    )


def halved(log: EventLog, rng: np.random.Generator) -> EventLog:
    """The same people with half of their events."""
    keep = rng.random(len(log.item)) < 0.5
    keep[log.offsets[:-1]] = True
    counts = np.add.reduceat(keep, log.offsets[:-1])
    return EventLog(
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        item=log.item[keep],
        rating=log.rating[keep],
        time=log.time[keep],
    )


def later(log: EventLog, rng: np.random.Generator) -> EventLog:
    return replace(log, time=log.time + 200 * 86_400)


@pytest.mark.parametrize("other", [halved, later])
@pytest.mark.parametrize("known", ["of the holdout users", "of the members"])
def test_people_outside_who_differ_by_more_than_membership_accuse_no_log(
    other: Callable[..., EventLog], known: str, cast: Callable[..., AuditSplits], limits: Policy
) -> None:
    rng = np.random.default_rng(5)
    people = cast(rng, trained=150, holdout=120, reference=60, strangers=150)
    reference = (
        other(people.reference, rng) if known == "of the holdout users" else people.reference
    )
    people = replace(people, holdout=other(people.holdout, rng), reference=reference)
    few = Workload(draws=1, seekers=(), resamples=20)
    battery = AttackSuite.of(people, fpr=0.1, resamples=20)
    blind = controls.innocent(battery, people=people, policy=limits, workload=few, rng=rng)
    attacks = battery.attack(people.synthetic, reference=people.reference, rng=rng).attacks
    found = Membership(
        attacks=attacks,
        headline=attacks[0].name,
        bound=bound_of_claim(epsilon=0.1, delta=1e-5),
        controls=controls.together((), blind, policy=limits),
    )
    assert groups_differ(found, policy=limits)
    assert (
        conclude(found, lower_bound=None, disclosure=None, policy=limits).verdict
        is Verdict.INCONCLUSIVE
    )
    bare = found.model_copy(update={"controls": found.controls.model_copy(update={"blind": ()})})
    accused = conclude(bare, lower_bound=None, disclosure=None, policy=limits).verdict
    assert known == "of the members" or accused is Verdict.CLAIM_REFUTED, (
        "otherwise this shows nothing"
    )


def test_groups_that_chance_drew_are_told_apart_once_in_twenty_at_most(
    cast: Callable[..., AuditSplits],
) -> None:
    rng, worlds = np.random.default_rng(12), 60
    casts = (cast(rng, trained=150, holdout=120, reference=60, strangers=1) for _ in range(worlds))
    found = [
        AttackSuite.of(people, fpr=0.1, resamples=20).groups(people.reference, rng=rng)[0]
        for people in casts
    ]
    assert (
        stats.binom.sf(sum(attack.p_value <= LEVEL for attack in found) - 1, worlds, LEVEL) > 1e-6
    )


@pytest.mark.slow
def test_under_the_null_in_400_worlds(cast: Callable[..., AuditSplits], limits: Policy) -> None:
    """The same with more worlds: 7 % alarms where 5 % are allowed would be noticed more often than
    not.
    """
    rng, worlds = np.random.default_rng(9), 400
    found = [
        attacked(cast(rng, trained=150, holdout=120, reference=60, strangers=150), rng).attacks
        for _ in range(worlds)
    ]
    alarms = {
        name: sum(
            attack.p_value <= LEVEL
            for attacks in found
            for attack in attacks
            if attack.name == name
        )
        for name in KNOWS
    }
    assert all(stats.binom.sf(count - 1, worlds, LEVEL) > 1e-4 for count in alarms.values()), alarms
    assert (
        stats.binom.sf(sum(flagged(attacks, limits) for attacks in found) - 1, worlds, LEVEL) > 1e-4
    )


def test_spaces_fitted_on_the_audited_people_break_the_null(
    cast: Callable[..., AuditSplits],
) -> None:
    """Saboteur: the reference users of calibration are holdout users who are scored. The condition
    of the null-level test catches it.
    """
    rng, alarms = np.random.default_rng(4), 0
    for _ in range(8):
        people = cast(rng, trained=150, holdout=120, reference=60, strangers=150)
        cheated = replace(
            people, synthetic=people.reference, reference=people.holdout.select(np.arange(60))
        )
        alarms += any(attack.p_value <= LEVEL / 7 for attack in attacked(cheated, rng).attacks)
    assert stats.binom.sf(alarms - 1, 8, LEVEL) < 1e-6


def test_more_planted_users_are_found_more_often(
    cast: Callable[..., AuditSplits], limits: Policy, rng: np.random.Generator
) -> None:
    people = cast(rng)
    aucs = [
        max(
            attack.auc.value
            for attack in attacked(
                replace(
                    people,
                    synthetic=plant(
                        people.trained, synthetic_users=480, share=share, rng=rng
                    ).applied_to(people.synthetic),
                ),
                rng,
            ).attacks
        )
        for share in (0.05, 0.3, 0.8)
    ]
    assert aucs == sorted(aucs) and aucs[1] > 0.65


def test_power_is_the_smallest_share_that_was_found_often_enough(limits: Policy) -> None:
    def power(*found: float) -> float | None:
        figures = [controls.intervals.wilson(round(20 * each), n=20) for each in found]
        leaks = tuple(
            controls.LeakProbe(share=share, draws=20, found=figure, auc=0.5)
            for share, figure in zip(controls.SHARES, figures, strict=True)
        )
        return controls.together(
            leaks, controls.NullControls(blind=(), bootstrap_flagged=figures[0]), policy=limits
        ).power

    assert power(1, 0.8, 0.75, 0.0) == 0.2
    assert power(1, 1, 1, 1) == 0.01
    assert power(0.75, 1, 1, 1) is None


def test_the_planted_log_has_the_synthetic_size_and_nine_tenths_of_each_planted_users_items(
    cast: Callable[..., AuditSplits], rng: np.random.Generator
) -> None:
    people = cast(rng)
    planting = plant(people.trained, synthetic_users=480, share=0.2, rng=rng)
    assert planting.kept.sum() == 384 and len(planting.copies.offsets) == 97
    assert len(planting.applied_to(people.synthetic).offsets) == 481
    members = [
        set(each.tolist()) for each in np.split(people.trained.item, people.trained.offsets[1:-1])
    ]
    for user in range(0, 96, 9):
        mine = planting.copies.item[
            planting.copies.offsets[user] : planting.copies.offsets[user + 1]
        ]
        assert 0.8 < max(len(set(mine.tolist()) & other) / len(mine) for other in members) < 1.0


def test_more_planted_users_than_trained_take_trained_again(
    cast: Callable[..., AuditSplits], rng: np.random.Generator
) -> None:
    few = cast(rng).trained.select(np.arange(7))
    copies = plant(few, synthetic_users=480, share=1.0, rng=rng).copies
    assert sorted(set(copies.activity.tolist())) == sorted(set(few.activity.tolist()))
    assert len(plant(few, synthetic_users=480, share=0.0001, rng=rng).copies.offsets) == 2


def test_too_few_people_are_refused(
    cast: Callable[..., AuditSplits], limits: Policy, rng: np.random.Generator
) -> None:
    people = cast(rng)
    nobody = EventLog(offsets=np.zeros(1, dtype=np.int64), item=np.empty(0, np.int32))
    with pytest.raises(ValueError, match="holdout"):
        run_attacks(
            replace(people, holdout=nobody), bound=None, policy=limits, effort="quick", rng=rng
        )


def test_the_most_exposed_are_chosen_without_a_label(
    cast: Callable[..., AuditSplits], rng: np.random.Generator
) -> None:
    people = cast(rng)
    swapped = replace(people, trained=people.holdout, holdout=people.trained)
    one, other = (AttackSuite.of(each, fpr=0.1, resamples=20) for each in (people, swapped))
    assert one.exposed.sum() == 60
    assert (one.exposed == np.roll(other.exposed, 400)).all()
