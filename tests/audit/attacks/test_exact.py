"""Exact replay on simulated truth: a few copied people, and single columns on other people's items,
are a leak; strangers, and short histories of popular items, are none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmarks.tails import leaking, with_columns
from synthrec.audit.attacks.battery import AttackerView, AttackSuite, Scored, with_replays
from synthrec.audit.attacks.exact import Replay, attacked_columns, beyond_chance, views
from synthrec.audit.attacks.metrics import holm, strongest, tops
from synthrec.audit.record import Controls, Membership, Verdict
from synthrec.audit.splits import AuditSplits
from synthrec.audit.verdict import Conclusion, Policy, conclude
from synthrec.data.eventlog import EventLog


def concluded(people: AuditSplits, limits: Policy) -> tuple[Membership, Conclusion]:
    """What replays alone say."""
    suite, rng = AttackSuite.of(people, fpr=0.1, resamples=20), np.random.default_rng(0)
    sight = AttackerView(
        suite.targets, people.synthetic, people.reference, people.items, people.knowledge
    )
    found = with_replays(Scored(scores={}, searches={}), sight)
    attacks = [
        suite.measured(name, scores, reference=people.reference.users, rng=rng)
        for name, scores in found.scores.items()
    ]
    wholes = {replay.name: replay.wholes(suite.member) for replay in found.replays}
    attacks = [each.model_copy(update={"wholes": wholes[each.name]}) for each in attacks]
    told, copied = suite.with_copies(holm(attacks), replays=found.replays, policy=limits)
    membership = Membership(
        attacks=told,
        headline=strongest(told).name,
        bound=None,
        controls=Controls(leaks=(), power=None, blind=(), bootstrap_flagged=None),
        copied=int(copied.sum()),
        columns=attacked_columns(people.synthetic, found.replays),
    )
    return membership, conclude(membership, lower_bound=None, disclosure=None, policy=limits)


@pytest.mark.parametrize("share", [0.05, 0.01, 0.0])
@pytest.mark.parametrize("lacking", [(), ("time",), ("rating", "time")])
def test_a_few_members_copied_whole_are_a_leak_and_so_is_one(
    share: float, lacking: tuple[str, ...], cast: Callable[..., AuditSplits], limits: Policy
) -> None:
    rng = np.random.default_rng(3)
    people = cast(rng)
    parts = ("trained", "holdout", "reference", "synthetic")
    bare = {part: replace(getattr(people, part), **dict.fromkeys(lacking)) for part in parts}
    users = max(1, round(480 * share))
    found, conclusion = concluded(leaking(replace(people, **bare), users, rng=rng), limits)
    assert conclusion.verdict is Verdict.LEAK_DETECTED
    assert 0.8 * users <= found.copied <= users
    assert ("One person's history" if found.copied == 1 else f"{found.copied} people's") in (
        conclusion.reason
    )


@pytest.mark.parametrize("column", ["time", "hours", "born"])
def test_members_values_on_other_peoples_items_are_a_leak_of_that_column(
    column: str, cast: Callable[..., AuditSplits], limits: Policy
) -> None:
    rng = np.random.default_rng(5)
    people = cast(rng)
    people = people if column == "time" else with_columns(people, rng=rng)
    assert concluded(people, limits)[1].verdict is not Verdict.LEAK_DETECTED
    found, conclusion = concluded(leaking(people, 60, rng=rng, column=column), limits)
    assert conclusion.verdict is Verdict.LEAK_DETECTED, conclusion.reason
    assert "histor" not in conclusion.reason
    accused = {each.name for each in found.attacks if each.copied or each.p_tops < 0.01}
    looked = {each.name: set(each.attacks) for each in found.columns}
    assert accused and accused <= looked[column], (accused, looked)


def test_strangers_are_accused_of_nothing_in_many_worlds(
    cast: Callable[..., AuditSplits], limits: Policy
) -> None:
    rng, worlds = np.random.default_rng(6), 6
    for _ in range(worlds):
        people = cast(rng, trained=200, holdout=120, reference=80, strangers=200)
        found, conclusion = concluded(people, limits)
        assert found.copied == 0 and conclusion.verdict is not Verdict.LEAK_DETECTED


def test_short_histories_of_popular_items_are_no_accusation(
    cast: Callable[..., AuditSplits], limits: Policy, rng: np.random.Generator
) -> None:
    people = cast(rng)
    popular = np.argsort(-np.bincount(people.synthetic.item))[:4].astype(np.int32)
    short = EventLog(
        offsets=np.arange(0, 44, 4),
        item=np.tile(popular, 10),
        time=np.arange(40),
        rating=np.full(40, 4.0),
    )
    logs = {
        part: replace(EventLog.concat([getattr(people, part), short]), time=None)
        for part in ("trained", "synthetic")
    }
    found, _ = concluded(replace(people, **logs, coined=np.zeros(410, dtype=bool)), limits)
    assert found.copied == 0


def test_copies_of_people_outside_look_like_swapped_tables(
    cast: Callable[..., AuditSplits], limits: Policy
) -> None:
    people = cast(np.random.default_rng(7))
    found, conclusion = concluded(replace(people, synthetic=people.holdout), limits)
    assert found.copied == 0 and "swapped" in conclusion.reason
    assert conclusion.verdict is Verdict.LEAK_DETECTED


def test_the_highest_scores_are_counted_by_the_law_of_drawing_without_replacement(
    rng: np.random.Generator,
) -> None:
    member = np.arange(12) < 7
    scores = np.array([9, 9, 5, 4, 3, 2, 1, 8, 3, 2, 1, 0.0])
    first, third, tenth = tops(scores, member=member)
    assert (first.people, first.members) == (2, 2) and (third.people, third.members) == (3, 2)
    drawn = np.array([member[rng.permutation(12)[:2]].all() for _ in range(20_000)])
    assert first.p_value == pytest.approx(drawn.mean(), abs=0.015)
    assert tenth.people == 11 and tops(np.zeros(5), member=member[:5])[0].p_value == 1.0


def test_the_limit_of_partial_copies_keeps_its_level_under_an_exponential_tail(
    rng: np.random.Generator,
) -> None:
    worlds, level = 3_000, 0.05
    alarms = 0
    for _ in range(worlds):
        outside = rng.exponential(2.0, 300)
        limit = beyond_chance(outside, members=400, coincidence=1e9, level=level)
        assert limit > outside.max()
        limit = _lenient(outside, level=level)
        alarms += rng.exponential(2.0, 400).max() > limit
    assert stats.binom.sf(alarms - 1, worlds, level) > 1e-6 and alarms > 0


def _lenient(outside: np.ndarray, *, level: float) -> float:
    """Without the condition that people share coincidences only: the scale is moved past it."""
    shift = np.sort(outside)[::-1][20]
    return shift + beyond_chance(
        np.maximum(outside - shift, 0), members=400, coincidence=1e-9, level=level
    )


def test_planted_copies_match_as_copies_in_the_log_would(
    cast: Callable[..., AuditSplits], rng: np.random.Generator
) -> None:
    people = cast(rng)
    chosen = rng.permutation(400)[:7]
    leaky = EventLog.concat([people.synthetic, people.trained.select(chosen)])
    targets = EventLog.concat([people.trained, people.holdout])
    for view, true in zip(
        views((targets, people.synthetic, people.reference)),
        views((targets, leaky, people.reference)),
        strict=True,
    ):
        planted, real = Replay.of(view).planted(chosen, rng=rng), Replay.of(true)
        assert (planted.near.shared == real.near.shared).mean() > 0.95
        assert (planted.near.score[chosen] > 0.9 * real.near.score[chosen]).all()
        assert planted.near.whole[chosen].all() and real.near.whole[chosen].all()


def test_no_value_stands_in_two_runs_of_a_column(cast: Callable[..., AuditSplits]) -> None:
    log = cast(np.random.default_rng(1)).trained
    assert log.rating is not None
    (runs,) = [view for view in views([log]) if view.name == "runs of rating"]
    values = len(np.unique(log.rating))
    length = int(np.ceil(6 / np.log10(values)))  # so many runs differ that few are alike by chance
    tokens = np.diff(runs.tokens[0].indptr)
    assert tokens.sum() > 0 and (tokens <= log.activity // length).all()
