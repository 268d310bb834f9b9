"""From events to epsilon: against closed forms, numerical integration and a second accountant."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import optimize, stats

from synthrec.errors import BudgetError
from synthrec.privacy.accounting import Accountant, cross_check, renyi_bound
from synthrec.privacy.event import Event, gaussian

DELTAS = (1e-3, 1e-5, 1e-8)


def run(noise: float, *, rate: float = 1.0, count: int = 1) -> Event:
    return gaussian(noise_multiplier=noise, sampling_rate=rate, count=count)


def exact_delta(mu: float, epsilon: float) -> float:
    """Balle and Wang 2018, theorem 8."""
    return float(
        stats.norm.cdf(mu / 2 - epsilon / mu)
        - math.exp(epsilon) * stats.norm.cdf(-mu / 2 - epsilon / mu)
    )


def exact_epsilon(mu: float, delta: float) -> float:
    return float(optimize.brentq(lambda epsilon: exact_delta(mu, epsilon) - delta, 0, 200))


def integrated_delta(noise: float, rate: float, epsilon: float) -> float:
    """Hockey-stick divergence of one subsampled Gaussian, the worse of adding and removing, on a
    fine grid.
    """
    x = np.linspace(-14 * noise, 14 * noise + 1, 400_001)
    without = stats.norm.pdf(x, 0, noise)
    mixed = (1 - rate) * without + rate * stats.norm.pdf(x, 1, noise)
    step = x[1] - x[0]
    growth = math.exp(epsilon)
    return float(
        step
        * max(
            np.maximum(0, one - growth * other).sum()
            for one, other in ((mixed, without), (without, mixed))
        )
    )


@pytest.mark.parametrize("noise", [0.4, 1.0, 5.0])
@pytest.mark.parametrize("delta", DELTAS)
def test_one_gaussian_costs_what_the_closed_form_says(noise: float, delta: float) -> None:
    exact, found = exact_epsilon(1 / noise, delta), Accountant([run(noise)]).epsilon(delta)
    assert exact - 1e-6 <= found <= exact + 2e-3
    for wrong in (0.7, 1.3):
        assert abs(exact_epsilon(wrong / noise, delta) - found) > 5e-3


def test_gaussians_compose_as_the_closed_form_says_however_they_are_written() -> None:
    mu = math.sqrt(3 / 2.0**2 + 1 / 1.5**2)
    exact = exact_epsilon(mu, 1e-6)
    for events in ([run(2.0, count=3), run(1.5)], [run(2.0), run(1.5), run(2.0), run(2.0)]):
        assert exact <= Accountant(events).epsilon(1e-6) <= exact + 2e-3
    assert (
        Accountant([run(2.0, count=2), run(1.5)]).epsilon(1e-6) < exact - 0.05
    )  # one run forgotten is seen


@pytest.mark.parametrize(("noise", "rate"), [(1.0, 0.1), (0.7, 0.3), (2.0, 0.05)])
def test_one_subsampled_step_costs_what_integration_says(noise: float, rate: float) -> None:
    accountant = Accountant([run(noise, rate=rate)])
    for epsilon in (0.0, 0.1, 0.5, 1.0):
        exact = integrated_delta(noise, rate, epsilon)
        assert exact * (1 - 1e-4) - 1e-9 <= accountant.delta([epsilon])[0] <= exact * 1.02 + 1e-6


def test_blocks_of_a_training_cost_what_the_whole_costs() -> None:
    blocks = [run(1.2, rate=0.2, count=10)] * 4 + [run(1.2, rate=0.2, count=3)]
    assert Accountant(blocks).epsilon(1e-5) == Accountant([run(1.2, rate=0.2, count=43)]).epsilon(
        1e-5
    )


def test_the_second_accountant_agrees() -> None:
    events = [run(12.0), run(9.0), run(3.0), run(1.5, rate=0.25, count=200)]
    first, second = Accountant(events).epsilon(1e-5), cross_check(events, delta=1e-5)
    assert abs(first - second) <= 0.02 + 0.01 * first
    assert abs(Accountant(events[:-1]).epsilon(1e-5) - second) > 0.05


@settings(max_examples=4, deadline=None)
@given(noise=st.floats(0.6, 4), rate=st.floats(0.01, 0.5), count=st.integers(1, 50))
def test_epsilon_falls_with_noise_and_rises_with_rate_and_steps(
    noise: float, rate: float, count: int
) -> None:
    here = Accountant([run(noise, rate=rate, count=count)]).epsilon(1e-5)
    assert Accountant([run(noise * 1.5, rate=rate, count=count)]).epsilon(1e-5) <= here
    assert Accountant([run(noise, rate=min(1.0, rate * 1.5), count=count)]).epsilon(1e-5) >= here
    assert Accountant([run(noise, rate=rate, count=2 * count)]).epsilon(1e-5) >= here
    assert here <= Accountant([run(noise, count=count)]).epsilon(1e-5) + 2e-3


def test_without_noise_epsilon_is_infinite_and_every_attack_possible() -> None:
    open_book = Accountant([run(5.0), run(0.0)])
    assert open_book.epsilon(1e-5) == math.inf == cross_check([run(0.0)], delta=1e-5)
    assert (
        open_book.bound().auc == 1.0
        and open_book.bound().tpr == 1.0
        and open_book.bound().advantage == 1.0
    )


def test_deltas_of_thresholds_are_added() -> None:
    plain, extra = Accountant([run(2.0)]), Accountant([run(2.0)], extra_delta=4e-6)
    assert extra.epsilon(1e-5) == plain.epsilon(6e-6) > plain.epsilon(1e-5)
    assert extra.epsilon(4e-6) == math.inf == cross_check([run(2.0)], delta=4e-6, extra_delta=4e-6)
    assert np.allclose(extra.delta([0.5]) - plain.delta([0.5]), 4e-6)


def test_nothing_asked_costs_nothing() -> None:
    assert Accountant([]).epsilon(1e-5) == 0.0 == cross_check([], delta=1e-5)


def test_an_event_of_an_unknown_kind_is_refused_and_never_skipped() -> None:
    for wrong in (
        {"kind": "laplace", "noise_multiplier": 1.0},
        {"kind": "gaussian", "noise_multiplier": -1.0},
        {"kind": "gaussian", "noise_multiplier": math.nan},
        {"kind": "gaussian", "noise_multiplier": 1.0, "count": 0},
        {"kind": "gaussian", "noise_multiplier": 1.0, "sampling_rate": 1.5},
    ):
        with pytest.raises(ValidationError):
            Event.model_validate(wrong)


@pytest.mark.parametrize("mu", [0.3, 1.0, 2.5])
def test_the_bound_is_the_gaussian_trade_off_curve_from_above(mu: float) -> None:
    bound = Accountant([run(1 / mu)]).bound(fpr=0.1)
    alphas, tprs = np.array(bound.roc).T
    exact = stats.norm.cdf(stats.norm.ppf(alphas) + mu)
    assert (tprs >= exact - 1e-9).all() and (tprs <= exact + 0.01).all()
    assert 0 <= bound.tpr - stats.norm.cdf(stats.norm.ppf(0.1) + mu) <= 0.01
    assert 0 <= bound.auc - stats.norm.cdf(mu / math.sqrt(2)) <= 0.012
    assert bound.advantage == pytest.approx(exact_delta(mu, 0.0), abs=1e-3)


def test_no_attack_on_a_simulated_gaussian_beats_the_bound() -> None:
    rng, mu = np.random.default_rng(1), 1.0
    outs, ins = rng.normal(0, 1, 100_000), rng.normal(mu, 1, 100_000)
    alphas, tprs = np.array(Accountant([run(1 / mu)]).bound().roc).T
    hits = np.array([(ins > np.quantile(outs, 1 - alpha)).mean() for alpha in alphas])
    assert (hits <= tprs + 0.01).all()
    assert not (hits <= np.array(Accountant([run(1.4 / mu)]).bound().roc)[:, 1] + 0.01).all()


@pytest.mark.parametrize(
    "events",
    [
        [run(1e-3)],
        [run(0.3, count=10**6)],
        [run(0.13, rate=1e-12, count=10**6)],
        [run(0.3, rate=0.999999)],
        [run(1 + place / 1000, rate=0.01) for place in range(101)],
        [run(50.0, rate=1e-6, count=10**6)] * 11,
    ],
)
def test_what_no_accountant_ends_on_is_refused_at_once_by_all(events: list[Event]) -> None:
    begun = time.process_time()
    for ask in (
        Accountant,
        lambda events: cross_check(events, delta=1e-5),
        lambda events: renyi_bound(events, delta=1e-5),
    ):
        with pytest.raises(BudgetError, match="what accountants compute"):
            ask(events)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"noise_multiplier": 1e-150},
        {"noise_multiplier": 5e-324},
        {"noise_multiplier": 1e300},
        {"sampling_rate": 1e-150},
        {"count": 10**9},
        {"noise_multiplier": math.inf},
    ],
)
def test_an_event_with_numbers_of_no_mechanism_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Event.model_validate({"kind": "gaussian", "noise_multiplier": 1.0} | wrong)


def test_beyond_all_plans_both_accountants_still_agree_by_a_coarser_grid() -> None:
    events = [run(0.08), run(1.0, rate=0.2, count=100)]
    first, second = Accountant(events).epsilon(1e-5), cross_check(events, delta=1e-5)
    assert first > 100 and abs(first - second) <= 0.01 * first
