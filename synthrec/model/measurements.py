"""Measure first: everything the generator learns from the log outside the game, each as one noisy sum over users.

Guarantees: the log is touched only inside `noisy_sum`, which clips each user's vector to the planned norm and charges the ledger
first. Later measurements lean on released earlier ones only (adaptive composition).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp

from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import Coded
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.errors import ReleaseError
from synthrec.model.checkpoint import Checkpoint
from synthrec.model.estimates import Estimates, estimate_items, item_codes, project_to_moment, project_to_simplex, taste_variances
from synthrec.model.features import MEASURED, ItemFeatures, catalogue_features
from synthrec.model.groups import GroupDifferences, Groups, ShortFrame, estimate_groups, group_blocks
from synthrec.model.habits import (
    HabitTables,
    habit_size,
    habit_tables,
    habit_vectors,
    item_deviations,
    mark_size,
    mark_tables,
    mark_vectors,
    moments,
    visits,
)
from synthrec.model.marks import paced, packed
from synthrec.model.pairs import items_in_pairs, pair_axes, pair_frame, pair_rows
from synthrec.model.recipe import COUNT_WEIGHT, NUMBER_WEIGHT, activity_edges, whole_events
from synthrec.model.rhythm import SIZE, TimeTables, time_tables, time_vectors
from synthrec.model.tastes import TasteFrame, by_user, half_vectors, taste_blocks, user_blocks
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.mechanisms import Measurement, lattice_pairs, noisy_sum
from synthrec.privacy.plan import Plan
from synthrec.progress import Progress

LEAST_USERS = 0.05      # of the declared population: a floor under the noisy number of active users


@dataclass(frozen=True)
class Paid:
    """The means to ask: whom to charge, and by which plan."""

    plan: Plan
    ledger: Ledger
    charge: Charge
    advance: Callable[..., None] = field(default=lambda count=1, note="": None)
    checkpoint: Checkpoint | None = None

    def ask(self, name: str, blocks: Iterator[np.ndarray | sp.csr_matrix], *, size: int,
            add_up: Callable[..., np.ndarray] | None = None) -> Measurement:
        """One planned noisy sum; one that was paid for and kept by a run that died is read again, and the log left alone."""
        found = self.checkpoint.measured(name) if self.checkpoint else None
        if found is None:
            found = noisy_sum(blocks, plan=self.plan.measurement(name), size=size, ledger=self.ledger, charge=self.charge, add_up=add_up)
            if self.checkpoint:
                self.checkpoint.keep(name, found)
        if found.values.shape != (size,) or found.noise_std != self.plan.measurement(name).noise_std:
            raise ReleaseError("a training is continued from a whole checkpoint", found="a measurement of another size or noise",
                               remedy="Start a new one; what this one was charged is spent.")
        self.advance(1, note=name)
        return found


def measure(log: EventLog, *, catalogue: Catalogue, schema: Schema, plan: Plan, ledger: Ledger, charge: Charge,
            progress: Progress, checkpoint: Checkpoint | None = None) -> Estimates:
    """All planned measurements of a bounded log, and what follows from them."""
    events, log = log, visits(log) if schema.several else log
    with progress.stage("measure", total=len(plan.measurements)) as advance:
        paid = Paid(plan=plan, ledger=ledger, charge=charge, advance=advance, checkpoint=checkpoint)
        edges = activity_edges(plan.events_per_user)
        active = paid.ask("activity", activity_vectors(log, edges=edges), size=len(edges) - 1).values
        users = max(float(active.sum()), LEAST_USERS * plan.population)
        marks = _marks(events, paid=paid, schema=schema)
        scale = _scale(log, paid=paid, schema=schema)
        numbers = {name: marks[name] for name in schema.marks_of("item")}
        vectors = item_vectors(log, items=catalogue.size, centre=scale.centre, unit=scale.unit,
                               numbers=[(column, numbers[name]) for name, column in schema.marks_of("item").items()])
        items = paid.ask("items", vectors, size=(1 + scale.rated + len(numbers)) * catalogue.size)
        items, sums = _split_numbers(items, numbers=numbers, size=catalogue.size)
        features = catalogue_features(catalogue, schema)
        count, mean = estimate_items(items, features=features)
        item_mean = np.clip(scale.centre + scale.unit * mean, *scale.ends)
        popularity = count / count.sum()
        described = features.with_columns(dict(zip(MEASURED, (np.log(count + 1e-4 * count.max()), mean), strict=True))).standardised(
            popularity)
        described = _paired(log, paid=paid, described=described, popularity=popularity, edges=edges, activity=project_to_simplex(active))
        frame = TasteFrame(features=described.values, item_mean=item_mean, popularity=popularity, rating_unit=scale.unit, rated=scale.rated)
        moment = _moment(log, paid=paid, frame=frame, users=users)
        attributes = _attributes(log, paid=paid, schema=schema)
        groups = _groups(log, paid=paid, schema=schema, short=ShortFrame.of(frame, names=described.names), shares=attributes, users=users)
        codes = {name: item_codes(part / NUMBER_WEIGHT, noise_std=items.noise_std / NUMBER_WEIGHT, count=count, shares=numbers[name],
                                  features=features) for name, part in sums.items()}
        return Estimates(
            frame=frame, feature_names=described.names, activity_edges=edges, activity=project_to_simplex(active),
            levels=scale.levels, rating_shares=scale.shares, **moment, attributes=attributes, groups=groups,
            habits=_habits(events, paid=paid, schema=schema, marks=marks, items=codes, activity=project_to_simplex(active)),
            times=_times(moments(events, schema=schema), paid=paid, schema=schema))


@dataclass(frozen=True)
class Scale:
    """The declared levels and how often each is given, as paid for; no levels in a log without ratings."""

    levels: np.ndarray
    shares: np.ndarray

    @property
    def rated(self) -> bool:
        """Does the log have ratings?"""
        return len(self.levels) > 0

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest level."""
        return (float(self.levels[0]), float(self.levels[-1])) if self.rated else (0.0, 0.0)

    @property
    def centre(self) -> float:
        """The mean rating."""
        return float(self.shares @ self.levels)

    @property
    def unit(self) -> float:
        """A quarter of the scale."""
        return (self.ends[1] - self.ends[0]) / 4 if self.rated else 1.0


