"""What epsilon is worth having, before anything is spent: the pipeline on simulated people of the
declared shape, at several epsilons and without noise.

Guarantees: reads the configuration and the public catalogue; neither log nor ledger is opened, and
nothing is charged: the simulated trainings have a ledger of their own, which is thrown away. The
people's constants were set by hand, in a few trials with sight of the measured figures of two
published logs (ML-100K, ML-1M): their agreement is partly fitted.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from synthrec import __version__
from synthrec.audit.cache import Kept
from synthrec.audit.profiles import cut
from synthrec.audit.utility import ArmInput, score_ladder
from synthrec.conformance.open_domains import supposed
from synthrec.conformance.subject import random_marks
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.errors import PlanError
from synthrec.forecast import TYPICAL_EVENTS, cost, require_feasible
from synthrec.model.item_features import catalogue_features
from synthrec.model.recipe import plan_release
from synthrec.model.sampling import generate
from synthrec.model.train import Means, train
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.plan import Model, Plan
from synthrec.privacy.session import Session
from synthrec.progress import Progress
from synthrec.report.plan_page import SimulatedLevel, SimulatedPlan

EPSILONS = (0.5, 1.0, 3.0, 8.0, math.inf)
MAX_USERS, TEST_USERS = 6_000, 800
SEED, RESAMPLES = 1, 50
CELLS = 4_000_000  # of users x items that are drawn at once
# the people: standard deviations, on a scale of ratings that is 1 wide
AXES, TOLD = 12, 0.35  # of taste, the first the widest; the part of each that the catalogue tells
APPEAL, LIKED = 1.9, 0.4  # of the logarithm of popularity; how far the popular are also the liked
PICKS = 1.8  # how much taste moves a choice, beside appeal
QUALITY, BIAS, TASTE, NOISE, MEAN = 0.16, 0.11, 0.09, 0.22, 0.50
ACTIVITY = 1.0  # of the logarithm of events


@dataclass(frozen=True, eq=False, repr=False)
class World:
    """Items whose truth is known. Shapes: appeal, quality float[V]; axes float[V, AXES]."""

    schema: Schema
    appeal: np.ndarray
    quality: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, schema: Schema, catalogue: Catalogue, *, rng: np.random.Generator) -> World:
        """Truth for the items of a catalogue: half of what tells them apart follows from its
        columns, if there are any.
        """
        items = catalogue.size
        described = catalogue_features(catalogue, schema).standardised(np.ones(items)).values
        hidden = rng.normal(size=(items, AXES))
        if described.shape[1]:
            told = described @ rng.normal(size=(described.shape[1], AXES))
            told /= np.maximum(told.std(axis=0), 1e-9)
            hidden = math.sqrt(TOLD) * told + math.sqrt(1 - TOLD) * hidden
        both = rng.multivariate_normal((0.0, 0.0), ((1.0, LIKED), (LIKED, 1.0)), items)
        return cls(schema, APPEAL * both[:, 0], QUALITY * both[:, 1], hidden)

    def people(self, users: int, *, rng: np.random.Generator) -> EventLog:
        """Users with all that they did, more than K events in some."""
        schema, items = self.schema, len(self.appeal)
        share = 1 / np.arange(1, AXES + 1)
        taste = rng.normal(size=(users, AXES)) * np.sqrt(share / share.sum())
        typical = TYPICAL_EVENTS * schema.privacy.events_per_user * math.exp(-(ACTIVITY**2) / 2)
        counts = np.rint(typical * rng.lognormal(0.0, ACTIVITY, users)).astype(np.int64)
        counts = np.clip(counts, 1, max(1, items // 2))
        chunk = max(1, CELLS // items)
        picked = [
            self._picked(taste[start : start + chunk], counts[start : start + chunk], rng=rng)
            for start in range(0, users, chunk)
        ]
        item = np.concatenate(picked).astype(np.int32)
        user = np.repeat(np.arange(users), counts)
        moved = np.einsum("ed,ed->e", taste[user], self.axes[item])
        rating, time_column = None, schema.time
        if schema.rating is not None:
            levels = np.asarray(schema.rating.levels)
            level = MEAN + self.quality[item] + BIAS * rng.normal(size=users)[user] + TASTE * moved
            level += NOISE * rng.normal(size=len(item))
            place = np.clip(np.rint(level * (len(levels) - 1)), 0, len(levels) - 1)
            rating = levels[place.astype(int)].astype(np.float32)
        seconds = None
        if time_column is not None:
            first, last = time_column.min_seconds, time_column.max_seconds
            seconds = rng.integers(first, last + 1, len(item))
            seconds = seconds[np.lexsort((seconds, user))].astype(np.int64)
        return EventLog(
            offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
            item=item,
            rating=rating,
            time=seconds,
            marks=random_marks(schema, item=item, user=user, rng=rng),
            attributes={
                name: rng.integers(0, each.size, users).astype(np.int16)
                for name, each in schema.user_attributes.items()
            },
        )

    def _picked(
        self, taste: np.ndarray, counts: np.ndarray, *, rng: np.random.Generator
    ) -> np.ndarray:
        """Different items of each user, in random order: Gumbel's way to draw without replacement."""
        pull = (
            self.appeal
            + PICKS * (taste @ self.axes.T)
            + rng.gumbel(size=(len(taste), len(self.appeal)))
        )
        most = int(counts.max())
        best = np.argpartition(-pull, min(most, pull.shape[1] - 1), axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(pull, best, axis=1), axis=1)
        best = np.take_along_axis(best, order, axis=1)
        kept = np.arange(most)[None, :] < counts[:, None]
        found: np.ndarray = best[kept]
        return found


