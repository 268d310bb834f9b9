"""The one-run bound against the paper's formula in exact fractions, and against mechanisms whose
epsilon is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from synthrec.audit import epsilon_bounds
from synthrec.audit.epsilon_bounds import epsilon_lower_bound, one_run_lower_bound, one_run_p_value
from synthrec.audit.record import LowerBound
from synthrec.errors import DataError
from synthrec.privacy.accounting import Accountant
from synthrec.privacy.event import Event
from tests.audit.test_intervals import assert_chance

WORLDS = 200
ALL = epsilon_bounds.CHOICES


def naive_chance(
    odds: Fraction, *, guesses: int, correct: int, coined: int, delta: Fraction
) -> Fraction:
    """Theorem 5.2 as it stands, e^epsilon a fraction: sums over all outcomes, nothing rounded."""
    right = odds / (1 + odds)

    def at_least(k: int) -> Fraction:
        return sum(
            (
                math.comb(guesses, j) * right**j * (1 - right) ** (guesses - j)
                for j in range(max(k, 0), guesses + 1)
            ),
            Fraction(0),
        )

    slopes = [(at_least(correct - i) - at_least(correct)) / i for i in range(1, correct + 1)]
    return min(
        Fraction(1), at_least(correct) + 2 * coined * delta * max(slopes, default=Fraction(0))
    )


@pytest.mark.parametrize(
    ("guesses", "correct"), [(1, 1), (5, 0), (12, 9), (30, 30), (40, 28), (60, 33)]
)
@pytest.mark.parametrize("delta", [Fraction(0), Fraction(1, 100_000), Fraction(1, 300)])
def test_the_chance_is_that_of_the_paper_in_exact_fractions(
    guesses: int, correct: int, delta: Fraction
) -> None:
    for odds in (Fraction(1), Fraction(3, 2), Fraction(5), Fraction(40)):
        exact = naive_chance(odds, guesses=guesses, correct=correct, coined=90, delta=delta)
        ours = one_run_p_value(
            math.log(odds), guesses=guesses, correct=correct, coined=90, delta=float(delta)
        )
        assert ours == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize(
    ("guesses", "correct", "delta"),
    [(40, 31, 1e-4), (200, 200, 1e-3), (9, 7, 0.0), (3_000, 1_700, 1e-5)],
)
def test_the_chance_rises_with_epsilon_and_bisection_finds_where_it_passes_the_error(
    guesses: int, correct: int, delta: float
) -> None:
    grid = [
        one_run_p_value(eps, guesses=guesses, correct=correct, coined=4_000, delta=delta)
        for eps in np.linspace(0, 6, 400)
    ]
    low = [chance for chance in grid if chance < 0.5]
    assert (np.diff(low) >= -1e-12).all() and max(grid[len(low) :], default=0.5) >= 0.49
    found = epsilon_lower_bound(
        guesses=guesses, correct=correct, coined=4_000, delta=delta, error=0.05
    )
    at, beyond = (
        one_run_p_value(eps, guesses=guesses, correct=correct, coined=4_000, delta=delta)
        for eps in (found, found + 1e-3)
    )
    assert beyond >= 0.05 and (at < 0.05 or found == 0)


def test_millions_of_guesses_are_no_trouble() -> None:
    found = epsilon_lower_bound(
        guesses=2_000_000, correct=1_500_000, coined=4_000_000, delta=1e-12, error=1e-3
    )
    assert 1.08 < found < math.log(3)
    assert epsilon_lower_bound(
        guesses=1_000_000, correct=1_000_000, coined=1_000_000, delta=0.0, error=1e-6
    ) == pytest.approx(11.2, abs=0.1)


def audited(
    scores: Callable[[np.ndarray, np.random.Generator], np.ndarray],
    *,
    coined: int,
    delta: float,
    rng: np.random.Generator,
) -> LowerBound:
    """Coins, a mechanism's scores of them, and the bound."""
    is_in = rng.random(coined) < 0.5
    found = scores(is_in, rng)
    bound = one_run_lower_bound(
        {"canary": (found[is_in], found[~is_in])},
        coined=np.ones(int(is_in.sum()), dtype=bool),
        delta=delta,
        rng=rng,
    )
    assert bound is not None
    return bound


def randomised_response(epsilon: float) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    return lambda is_in, rng: (
        is_in ^ (rng.random(len(is_in)) > 1 / (1 + math.exp(-epsilon)))
    ).astype(float)


