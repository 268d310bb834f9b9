"""The frozen plan of one training: every constant that sampler, clipping, noise and ledger read,
fixed before the log is opened.

Guarantees: a plan is a function of public words (epsilon, delta, declared population, K, recipe);
nothing in it moves when a user is added. `events()` lists exactly what training will charge, so the
epsilon asked for is the epsilon spent (rules 3, 8).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from synthrec.data.schema import MAX_USERS
from synthrec.errors import PlanError
from synthrec.privacy.accounting import Accountant, solve_scale
from synthrec.privacy.event import Event, NoiseMultiplier, PublicRecord, Rate, Sensitivity, gaussian
from synthrec.privacy.mechanisms import GaussianSum
from synthrec.privacy.partition_selection import MAX_KEYS, Opening

Model = Literal["gan", "moments", "marginals"]
BLOCK = 10  # training steps per ledger entry, at most
LARGEST_EPSILON = 50.0
MIN_DELTA = 1e-12  # below, the second accountant's rounding is larger
MAX_STEPS, MAX_FAKES, MAX_SUMS = 10_000, 4_096, 1_000
Share = Annotated[float, Field(ge=0, le=1e6)]  # of the budget
THRESHOLD_DELTA = 0.25  # of delta, for all thresholds together, if there are any


class Measure(PublicRecord):
    """A noisy sum before its noise is known: `share` is its part of the budget, in units of 1 /
    noise multiplier squared.
    """

    name: str
    purpose: str
    unit: str
    sensitivity: Sensitivity
    share: Share


class DomainQuery(Measure):
    """A look at an open column before its noise is known. `most_keys`: see `Opening`."""

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
    openings: Annotated[tuple[Opening, ...], Field(max_length=MAX_SUMS)] = ()
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
        sums = tuple(
            gaussian(noise_multiplier=plan.noise_multiplier, sampling_rate=1.0, count=1)
            for plan in (*self.openings, *self.measurements)
        )
        return sums + ((self.training.event(self.training.steps),) if self.training else ())

    def events_after(self, charged: Sequence[Event]) -> tuple[Event, ...]:
        """What training will still charge when it has charged some already, blocks of its game
        among them.
        """
        spent = Counter[Event]()
        for event in charged:
            spent[event.model_copy(update={"count": 1})] += event.count
        left = []
        for event in self.events():
            one = event.model_copy(update={"count": 1})
            paid = min(event.count, spent[one])
            spent[one] -= paid
            if event.count > paid:
                left.append(event.model_copy(update={"count": event.count - paid}))
        return tuple(left)

    @property
    def runs(self) -> int:
        """How many runs of mechanisms training will charge."""
        return sum(event.count for event in self.events())

    @property
    def extra_delta(self) -> float:
        """delta that no event holds: of the thresholds."""
        return sum(plan.extra_delta for plan in self.openings)

    def opening(self, name: str) -> Opening:
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
    asked = (*looks, *measures)
    total = sum(measure.share for measure in asked) + (game.share if game else 0.0)
    shares = {measure.name: measure.share / total for measure in asked} | (
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
                _opening(look, scale / math.sqrt(shares[look.name]), extra_delta=extra_delta)
                for look in looks
            ),
            measurements=tuple(
                _with_noise(measure, scale / math.sqrt(shares[measure.name]))
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


def _with_noise(measure: Measure, noise_multiplier: float) -> GaussianSum:
    return GaussianSum(
        name=measure.name,
        purpose=measure.purpose,
        unit=measure.unit,
        sensitivity=measure.sensitivity,
        noise_multiplier=noise_multiplier,
    )


def _opening(look: DomainQuery, noise_multiplier: float, *, extra_delta: float) -> Opening:
    return Opening(
        **_with_noise(look, noise_multiplier).model_dump(),
        most_keys=look.most_keys,
        extra_delta=0.0 if look.most_keys is None else extra_delta,
    )


def _training(game: Game | None, *, share: float, scale: float) -> Training | None:
    """Noise such that all steps together weigh `share` of 1 / scale^2, by the central limit theorem
    of Gaussian DP (Bu et al. 2020).
    """
    if game is None:
        return None
    if scale == 0:
        return Training(**game.model_dump(), noise_multiplier=0.0)
    weight = share / scale**2 / (game.steps * game.sampling_rate**2)
    return Training(**game.model_dump(), noise_multiplier=1 / math.sqrt(math.log1p(weight)))


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
