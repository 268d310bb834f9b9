"""Measure first: everything the generator learns from the log outside the game, each as one noisy
sum over users.

Guarantees: the log is touched only inside `Session.noisy_sum`, which charges the ledger first and
clips each user's vector to the planned norm. What it is given are pure functions from a block of
users, and public or released values, to a row a user; later ones lean on released earlier
measurements only (adaptive composition).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy.sparse as sp

from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import Coded
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.model.attribute_effects import (
    GROUPS,
    EffectFrame,
    GroupDifferences,
    Groups,
    estimate_groups,
    group_vectors,
)
from synthrec.model.cooccurrence import (
    PAIRS,
    cooccurrence_factors,
    items_in_pairs,
    pair_frame,
    pair_vectors,
)
from synthrec.model.event_sampling import fit_continuation, packed
from synthrec.model.event_types import (
    HABITS,
    MARKS,
    EventTypeTables,
    first_interactions,
    habit_size,
    habit_tables,
    habit_vectors,
    item_deviations,
    mark_size,
    mark_tables,
    mark_vectors,
    moments,
    whole_events,
)
from synthrec.model.item_features import MEASURED, ItemFeatures, catalogue_features
from synthrec.model.postprocessing import (
    COUNT_WEIGHT,
    Estimates,
    estimate_items,
    item_codes,
    project_to_moment,
    project_to_simplex,
    taste_variances,
)
from synthrec.model.statistic import Declared, Effort, Statistic, Tensor, activity_edges
from synthrec.model.tastes import TASTES, TasteFrame, by_user, second_moments
from synthrec.model.time_stats import SIZE, TIMES, TimeTables, time_tables, time_vectors
from synthrec.privacy.mechanisms import Measurement, lattice_pairs
from synthrec.privacy.session import Session
from synthrec.progress import Progress

# of the norm of a user with K events: heavier users count for less, all counts are less noisy
ITEM_NORM = 0.7
# of an item's number (in standard deviations of all) beside an event's count in a user's vector
NUMBER_WEIGHT = 0.4
MIN_USERS = 0.05  # of the declared population: a floor under the noisy number of active users


def measure(
    log: EventLog,
    *,
    catalogue: Catalogue,
    schema: Schema,
    session: Session,
    progress: Progress,
    effort: Effort,
) -> Estimates:
    """All planned measurements of a bounded log, and what follows from them."""
    plan, events, log = session.plan, log, first_interactions(log) if schema.several else log
    with progress.stage("measure", total=len(plan.measurements)) as advance:
        session.heard = lambda name: advance(1, note=name)
        edges = activity_edges(plan.events_per_user)
        active = session.noisy_sum(
            "activity", log, partial(activity_vectors, edges=edges), size=len(edges) - 1
        ).values
        users = max(float(active.sum()), MIN_USERS * plan.population)
        marks = _marks(events, session=session, schema=schema)
        scale = _scale(log, session=session, schema=schema)
        numbers = {name: marks[name] for name in schema.marks_of("item")}
        vectors = partial(
            item_vectors,
            items=catalogue.size,
            centre=scale.centre,
            unit=scale.unit,
            numbers=[(column, numbers[name]) for name, column in schema.marks_of("item").items()],
        )
        items = session.noisy_sum(
            "items", log, vectors, size=(1 + scale.rated + len(numbers)) * catalogue.size
        )
        items, sums = _split_numbers(items, numbers=numbers, size=catalogue.size)
        features = catalogue_features(catalogue, schema)
        count, mean = estimate_items(items, features=features)
        item_mean = np.clip(scale.centre + scale.unit * mean, *scale.ends)
        popularity = count / count.sum()
        measured = dict(zip(MEASURED, (np.log(count + 1e-4 * count.max()), mean), strict=True))
        described = features.with_columns(measured).standardised(popularity)
        described = _paired(
            log,
            session=session,
            described=described,
            popularity=popularity,
            edges=edges,
            activity=project_to_simplex(active),
        )
        frame = TasteFrame(
            features=described.values,
            item_mean=item_mean,
            popularity=popularity,
            rating_unit=scale.unit,
            rated=scale.rated,
        )
        moment = _moment(log, session=session, frame=frame, users=users)
        attributes = _attributes(log, session=session, schema=schema)
        groups = _groups(
            log,
            session=session,
            schema=schema,
            short=EffectFrame.of(frame, names=described.names),
            shares=attributes,
            users=users,
        )
        codes = {
            name: item_codes(
                part / NUMBER_WEIGHT,
                noise_std=items.noise_std / NUMBER_WEIGHT,
                count=count,
                shares=numbers[name],
                features=features,
            )
            for name, part in sums.items()
        }
        return Estimates(
            frame=frame,
            feature_names=described.names,
            activity_edges=edges,
            activity=project_to_simplex(active),
            levels=scale.levels,
            rating_shares=scale.shares,
            **moment,
            attributes=attributes,
            groups=groups,
            habits=_habits(
                events,
                session=session,
                schema=schema,
                marks=marks,
                items=codes,
                activity=project_to_simplex(active),
                effort=effort,
            ),
            times=_times(moments(events, schema=schema), session=session, schema=schema),
        )


@dataclass(frozen=True)
class Scale:
    """The declared levels and how often each is given, as paid for; no levels in a log without
    ratings.
    """

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


def _scale(log: EventLog, *, session: Session, schema: Schema) -> Scale:
    rating = schema.rating
    if rating is None:
        return Scale(levels=np.zeros(0), shares=np.zeros(0))
    counts = session.noisy_sum(
        "ratings", log, partial(rating_vectors, levels=rating.levels), size=rating.size
    ).values
    return Scale(levels=rating.levels, shares=project_to_simplex(counts))


def activity_vectors(users: EventLog, *, edges: tuple[int, ...]) -> sp.csr_matrix:
    """A one-hot of each user's bucket; a user without events has none."""
    events = users.activity
    active = np.flatnonzero(events > 0)
    bucket = np.minimum(np.searchsorted(edges, events[active], side="right") - 1, len(edges) - 2)
    return sp.csr_matrix(
        (np.ones(len(active)), (active, bucket)), shape=(len(events), len(edges) - 1)
    )