def gives_away(
    epsilon: float, delta: float
) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """Randomised response that now and then says the truth and says so: the worst (epsilon, delta)
    mechanism.
    """

    def scores(is_in: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        told = rng.random(len(is_in)) < delta
        return np.where(told, np.where(is_in, 2.0, -2.0), 0) + randomised_response(epsilon)(
            is_in, rng
        )

    return scores


def gaussian_sum(noise: float) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    return lambda is_in, rng: is_in + noise * rng.normal(size=len(is_in))


NOISE = 3.7303  # of the Gaussian mechanism that is (1, 1e-5)-DP


def test_the_noise_below_makes_epsilon_1() -> None:
    event = Event(kind="gaussian", noise_multiplier=NOISE, sampling_rate=1.0, count=1)
    assert Accountant([event]).epsilon(1e-5) == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize(
    ("mechanism", "epsilon", "delta", "at"),
    [
        (randomised_response(1.0), 1.0, 0.0, 0.0),
        (randomised_response(0.0), 0.0, 0.0, 1e-6),
        (randomised_response(3.0), 3.0, 0.0, 1e-5),
        (gives_away(0.5, 2e-3), 0.5, 2e-3, 2e-3),
        (gaussian_sum(NOISE), 1.0, 1e-5, 1e-5),
    ],
)
def test_the_bound_passes_a_known_epsilon_no_more_often_than_it_says(
    mechanism: Callable[..., np.ndarray],
    epsilon: float,
    delta: float,
    at: float,
    rng: np.random.Generator,
) -> None:
    over = sum(
        audited(mechanism, coined=400, delta=at, rng=rng).epsilon > epsilon for _ in range(WORLDS)
    )
    assert_chance(over, of=WORLDS, at_least=0.0, at_most=0.05)


def test_without_its_delta_the_bound_would_refute_a_true_claim(rng: np.random.Generator) -> None:
    leaky = gives_away(0.5, 0.02)
    assert (
        sum(audited(leaky, coined=1_000, delta=0.0, rng=rng).epsilon > 0.5 for _ in range(40)) > 8
    )
    assert not any(
        audited(leaky, coined=1_000, delta=0.02, rng=rng).epsilon > 0.5 for _ in range(40)
    )


def test_a_claim_of_1_whose_noise_was_quartered_is_refuted_and_the_honest_one_is_not(
    rng: np.random.Generator,
) -> None:
    bounds = [
        [audited(gaussian_sum(noise), coined=2_000, delta=1e-5, rng=rng).epsilon for _ in range(40)]
        for noise in (NOISE / 4, NOISE)
    ]
    assert min(bounds[0]) > 1.0 and max(bounds[1]) < 1.0


def test_randomised_response_is_bounded_closely_and_the_ceiling_is_what_guesses_that_never_err_would_show(
    rng: np.random.Generator,
) -> None:
    bound = audited(randomised_response(2.0), coined=4_000, delta=0.0, rng=rng)
    assert 1.7 < bound.epsilon <= 2.0 < bound.ceiling and bound.choices == len(ALL)
    sure = audited(lambda is_in, _: is_in.astype(float), coined=4_000, delta=0.0, rng=rng)
    assert sure.epsilon == sure.ceiling and sure.correct == sure.guesses
    assert sure.ceiling == pytest.approx(
        float(-np.log((0.05 / len(ALL)) ** (-1 / sure.guesses) - 1)), abs=1e-3
    )


def test_where_nothing_was_shown_the_widest_choice_says_what_could_have_been(
    rng: np.random.Generator,
) -> None:
    bound = audited(randomised_response(0.0), coined=400, delta=1e-6, rng=rng)
    assert bound.epsilon == 0.0 and bound.guesses == pytest.approx(320, abs=1) and bound.ceiling > 3


def test_scores_that_say_nothing_are_guessed_by_chance_and_not_in_the_order_of_the_coins(
    rng: np.random.Generator,
) -> None:
    found = [
        audited(lambda is_in, _: np.zeros(len(is_in)), coined=300, delta=0.0, rng=rng).epsilon
        for _ in range(WORLDS)
    ]
    assert_chance(sum(epsilon > 0 for epsilon in found), of=WORLDS, at_least=0.0, at_most=0.05)


def test_attacks_share_the_error(rng: np.random.Generator) -> None:
    """Thirty attacks on nothing: their largest score would pass any test that is not corrected."""
    over = 0
    for _ in range(40):
        scores = {str(name): (rng.normal(size=100), rng.normal(size=100)) for name in range(30)}
        bound = one_run_lower_bound(scores, coined=np.ones(100, dtype=bool), delta=0.0, rng=rng)
        assert bound is not None and bound.choices == 30 * len(ALL)
        over += bound.epsilon > 0
    assert_chance(over, of=40, at_least=0.0, at_most=0.05)


def test_only_coined_users_and_only_scored_ones_are_guessed(rng: np.random.Generator) -> None:
    inside = np.concatenate(
        (np.full(500, 9.0), rng.normal(size=100))
    )  # users without a coin stand out; nobody asks
    coined = np.arange(600) >= 500
    outside = np.where(np.arange(110) < 60, np.nan, rng.normal(size=110))
    bound = one_run_lower_bound({"a": (inside, outside)}, coined=coined, delta=0.0, rng=rng)
    assert (
        bound is not None
        and bound.coined == 210
        and bound.guesses <= 150
        and bound.correct < bound.guesses
    )


def test_without_coins_nothing_is_said_and_unfair_coins_are_refused(
    rng: np.random.Generator,
) -> None:
    scores = {"a": (rng.normal(size=500), rng.normal(size=100))}
    assert one_run_lower_bound(scores, coined=np.zeros(500, dtype=bool), delta=0.0, rng=rng) is None
    with pytest.raises(DataError, match="fair coins"):
        one_run_lower_bound(scores, coined=np.ones(500, dtype=bool), delta=0.0, rng=rng)


def test_the_binomial_is_scipys() -> None:
    assert one_run_p_value(0.0, guesses=20, correct=15, coined=20, delta=0.0) == pytest.approx(
        stats.binom.sf(14, 20, 0.5)
    )
