"""The three risks and replay on simulated truth: nothing to find, everybody copied, and a control
that is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from synthrec.audit.attacks.exact import views
from synthrec.audit.disclosure import measure_disclosure
from synthrec.audit.disclosure.common import excess, ratio_interval
from synthrec.audit.disclosure.linking import SyntheticIndex, linked_by_values
from synthrec.audit.disclosure.replay import longest_runs
from synthrec.audit.disclosure.singling_out import _described
from synthrec.audit.record import Disclosure, Risk
from synthrec.audit.splits import AuditSplits, Knowledge
from synthrec.audit.verdict import policy
from synthrec.data.eventlog import EventLog
from tests.audit.test_intervals import assert_chance

ITEMS, DAY = 150, 86_400
ALL_RISKS = {"singling out", "linkability", "attribute inference"}


def drawn(users: int, *, rng: np.random.Generator) -> EventLog:
    """People of four tastes with 10 to 25 items each, ratings that follow taste, and an attribute
    that goes with it.
    """
    taste = rng.integers(0, 4, users)
    weight = (1.0 + np.arange(ITEMS)) ** -0.7 * np.where(
        np.arange(ITEMS) % 4 == taste[:, None], 4.0, 1.0
    )
    counts = rng.integers(10, 26, users)
    keys = np.log(weight) + rng.gumbel(
        size=weight.shape
    )  # the largest few: a draw without replacement
    item = np.concatenate(
        [np.argpartition(-row, count)[:count] for row, count in zip(keys, counts, strict=True)]
    ).astype(np.int32)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    liked = np.repeat(taste, counts) == item % 4
    start = np.repeat(rng.integers(0, 300 * DAY, users), counts)
    time = start + rng.integers(0, 30 * DAY, len(item))
    order = np.lexsort((time, np.repeat(np.arange(users), counts)))
    group = np.where(rng.random(users) < 0.7, taste, rng.integers(0, 4, users)).astype(np.int16)
    return EventLog(
        offsets=offsets,
        item=item[order],
        rating=(rng.integers(1, 4, len(item)) + 2 * liked)[order].astype(np.float32),
        time=time[order],
        attributes={"group": group},
    )


def people(*, synthetic: EventLog, trained: EventLog, holdout: EventLog) -> AuditSplits:
    return AuditSplits(
        trained=trained,
        coined=np.zeros(trained.users, dtype=bool),
        holdout=holdout,
        reference=holdout,
        test=holdout,
        train_whole=trained,
        synthetic=synthetic,
        items=ITEMS,
        events_per_user=25,
    )


def bare(log: EventLog) -> EventLog:
    return replace(log, rating=None, time=None, attributes={})


def measured(who: AuditSplits, *, rng: np.random.Generator) -> Disclosure:
    found = measure_disclosure(who, effort="quick", rng=rng)
    assert found is not None
    return found


def swapped(log: EventLog, *, share: float, rng: np.random.Generator) -> EventLog:
    return replace(
        log,
        item=np.where(
            rng.random(len(log.item)) < share, rng.integers(0, ITEMS, len(log.item)), log.item
        ).astype(np.int32),
    )


# intervals


@pytest.mark.parametrize(
    ("attack", "control", "n"),
    [(0.1, 0.1, 60), (0.02, 0.02, 100), (0.5, 0.2, 80), (0.9, 0.1, 60), (0.75, 0.7, 150)],
)
def test_the_interval_of_a_risk_covers_the_truth_as_often_as_it_says(
    attack: float, control: float, n: int, rng: np.random.Generator
) -> None:
    truth, worlds = (attack - control) / (1 - control), 400
    drawn = [
        excess(int(rng.binomial(n, attack)), of=n, control=int(rng.binomial(n, control)), among=n)
        for _ in range(worlds)
    ]
    assert_chance(sum(each.low <= truth <= each.high for each in drawn), of=worlds, at_least=0.935)


def test_a_ratio_is_refused_by_a_score_test_that_knows_its_likelihood_only_by_search() -> None:
    """The ends of the interval, by a search for the likeliest pair of rates and no formula."""
    hits, of, base, among = 30, 70, 45, 80
    low, high = ratio_interval(hits, of=of, base=base, among=among, confidence=0.95)
    for ratio in (low, high):
        second = np.linspace(1e-6, min(1, 1 / ratio) - 1e-6, 400_001)
        first = ratio * second
        likeliest = int(
            np.argmax(
                hits * np.log(first)
                + (of - hits) * np.log1p(-first)
                + base * np.log(second)
                + (among - base) * np.log1p(-second)
            )
        )
        one, two = first[likeliest], second[likeliest]
        statistic = (hits - of * one) ** 2 / (of * one * (1 - one)) + (base - among * two) ** 2 / (
            among * two * (1 - two)
        )
        assert statistic == pytest.approx(3.8415, abs=2e-3)
    assert low < (hits / of) / (base / among) < high


def test_a_risk_has_an_interval_at_the_ends_and_says_nothing_where_the_control_never_fails() -> (
    None
):
    sure, none, nothing = (
        excess(50, of=50, control=0, among=50),
        excess(0, of=50, control=0, among=50),
        excess(3, of=9, control=9, among=9),
    )
    assert (sure.value, sure.high) == (1.0, 1.0) and 0.9 < sure.low < 1
    assert none.value == 0.0 and none.low < 0 < none.high < 0.1
    assert (nothing.low, nothing.high) == (-1.0, 1.0)


# parts, against brute force


def brute_runs(log: EventLog, *, synthetic: EventLog) -> list[int]:
    def texts(of: EventLog) -> list[list[int]]:
        return [
            list(map(int, of.item[first:end]))
            for first, end in zip(of.offsets[:-1], of.offsets[1:], strict=True)
        ]

    def longest(one: list[int], other: list[int]) -> int:
        return max(
            (
                next(
                    (k for k, (a, b) in enumerate(zip(one[i:], other[j:], strict=False)) if a != b),
                    min(len(one) - i, len(other) - j),
                )
                for i in range(len(one))
                for j in range(len(other))
            ),
            default=0,
        )

    return [
        max((longest(one, other) for other in texts(synthetic)), default=0) for one in texts(log)
    ]


def test_runs_are_those_of_a_search_through_all_pairs(rng: np.random.Generator) -> None:
    for items, users in ((3, 12), (40, 9)):
        logs = []
        for count in (users, users, 2 * users):
            counts = rng.integers(0, 14, count)
            logs.append(
                EventLog(
                    offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
                    item=rng.integers(0, items, counts.sum()).astype(np.int32),
                    time=np.arange(counts.sum()),
                )
            )
        one, other, synthetic = logs
        expected = brute_runs(one, synthetic=synthetic) + brute_runs(other, synthetic=synthetic)
        assert longest_runs((one, other), synthetic=synthetic).tolist() == expected


def test_a_copied_user_is_replayed_whole_in_order_of_time_and_no_run_goes_past_a_user(
    rng: np.random.Generator,
) -> None:
    log = drawn(40, rng=rng)
    assert longest_runs((log,), synthetic=log).tolist() == log.activity.tolist()
    assert longest_runs((bare(log),), synthetic=bare(log)).tolist() == log.activity.tolist()
    moved = replace(log, time=log.time[::-1].copy())
    assert longest_runs((log,), synthetic=moved).mean() < 5


def test_predicates_describe_those_who_have_all_their_facts(rng: np.random.Generator) -> None:
    from scipy import sparse

    having = rng.random((30, 12)) < 0.4
    predicates = np.stack([rng.choice(12, 3, replace=False) for _ in range(50)])
    for predicate, who in zip(
        predicates,
        _described(predicates, by=sparse.csr_array(having.astype(np.float32))),
        strict=True,
    ):
        assert sorted(who.tolist()) == np.flatnonzero(having[:, predicate].all(axis=1)).tolist()


def test_the_scoreboard_counts_an_item_once_however_often_a_synthetic_user_has_it() -> None:
    from synthrec.audit.disclosure.common import Person

    synthetic = EventLog(offsets=np.array([0, 3, 4]), item=np.array([1, 1, 2, 1], dtype=np.int32))
    person = Person(row=0, item=np.array([1, 2]), rating=None, time=None, hidden=np.array([0]))
    one, both = (score.copy() for score in SyntheticIndex(synthetic, items=3).scores(person))
    assert one.tolist() == pytest.approx([1 / np.log(5)] * 2) and both[0] > both[1] == one[1]


# worlds


def worlds(count: int, *, rng: np.random.Generator, plain: bool = False) -> Iterator[Disclosure]:
    for _ in range(count):
        logs = [drawn(users, rng=rng) for users in (60, 50, 80)]
        trained, holdout, synthetic = map(bare, logs) if plain else logs
        yield measured(people(synthetic=synthetic, trained=trained, holdout=holdout), rng=rng)


def key(risk: Risk) -> tuple[str, str]:
    return risk.name, risk.setting


def assert_nothing_is_found(found: list[Disclosure]) -> None:
    """Each risk's interval holds 0 at its rate; a member is called replayed longer than anybody
    outside no more often than by chance.
    """
    for place, risk in enumerate(found[0].risks):
        same = [each.risks[place] for each in found]
        assert {key(each) for each in same} == {key(risk)}
        assert_chance(
            sum(each.risk.low <= 0 <= each.risk.high for each in same), of=len(found), at_least=0.93
        )
        assert_chance(
            sum(each.risk.low > 0 for each in same), of=len(found), at_least=0.0, at_most=0.035
        )
    assert_chance(
        sum(each.replay.members.low > each.replay.holdout.high for each in found),
        of=len(found),
        at_least=0.0,
        at_most=0.025,
    )


def test_a_synthetic_log_of_strangers_shows_nothing_at_the_stated_rate(
    rng: np.random.Generator,
) -> None:
    found = list(worlds(16, rng=rng))
    assert {risk.name for risk in found[0].risks} == ALL_RISKS and len(found[0].risks) == 9
    assert_nothing_is_found(found)


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True])
def test_a_synthetic_log_of_strangers_shows_nothing_at_the_stated_rate_in_many_worlds(
    plain: bool, rng: np.random.Generator
) -> None:
    assert_nothing_is_found(list(worlds(200, rng=rng, plain=plain)))


def leaky(*, plain: bool, rng: np.random.Generator, saboteur: bool = False) -> Disclosure:
    """Synthetic users are all who trained, a tenth of items swapped; a saboteur compares them with
    others who trained.
    """
    trained, holdout = (drawn(users, rng=rng) for users in (240, 120))
    synthetic = swapped(trained, share=0.1, rng=rng)
    if saboteur:
        trained, holdout = trained.select(np.arange(120)), trained.select(np.arange(120, 240))
    logs = [bare(log) if plain else log for log in (trained, holdout, synthetic)]
    return measured(people(synthetic=logs[2], trained=logs[0], holdout=logs[1]), rng=rng)


def found_in(disclosure: Disclosure) -> set[str]:
    """What is seen: risks whose interval lies above the policy's twentieth, and replay."""
    longer = disclosure.replay.members.low > disclosure.replay.holdout.high + 1
    return {risk.name for risk in disclosure.risks if risk.risk.low > 0.05} | (
        {"replay"} if longer else set()
    )


