"""The plan: public words in, every constant out; the epsilon asked for is the epsilon spent."""

from __future__ import annotations

import inspect
import math
from functools import lru_cache

import pytest
from pydantic import ValidationError

from synthrec.errors import PlanError
from synthrec.model.recipe import plan_release
from synthrec.privacy.accounting import CROSS_CHECK_ERROR, Accountant, cross_check
from synthrec.privacy.plan import BLOCK, Game, Measure, Plan, solve_plan

MEASURES = (
    Measure(name="activity", purpose="", unit="users", sensitivity=1.0, share=0.05),
    Measure(name="items", purpose="", unit="events", sensitivity=14.0, share=0.75),
)
GAME = Game(
    share=0.2,
    sampling_rate=0.2,
    expected_batch_size=1200.0,
    steps=203,
    clip_norm=1.0,
    fakes_per_step=64,
    critic_rate=1e-3,
    generator_rate=1e-3,
    critic_steps_per_generator_step=2,
    anchor_weight=1.0,
)


@lru_cache
def solved(
    *, epsilon: float = 3.0, delta: float = 1e-5, population: int = 6000, game: Game | None = GAME
) -> Plan:
    return solve_plan(
        model="gan" if game else "moments",
        epsilon=epsilon,
        delta=delta,
        population=population,
        events_per_user=100,
        measures=MEASURES,
        game=game,
    )


@pytest.mark.parametrize("epsilon", [0.5, 5.0, 8.0])
@pytest.mark.parametrize("game", [GAME, None])
def test_a_plan_spends_what_was_asked_and_hardly_less_by_both_accountants(
    epsilon: float, game: Game | None
) -> None:
    plan = solved(epsilon=epsilon, game=game)
    spent = Accountant(plan.events()).epsilon(plan.delta)
    assert epsilon * (1 - 1.2e-3) - 2 * CROSS_CHECK_ERROR <= spent <= epsilon
    assert cross_check(plan.events(), delta=plan.delta) <= epsilon
    assert plan.accountant().epsilon(plan.delta) == spent


def test_a_model_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(PlanError, match="gan, moments, marginals; found nonsense"):
        plan_release(None, epsilon=1.0, delta=1e-6, model="nonsense")  # type: ignore[arg-type]


def test_a_plan_with_a_step_or_a_measurement_left_out_would_spend_less() -> None:
    plan = solved()
    for part in range(len(plan.events())):
        left = [event for place, event in enumerate(plan.events()) if place != part]
        assert Accountant(left).epsilon(plan.delta) < 3.0 * (1 - 5e-3)


def test_blocks_hold_at_most_ten_steps_and_all_of_them() -> None:
    training = solved().training
    assert training is not None
    assert (
        sum(training.blocks()) == 203
        and max(training.blocks()) == BLOCK == 10
        and min(training.blocks()) > 0
    )
    assert [training.model_copy(update={"steps": steps}).blocks() for steps in (1, 10, 20)] == [
        (1,),
        (10,),
        (10, 10),
    ]


def test_shares_are_parts_of_one_over_noise_squared() -> None:
    plan = solved(game=None)
    weights = {each.name: 1 / each.noise_multiplier**2 for each in plan.measurements}
    assert weights["items"] / weights["activity"] == pytest.approx(15.0) and sum(
        plan.budget_share.values()
    ) == pytest.approx(1.0)
    assert plan.measurement("items").noise_std == pytest.approx(
        14.0 * plan.measurement("items").noise_multiplier
    )


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan])
def test_an_epsilon_that_buys_nothing_is_refused(epsilon: float) -> None:
    with pytest.raises(PlanError, match="epsilon must be above 0"):
        solved(epsilon=epsilon)


def test_an_epsilon_that_no_accountant_ends_on_is_refused_at_once() -> None:
    with pytest.raises(PlanError, match="at most 50"):
        solved(epsilon=1000.0)


@pytest.mark.parametrize("delta", [0.0, -1e-6, 1 / 6000, 1e-3, 1.0, math.nan])
def test_a_delta_that_lets_a_user_go_unprotected_is_refused(delta: float) -> None:
    with pytest.raises(PlanError, match="1 / population"):
        solved(delta=delta)


def test_the_rule_for_delta_follows_the_declared_population() -> None:
    assert solved(delta=1.6e-4, game=None).delta == 1.6e-4
    with pytest.raises(PlanError):
        solved(delta=1.6e-4, population=7000)


def test_a_plan_takes_public_words_only_and_is_frozen() -> None:
    assert set(inspect.signature(solve_plan).parameters) == {
        "model",
        "epsilon",
        "delta",
        "population",
        "events_per_user",
        "measures",
        "looks",
        "game",
    }
    with pytest.raises(ValidationError):
        solved(game=None).epsilon = 9.0  # type: ignore[misc]


def test_a_plan_survives_json() -> None:
    plan = solved()
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_a_plan_without_noise_says_that_it_is_not_private() -> None:
    plan = solved(epsilon=math.inf)
    assert not plan.is_private and plan.accountant().epsilon(1e-5) == math.inf
    assert all(event.kind == "none" for event in plan.events())


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 10**9},
        {"fakes_per_step": 10**9},
        {"critic_steps_per_generator_step": 0},
        {"sampling_rate": 1e-150},
        {"expected_batch_size": 0.0},
        {"clip_norm": math.inf},
        {"noise_multiplier": 1e-200},
        {"critic_rate": math.nan},
        {"generator_rate": 1e308},
        {"anchor_weight": 1e308},
        {"share": -1.0},
    ],
)
def test_a_constant_that_no_plan_has_is_refused_before_anything_is_run_by_it(
    wrong: dict[str, float],
) -> None:
    words = solved().model_dump()
    words["training"] |= wrong
    with pytest.raises(ValidationError):
        Plan.model_validate(words)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epsilon": -1.0},
        {"delta": 0.0},
        {"delta": math.nan},
        {"population": 10**30},
        {"events_per_user": 10**9},
    ],
)
def test_a_budget_that_no_plan_has_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Plan.model_validate(solved().model_dump() | wrong)
