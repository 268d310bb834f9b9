"""Factors learned from pairs of items: a planted one is found, noise alone is not, and a row is one
user's own.
"""

from __future__ import annotations

import numpy as np
import pytest

from synthrec.data.eventlog import EventLog
from synthrec.model import cooccurrence
from synthrec.model.cooccurrence import (
    chances,
    cooccurrence_factors,
    items_in_pairs,
    pair_frame,
    pair_vectors,
)
from synthrec.privacy.mechanisms import LATTICE, lattice_pairs

ITEMS, USERS, PICKS = 60, 3000, 12
POPULARITY = np.full(ITEMS, 1 / ITEMS)
EDGES, ACTIVITY = (PICKS, PICKS + 1), np.ones(1)
SIGN = np.where(np.random.default_rng(1).random(ITEMS) < 0.5, 1.0, -1.0)


def planted(strength: float, *, seed: int = 0) -> EventLog:
    """Users of two kinds, who lean to either half of the items by some log odds."""
    rng = np.random.default_rng(seed)
    lean = strength * rng.choice([-1.0, 1.0], (USERS, 1)) * SIGN
    picks = np.argsort(-(lean + rng.gumbel(size=(USERS, ITEMS))), axis=1)[:, :PICKS]
    return EventLog(offsets=np.arange(USERS + 1) * PICKS, item=picks.ravel().astype(np.int32))


def axes(log: EventLog, *, noise_std: float, features: np.ndarray, seed: int = 0) -> np.ndarray:
    frame = pair_frame(POPULARITY, activity_edges=EDGES, activity=ACTIVITY, most=ITEMS)
    norm = np.sqrt(0.5)
    total = lattice_pairs(pair_vectors(log, frame=frame), norm=norm) * (norm / LATTICE)
    noise = np.random.default_rng(seed).normal(0, noise_std, len(total))
    return cooccurrence_factors(total + noise, noise_std=noise_std, frame=frame, features=features)


NO_FEATURES = np.zeros((ITEMS, 0))


def test_a_factor_that_no_feature_names_is_found_through_the_noise() -> None:
    found = axes(planted(0.7), noise_std=3.0, features=NO_FEATURES)
    assert found.shape[1] >= 1 and abs(np.corrcoef(found[:, 0], SIGN)[0, 1]) > 0.9


def test_pure_noise_gives_weak_axes_at_most() -> None:
    kept = [
        axes(planted(0.0, seed=seed), noise_std=30.0, features=NO_FEATURES, seed=seed).shape[1]
        for seed in range(10)
    ]
    assert max(kept) <= 2


def test_what_a_feature_says_is_not_found_again() -> None:
    found = axes(planted(0.7), noise_std=3.0, features=SIGN[:, None])
    assert all(abs(np.corrcoef(axis, SIGN)[0, 1]) < 0.2 for axis in found.T)


def test_a_row_is_one_users_own_of_unit_length_and_empty_users_are_zero() -> None:
    log = planted(0.5)
    frame = pair_frame(POPULARITY, activity_edges=EDGES, activity=ACTIVITY, most=30)
    rows = pair_vectors(log, frame=frame)
    alone = pair_vectors(log.select(np.array([7])), frame=frame)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0) and (rows[7] == alone[0]).all()
    nobody = EventLog(offsets=np.array([0, 0]), item=np.zeros(0, dtype=np.int32))
    assert (pair_vectors(nobody, frame=frame) == 0).all()


def test_chances_sum_to_the_number_of_picks() -> None:
    popularity = np.random.default_rng(0).dirichlet(np.full(200, 0.3))
    assert chances(np.array([1, 10, 40]), popularity=popularity).sum(axis=1) == pytest.approx(
        [1, 10, 40], rel=0.05
    )


def test_more_users_or_less_noise_pair_more_items() -> None:
    sizes = [
        items_in_pairs(population, noise_multiplier=2.0) for population in (1000, 10_000, 100_000)
    ]
    assert (
        sizes == sorted(sizes)
        and sizes[0] == cooccurrence.FEWEST_ITEMS
        and sizes[-1] == cooccurrence.MAX_ITEMS
    )
    assert items_in_pairs(10_000, noise_multiplier=0.0) == cooccurrence.MAX_ITEMS