@pytest.mark.parametrize("plain", [False, True])
def test_copied_users_are_found_by_every_risk_and_in_every_setting_that_knows_enough(
    plain: bool, rng: np.random.Generator
) -> None:
    found = leaky(plain=plain, rng=rng)
    assert found_in(found) == ALL_RISKS | {"replay"}
    weak = {key(risk) for risk in found.risks if risk.risk.low <= 0.05}
    assert weak <= {("linkability", "2 known events"), ("singling out", "2 items")}, weak


def test_controls_who_trained_hide_the_leak_and_so_fail_the_test_above(
    rng: np.random.Generator,
) -> None:
    assert (
        len(found_in(leaky(plain=False, rng=rng, saboteur=True))) <= 1
    )  # nine intervals: one in a few worlds errs


def test_a_copied_tenth_is_found_by_replay_and_singling_out(rng: np.random.Generator) -> None:
    trained, holdout, strangers = (drawn(users, rng=rng) for users in (300, 300, 270))
    synthetic = EventLog.concat([trained.select(np.arange(30)), strangers])
    found = measured(people(synthetic=synthetic, trained=trained, holdout=holdout), rng=rng)
    assert found.replay.longest_member >= 20 > found.replay.longest_holdout
    assert any(risk.name == "singling out" and risk.risk.low > 0 for risk in found.risks)


