"""Of a large log an audit asks about some people, by chance and blind to the coin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from synthrec.audit import splits
from synthrec.audit.splits import AuditSplits
from synthrec.data.eventlog import EventLog

MOST = 20


def log(users: int) -> EventLog:
    """One event a user, whose item tells who it is."""
    return EventLog(offsets=np.arange(users + 1), item=np.arange(users, dtype=np.int32))


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> AuditSplits:
    monkeypatch.setattr(splits, "MAX_ASKED", MOST)
    monkeypatch.setattr(splits, "MAX_LEARNED", 30)
    return AuditSplits(
        trained=log(100),
        coined=np.arange(100) < 60,
        holdout=log(60),
        reference=log(50),
        test=log(10),
        train_whole=log(100),
        synthetic=log(200),
        items=200,
        events_per_user=1,
    )


def coins(sample: Callable[..., AuditSplits], *, draws: int) -> np.ndarray:
    """How many of those drawn were in for a coin, in each draw."""
    return np.array(
        [int(sample(rng=np.random.default_rng(seed)).coined.sum()) for seed in range(draws)]
    )


def hypergeometric_spread(counts: np.ndarray) -> bool:
    """60 in and 60 out, 40 drawn without a look at the coin: variance 40 / 4 * 80 / 119 = 6.7."""
    return bool(4.5 < counts.var() < 9.5 and abs(counts.mean() - MOST) < 0.6)


def test_the_coin_of_those_who_are_asked_about_stays_fair_and_a_sampler_that_looks_at_it_is_found(
    people: AuditSplits,
) -> None:
    assert hypergeometric_spread(coins(partial(people.sampled, synthetic=200), draws=400))

    def looks(rng: np.random.Generator) -> AuditSplits:
        both = (rng.permutation(60)[:MOST] for _ in range(2))
        asked, out = (np.sort(part) for part in both)
        return replace(people, coined=people.coined[asked], holdout=people.holdout.select(out))

    assert not hypergeometric_spread(coins(looks, draws=400))


def test_labels_follow_their_people_and_nothing_small_is_touched(people: AuditSplits) -> None:
    found = people.sampled(synthetic=50, rng=np.random.default_rng(0))
    assert (found.coined == (np.asarray(found.trained.item) < 60)).all()
    assert found.trained.users >= MOST and found.trained.users + found.holdout.users <= 2 * MOST + 1
    assert (found.reference.users, found.test.users, found.synthetic.users) == (MOST, 10, 50)
    assert found.asked_share == found.trained.users / 100
    for each in (found.trained, found.holdout, found.synthetic):
        assert len(np.unique(each.item)) == each.users
    small = replace(people, coined=np.zeros(100, dtype=bool))
    assert small.sampled(synthetic=50, rng=np.random.default_rng(0)).holdout.users == MOST
