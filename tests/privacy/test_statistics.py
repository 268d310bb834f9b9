"""The statistical helper itself: it sees what it claims to see."""

from __future__ import annotations

import numpy as np

from tests.statistics_ import (
    accepts_only_the_truth,
    are_binomial,
    draws_for_scale,
    has_scale,
    is_fresh,
)

RNG_SEED = 7


def test_the_number_of_draws_is_enough_to_tell_95_and_105_hundredths_from_the_truth() -> None:
    rng = np.random.default_rng(RNG_SEED)
    for _ in range(50):
        noise = rng.normal(0, 3.0, draws_for_scale())
        assert (
            has_scale(noise, 3.0)
            and not has_scale(noise, 3.0 * 0.95)
            and not has_scale(noise, 3.0 * 1.05)
        )


def test_noise_that_is_absent_halved_or_repeated_is_seen() -> None:
    rng = np.random.default_rng(RNG_SEED)
    once = rng.normal(0, 1.0, draws_for_scale())
    assert accepts_only_the_truth(lambda: rng.normal(0, 1.0, 2_000), 1.0)
    assert not accepts_only_the_truth(lambda: np.zeros(2_000), 1.0)
    assert not any(
        accepts_only_the_truth(lambda wrong=wrong: rng.normal(0, wrong, 2_000), 1.0)
        for wrong in (0.5, 0.95, 1.05)
    )
    assert has_scale(once, 1.0) and not is_fresh(lambda: once) and not is_fresh(lambda: np.zeros(5))


def test_counts_that_are_too_even_or_off_are_not_binomial() -> None:
    rng = np.random.default_rng(RNG_SEED)
    assert are_binomial(rng.binomial(500, 0.2, 300), trials=500, chance=0.2)
    assert not are_binomial(rng.binomial(500, 0.26, 300), trials=500, chance=0.2)
    assert not are_binomial(np.full(300, 100), trials=500, chance=0.2)