def rating_vectors(users: EventLog, *, levels: np.ndarray) -> sp.csr_matrix:
    """A user's ratings per level: norm at most K."""
    assert users.rating is not None
    level = np.abs(users.rating[:, None] - levels[None, :]).argmin(axis=1)
    return sp.csr_matrix(
        (np.ones(len(level)), (users.user_of_event(), level)),
        shape=(users.users, len(levels)),
    )


def item_vectors(
    users: EventLog,
    *,
    items: int,
    centre: float,
    unit: float,
    numbers: Sequence[tuple[Coded, np.ndarray]] = (),
) -> sp.csr_matrix:
    """For each kept event 1 in the first part; where there are ratings, its deviation /
    COUNT_WEIGHT in the second; for each number that belongs to items its standardised code times
    NUMBER_WEIGHT in one more. Counted in events.
    """
    parts = [np.ones(len(users.item))]
    if users.rating is not None:
        parts.append((np.asarray(users.rating, dtype=np.float64) - centre) / unit / COUNT_WEIGHT)
    parts += [
        NUMBER_WEIGHT * item_deviations(users, column=column, shares=shares)
        for column, shares in numbers
    ]
    return sp.hstack([by_user(users, part, items=items) for part in parts], format="csr")


def _split_numbers(
    items: Measurement, *, numbers: dict[str, np.ndarray], size: int
) -> tuple[Measurement, dict[str, np.ndarray]]:
    """The sums of counts and ratings, and those of each number."""
    first = len(items.values) - len(numbers) * size
    parts = np.split(items.values[first:], len(numbers)) if numbers else []
    return replace(items, values=items.values[:first]), dict(zip(numbers, parts, strict=True))


def _marks(events: EventLog, *, session: Session, schema: Schema) -> dict[str, np.ndarray]:
    """Shares of first and next types and of numbers, by name; none in a log that has neither."""
    if not session.plan.has("marks"):
        return {}
    most = whole_events(session.plan.events_per_user)
    asked = session.noisy_sum(
        "marks", events, partial(mark_vectors, schema=schema, most=most), size=mark_size(schema)
    )
    return {
        name: np.apply_along_axis(project_to_simplex, -1, part)
        for name, part in mark_tables(asked.values, noise_std=asked.noise_std, schema=schema)
    }


