"""What each model asks of the log and how it splits its budget, with the constants of game and
open columns; what a measurement asks stands in its own record (`measurements.STATISTICS`).

Chosen on simulated logs and on the split seeds that the benchmark keeps for choosing (100 to 102),
never on a private log. Shares are parts of 1 / noise^2. The measurements feed the anchor; the game
is the critic's training by DP-SGD.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

from synthrec.data.columns import Item
from synthrec.data.open_domains import PaidColumn, paid_columns
from synthrec.data.schema import Schema
from synthrec.errors import PlanError, SchemaError
from synthrec.model.measurements import STATISTICS
from synthrec.model.statistic import Effort as Effort
from synthrec.privacy.partition_selection import PartitionSelection
from synthrec.privacy.plan import DomainQuery, Game, Measure, Model, Plan, solve_plan

# declared users over the noise multiplier of pairs: below, no axis stands out of the noise, and the
# plan asks
MIN_USERS_FOR_PAIRS = 700
# for none (ML-1M at eps 1: 668, nothing found, 3 points lost; ML-100K at eps 8: 706, 40 points of
# ranking won)
# the network's game has won nothing that pairs of items have not (benchmarks/ablation.md): it gets
# little
GAME_SHARE = 0.02
LARGEST_BATCH = 1200  # users in a critic step, expected
ITEMS_PART, CATEGORY_PART, BOUNDS_PART, COVERAGE_PART = (
    0.20,
    0.04,
    0.02,
    0.01,
)  # of the whole budget, for each open column
COVERAGE = "coverage"
MAX_OPENING_PART = 0.5  # of the whole budget, for all of them


def plan_release(schema: Schema, *, epsilon: float, delta: float, model: Model = "gan") -> Plan:
    """Every constant of a training, from public words: touches no log. Raises SchemaError,
    PlanError.
    """
    if model not in get_args(Model):
        raise PlanError(
            f"model must be one of {', '.join(get_args(Model))}",
            found=str(model),
            remedy="Leave it out for gan.",
        )
    schema.require_served()
    schema.require_declared()

    def solve(sums: tuple[Measure, ...]) -> Plan:
        played = game(schema, model=model)
        return solve_plan(
            model=model,
            epsilon=epsilon,
            delta=delta,
            population=schema.source.population,
            events_per_user=schema.privacy.events_per_user,
            measures=sums,
            game=played,
            looks=looks(
                schema,
                budget=sum(measure.share for measure in sums) + (played.share if played else 0.0),
            ),
        )

    plan = solve(measures(schema, model=model))
    if (
        plan.has("pairs")
        and plan.population < MIN_USERS_FOR_PAIRS * plan.measurement("pairs").noise_multiplier
    ):
        return solve(
            tuple(measure for measure in measures(schema, model=model) if measure.name != "pairs")
        )
    return plan


def measures(schema: Schema, *, model: Model) -> tuple[Measure, ...]:
    """The noisy sums that a model needs of a log with this schema."""
    return tuple(
        statistic.measure(schema)
        for statistic in STATISTICS
        if model in statistic.models and statistic.needed(schema)
    )


def looks(schema: Schema, *, budget: float) -> tuple[DomainQuery, ...]:
    """What open columns ask before anything else: a union of values, or a histogram for bounds,
    each; and how much the items cover.

    `budget`: the sum of all other shares.
    """
    queries = []
    for column in paid_columns(schema):
        items = isinstance(column.column, Item)
        share = ITEMS_PART if items else CATEGORY_PART
        purpose = "which values enough users hold to be named"
        queries.append(
            DomainQuery(
                name=column.label,
                purpose="which range the values lie in" if column.bounded else purpose,
                unit="users",
                sensitivity=1.0,
                share=BOUNDS_PART if column.bounded else share,
                most_keys=None if column.bounded else most_keys(schema, column),
            )
        )
        if items:
            queries.append(
                DomainQuery(
                    name=COVERAGE,
                    purpose="which part of the events the named items cover",
                    unit="users with K events",
                    sensitivity=math.sqrt(2),
                    share=COVERAGE_PART,
                )
            )
    if len({look.name for look in queries}) < len(queries):
        raise SchemaError(
            "the measurements of open columns must have names of their own",
            found='one "x (users)" in [columns] beside "x" in [users]',
            remedy="Rename one of them.",
        )
    part = sum(look.share for look in queries)
    scale = min(1.0, MAX_OPENING_PART / part) if part else 0.0
    return tuple(
        look.model_copy(update={"share": budget * scale * look.share / (1 - scale * part)})
        for look in queries
    )


def same_looks(schema: Schema, openings: Sequence[PartitionSelection]) -> bool:
    """Are these the looks that the schema asks for, in order?"""
    queries = [(look.name, look.sensitivity, look.most_keys) for look in looks(schema, budget=1.0)]
    return [(each.name, each.sensitivity, each.most_keys) for each in openings] == queries


def most_keys(schema: Schema, column: PaidColumn) -> int:
    """Values of one user that count: one where a user has one, else up to K."""
    one = column.section == "users" or getattr(column.column, "of", None) == "user"
    return 1 if one else schema.privacy.events_per_user


def game(schema: Schema, *, model: Model) -> Game | None:
    """The game's constants; the batch follows the declared population."""
    if model != "gan":
        return None
    population = schema.source.population
    rate = min(0.25, LARGEST_BATCH / population)
    return Game(
        share=GAME_SHARE,
        sampling_rate=rate,
        expected_batch_size=rate * population,
        steps=100,
        clip_norm=1.0,
        fakes_per_step=256,
        critic_rate=2e-3,
        generator_rate=1e-4,
        critic_steps_per_generator_step=2,
        anchor_weight=10.0,
    )
