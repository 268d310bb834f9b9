"""What each model asks of the log and how it splits its budget: the public constants, in one place.

Chosen on simulated logs and on the split seeds that the benchmark keeps for choosing (100 to 102),
never on a private log. Shares are parts of 1 / noise^2. The measurements feed the anchor; the game
is the critic's training by DP-SGD.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from synthrec.data.columns import Item
from synthrec.data.open_domains import PaidColumn, paid_columns
from synthrec.data.schema import Schema
from synthrec.errors import PlanError, SchemaError
from synthrec.model.attribute_effects import Groups
from synthrec.model.event_types import WHOLE_PART, habit_parts, mark_parts
from synthrec.model.time_stats import TIME_NORM
from synthrec.privacy.partition_selection import PartitionSelection
from synthrec.privacy.plan import DomainQuery, Game, Measure, Model, Plan, solve_plan

# of an event's count beside its rating deviation (in quarters of the scale) in a user's vector
COUNT_WEIGHT = 0.7
# of the norm of a user with K events: heavier users count for less, all counts are less noisy
ITEM_NORM = 0.7
ITEM_SHARE, PAIR_SHARE, TASTE_SHARE, GROUP_SHARE = 0.70, 0.20, 0.13, 0.05
# of an item's number (in standard deviations of all) beside an event's count in a user's vector
NUMBER_WEIGHT = 0.4
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


@dataclass(frozen=True)
class Effort:
    """How many synthetic users (or visits, or rounds) each step of post-processing draws; what
    follows the noise cannot break privacy, so checks of the mechanism ask for few.
    """

    calibration_users: int = 3000
    standard_users: int = 2048  # whom the critic's inputs are standardised by, in batches of 256
    watch_users: int = 4096
    fitting_users: int = 1000  # of tables from which visits become events
    fitting_rounds: int = 10


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

    def solve(asked: tuple[Measure, ...]) -> Plan:
        played = game(schema, model=model)
        return solve_plan(
            model=model,
            epsilon=epsilon,
            delta=delta,
            population=schema.source.population,
            events_per_user=schema.privacy.events_per_user,
            measures=asked,
            game=played,
            looks=looks(
                schema,
                budget=sum(measure.share for measure in asked) + (played.share if played else 0.0),
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
    asked = [
        Measure(
            name="activity",
            purpose="how many users have how many events",
            unit="users",
            sensitivity=1.0,
            share=0.03,
        ),
        *_mark_measures(schema),
        *_item_measures(schema),
    ]
    if model == "gan":
        asked.append(
            Measure(
                name="pairs",
                purpose="which items the same users hold, beyond what popularity says",
                unit="squared row norms",
                sensitivity=math.sqrt(0.5),
                share=PAIR_SHARE,
            )
        )
    if model != "marginals":
        asked.append(
            Measure(
                name="tastes",
                purpose="how users' tastes vary together, along item features",
                unit="squared taste norms",
                sensitivity=1.0,
                share=TASTE_SHARE,
            )
        )
    if schema.user_attributes:
        asked.append(
            Measure(
                name="attributes",
                purpose="how many users have which attribute",
                unit="users",
                sensitivity=math.sqrt(len(schema.user_attributes)),
                share=0.02,
            )
        )
    groups = Groups.of(schema)
    if groups.sizes and model != "marginals":
        asked.append(
            Measure(
                name="groups",
                purpose="how tastes differ between users with different attributes",
                unit="taste norms",
                sensitivity=groups.sensitivity,
                share=GROUP_SHARE,
            )
        )
    if parts := habit_parts(schema):
        asked.append(
            Measure(
                name="habits",
                purpose="how often users repeat, in which baskets, and what belongs to them",
                unit="users",
                sensitivity=math.sqrt(parts),
                share=0.04,
            )
        )
    if schema.time is not None:
        asked.append(
            Measure(
                name="times",
                purpose="when users come, in how many sessions, at which hours",
                unit="users",
                sensitivity=TIME_NORM,
                share=0.04,
            )
        )
    return tuple(asked)


def looks(schema: Schema, *, budget: float) -> tuple[DomainQuery, ...]:
    """What open columns ask before anything else: a union of values, or a histogram for bounds,
    each; and how much the items cover.

    `budget`: the sum of all other shares.
    """
    asked = []
    for column in paid_columns(schema):
        if column.bounded:
            asked.append(
                DomainQuery(
                    name=column.label,
                    purpose="which range the values lie in",
                    unit="users",
                    sensitivity=1.0,
                    share=BOUNDS_PART,
                )
            )
            continue
        items = isinstance(column.column, Item)
        asked.append(
            DomainQuery(
                name=column.label,
                purpose="which values enough users hold to be named",
                unit="users",
                sensitivity=1.0,
                share=ITEMS_PART if items else CATEGORY_PART,
                most_keys=most_keys(schema, column),
            )
        )
        if items:
            asked.append(
                DomainQuery(
                    name=COVERAGE,
                    purpose="which part of the events the named items cover",
                    unit="users with K events",
                    sensitivity=math.sqrt(2),
                    share=COVERAGE_PART,
                )
            )
    if len({look.name for look in asked}) < len(asked):
        raise SchemaError(
            "the measurements of open columns must have names of their own",
            found='one "x (users)" in [columns] beside "x" in [users]',
            remedy="Rename one of them.",
        )
    part = sum(look.share for look in asked)
    scale = min(1.0, MAX_OPENING_PART / part) if part else 0.0
    return tuple(
        look.model_copy(update={"share": budget * scale * look.share / (1 - scale * part)})
        for look in asked
    )


def same_looks(schema: Schema, openings: Sequence[PartitionSelection]) -> bool:
    """Are these the looks that the schema asks for, in order?"""
    asked = [(look.name, look.sensitivity, look.most_keys) for look in looks(schema, budget=1.0)]
    return [(each.name, each.sensitivity, each.most_keys) for each in openings] == asked


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


def _item_measures(schema: Schema) -> tuple[Measure, ...]:
    """Which items, and how they are rated where anybody rates."""
    most, numbers = schema.privacy.events_per_user, len(schema.marks_of("item"))
    if schema.rating is None:
        return (
            Measure(
                name="items",
                purpose="how often each item is picked",
                unit="events",
                sensitivity=math.sqrt(most * (1 + numbers * NUMBER_WEIGHT**2)),
                share=0.60,
            ),
        )
    return (
        Measure(
            name="ratings",
            purpose="how often each rating is given",
            unit="events",
            sensitivity=float(most),
            share=0.02,
        ),
        Measure(
            name="items",
            purpose="how often each item is picked and how it is rated",
            unit="events",
            share=ITEM_SHARE,
            sensitivity=ITEM_NORM
            * math.sqrt(most * (1 + numbers * (NUMBER_WEIGHT * COUNT_WEIGHT) ** 2))
            / COUNT_WEIGHT,
        ),
    )


def _mark_measures(schema: Schema) -> tuple[Measure, ...]:
    """Types of events and their numbers; none in a log that has neither."""
    parts = mark_parts(schema)
    return (
        (
            Measure(
                name="marks",
                purpose="which types of event follow each other, and numbers by type",
                unit="events",
                sensitivity=whole_events(schema.privacy.events_per_user) * math.sqrt(parts),
                share=0.04,
            ),
        )
        if parts
        else ()
    )


def whole_events(events_per_user: int) -> float:
    """Up to how many events of a user count whole where types and numbers are counted."""
    return max(1.0, events_per_user / WHOLE_PART)


def activity_edges(events_per_user: int) -> tuple[int, ...]:
    """Log buckets of events per user: bucket j holds edges[j] to edges[j + 1] - 1 events; the last
    ends at K.
    """
    edges, edge = [1], 1.0
    while edges[-1] <= events_per_user:
        edge = max(edge * 1.45, edges[-1] + 1)
        edges.append(min(round(edge), events_per_user + 1))
    return tuple(edges)