def _habits(
    events: EventLog,
    *,
    session: Session,
    schema: Schema,
    marks: dict[str, np.ndarray],
    items: dict[str, np.ndarray],
    activity: np.ndarray,
    effort: Effort,
) -> EventTypeTables | None:
    """Tables from which visits become events."""
    edges = activity_edges(session.plan.events_per_user)
    asked = np.zeros(0)
    if session.plan.has("habits"):
        vectors = partial(habit_vectors, schema=schema, edges=edges)
        asked = session.noisy_sum(
            "habits", events, vectors, size=habit_size(schema, edges=edges)
        ).values
    elif not marks:
        return None
    tables = habit_tables(
        asked, marks=marks, items=items, schema=schema, edges=edges, shares=project_to_simplex
    )
    tables = fit_continuation(tables, schema=schema, effort=effort) if schema.several else tables
    return (
        tables
        if schema.basket is None
        else packed(tables, activity=activity, schema=schema, edges=edges, effort=effort)
    )


def attribute_vectors(users: EventLog, *, sizes: dict[str, int]) -> np.ndarray:
    """A one-hot for each attribute, "other" included."""
    return np.concatenate(
        [
            np.eye(size + 1)[np.clip(users.attributes[name], 0, size)]
            for name, size in sizes.items()
        ],
        axis=1,
    )


def _paired(
    log: EventLog,
    *,
    session: Session,
    described: ItemFeatures,
    popularity: np.ndarray,
    edges: tuple[int, ...],
    activity: np.ndarray,
) -> ItemFeatures:
    """The item features with the factors that users' picks reveal beside them."""
    if not session.plan.has("pairs"):
        return described
    most = items_in_pairs(
        session.plan.population, noise_multiplier=session.plan.measurement("pairs").noise_multiplier
    )
    frame = pair_frame(popularity, activity_edges=edges, activity=activity, most=most)
    size = len(frame.items)
    found = session.noisy_sum(
        "pairs",
        log,
        partial(pair_vectors, frame=frame),
        size=size * (size - 1) // 2,
        add_up=lattice_pairs,
    )
    axes = cooccurrence_factors(
        found.values, noise_std=found.noise_std, frame=frame, features=described.values
    )
    return described.with_columns(
        {f"pairs {place + 1}": axis for place, axis in enumerate(axes.T)}
    ).standardised(popularity)


def _moment(
    log: EventLog, *, session: Session, frame: TasteFrame, users: float
) -> dict[str, np.ndarray | None]:
    """Second moment of stacked tastes, over the noisy number of active users that the activity
    histogram paid for.
    """
    if not session.plan.has("tastes"):
        return {"moment": None, "taste_variance": None}
    part = frame.measured
    size = part.stop - part.start
    half = (
        session.noisy_sum(
            "tastes", log, partial(second_moments, frame=frame), size=size * (size + 1) // 2
        ).values
        / users
    )
    moment = np.zeros((frame.size, frame.size))
    moment[part, part] = project_to_moment(half, size=size)
    return {"moment": moment, "taste_variance": taste_variances(half, size=size, rated=frame.rated)}


def _attributes(log: EventLog, *, session: Session, schema: Schema) -> dict[str, np.ndarray]:
    sizes = {name: attribute.size for name, attribute in schema.user_attributes.items()}
    if not sizes:
        return {}
    counts = session.noisy_sum(
        "attributes",
        log,
        partial(attribute_vectors, sizes=sizes),
        size=sum(size + 1 for size in sizes.values()),
    ).values
    cuts = np.cumsum([size + 1 for size in sizes.values()])[:-1]
    return {
        name: project_to_simplex(part)
        for name, part in zip(sizes, np.split(counts, cuts), strict=True)
    }


def _groups(
    log: EventLog,
    *,
    session: Session,
    schema: Schema,
    short: EffectFrame,
    shares: dict[str, np.ndarray],
    users: float,
) -> GroupDifferences | None:
    """How groups differ, told by the attribute shares that were paid for before."""
    if not session.plan.has("groups"):
        return None
    groups = Groups.of(schema)
    found = session.noisy_sum(
        "groups",
        log,
        partial(group_vectors, short=short, groups=groups),
        size=groups.width * short.size,
    )
    return estimate_groups(
        found.values,
        noise_std=found.noise_std,
        short=short,
        groups=groups,
        shares=shares,
        users=users,
    )


