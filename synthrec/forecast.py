"""What a plan buys, before anything is spent: noise in the user's own units, the split, the
attacker's reach, time and memory.

Guarantees: reads the plan and the public catalogue, no log.
"""

from __future__ import annotations

import math

import numpy as np

from synthrec.data.catalogue import Catalogue
from synthrec.errors import PlanError
from synthrec.model.measurements import STATISTICS
from synthrec.model.recipe import COVERAGE
from synthrec.model.statistic import activity_edges
from synthrec.privacy.partition_selection import expected_holders
from synthrec.privacy.plan import Plan

TYPICAL_EVENTS = 0.5  # of K, kept per user: an assumption, and said to be one
MEAN_ABSOLUTE_NORMAL = math.sqrt(2 / math.pi)
MAX_ACTIVITY_NOISE = (
    0.5  # of the population: beyond, not even the number of events per user can be seen
)
GOOD, FAIR, HOPELESS = 0.15, 0.35, 0.8  # expected total variation of popularity
UNIT_WORDS = {
    "vocabulary": "on the weight of each value, where a user counts at most 1 over all of theirs",
    "coverage": "times K events, on the events that the named items cover and on all",
    "bounds": "on each bin of the grid, where a user counts at most 1 over all of theirs",
} | {statistic.name: statistic.noise_words for statistic in STATISTICS}
# rough, on the safe side of `fit` on MovieLens 100K and 1M on 2 cores: base + per million
# (population x K) + game
BASE_SECONDS, SECONDS_PER_MILLION, GAME_SECONDS_PER_ITEM, GAME_SECONDS = 12.0, 25.0, 0.012, 10.0
BASE_GIB, GIB_PER_MILLION = 0.9, 0.3
MAX_HOLDERS = 0.25  # of users hold the most popular item
OPEN_WORDS = "Open columns, asked first"

Section = tuple[str, list[str]]


def forecast(plan: Plan, *, catalogue: Catalogue | None) -> list[Section]:
    """Headings and lines for `synthrec plan`; without a catalogue (its ids are to be paid for) by
    the number of items to expect.
    """
    items = catalogue.size if catalogue is not None else expected_items(plan)[0]
    opened = [(OPEN_WORDS, _open_lines(plan))] if plan.openings else []
    bound = plan.accountant().bound()
    width = max(11, 1 + max(map(len, plan.budget_share)))
    split = [
        f"{name:<{width}}{share:>5.0%}"
        for name, share in sorted(plan.budget_share.items(), key=lambda part: -part[1])
    ]
    reach = [
        f"With 10 false alarms in 100, nobody can recognise more than {100 * bound.tpr:.1f} in 100 of those who took part.",
        f"Guessing recognises 10. Largest advantage {bound.advantage:.2f}, largest AUC {bound.auc:.3f}.",
    ]
    seconds, gib = cost(plan, items=items)
    minutes = f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.1f} minutes"
    return [
        (
            f"Plan: epsilon {plan.epsilon:g} at delta {plan.delta:g}, model {plan.model}, declared population {plan.population:,}",
            [],
        ),
        *opened,
        (
            "Noise (standard deviation) of each measurement; one user counts at most "
            f"{plan.events_per_user} events",
            _noise_lines(plan),
        ),
        ("Budget split (of 1 / noise squared)", split),
        ("What any attacker can reach at most, from this release alone", reach),
        ("Expected cost on 2 cores", [f"about {minutes} and {gib:.1f} GiB for fit"]),
        ("Feasible?", [feasibility(plan, items=items)]),
    ]


def expected_items(plan: Plan) -> tuple[int, float]:
    """How many items will be named, and which part of the events they cover: a rough public figure,
    5 to 25 points off on public logs.

    There are as many items as declared users; everybody has TYPICAL_EVENTS of K different ones; an
    item of popularity rank r has events in proportion to 1 / (r + q), with q such that MOST_HOLDERS
    of all users hold the first (Zipf and Mandelbrot). An item is named if it has threshold x
    sqrt(items of a user) holders.
    """
    union = plan.openings[
        [look.name for look in plan.openings].index(COVERAGE) - 1
    ]  # the union of items comes right before
    each = max(1.0, TYPICAL_EVENTS * plan.events_per_user)
    rank = np.arange(1.0, plan.population + 1)
    low, high = 0.0, 100.0 * plan.population
    for _ in range(60):
        q = (low + high) / 2
        first = each / (1 + q) / (1 / (rank + q)).sum()
        low, high = (q, high) if first > MAX_HOLDERS else (low, q)
    share = 1 / (rank + high) / (1 / (rank + high)).sum()
    named = int(
        np.clip(
            (plan.population * each * share >= expected_holders(union, values_each=each)).sum(),
            2,
            plan.population,
        )
    )
    return named, float(share[:named].sum())


