"""The frozen plan of one training: every constant that sampler, clipping, noise and ledger read,
fixed before the log is opened.

Guarantees: a plan is a function of public words (epsilon, delta, declared population, K, recipe);
nothing in it moves when a user is added. `events()` lists exactly what training will charge, so the
epsilon asked for is the epsilon spent (rules: public constants, fixed steps).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from synthrec.data.schema import MAX_USERS
from synthrec.errors import PlanError
from synthrec.privacy.accounting import Accountant, solve_scale
from synthrec.privacy.event import Event, NoiseMultiplier, PublicRecord, Rate, Sensitivity, gaussian
from synthrec.privacy.mechanisms import GaussianSum, UserSum
from synthrec.privacy.partition_selection import MAX_KEYS, PartitionSelection

Model = Literal["gan", "moments", "marginals"]
BLOCK = 10  # training steps per ledger entry, at most
LARGEST_EPSILON = 50.0
MIN_DELTA = 1e-12  # below, the second accountant's rounding is larger
MAX_STEPS, MAX_FAKES, MAX_SUMS = 10_000, 4_096, 1_000
Share = Annotated[float, Field(ge=0, le=1e6)]  # of the budget
THRESHOLD_DELTA = 0.25  # of delta, for all thresholds together, if there are any


class Measure(UserSum):
    """A noisy sum before its noise is known: `share` is its part of the budget, in units of 1 /
    noise multiplier squared.
    """

    share: Share


class DomainQuery(Measure):
    """A look at an open column before its noise is known. `most_keys`: see `PartitionSelection`."""

    most_keys: int | None = None


class Game(PublicRecord):
    """The critic's training before its noise is known; all public constants.

    `expected_batch_size` divides every sum of clipped gradients, whatever the batch was.
    """

    share: Share
    sampling_rate: Rate
    expected_batch_size: Annotated[float, Field(gt=0, le=MAX_USERS)]
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)]
    clip_norm: Sensitivity
    fakes_per_step: Annotated[int, Field(ge=1, le=MAX_FAKES)]
    critic_rate: Annotated[float, Field(gt=0, le=1)]
    generator_rate: Annotated[float, Field(gt=0, le=1)]
    critic_steps_per_generator_step: Annotated[int, Field(ge=1, le=MAX_STEPS)]
    anchor_weight: Annotated[float, Field(ge=0, le=1e6)]


class Training(Game):
    """The critic's training with its noise."""

    noise_multiplier: NoiseMultiplier

    def blocks(self, *, after: int = 0) -> tuple[int, ...]:
        """How many steps each ledger entry pays for, when `after` steps are charged already."""
        whole, rest = divmod(self.steps - after, BLOCK)
        return (BLOCK,) * whole + ((rest,) if rest else ())

    def event(self, steps: int) -> Event:
        """The event of some steps."""
        return gaussian(
            noise_multiplier=self.noise_multiplier, sampling_rate=self.sampling_rate, count=steps
        )


class Plan(PublicRecord):
    """One training, fixed."""

    format_version: Literal[1] = 1
    model: Model
    epsilon: Annotated[float, Field(gt=0)]  # infinite: not private
    delta: Annotated[float, Field(gt=0, lt=1)]
    population: Annotated[int, Field(ge=2, le=MAX_USERS)]
    events_per_user: Annotated[int, Field(ge=1, le=MAX_KEYS)]
    openings: Annotated[tuple[PartitionSelection, ...], Field(max_length=MAX_SUMS)] = ()
    measurements: Annotated[tuple[GaussianSum, ...], Field(max_length=MAX_SUMS)]
    training: Training | None
    budget_share: Annotated[dict[str, Share], Field(max_length=2 * MAX_SUMS + 1)]

    @property
    def is_private(self) -> bool:
        """Is there noise at all?"""
        return math.isfinite(self.epsilon)

    def measurement(self, name: str) -> GaussianSum:
        """The planned noisy sum of that name."""
        return next(plan for plan in self.measurements if plan.name == name)

    def has(self, name: str) -> bool:
        """Is that noisy sum planned?"""
        return any(plan.name == name for plan in self.measurements)

    def events(self) -> tuple[Event, ...]:
        """What will be charged, in order: open columns, measurements, all steps of the game in one
        event.
        """
        sums = tuple(plan.event for plan in (*self.openings, *self.measurements))
        return sums + ((self.training.event(self.training.steps),) if self.training else ())

    def events_after(self, charged: Sequence[Event]) -> tuple[Event, ...]:
        """What training will still charge when it has charged some already, blocks of its game
        among them.
        """
        left = _single_runs(self.events()) - _single_runs(charged)
        return tuple(event.model_copy(update={"count": count}) for event, count in left.items())

    @property
    def runs(self) -> int:
        """How many runs of mechanisms training will charge."""
        return sum(event.count for event in self.events())

    @property
    def extra_delta(self) -> float:
        """delta that no event holds: of the thresholds."""
        return sum(plan.extra_delta for plan in self.openings)

    def opening(self, name: str) -> PartitionSelection:
        """The planned look of that name."""
        return next(plan for plan in self.openings if plan.name == name)

    def accountant(self) -> Accountant:
        """What the plan as a whole gives away."""
        return Accountant(self.events(), extra_delta=self.extra_delta)