def simulate_plan(
    schema: Schema,
    *,
    delta: float,
    epsilons: tuple[float, ...] = (),
    model: Model = "gan",
    parts: Path,
    progress: Progress,
) -> SimulatedPlan:
    """What each epsilon would bring, if people were as those of `World`; `parts` keeps finished
    levels, so that a killed simulation goes on where it was.

    Above MAX_USERS, so many are simulated, under noise that is smaller by the same factor: the
    noise of a sum stays as large beside the sum. Raises PlanError, DataError.
    """
    here = supposed(schema)
    users = min(schema.source.population, MAX_USERS)
    source = here.source.model_copy(update={"population": users})
    here = here.model_copy(update={"source": source})
    catalogue = Catalogue.read(here)
    levels = sorted({*EPSILONS, *epsilons})
    asked = (__version__, schema.model_dump_json(), catalogue.to_json(), f"{delta}", model)
    kept = Kept.of(parts, key=asked)
    ready: list[_Ready] = []  # drawn when the first level asks for them
    found = []

    def level(epsilon: float) -> SimulatedLevel:
        plan = plan_release(schema, epsilon=epsilon, delta=delta, model=model)
        if not ready:
            ready.append(_Ready.of(here, catalogue))
        return ready[0].level(plan, progress=progress)

    with progress.stage("simulate", total=len(levels)) as advance:
        for epsilon in levels:
            name = f"epsilon-{epsilon:g}"
            found.append(kept.part(name, SimulatedLevel, partial(level, epsilon)))
            advance(1, note=f"epsilon {epsilon:g}" if math.isfinite(epsilon) else "without noise")
    return SimulatedPlan(
        source_name=schema.source.name,
        population=schema.source.population,
        simulated_users=users,
        items=catalogue.size,
        events_per_user=schema.privacy.events_per_user,
        typical_events=round(TYPICAL_EVENTS * schema.privacy.events_per_user),
        open_columns=schema != supposed(schema),
        delta=delta,
        levels=tuple(found),
    )


@dataclass(frozen=True, eq=False, repr=False)
class _Ready:
    """Simulated people in training and others to score with."""

    schema: Schema
    catalogue: Catalogue
    whole: EventLog
    bounded: EventLog
    test: EventLog

    @classmethod
    def of(cls, schema: Schema, catalogue: Catalogue) -> _Ready:
        rng = np.random.default_rng(SEED)
        world = World.of(schema, catalogue, rng=rng)
        whole = world.people(schema.source.population, rng=rng)
        bounded = cut(whole, events_per_user=schema.privacy.events_per_user, rng=rng)
        return cls(schema, catalogue, whole, bounded, world.people(TEST_USERS, rng=rng))

    def level(self, plan: Plan, *, progress: Progress) -> SimulatedLevel:
        bound = plan.accountant().bound() if plan.is_private else None
        reach = None if bound is None else bound.tpr
        try:
            require_feasible(plan)
        except PlanError:
            return SimulatedLevel(epsilon=plan.epsilon, reach=reach)
        with tempfile.TemporaryDirectory(prefix="synthrec-") as scratch:
            charge = Charge(source="simulated people", release_id="simulated", kind="internal")
            with Ledger.open(Path(scratch) / "simulated.ledger.jsonl") as ledger:
                session = Session(for_fewer(plan, self.bounded.users), ledger=ledger, charge=charge)
                made = train(
                    self.bounded,
                    catalogue=self.catalogue,
                    schema=self.schema,
                    session=session,
                    progress=progress,
                    means=Means(seed=SEED),
                )
        rng = np.random.default_rng(SEED)
        log = EventLog.concat(list(generate(made, users=2 * self.bounded.users, rng=rng)))
        rating = self.schema.rating
        ladder = score_ladder(
            train=self.whole,
            test=self.test,
            arms={"plan": ArmInput(log=log, label="", epsilon=None, ledger_kind=None)},
            items=self.catalogue.size,
            scale=None if rating is None else (float(rating.levels[0]), float(rating.levels[-1])),
            events_per_user=self.schema.privacy.events_per_user,
            rng=rng,
            resamples=RESAMPLES,
        )
        ratings, ranking = ladder.gap_closed("plan"), ladder.ranking_gap_closed("plan")
        return SimulatedLevel(
            epsilon=plan.epsilon,
            reach=reach,
            ratings=None if ratings is None else ratings.value,
            ranking=None if ranking is None else ranking.value,
            seconds=cost(plan, items=self.catalogue.size)[0],
        )


def for_fewer(plan: Plan, users: int) -> Plan:
    """The plan for fewer people, its noise as large beside the sums as before. The critic's training
    is left out: its budget is spent, and it has won nothing that the sums have not
    (`benchmarks/ablation.md`).
    """
    part = users / plan.population
    sums = tuple(
        each.model_copy(update={"noise_multiplier": each.noise_multiplier * part})
        for each in plan.measurements
    )
    return plan.model_copy(update={"population": users, "measurements": sums, "training": None})