def _scale(log: EventLog, *, paid: Paid, schema: Schema) -> Scale:
    rating = schema.rating
    if rating is None:
        return Scale(levels=np.zeros(0), shares=np.zeros(0))
    counts = paid.ask("ratings", rating_vectors(log, levels=rating.levels), size=rating.size).values
    return Scale(levels=rating.levels, shares=project_to_simplex(counts))


def activity_vectors(log: EventLog, *, edges: tuple[int, ...]) -> Iterator[sp.csr_matrix]:
    """A one-hot of each user's bucket; a user without events has none."""
    events = np.diff(log.offsets)
    active = np.flatnonzero(events > 0)
    bucket = np.minimum(np.searchsorted(edges, events[active], side="right") - 1, len(edges) - 2)
    yield sp.csr_matrix((np.ones(len(active)), (active, bucket)), shape=(len(events), len(edges) - 1))


def rating_vectors(log: EventLog, *, levels: np.ndarray) -> Iterator[sp.csr_matrix]:
    """A user's ratings per level: norm at most K."""
    assert log.rating is not None
    level = np.abs(log.rating[:, None] - levels[None, :]).argmin(axis=1)
    yield sp.csr_matrix((np.ones(len(level)), (log.user_of_event(), level)), shape=(len(log.offsets) - 1, len(levels)))


def item_vectors(log: EventLog, *, items: int, centre: float, unit: float,
                 numbers: Sequence[tuple[Coded, np.ndarray]] = ()) -> Iterator[sp.csr_matrix]:
    """For each kept event 1 in the first part; where there are ratings, its deviation / COUNT_WEIGHT in the second; for each number that
    belongs to items its standardised code times NUMBER_WEIGHT in one more. Counted in events."""
    for block in user_blocks(log):
        parts = [np.ones(len(block.item))]
        if block.rating is not None:
            parts.append((np.asarray(block.rating, dtype=np.float64) - centre) / unit / COUNT_WEIGHT)
        parts += [NUMBER_WEIGHT * item_deviations(block, column=column, shares=shares) for column, shares in numbers]
        yield sp.hstack([by_user(block, part, items=items) for part in parts], format="csr")


def _split_numbers(items: Measurement, *, numbers: dict[str, np.ndarray], size: int) -> tuple[Measurement, dict[str, np.ndarray]]:
    """The sums of counts and ratings, and those of each number."""
    first = len(items.values) - len(numbers) * size
    parts = np.split(items.values[first:], len(numbers)) if numbers else []
    return replace(items, values=items.values[:first]), dict(zip(numbers, parts, strict=True))


def _marks(events: EventLog, *, paid: Paid, schema: Schema) -> dict[str, np.ndarray]:
    """Shares of first and next types and of numbers, by name; none in a log that has neither."""
    if not paid.plan.has("marks"):
        return {}
    most = whole_events(paid.plan.events_per_user)
    asked = paid.ask("marks", (mark_vectors(block, schema=schema, most=most) for block in user_blocks(events)), size=mark_size(schema))
    return {name: np.apply_along_axis(project_to_simplex, -1, part)
            for name, part in mark_tables(asked.values, noise_std=asked.noise_std, schema=schema)}


