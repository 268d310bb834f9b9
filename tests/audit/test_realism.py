"""Each realism limit is passed by the real log itself and failed by the trick that it is there to
catch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from synthrec.audit import profiles, realism
from synthrec.data.eventlog import EventLog

K = 120


def limits(synthetic: EventLog, *, real: EventLog) -> dict[str, bool]:
    found = realism.measure_realism(
        synthetic, real=real, items=300, events_per_user=K, rng=np.random.default_rng(3)
    )
    return {limit.name.split(" (")[0]: limit.passed for limit in found}


def test_other_real_users_pass_every_limit(everybody: EventLog, rng: np.random.Generator) -> None:
    strangers = profiles.cut(everybody.select(np.arange(600)), events_per_user=K, rng=rng)
    assert all(limits(strangers, real=everybody.select(np.arange(600, 1_200))).values())


def test_a_verbatim_copy_passes_every_limit_however_many_events_people_have(
    everybody: EventLog,
) -> None:
    assert (everybody.activity > K).any(), "otherwise this shows nothing"
    assert all(limits(everybody, real=everybody).values())


def without_rating_noise(log: EventLog, rng: np.random.Generator) -> EventLog:
    item_mean = np.bincount(log.item, log.rating, 300) / np.maximum(
        1, np.bincount(log.item, minlength=300)
    )
    return EventLog(
        offsets=log.offsets, item=log.item, rating=np.rint(item_mean[log.item]).astype(np.float32)
    )


def without_user_bias(log: EventLog, rng: np.random.Generator) -> EventLog:
    return EventLog(offsets=log.offsets, item=log.item, rating=rng.permutation(log.rating))


def without_popularity(log: EventLog, rng: np.random.Generator) -> EventLog:
    return EventLog(
        offsets=log.offsets,
        item=rng.integers(0, 300, len(log.item)).astype(np.int32),
        rating=log.rating,
    )


def without_activity(log: EventLog, rng: np.random.Generator) -> EventLog:
    return profiles.cut(log, events_per_user=30, rng=rng)


def the_same_user_again(log: EventLog, rng: np.random.Generator) -> EventLog:
    return log.select(np.repeat(rng.integers(0, log.users, 3), 300))


@pytest.mark.parametrize(
    ("saboteur", "caught_by"),
    [
        (without_rating_noise, "rating"),
        (without_rating_noise, "rating variance within users"),
        (without_user_bias, "variance of users' mean ratings"),
        (without_popularity, "popularity"),
        (without_popularity, "similarity of users"),
        (without_activity, "activity"),
        (the_same_user_again, "similarity of users"),
    ],
)
def test_each_trick_fails_its_limit(
    saboteur: Callable[..., EventLog], caught_by: str, train: EventLog, rng: np.random.Generator
) -> None:
    bounded = profiles.cut(train, events_per_user=K, rng=rng)
    assert limits(bounded, real=train)[caught_by]
    assert not limits(saboteur(bounded, rng), real=train)[caught_by]


def test_the_mean_cosine_is_that_of_all_pairs(rng: np.random.Generator) -> None:
    rows = [rng.choice(12, rng.integers(1, 6), replace=False) for _ in range(9)]
    log = EventLog(offsets=np.cumsum([0, *map(len, rows)]), item=np.concatenate(rows))
    pairs = [
        len(set(a) & set(b)) / np.sqrt(len(a) * len(b))
        for i, a in enumerate(rows)
        for j, b in enumerate(rows)
        if i != j
    ]
    assert realism.mean_cosine(log, items=12) == pytest.approx(np.mean(pairs))


def test_the_variances_are_those_of_the_definition() -> None:
    log = EventLog(
        offsets=np.array([0, 2, 5, 5]), item=np.arange(5), rating=np.array([1, 3, 2, 4, 4.5])
    )
    within, between = realism.rating_variances(log)
    assert within == pytest.approx((2 * 1 + sum((np.array([2, 4, 4.5]) - 3.5) ** 2)) / 3)
    assert between == pytest.approx(np.var([2.0, 3.5]))


def test_activity_buckets_grow_by_half_octaves() -> None:
    sizes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 15, 16, 22, 23]
    found = [int(np.flatnonzero(realism.buckets(np.array([size])))[0]) for size in sizes]
    assert found == [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9]
    assert realism.buckets(np.array(sizes)).tolist() == np.bincount(found).tolist()


def test_total_variation_is_zero_for_equal_shapes_and_one_for_disjoint_or_missing_ones() -> None:
    assert realism.total_variation(np.array([1, 3]), other=np.array([10, 30])) == 0.0
    assert realism.total_variation(np.array([1, 0]), other=np.array([0, 5])) == 1.0
    assert realism.total_variation(np.array([0, 0]), other=np.array([0, 5])) == 1.0


def test_a_log_without_ratings_has_no_limits_on_ratings(train: EventLog) -> None:
    implicit = EventLog(offsets=train.offsets, item=train.item)
    assert set(limits(implicit, real=implicit)) == {"popularity", "activity", "similarity of users"}
