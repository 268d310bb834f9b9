"""Picks are distinct and follow their weights, whether every item is looked at or only the likely
ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from synthrec.model import item_choice
from synthrec.model.item_choice import (
    Behaviour,
    ItemTables,
    ThinningSampler,
    gumbel_top_k,
    partition,
    pick,
    thinned_top_k,
)
from tests.statistics_ import FALSE_ALARM

ITEMS, FEATURES, USERS = 300, 5, 10_000
Race = Callable[[np.ndarray, np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, some of them yes or no, log weights over several powers of e with one very popular
    item, and one tilt.
    """
    rng = np.random.default_rng(0)
    log_weight = rng.normal(0, 1, ITEMS)
    log_weight[0] = 6.0
    features = np.column_stack(
        [rng.normal(0, 1, (ITEMS, FEATURES - 2)), rng.random((ITEMS, 2)) < 0.2]
    )
    return features, log_weight, np.array([0.5, -0.3, 0.2, 0.6, -0.7])


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells as wide, against the tilt, as they are in a catalogue of any size."""
    monkeypatch.setattr(item_choice, "CELLS", 32)


def races(world: tuple[np.ndarray, np.ndarray, np.ndarray], *, seed: int) -> tuple[Race, Race]:
    """Both ways to run a race in this world."""
    features, log_weight, _ = world
    rng = np.random.default_rng(seed)
    sampler = ThinningSampler.of(
        partition(features, log_weight), features=features, log_weight=log_weight
    )
    return (
        lambda tilt, events: gumbel_top_k(
            tilt, events, features=features, log_weight=log_weight, rng=rng
        ),
        lambda tilt, events: thinned_top_k(
            tilt, events, features=features, log_weight=log_weight, sampler=sampler, rng=rng
        ),
    )


def follow(counts: np.ndarray, chance: np.ndarray) -> bool:
    """Are counts a draw of these chances? Chi-square test; rare items are taken together."""
    expected = chance * counts.sum()
    rare = expected < 10
    found = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(expected[~rare], expected[rare].sum())
    found, wanted = found[wanted > 0], wanted[wanted > 0]
    return bool(
        ((found - wanted) ** 2 / wanted).sum() < stats.chi2.isf(FALSE_ALARM, len(found) - 1)
    )


def chances(
    world: tuple[np.ndarray, np.ndarray, np.ndarray], *, strength: float = 1.0
) -> np.ndarray:
    features, log_weight, tilt = world
    weight = np.exp(log_weight + strength * (features @ tilt))
    return np.asarray(weight / weight.sum())


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("way", [0, 1])
def test_first_and_second_picks_follow_the_weights(
    world: tuple[np.ndarray, np.ndarray, np.ndarray], way: int
) -> None:
    picks = races(world, seed=1)[way](np.tile(world[2], (USERS, 1)), np.full(USERS, 2)).reshape(
        USERS, 2
    )
    for strength, right in ((1.0, True), (0.6, False), (1.5, False), (0.0, False)):
        first = chances(world, strength=strength)
        second = first * ((first / (1 - first)).sum() - first / (1 - first))
        assert follow(np.bincount(picks[:, 0], minlength=ITEMS), first) is right
        assert follow(np.bincount(picks[:, 1], minlength=ITEMS), second) is right
    with_repeats = chances(world)
    assert not follow(np.bincount(picks[:, 1], minlength=ITEMS), with_repeats), (
        "a second pick is not a first one"
    )


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Are two sets of users as likely to hold each item? Every item's difference, at FALSE_ALARM
    over all.
    """
    counts = [np.bincount(picks, minlength=ITEMS) for picks in (one, other)]
    chance = (counts[0] + counts[1]) / (2 * USERS)
    spread = np.sqrt(2 * USERS * chance * (1 - chance)) + 1e-9
    return bool(
        (np.abs(counts[0] - counts[1]) / spread).max() < stats.norm.isf(FALSE_ALARM / 2 / ITEMS)
    )


