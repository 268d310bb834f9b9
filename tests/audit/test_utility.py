"""The protocol: floors and ceilings where they must be, figures paired over users, logs left as
they were.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from synthrec.audit import intervals, profiles, scores, utility
from synthrec.audit.recommenders import Predictions
from synthrec.audit.utility import (
    ArmInput,
    ArmScores,
    Ladder,
    measure_utility,
    score_ladder,
    split_test,
)
from synthrec.data.eventlog import EventLog

SCALE = (1.0, 5.0)


def arm(log: EventLog) -> ArmInput:
    return ArmInput(log=log, label="an arm", epsilon=None, ledger_kind=None)


def with_columns(
    log: EventLog, *, item: np.ndarray | None = None, rating: np.ndarray | None = None
) -> EventLog:
    return EventLog(
        offsets=log.offsets,
        item=log.item if item is None else item,
        rating=log.rating if rating is None else rating,
    )


def ladder_of(train: EventLog, test: EventLog, *, rng: np.random.Generator, **arms: EventLog):
    inputs = {name: arm(log) for name, log in arms.items()}
    return score_ladder(
        train=train,
        test=test,
        arms=inputs,
        items=300,
        scale=SCALE,
        events_per_user=120,
        rng=rng,
        resamples=400,
    )


def test_the_split_holds_out_a_fifth_of_each_users_events_and_loses_none(
    test_users: EventLog, rng: np.random.Generator
) -> None:
    observed, heldout = split_test(test_users, rng)
    assert heldout.activity.tolist() == np.rint(0.2 * test_users.activity).tolist()
    for user in range(0, 200, 17):
        mine = [
            log.item[log.offsets[user] : log.offsets[user + 1]]
            for log in (observed, heldout, test_users)
        ]
        assert sorted([*mine[0], *mine[1]]) == sorted(mine[2])


def test_the_split_is_random_within_a_user_not_by_time(
    test_users: EventLog, rng: np.random.Generator
) -> None:
    _, heldout = split_test(test_users, rng)
    place = np.concatenate([np.arange(n) / n for n in test_users.activity])
    held = np.isin(
        test_users.user_of_event() * 1_000 + test_users.item,
        heldout.user_of_event() * 1_000 + heldout.item,
    )
    assert abs(place[held].mean() - place[~held].mean()) < 0.03


def test_a_log_between_is_ranked_between_and_a_copy_of_the_real_log_closes_the_whole_gap(
    train: EventLog, test_users: EventLog, rng: np.random.Generator
) -> None:
    shuffled = with_columns(train, rating=rng.permutation(train.rating))
    ladder = ladder_of(train, test_users, rng=rng, shuffled=shuffled, copy=train)
    utility = ladder.summary()
    assert [rung.name for rung in utility.ladder] == [
        "nothing",
        "popularity",
        "shuffled",
        "copy",
        "real",
    ]
    rung = {each.name: each for each in utility.ladder}
    assert rung["real"].rmse.value < rung["real"].bias_rmse < rung["nothing"].rmse.value
    assert rung["copy"].rmse == rung["real"].rmse and rung["copy"].ndcg == rung["real"].ndcg
    assert (rung["copy"].gap_closed.low, rung["copy"].gap_closed.high) == pytest.approx((1.0, 1.0))
    assert rung["shuffled"].gap_closed.high < 0.2
    assert rung["real"].ndcg.low > rung["popularity"].ndcg.high
    assert rung["shuffled"].ranking_gap_closed.value == pytest.approx(
        1.0
    )  # its items are the real ones
    assert rung["popularity"].rmse is None and rung["nothing"].ndcg is None
    assert all(rung[name].gap_closed is None for name in ("nothing", "popularity", "real"))


def test_without_room_between_floor_and_ceiling_no_share_of_it_is_claimed(
    train: EventLog, test_users: EventLog, rng: np.random.Generator
) -> None:
    useless = with_columns(
        train,
        rating=rng.permutation(train.rating),
        item=rng.integers(300, size=len(train.item)).astype(np.int32),
    )
    rung = {
        each.name: each
        for each in ladder_of(useless, test_users, rng=rng, copy=train).summary().ladder
    }
    assert (
        rung["real"].rmse.value > rung["nothing"].rmse.value
        and rung["copy"].rmse.value < rung["nothing"].rmse.value
    )
    assert rung["copy"].gap_closed is None


def test_differences_are_paired_so_a_log_differs_from_itself_by_exactly_nothing(
    train: EventLog, test_users: EventLog, rng: np.random.Generator
) -> None:
    noisy = with_columns(
        train,
        rating=np.clip(train.rating + rng.normal(0, 1.5, len(train.item)), 1, 5).astype(np.float32),
    )
    ladder = ladder_of(train, test_users, rng=rng, copy=train, noisy=noisy)
    same, worse = (
        ladder.rmse_difference("copy", other="real"),
        ladder.rmse_difference("noisy", other="real"),
    )
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    assert worse.low > 0.0
    apart = ladder.rmse("noisy").high - ladder.rmse("noisy").low
    assert worse.high - worse.low < apart, (
        "pairing makes the interval of a difference shorter than that of either side"
    )
    assert ladder.ndcg_difference("copy", other="real").high == 0.0


def test_nothing_is_each_users_damped_mean_around_the_pooled_mean() -> None:
    observed = EventLog(
        offsets=np.array([0, 2, 3]),
        item=np.array([0, 1, 0]),
        rating=np.array([5, 5, 1], np.float32),
    )
    heldout = EventLog(
        offsets=np.array([0, 1, 2]), item=np.array([2, 2]), rating=np.array([4, 2], np.float32)
    )
    found = scores.nothing_errors(observed=observed, heldout=heldout, scale=SCALE)
    pooled = 11 / 3
    means = np.array([pooled + (10 - 2 * pooled) / 7, pooled + (1 - pooled) / 6])
    assert found.squared == pytest.approx((means - [4, 2]) ** 2)
    assert found.bias_squared == pytest.approx(found.squared)


def test_predictions_are_clipped_to_the_scale() -> None:
    heldout = EventLog(
        offsets=np.array([0, 2]), item=np.array([0, 1]), rating=np.array([5, 1], np.float32)
    )
    found = scores.errors_of(
        heldout,
        said=Predictions(factors=np.array([7.0, -3.0]), bias=np.array([4.0, 1.0])),
        scale=SCALE,
    )
    assert (
        found.squared.tolist() == [0.0]
        and found.bias_squared.tolist() == [1.0]
        and found.events.tolist() == [2.0]
    )


def test_ndcg_agrees_with_a_slow_version_and_never_recommends_what_the_user_has(
    test_users: EventLog, rng: np.random.Generator
) -> None:
    observed, heldout = split_test(test_users, rng)
    counts = rng.permutation(300) + 1  # without ties: item v is had by the first counts[v] users
    rows = [np.flatnonzero(counts > user) for user in range(300)]
    log = EventLog(offsets=np.cumsum([0, *map(len, rows)]), item=np.concatenate(rows))
    found = scores.popularity_ndcg(log, observed=observed, heldout=heldout, items=300)
    for user in range(0, 200, 13):
        has = set(observed.item[observed.offsets[user] : observed.offsets[user + 1]].tolist())
        mine = slice(heldout.offsets[user], heldout.offsets[user + 1])
        liked = {
            int(i) for i, r in zip(heldout.item[mine], heldout.rating[mine], strict=True) if r >= 4
        }
        ranked = [item for item in np.argsort(-counts, kind="stable").tolist() if item not in has][
            :10
        ]
        gain = sum(1 / np.log2(place + 2) for place, item in enumerate(ranked) if item in liked)
        if not liked:
            assert np.isnan(found[user])
        else:
            assert found[user] == pytest.approx(
                gain / sum(1 / np.log2(place + 2) for place in range(min(10, len(liked)))), abs=1e-6
            )


def test_a_catalogue_smaller_than_the_list_is_ranked_whole() -> None:
    log = EventLog(offsets=np.array([0, 2, 4]), item=np.array([0, 1, 1, 2]))
    heldout = EventLog(offsets=np.array([0, 1, 2]), item=np.array([2, 0]))
    assert scores.ease_ndcg(log, observed=log, heldout=heldout, items=3).tolist() == [1.0, 1.0]


def test_a_log_without_ratings_is_scored_by_ranking_alone(
    train: EventLog, test_users: EventLog, rng: np.random.Generator
) -> None:
    implicit, test = (EventLog(offsets=log.offsets, item=log.item) for log in (train, test_users))
    utility = measure_utility(
        train=implicit,
        test=test,
        arms={"copy": arm(implicit)},
        items=300,
        scale=None,
        events_per_user=120,
        rng=rng,
        resamples=100,
    )
    rung = {each.name: each for each in utility.ladder}
    assert (
        rung["copy"].rmse is None
        and rung["copy"].bias_rmse is None
        and rung["copy"].gap_closed is None
    )
    assert rung["copy"].ranking_gap_closed.value == pytest.approx(1.0)


def test_without_a_held_out_event_there_is_no_utility(
    train: EventLog, rng: np.random.Generator
) -> None:
    for nobody in (
        train.select(np.arange(0)),
        profiles.cut(train.select(np.arange(3)), events_per_user=2, rng=rng),
    ):
        assert (
            measure_utility(
                train=train,
                test=nobody,
                arms={},
                items=300,
                scale=SCALE,
                events_per_user=120,
                rng=rng,
            )
            is None
        )


def test_an_empty_synthetic_log_is_a_bad_arm_not_a_failure(
    train: EventLog, test_users: EventLog, rng: np.random.Generator
) -> None:
    ladder = ladder_of(train, test_users, rng=rng, empty=train.select(np.arange(0)))
    assert ladder.gap_closed("empty").high < 0.2
    assert not any(
        limit.passed for limit in ladder.arms["empty"].realism if "variation" in limit.name
    )


def test_the_rungs_added_here_cannot_be_taken(
    train: EventLog, test_users: EventLog, rng: np.random.Generator
) -> None:
    with pytest.raises(ValueError, match="real"):
        ladder_of(train, test_users, rng=rng, real=train)


def test_equal_seeds_give_equal_records(train: EventLog, test_users: EventLog) -> None:
    one, two = (
        ladder_of(train, test_users, rng=np.random.default_rng(5), copy=train).summary()
        for _ in range(2)
    )
    assert one == two


def test_an_unsorted_log_is_read_as_it_is_and_left_as_it_was(
    test_users: EventLog, rng: np.random.Generator
) -> None:
    """Sparse matrices sort their columns in place: a log that shared memory with one lost the link
    of items and ratings.
    """
    order = np.lexsort((rng.random(len(test_users.item)), test_users.user_of_event()))
    log = with_columns(test_users, item=test_users.item[order], rating=test_users.rating[order])
    before = log.item.copy()
    profiles.pattern(log, items=300)
    scores.ease_ndcg(log, observed=log, heldout=log, items=300)
    assert (log.item == before).all()


def test_strata_cover_every_held_out_event_once_and_their_errors_add_up(
    train: EventLog, test_users: EventLog, rng: np.random.Generator
) -> None:
    ladder = ladder_of(train, test_users, rng=rng, copy=train)
    for by in ("item popularity", "user activity"):
        chosen = np.stack([part.chosen for part in ladder.parts if part.by == by])
        assert (chosen.sum(axis=0) == 1).all()
        for arm in (ladder.arms["copy"], ladder.arms["nothing"]):
            mine = [
                errors
                for errors, part in zip(arm.parts, ladder.parts, strict=True)
                if part.by == by
            ]
            assert np.sum([errors.squared for errors in mine], axis=0) == pytest.approx(
                arm.errors.squared
            )
    rung = {each.name: each for each in ladder.summary().ladder}
    assert [part.name for part in rung["copy"].strata] == [
        "head",
        "middle",
        "tail",
        *(f"decile {place}" for place in range(1, 11)),
    ]
    assert all(part.gap_closed is None for part in rung["nothing"].strata)
    assert rung["copy"].strata[0].gap_closed.value == pytest.approx(1.0)
    assert [part.rmse.n for part in rung["copy"].strata[3:]] == [20] * 10


def test_head_items_hold_the_first_third_of_events_and_unseen_items_are_tail() -> None:
    counts = np.array([1, 6, 0, 3, 2])  # 12 events: an item belongs where its first event falls
    log = EventLog(offsets=np.arange(13), item=np.repeat(np.arange(5), counts))
    assert utility.popularity_part(log, items=5).tolist() == [2, 0, 2, 1, 2]


def test_the_release_beats_the_best_simpler_method_only_with_an_interval_that_excludes_zero(
    train: EventLog, test_users: EventLog, rng: np.random.Generator
) -> None:
    bad = with_columns(
        train, rating=rng.permutation(train.rating), item=rng.permutation(train.item)
    )

    def against(release: EventLog, **rivals: EventLog):
        arms = {
            name: ArmInput(log=log, label=name, epsilon=8.0, ledger_kind="internal")
            for name, log in rivals.items()
        }
        arms["synthrec"] = ArmInput(
            log=release, label="synthrec", epsilon=8.0, ledger_kind="release"
        )
        return measure_utility(
            train=train,
            test=test_users,
            arms=arms,
            items=300,
            scale=SCALE,
            events_per_user=120,
            rng=np.random.default_rng(3),
            resamples=300,
        ).against

    assert all(row.beats for row in against(train, moments=bad))
    same = against(train, moments=train, marginals=bad)
    assert [row.rival for row in same] == ["moments", "moments"], (
        "the best rival is the one to beat"
    )
    assert not any(row.beats for row in same) and all(row.difference.value == 0.0 for row in same)
    assert not any(row.beats for row in against(bad, moments=train))
    assert [row.measure for row in same] == ["RMSE", "NDCG@10"]


def test_paired_intervals_hold_the_true_difference_and_equals_rarely_beat_each_other() -> None:
    """200 audits of 120 users from a known world; each count is within what a binomial does once in
    a million.
    """
    rng, covered, beaten, detected = np.random.default_rng(8), 0, 0, 0
    truth = np.sqrt(0.9) - np.sqrt(1.0)

    def arm_of(name: str, kind: str, mean: float, users: np.ndarray) -> ArmScores:
        squared = (
            mean * users * rng.gamma(20.0, 1 / 20.0, len(users)) * 20
        )  # 20 events each; users differ, arms on a user less so
        events = np.full(len(users), 20.0)
        return ArmScores(
            name=name,
            label=name,
            ledger_kind=kind,
            errors=scores.RatingErrors(events, squared, squared, squared),
        )

    for _ in range(200):
        users, weights = rng.gamma(5.0, 1 / 5.0, 120), intervals.resamples(120, count=200, rng=rng)
        arms = {
            name: arm_of(name, kind, mean, users)
            for name, kind, mean in (
                ("synthrec", "release", 0.9),
                ("moments", "internal", 1.0),
                ("twin", "internal", 0.9),
            )
        }
        ladder = Ladder(test_users=120, heldout_events=2_400, weights=weights, arms=arms)
        found = ladder.rmse_difference("synthrec", other="moments")
        covered += found.low <= truth <= found.high
        detected += (
            Ladder(
                test_users=120,
                heldout_events=2_400,
                weights=weights,
                arms={name: arms[name] for name in ("synthrec", "moments")},
            )
            .against()[0]
            .beats
        )
        beaten += (
            Ladder(
                test_users=120,
                heldout_events=2_400,
                weights=weights,
                arms={name: arms[name] for name in ("synthrec", "twin")},
            )
            .against()[0]
            .beats
        )
    assert stats.binom.cdf(covered, 200, 0.95) > 1e-6, covered
    assert stats.binom.sf(beaten - 1, 200, 0.025) > 1e-6, beaten
    assert detected > 150