def _times(log: EventLog, *, session: Session, schema: Schema) -> TimeTables | None:
    column = schema.time
    if column is None:
        return None
    asked = session.noisy_sum(
        "times",
        log,
        partial(time_vectors, column=column, events_per_user=session.plan.events_per_user),
        size=SIZE,
    )
    return time_tables(asked.values, noise_std=asked.noise_std)


def _item_norm(schema: Schema) -> float:
    """Of a user's item vector; with ratings, that of a user of half K middling events."""
    most, numbers = schema.privacy.events_per_user, len(schema.marks_of("item"))
    if schema.rating is None:
        return math.sqrt(most * (1 + numbers * NUMBER_WEIGHT**2))
    weight = (NUMBER_WEIGHT * COUNT_WEIGHT) ** 2
    return ITEM_NORM * math.sqrt(most * (1 + numbers * weight)) / COUNT_WEIGHT


def _activity_tensors(declared: Declared) -> dict[str, Tensor]:
    shape = (len(declared.edges) - 1,)
    return {"estimates.activity": Tensor("F64", shape, "paid", ("activity",), holds="shares")}


def _rating_tensors(declared: Declared) -> dict[str, Tensor]:
    rating = declared.schema.rating
    levels, paid_by = (0, ()) if rating is None else (rating.size, ("ratings",))
    return {
        "estimates.levels": Tensor("F64", (levels,), "public", holds="rising"),
        "estimates.rating_shares": Tensor("F64", (levels,), "paid", paid_by, holds="shares"),
    }


def _item_tensors(declared: Declared) -> dict[str, Tensor]:
    items, paid_by = declared.items, ("items", *declared.planned("pairs"))
    return {
        "frame.features": Tensor("F64", (items, len(declared.features)), "paid", paid_by),
        "frame.item_mean": Tensor("F64", (items,), "paid", ("items",)),
        "frame.popularity": Tensor("F64", (items,), "paid", ("items",), holds="shares"),
    }


def _attribute_tensors(declared: Declared) -> dict[str, Tensor]:
    return {
        f"attribute.{index}": Tensor(
            "F64", (attribute.size + 1,), "paid", ("attributes",), holds="shares"
        )
        for index, attribute in enumerate(declared.schema.user_attributes.values())
    }


ACTIVITY = Statistic(
    name="activity",
    purpose="how many users have how many events",
    unit="users",
    share=0.03,
    sensitivity=lambda schema: 1.0,
    noise_words="users in each bucket of activity",
    tensors=_activity_tensors,
)
RATINGS = Statistic(
    name="ratings",
    purpose="how often each rating is given",
    unit="events",
    share=0.02,
    sensitivity=lambda schema: float(schema.privacy.events_per_user),
    noise_words="events at each rating",
    needed=lambda schema: schema.rating is not None,
    tensors=_rating_tensors,
)
RATED_ITEMS = Statistic(
    name="items",
    purpose="how often each item is picked and how it is rated",
    unit="events",
    share=0.70,
    sensitivity=_item_norm,
    noise_words="events of each item",
    needed=lambda schema: schema.rating is not None,
    tensors=_item_tensors,
)
PICKED_ITEMS = replace(
    RATED_ITEMS,
    purpose="how often each item is picked",
    share=0.60,
    needed=lambda schema: schema.rating is None,
)
ATTRIBUTES = Statistic(
    name="attributes",
    purpose="how many users have which attribute",
    unit="users",
    share=0.02,
    sensitivity=lambda schema: math.sqrt(len(schema.user_attributes)),
    noise_words="users with each attribute value",
    needed=lambda schema: len(schema.user_attributes) > 0,
    tensors=_attribute_tensors,
)
# in the order in which they are asked: later ones lean on earlier ones
STATISTICS = (
    ACTIVITY,
    MARKS,
    RATINGS,
    RATED_ITEMS,
    PICKED_ITEMS,
    PAIRS,
    TASTES,
    ATTRIBUTES,
    GROUPS,
    HABITS,
    TIMES,
)