def test_equal_generators_give_equal_figures_and_the_logs_stay_as_they_were(
    rng: np.random.Generator,
) -> None:
    logs = [drawn(50, rng=rng) for _ in range(3)]
    for log in logs:
        for column in (log.offsets, log.item, log.rating, log.time):
            column.flags.writeable = False
    who = people(trained=logs[0], holdout=logs[1], synthetic=logs[2])
    assert measured(who, rng=np.random.default_rng(5)) == measured(
        who, rng=np.random.default_rng(5)
    )


def test_a_class_without_users_or_an_empty_synthetic_log_is_not_measured(
    rng: np.random.Generator,
) -> None:
    log = drawn(30, rng=rng)
    nobody = log.select(np.arange(0))
    for trained, holdout, synthetic in ((nobody, log, log), (log, nobody, log), (log, log, nobody)):
        assert (
            measure_disclosure(
                people(trained=trained, holdout=holdout, synthetic=synthetic),
                effort="quick",
                rng=rng,
            )
            is None
        )


def test_users_with_few_events_are_attacked_only_where_something_is_left_to_learn(
    rng: np.random.Generator,
) -> None:
    log = drawn(60, rng=rng)
    short = log.keep(np.arange(len(log.item)) - log.offsets[log.user_of_event()] < 4)
    found = measured(people(trained=short, holdout=short, synthetic=log), rng=rng)
    assert {key(risk) for risk in found.risks if risk.name != "singling out"} == {
        ("linkability", "2 known events")
    }