def require_feasible(plan: Plan) -> None:
    """Raise PlanError if the noise drowns even the coarsest measurement, the whole activity
    histogram, for the declared population.
    """
    buckets = len(activity_edges(plan.events_per_user)) - 1
    noise = plan.measurement("activity").noise_std * math.sqrt(buckets) / plan.population
    if noise <= MAX_ACTIVITY_NOISE:
        return
    factor = noise / MAX_ACTIVITY_NOISE
    raise PlanError(
        "the declared population must be large enough for the budget",
        found=f"noise of {noise:.0%} of {plan.population:,} users on the coarsest measurement; {MAX_ACTIVITY_NOISE:.0%} is the most",
        remedy=f"About {math.ceil(plan.population * factor):,} users would do, or an epsilon of about {plan.epsilon * factor:.2g}; "
        "a smaller K (events_per_user) helps items and tastes, but not this one.",
    )


def feasibility(plan: Plan, *, items: int) -> str:
    """One sentence."""
    require_feasible(plan)
    # expected total variation between measured and true popularity
    events = plan.population * plan.events_per_user * TYPICAL_EVENTS
    distance = 0.5 * items * MEAN_ABSOLUTE_NORMAL * plan.measurement("items").noise_std / events
    condition = f"if users keep {TYPICAL_EVENTS * plan.events_per_user:.0f} events on average"
    if distance > HOPELESS:
        factor = distance / FAIR
        return (
            f"Only in part: noise drowns single items ({condition}). Ratings, activity and attributes will do, popularity and tastes will "
            f"not; about {math.ceil(plan.population * factor):,} users would do, or an epsilon of {plan.epsilon * factor:.2g}."
        )
    words = "good" if distance <= GOOD else "fair" if distance <= FAIR else "poor"
    return f"Yes; {words}: item popularity will be off by about {distance:.2f} (total variation, before shrinkage, {condition})."


def cost(plan: Plan, *, items: int) -> tuple[float, float]:
    """Seconds and GiB of `fit`, roughly."""
    millions = plan.population * plan.events_per_user / 1e6
    game = 0.0 if plan.training is None else GAME_SECONDS + GAME_SECONDS_PER_ITEM * items
    return (
        BASE_SECONDS + SECONDS_PER_MILLION * millions + game,
        BASE_GIB + GIB_PER_MILLION * millions,
    )


def _noise_lines(plan: Plan) -> list[str]:
    lines = [
        f"{each.name:<11}±{each.noise_std:>9.3g} {UNIT_WORDS[each.name]}"
        for each in plan.measurements
    ]
    if (game := plan.training) is not None:
        lines.append(
            f"{'game':<11}±{game.noise_multiplier:>9.3g} clip norms on each of {game.steps} sums over about "
            f"{game.expected_batch_size:,.0f} users"
        )
    return lines


def _open_lines(plan: Plan) -> list[str]:
    lines = []
    for look in plan.openings:
        line = f"{look.name}: noise ±{look.noise_std:.3g} {UNIT_WORDS[look.name.split(' of ')[0]]}"
        if look.most_keys is not None:
            line += (
                f"; named from a noisy weight of {look.threshold:.3g} on, a user's being spread over up to {look.most_keys} "
                f"value{'' if look.most_keys == 1 else 's'}; the threshold costs {look.extra_delta:.2g} of delta"
            )
        lines.append(line)
    if any(look.name == COVERAGE for look in plan.openings):
        named, covered = expected_items(plan)
        lines.append(
            f"To expect, roughly: about {named:,} items named, which cover {covered:.0%} of the events (if there are as many "
            f"items as users, and a quarter of them hold the first). The release says, by a paid figure, what they do cover."
        )
    return lines