@pytest.mark.usefixtures("coarse")
def test_both_races_hold_the_same_items_and_a_wrong_one_is_seen(
    world: tuple[np.ndarray, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    tilts, events = np.tile(world[2], (USERS, 1)), np.full(USERS, 40)
    full, thinned = races(world, seed=2)
    exact = full(tilts, events)
    assert alike(exact, thinned(tilts, events))
    assert not alike(exact, thinned(0.8 * tilts, events))
    features, log_weight, _ = world
    sampler = ThinningSampler.of(
        partition(features, log_weight), features=features, log_weight=log_weight
    )
    sampler.offset[:] = 0  # the saboteur: every item of a cell is taken at its cell's rate
    rng = np.random.default_rng(3)
    assert not alike(
        exact,
        thinned_top_k(
            tilts, events, features=features, log_weight=log_weight, sampler=sampler, rng=rng
        ),
    )
    monkeypatch.setattr(item_choice, "HEADROOM", 0.5)  # another: factors are cut where many are
    assert not alike(exact, races(world, seed=4)[1](tilts, events))


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("way", [0, 1])
def test_picks_are_distinct_and_as_many_as_asked_for_up_to_the_whole_catalogue(
    world: tuple[np.ndarray, np.ndarray, np.ndarray], way: int
) -> None:
    rng = np.random.default_rng(5)
    events = np.concatenate((rng.integers(1, 60, 50), [ITEMS, 1, ITEMS - 1, ITEMS]))
    picks = races(world, seed=6)[way](rng.normal(0, 1, (len(events), FEATURES)), events)
    for part, count in zip(np.split(picks, np.cumsum(events)[:-1]), events, strict=True):
        assert len(np.unique(part)) == count


@pytest.mark.usefixtures("coarse")
def test_users_who_must_finish_with_a_full_race_follow_the_weights(
    world: tuple[np.ndarray, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_choice, "ROUNDS", 1)
    monkeypatch.setattr(item_choice, "SPARE", 0.5)
    tilts, events = np.tile(world[2], (USERS, 1)), np.full(USERS, 40)
    full, thinned = races(world, seed=7)
    assert alike(full(tilts, events), thinned(tilts, events))


def test_equal_seeds_pick_equally_and_the_size_of_the_catalogue_chooses_the_way(
    world: tuple[np.ndarray, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    features, log_weight, tilt = world
    tables = ItemTables(
        features=features,
        item_mean=np.zeros(ITEMS),
        log_weight=log_weight,
        levels=np.arange(2.0),
        cuts=np.zeros(1),
        rating_noise=1.0,
    )
    users = Behaviour(bias=np.zeros(9), slope=np.zeros((9, FEATURES)), tilt=np.tile(tilt, (9, 1)))
    for most in (ITEMS, ITEMS - 1):
        monkeypatch.setattr(item_choice, "DENSE_ITEMS", most)
        one, other = (
            pick(users, np.arange(9) + 1, tables=tables, rng=np.random.default_rng(8))
            for _ in range(2)
        )
        assert (one == other).all()
        assert ("sampler" in tables.__dict__) is (most < ITEMS)
    heavier = tables.with_(log_weight=log_weight * 2)
    assert heavier.partition is tables.partition and heavier.sampler is not tables.sampler
    assert "partition" not in tables.with_(features=features * 2).__dict__


def test_stand_ins_average_as_all_items_do(
    world: tuple[np.ndarray, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    features, log_weight, tilt = world
    tables = ItemTables(
        features=features,
        item_mean=np.zeros(ITEMS),
        log_weight=log_weight,
        levels=np.arange(2.0),
        cuts=np.zeros(1),
        rating_noise=1.0,
    )
    exact = np.log(np.exp(log_weight + features @ tilt).sum() / np.exp(log_weight).sum())
    monkeypatch.setattr(item_choice, "DENSE_ITEMS", ITEMS - 1)
    rows, weights = tables.stand_ins()
    assert len(rows) == item_choice.STAND_INS
    assert np.log(np.exp(weights + rows @ tilt).sum()) == pytest.approx(exact, abs=0.01)


def test_a_partition_holds_every_item_once_and_separates_equal_items_from_others() -> None:
    features = np.repeat(np.eye(4), 25, axis=0)
    cells = partition(features, np.zeros(100))
    assert (np.sort(cells.order) == np.arange(100)).all() and len(cells.start) == 5
    for start, end in zip(cells.start[:-1], cells.start[1:], strict=True):
        assert len(np.unique(features[cells.order[start:end]], axis=0)) == 1
