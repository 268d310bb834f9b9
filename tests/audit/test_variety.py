"""Real users are as varied as other real users; a log that repeats itself is not, and each figure says it in its own way."""

from __future__ import annotations

import numpy as np
import pytest

from synthrec.audit.variety import cosines, effective_number, measure_variety, repeated_users, variety_of
from synthrec.data.eventlog import EventLog

K, ITEMS = 120, 300


def ratios(synthetic: EventLog, *, real: EventLog) -> dict[str, float]:
    found = measure_variety(synthetic, real=real, items=ITEMS, events_per_user=K, rng=np.random.default_rng(3))
    return {each.name: each.synthetic / max(each.real, 1e-3) for each in found.figures}


def test_other_real_users_are_as_varied(everybody: EventLog) -> None:
    found = ratios(everybody.select(np.arange(600)), real=everybody.select(np.arange(600, 1_200)))
    assert all(0.85 < ratio < 1.15 for name, ratio in found.items() if name != "whole users twice"), found


def test_three_users_again_and_again_are_seen_by_every_figure(train: EventLog) -> None:
    found = ratios(train.select(np.repeat([0, 1, 2], 200)), real=train)
    assert found["items in effect"] < 0.85 and found["catalogue used"] < 0.9 and found["directions in effect"] < 0.2
    assert found["nearest other user, median"] > 1.5 and found["whole users twice"] > 100


def test_users_who_all_pick_by_popularity_have_too_many_directions_or_too_few_neighbours(train: EventLog) -> None:
    rng = np.random.default_rng(0)
    shuffled = EventLog(offsets=train.offsets, item=rng.permutation(train.item), rating=train.rating)
    found = ratios(shuffled, real=train)
    assert found["directions in effect"] > 1.02 and found["items in effect"] == pytest.approx(1, abs=0.1)


def test_figures_agree_with_their_definitions_on_four_users() -> None:
    log = EventLog(offsets=np.array([0, 2, 4, 5, 6]), item=np.array([0, 1, 1, 0, 2, 2], dtype=np.int32),
                   rating=np.array([5, 1, 1, 5, 3, 4], dtype=np.float32))
    assert cosines(log, items=4) == pytest.approx(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]))
    found = variety_of(log, items=4)
    assert found["items in effect"] == pytest.approx(3) and found["catalogue used"] == 0.75
    assert found["directions in effect"] == pytest.approx(2) and found["nearest other user, median"] == pytest.approx(1)
    assert repeated_users(log) == 0.5         # the first two; the others rate differently
    assert effective_number(np.zeros(3)) == 0 and effective_number(np.ones(7)) == pytest.approx(7)


def test_logs_of_one_user_or_none_have_figures_too(train: EventLog) -> None:
    for few in (train.select(np.array([0])), train.select(np.array([], dtype=np.int64))):
        found = measure_variety(few, real=train, items=ITEMS, events_per_user=K, rng=np.random.default_rng(0))
        assert found.users == len(few.offsets) - 1 and all(np.isfinite([each.real, each.synthetic]).all() for each in found.figures)
