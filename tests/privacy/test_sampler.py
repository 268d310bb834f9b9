"""Poisson sampling of users. Teeth: shuffled fixed batches and a rate that follows the data are
caught.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from synthrec.conformance.training import as_table, coins
from synthrec.errors import PlanError
from synthrec.privacy.mechanisms import poisson_batches, system_generator
from tests.statistics_ import FALSE_ALARM, are_binomial

USERS, RATE, STEPS = 400, 0.1, 600
Sampler = Callable[[], Iterator[np.ndarray]]


def poisson() -> Iterator[np.ndarray]:
    return poisson_batches(USERS, sampling_rate=RATE, steps=STEPS, rng=np.random.default_rng(11))


def shuffled() -> Iterator[np.ndarray]:
    """A saboteur: epochs of fixed batches."""
    rng, size = np.random.default_rng(11), round(USERS * RATE)
    for step in range(STEPS):
        if step % (USERS // size) == 0:
            order = rng.permutation(USERS)
        yield order[(step % (USERS // size)) * size :][:size]


def fixed_size() -> Iterator[np.ndarray]:
    """A saboteur: batches of fixed size, drawn anew each time."""
    rng = np.random.default_rng(11)
    for _ in range(STEPS):
        yield rng.choice(USERS, round(USERS * RATE), replace=False)


def too_often() -> Iterator[np.ndarray]:
    """A saboteur: 1.1 times the rate."""
    return poisson_batches(
        USERS, sampling_rate=1.1 * RATE, steps=STEPS, rng=np.random.default_rng(11)
    )


def weighted() -> Iterator[np.ndarray]:
    """A saboteur: some users twice as often as others."""
    rng, chance = (
        np.random.default_rng(11),
        np.where(np.arange(USERS) % 2, 1.33 * RATE, 0.67 * RATE),
    )
    for _ in range(STEPS):
        yield np.flatnonzero(rng.random(USERS) < chance)


def is_poisson(sampler: Sampler) -> bool:
    """Inclusions of each user, batch sizes, and whether a user's coin depends on the last one or on
    another user's.
    """
    return all(
        check.passed
        for check in coins(
            as_table(list(sampler()), users=USERS, steps=STEPS), rate=RATE, whose="sampler"
        )
    )


def test_every_user_is_in_a_batch_by_an_independent_coin_of_the_public_rate() -> None:
    assert is_poisson(poisson)
    assert FALSE_ALARM <= 1e-6


@pytest.mark.parametrize("saboteur", [shuffled, fixed_size, too_often, weighted])
def test_any_other_sampler_is_caught(saboteur: Sampler) -> None:
    assert not is_poisson(saboteur)


def test_batches_vary_in_size_and_an_empty_one_is_a_batch() -> None:
    sizes = [
        len(batch)
        for batch in poisson_batches(3, sampling_rate=0.1, steps=200, rng=np.random.default_rng(0))
    ]
    assert len(sizes) == 200 and 0 in sizes and len(set(sizes)) > 1
    assert [
        len(batch)
        for batch in poisson_batches(0, sampling_rate=0.5, steps=4, rng=np.random.default_rng(0))
    ] == [0, 0, 0, 0]


def test_one_user_more_leaves_the_number_of_steps_and_everybody_elses_chance_as_they_are() -> None:
    for users in (USERS, USERS + 1):
        batches = list(
            poisson_batches(users, sampling_rate=RATE, steps=STEPS, rng=np.random.default_rng(5))
        )
        assert len(batches) == STEPS
        assert are_binomial(
            np.bincount(np.concatenate(batches), minlength=users), trials=STEPS, chance=RATE
        )


def test_coins_come_from_the_operating_system_and_from_no_seed() -> None:
    assert not np.array_equal(system_generator().random(4), system_generator().random(4))


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1, float("nan")])
def test_a_rate_that_is_no_chance_is_refused(rate: float) -> None:
    with pytest.raises(PlanError):
        next(poisson_batches(10, sampling_rate=rate, steps=1, rng=np.random.default_rng(0)))