def solve_plan(
    *,
    model: Model,
    epsilon: float,
    delta: float,
    population: int,
    events_per_user: int,
    measures: Sequence[Measure],
    game: Game | None,
    looks: Sequence[DomainQuery] = (),
) -> Plan:
    """The plan whose total is `epsilon` at `delta`; the noise of every part follows from its share.

    `epsilon = inf` makes a plan without noise: not private, for measuring what noise costs. Raises
    PlanError.
    """
    _require_budget(epsilon=epsilon, delta=delta, population=population)
    sums = (*looks, *measures)
    total = sum(measure.share for measure in sums) + (game.share if game else 0.0)
    shares = {measure.name: measure.share / total for measure in sums} | (
        {"game": game.share / total} if game else {}
    )

    extra_delta = (
        THRESHOLD_DELTA * delta / max(1, sum(look.most_keys is not None for look in looks))
    )

    def at(scale: float) -> Plan:
        return Plan(
            model=model,
            epsilon=epsilon,
            delta=delta,
            population=population,
            events_per_user=events_per_user,
            openings=tuple(
                PartitionSelection(
                    **_common(query),
                    noise_multiplier=scale / math.sqrt(shares[query.name]),
                    most_keys=query.most_keys,
                    extra_delta=0.0 if query.most_keys is None else extra_delta,
                )
                for query in looks
            ),
            measurements=tuple(
                GaussianSum(
                    **_common(measure),
                    noise_multiplier=scale / math.sqrt(shares[measure.name]),
                )
                for measure in measures
            ),
            training=_training(game, share=shares.get("game", 0.0), scale=scale),
            budget_share=shares,
        )

    if math.isinf(epsilon):
        return at(0.0)
    return at(
        solve_scale(
            lambda scale: at(scale).events(),
            epsilon=epsilon,
            delta=delta,
            extra_delta=at(1.0).extra_delta,
        )
    )


def _single_runs(events: Iterable[Event]) -> Counter[Event]:
    """How often each mechanism ran."""
    runs = Counter[Event]()
    for event in events:
        runs[event.model_copy(update={"count": 1})] += event.count
    return runs


def _common(measure: Measure) -> dict[str, Any]:
    return measure.model_dump(include=set(UserSum.model_fields))


def _training(game: Game | None, *, share: float, scale: float) -> Training | None:
    """Noise such that all steps together weigh `share` of 1 / scale^2, by the central limit theorem
    of Gaussian DP (Bu et al. 2020).
    """
    if game is None:
        return None
    noise_multiplier = 0.0
    if scale > 0:
        weight = share / scale**2 / (game.steps * game.sampling_rate**2)
        noise_multiplier = 1 / math.sqrt(math.log1p(weight))
    return Training(**game.model_dump(), noise_multiplier=noise_multiplier)


def _require_budget(*, epsilon: float, delta: float, population: int) -> None:
    if not epsilon > 0:
        raise PlanError(
            "epsilon must be above 0",
            found=f"{epsilon:g}",
            remedy="Common values lie between 1 and 8.",
        )
    if LARGEST_EPSILON < epsilon < math.inf:
        raise PlanError(
            f"epsilon must be at most {LARGEST_EPSILON:g}",
            found=f"{epsilon:g}",
            remedy="Beyond, nobody is protected and the accountants do not end. Common values lie between 1 and 8.",
        )
    if not MIN_DELTA <= delta < 1 / population:
        raise PlanError(
            f"delta must be at least {MIN_DELTA:g} and below 1 / population = {1 / population:.3g}",
            found=f"{delta:g}",
            remedy="A common choice is a tenth of 1 / population or less.",
        )