def test_two_exact_values_link_people_whose_values_were_copied_and_nobody_else(
    rng: np.random.Generator,
) -> None:
    trained, holdout, strangers = (drawn(users, rng=rng) for users in (60, 50, 80))
    members = trained.select(np.arange(20))
    synthetic = EventLog.concat([strangers, replace(members, item=rng.permutation(members.item))])
    (view,) = [view for view in views((trained, holdout, synthetic)) if view.knowledge == "times"]
    found = linked_by_values(view, known=2, rng=rng)
    assert found is not None and found.setting == "2 known of exact times"
    assert found.attack.n == 50 and found.attack.value == pytest.approx(20 / 50, abs=0.15)
    assert found.control.value < 0.1 and found.random.value < 0.1
    assert linked_by_values(view, known=100, rng=rng) is None
    shown = measure_disclosure(
        people(synthetic=synthetic, trained=trained, holdout=holdout),
        effort="quick",
        policy=policy(),
        rng=rng,
    )
    assert shown is not None
    settings = {key(risk) for risk in shown.risks}
    assert {("linkability", "2 known of exact times"), ("singling out", "2 of exact times")} <= (
        settings
    )


def test_the_owner_chooses_what_an_intruder_knows_and_infers(rng: np.random.Generator) -> None:
    trained, holdout, synthetic = (drawn(users, rng=rng) for users in (60, 50, 80))
    who = people(synthetic=synthetic, trained=trained, holdout=holdout)
    chosen = Knowledge(known=frozenset({"item", "rating"}), secret=frozenset({"group"}))
    found = measure_disclosure(
        replace(who, knowledge=chosen), effort="quick", policy=policy(), rng=rng
    )
    assert found is not None
    inferred = {risk.setting for risk in found.risks if risk.name == "attribute inference"}
    assert inferred == {"group, 8 known events"}
    assert not any("exact times" in each.setting or "weeks" in each.setting for each in found.risks)