def _habits(events: EventLog, *, paid: Paid, schema: Schema, marks: dict[str, np.ndarray], items: dict[str, np.ndarray],
            activity: np.ndarray) -> HabitTables | None:
    """Tables from which visits become events."""
    edges = activity_edges(paid.plan.events_per_user)
    asked = np.zeros(0)
    if paid.plan.has("habits"):
        vectors = (habit_vectors(block, schema=schema, edges=edges) for block in user_blocks(events))
        asked = paid.ask("habits", vectors, size=habit_size(schema, edges=edges)).values
    elif not marks:
        return None
    tables = habit_tables(asked, marks=marks, items=items, schema=schema, edges=edges, shares=project_to_simplex)
    tables = paced(tables, schema=schema) if schema.several else tables
    return tables if schema.basket is None else packed(tables, activity=activity, schema=schema, edges=edges)


def attribute_vectors(log: EventLog, *, sizes: dict[str, int]) -> Iterator[np.ndarray]:
    """A one-hot for each attribute, "other" included."""
    users = len(log.offsets) - 1
    vectors = np.zeros((users, sum(size + 1 for size in sizes.values())))
    start = 0
    for name, size in sizes.items():
        vectors[np.arange(users), start + np.clip(log.attributes[name], 0, size)] = 1
        start += size + 1
    yield vectors


def _paired(log: EventLog, *, paid: Paid, described: ItemFeatures, popularity: np.ndarray, edges: tuple[int, ...],
            activity: np.ndarray) -> ItemFeatures:
    """The item features with the factors that users' picks reveal beside them."""
    if not paid.plan.has("pairs"):
        return described
    most = items_in_pairs(paid.plan.population, noise_multiplier=paid.plan.measurement("pairs").noise_multiplier)
    frame = pair_frame(popularity, activity_edges=edges, activity=activity, most=most)
    size = len(frame.items)
    found = paid.ask("pairs", pair_rows(log, frame=frame), size=size * (size - 1) // 2, add_up=lattice_pairs)
    axes = pair_axes(found.values, noise_std=found.noise_std, frame=frame, features=described.values)
    return described.with_columns({f"pairs {place + 1}": axis for place, axis in enumerate(axes.T)}).standardised(popularity)


def _moment(log: EventLog, *, paid: Paid, frame: TasteFrame, users: float) -> dict[str, np.ndarray | None]:
    """Second moment of stacked tastes, over the noisy number of active users that the activity histogram paid for."""
    if not paid.plan.has("tastes"):
        return {"moment": None, "taste_variance": None}
    part = frame.measured
    size = part.stop - part.start
    half = paid.ask("tastes", (half_vectors(block[:, part]) for block in taste_blocks(log, frame=frame)),
                    size=size * (size + 1) // 2).values / users
    moment = np.zeros((frame.size, frame.size))
    moment[part, part] = project_to_moment(half, size=size)
    return {"moment": moment, "taste_variance": taste_variances(half, size=size, rated=frame.rated)}


def _attributes(log: EventLog, *, paid: Paid, schema: Schema) -> dict[str, np.ndarray]:
    sizes = {name: attribute.size for name, attribute in schema.user_attributes.items()}
    if not sizes:
        return {}
    counts = paid.ask("attributes", attribute_vectors(log, sizes=sizes), size=sum(size + 1 for size in sizes.values())).values
    cuts = np.cumsum([size + 1 for size in sizes.values()])[:-1]
    return {name: project_to_simplex(part) for name, part in zip(sizes, np.split(counts, cuts), strict=True)}


def _groups(log: EventLog, *, paid: Paid, schema: Schema, short: ShortFrame, shares: dict[str, np.ndarray],
            users: float) -> GroupDifferences | None:
    """How groups differ, told by the attribute shares that were paid for before."""
    if not paid.plan.has("groups"):
        return None
    groups = Groups.of(schema)
    found = paid.ask("groups", group_blocks(log, short=short, groups=groups), size=groups.width * short.size)
    return estimate_groups(found.values, noise_std=found.noise_std, short=short, groups=groups, shares=shares, users=users)


def _times(log: EventLog, *, paid: Paid, schema: Schema) -> TimeTables | None:
    column = schema.time
    if column is None:
        return None
    vectors = (time_vectors(block, column=column, events_per_user=paid.plan.events_per_user) for block in user_blocks(log))
    asked = paid.ask("times", vectors, size=SIZE)
    return time_tables(asked.values, noise_std=asked.noise_std)
