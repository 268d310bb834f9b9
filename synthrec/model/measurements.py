"""Measure first: everything the generator learns from the log outside the game, each as one noisy
sum over users; the list of them, and what stands in no file of its own: activity, ratings, users'
attributes.

Guarantees: the log is touched only inside `Statistic.ask`, which asks a session; later measurements
lean on released earlier ones only (adaptive composition).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property, partial

import numpy as np
import scipy.sparse as sp

from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.model.attribute_effects import GROUPS, GroupDifferences
from synthrec.model.cooccurrence import PAIRS
from synthrec.model.event_sampling import EventTypeTables
from synthrec.model.event_types import HABITS, MARKS, basket_starts, first_interactions
from synthrec.model.item_counts import ITEMS
from synthrec.model.item_features import catalogue_features
from synthrec.model.statistic import (
    Effort,
    Known,
    Statistic,
    Tensor,
    bucket_of,
    project_to_simplex,
    split,
)
from synthrec.model.tastes import TASTES, TasteFrame
from synthrec.model.time_stats import TIMES, TimeTables
from synthrec.privacy.mechanisms import Measurement
from synthrec.privacy.session import Session
from synthrec.progress import Progress

MIN_USERS = 0.05  # of the declared population: a floor under the noisy number of active users


class Estimates(Known):
    """What the generator is anchored to; all of it paid for. Shares sum to 1."""

    @classmethod
    def of(cls, known: Known, arrays: Mapping[str, np.ndarray]) -> Estimates:
        """Of what is known, the arrays that a release holds."""
        held = {name: arrays[name] for name in measured_tensors(known)}
        return cls(known.schema, known.plan, known.items, known.feature_names, held)

    @property
    def rating_shares(self) -> np.ndarray:
        """float64[L]: of the levels."""
        return self["estimates.rating_shares"]

    @property
    def moment(self) -> np.ndarray | None:
        """float64[D, D], D = frame.size: the second moment of stacked tastes."""
        return self.arrays.get("estimates.moment")

    @property
    def taste_variance(self) -> np.ndarray | None:
        """float64[3]: of bias, slopes and tilts."""
        return self.arrays.get("estimates.taste_variance")

    @cached_property
    def frame(self) -> TasteFrame:
        """What tastes are measured against."""
        return TasteFrame.of(self)

    @cached_property
    def groups(self) -> GroupDifferences | None:
        """None where no attribute's values are told apart."""
        return GroupDifferences.of(self)

    @cached_property
    def habits(self) -> EventTypeTables | None:
        """Of a log whose events have types, numbers, baskets or repeats."""
        return EventTypeTables.of(self)

    @cached_property
    def times(self) -> TimeTables | None:
        """Of a log with time."""
        return TimeTables.of(self)


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
    with progress.stage("measure", total=len(session.plan.measurements)) as advance:
        session.heard = lambda name: advance(1, note=name)
        logs = {
            "events": log,
            "visits": first_interactions(log) if schema.several else log,
            "baskets": basket_starts(log, schema=schema),
        }
        features = catalogue_features(catalogue, schema)
        known = Known(
            schema=schema,
            plan=session.plan,
            items=catalogue.size,
            feature_names=features.names,
            arrays={"catalogue": features.values},
            effort=effort,
        )
        for statistic in STATISTICS:
            known = statistic.ask(session, logs, known)
        return Estimates.of(known, known.arrays)


def measured_tensors(known: Known) -> dict[str, Tensor]:
    """Every array that a release holds of its measurements, by name."""
    return {
        name: tensor
        for statistic in STATISTICS
        for name, tensor in statistic.tensors(known).items()
    }


def activity_vectors(users: EventLog, *, edges: tuple[int, ...]) -> sp.csr_matrix:
    """A one-hot of each user's bucket; a user without events has none."""
    events = users.activity
    active = np.flatnonzero(events > 0)
    cells = active, bucket_of(events[active], edges)
    return sp.csr_matrix((np.ones(len(active)), cells), shape=(len(events), len(edges) - 1))


def _activity(known: Known, noisy: Measurement) -> Known:
    users = max(float(noisy.values.sum()), MIN_USERS * known.plan.population)
    shares = project_to_simplex(noisy.values)
    return known.adding({"estimates.activity": shares, "users": np.array(users)})


ACTIVITY = Statistic(
    name="activity",
    purpose="how many users have how many events",
    unit="users",
    share=0.03,
    sensitivity=lambda schema: 1.0,
    noise_words="users in each bucket of activity",
    vectors=lambda known: partial(activity_vectors, edges=known.activity_edges),
    size=lambda known: len(known.activity_edges) - 1,
    decode=_activity,
    tensors=lambda known: {
        "estimates.activity": Tensor(
            "F64", (len(known.activity_edges) - 1,), "paid", ("activity",), holds="shares"
        )
    },
)


def rating_vectors(users: EventLog, *, levels: np.ndarray) -> sp.csr_matrix:
    """A user's ratings per level: norm at most K."""
    assert users.rating is not None
    level = np.abs(users.rating[:, None] - levels[None, :]).argmin(axis=1)
    return sp.csr_matrix(
        (np.ones(len(level)), (users.user_of_event(), level)),
        shape=(users.users, len(levels)),
    )


def _ratings(known: Known, noisy: Measurement | None = None) -> Known:
    shares = np.zeros(0) if noisy is None else project_to_simplex(noisy.values)
    return known.adding({"estimates.levels": known.levels, "estimates.rating_shares": shares})


def _rating_tensors(known: Known) -> dict[str, Tensor]:
    shape, paid_by = (len(known.levels),), ("ratings",) if known.rated else ()
    return {
        "estimates.levels": Tensor("F64", shape, "public", holds="rising"),
        "estimates.rating_shares": Tensor("F64", shape, "paid", paid_by, holds="shares"),
    }


RATINGS = Statistic(
    name="ratings",
    purpose="how often each rating is given",
    unit="events",
    share=0.02,
    sensitivity=lambda schema: float(schema.privacy.events_per_user),
    noise_words="events at each rating",
    needed=lambda schema: schema.rating is not None,
    vectors=lambda known: partial(rating_vectors, levels=known.levels),
    size=lambda known: len(known.levels),
    decode=_ratings,
    otherwise=_ratings,
    tensors=_rating_tensors,
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


def _attributes(known: Known, noisy: Measurement) -> Known:
    parts = split(noisy.values, {name: size + 1 for name, size in known.sizes.items()})
    return known.adding(
        {
            f"attribute.{index}": project_to_simplex(counts)
            for index, counts in enumerate(parts.values())
        }
    )


ATTRIBUTES = Statistic(
    name="attributes",
    purpose="how many users have which attribute",
    unit="users",
    share=0.02,
    sensitivity=lambda schema: math.sqrt(len(schema.user_attributes)),
    noise_words="users with each attribute value",
    needed=lambda schema: len(schema.user_attributes) > 0,
    vectors=lambda known: partial(attribute_vectors, sizes=known.sizes),
    size=lambda known: sum(size + 1 for size in known.sizes.values()),
    decode=_attributes,
    tensors=lambda known: {
        f"attribute.{index}": Tensor("F64", (size + 1,), "paid", ("attributes",), holds="shares")
        for index, size in enumerate(known.sizes.values())
    },
)
# in the order in which they are asked: later ones lean on earlier ones
STATISTICS = (
    ACTIVITY,
    MARKS,
    RATINGS,
    ITEMS,
    PAIRS,
    TASTES,
    ATTRIBUTES,
    GROUPS,
    HABITS,
    TIMES,
)
