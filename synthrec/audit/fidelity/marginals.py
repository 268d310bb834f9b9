"""Marginals: popularity of items, activity of users, ratings, and attributes alone and two at a
time.

Popularity: total variation; Jensen-Shannon divergence in bits (Lin 1991); Kullback-Leibler
divergence of real from synthetic in bits, every item of the catalogue counting half an event more
in both logs (Krichevsky and Trofimov 1981), so that an item that one log lacks costs much and not
all; Gini coefficient; the most popular items missed. Activity: whole and cut at K; a release that
bounds users at K cannot follow the whole log beyond K, and the Wasserstein row shows what the bound
costs. Ratings: levels, mean, spread, and the error of item means, damped as the protocol's and
weighted by the real events of the item. A generator that draws attributes independently gets each
alone right and pairs wrong; a column of events that is the same for all events of a user counts as
an attribute.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, wasserstein_distance

from synthrec.audit import realism
from synthrec.audit.fidelity.question import Question, Sample, histogram, number, ratio
from synthrec.audit.realism import buckets
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema

MAX_POPULAR = 100


def popularity_questions(items: int) -> list[Question]:
    """Of any log."""
    top = max(1, min(MAX_POPULAR, items // 4))

    def counts(sample: Sample) -> np.ndarray:
        return np.bincount(sample.whole.item, minlength=items)

    return [
        histogram("popularity", "events of each item", counts, over="events"),
        Question(
            "popularity",
            "events of each item, in bits",
            "Jensen-Shannon divergence (bits)",
            counts,
            jensen_shannon,
        ),
        Question(
            "popularity",
            "events of each item, real from synthetic",
            "Kullback-Leibler divergence (bits), half an event added",
            counts,
            lambda synthetic, real: kullback_leibler(real + 0.5, other=synthetic + 0.5),
        ),
        number(
            "popularity",
            "how unequal items are",
            counts,
            value=gini,
            method="difference of Gini coefficients",
        ),
        Question(
            "popularity",
            f"the {top} most popular items",
            "share of the real ones missed",
            counts,
            lambda synthetic, real: missed(synthetic, real, top=top),
        ),
    ]


def kullback_leibler(one: np.ndarray, *, other: np.ndarray) -> float:
    """Bits of `one` from `other`, each normalised; infinite where only `other` is 0."""
    return float(entropy(one, other, base=2))


def jensen_shannon(one: np.ndarray, other: np.ndarray) -> float:
    """Bits, 0 to 1; 1 when exactly one is empty."""
    if one.sum() == 0 or other.sum() == 0:
        return float(one.sum() != other.sum())
    return float(jensenshannon(one, other, base=2) ** 2)


def gini(counts: np.ndarray) -> float:
    """Half the mean absolute difference of all pairs, over the mean; 0 for nothing."""
    total, size = counts.sum(), len(counts)
    return (
        float(2 * (np.arange(1, size + 1) @ np.sort(counts)) / (size * total) - (size + 1) / size)
        if total
        else 0.0
    )


def missed(synthetic: np.ndarray, real: np.ndarray, *, top: int) -> float:
    """Share of the `top` real items that are not among as many synthetic ones; of equals the
    earlier row counts as more popular.
    """
    most = [set(np.argsort(-counts, kind="stable")[:top]) for counts in (synthetic, real)]
    return 1 - len(most[0] & most[1]) / top


def activity_questions() -> list[Question]:
    """Of any log."""
    return [
        histogram(
            "activity",
            "events of a user, cut at K",
            lambda sample: buckets(sample.cut.activity),
            over="users",
        ),
        Question(
            "activity",
            "events of a user",
            "Wasserstein distance (events)",
            lambda sample: sample.whole.activity,
            lambda one, other: float(wasserstein_distance(one, other)),
        ),
        number(
            "activity",
            "mean events of a user",
            lambda sample: sample.whole.activity.mean(),
        ),
    ]


MAX_PAIRS = 15


def attributes_questions(real: EventLog, *, other: EventLog, schema: Schema) -> list[Question]:
    """Of the attributes that both logs have, in the schema's order."""
    columns = {
        name: _attribute(name)
        for name in schema.user_attributes
        if name in real.attributes and name in other.attributes
    }
    columns |= {
        name: _of_first_event(name)
        for name in schema.marks_of("user")
        if name in real.marks and name in other.marks
    }
    sizes = {
        name: column.size + 1
        for name, column in {**schema.user_attributes, **schema.marks_of("user")}.items()
    }
    pairs = list(combinations(columns, 2))[:MAX_PAIRS]
    return [
        histogram("attributes", name, _counted(column), over="users")
        for name, column in columns.items()
    ] + [
        histogram(
            "attributes",
            f"{one} and {two}",
            _counted(columns[one], columns[two], size=sizes[two]),
            over="users",
        )
        for one, two in pairs
    ]


def _attribute(name: str) -> Callable[[Sample], np.ndarray]:
    return lambda sample: np.asarray(sample.whole.attributes[name], dtype=np.int64)


def _of_first_event(name: str) -> Callable[[Sample], np.ndarray]:
    """The value of each user's first event; users without events have none."""

    def of(sample: Sample) -> np.ndarray:
        log = sample.whole
        active = log.activity > 0
        code = np.full(len(active), -1, dtype=np.int64)
        code[active] = np.asarray(log.marks[name])[log.offsets[:-1][active]]
        return code

    return of


def _counted(
    one: Callable[[Sample], np.ndarray],
    two: Callable[[Sample], np.ndarray] | None = None,
    *,
    size: int = 1,
) -> Callable[[Sample], np.ndarray]:
    """Users by the code of one attribute, or by the codes of two."""

    def of(sample: Sample) -> np.ndarray:
        first, second = one(sample), np.zeros(1, dtype=np.int64) if two is None else two(sample)
        return np.bincount((first * size + second)[(first >= 0) & (second >= 0)])

    return of


DAMPING = 5.0


class ItemMeans(NamedTuple):
    """Damped mean of every item, and its events. Shapes: float64[V], int64[V]."""

    mean: np.ndarray
    events: np.ndarray


def ratings_questions(items: int) -> list[Question]:
    """Of logs with ratings."""
    return [
        Question(
            "ratings",
            "levels",
            "total variation over events",
            _rating,
            lambda one, other: realism.values_distance(one, other=other),
        ),
        number("ratings", "mean", lambda sample: _rating(sample).mean()),
        number("ratings", "standard deviation", lambda sample: _rating(sample).std()),
        Question(
            "ratings",
            "mean of each item",
            f"mean error over events, means damped by {DAMPING:g}",
            lambda sample: item_means(sample.whole, items=items),
            lambda one, other: float(
                np.average(np.abs(one.mean - other.mean), weights=other.events)
            ),
        ),
        ratio(
            "ratings",
            "variance within users",
            lambda sample: realism.rating_variances(sample.whole)[0],
            linked=True,
        ),
        ratio(
            "ratings",
            "variance of users' means",
            lambda sample: realism.rating_variances(sample.whole)[1],
            linked=True,
        ),
    ]


def _rating(sample: Sample) -> np.ndarray:
    return np.asarray(sample.whole.rating, dtype=np.float64)


def item_means(log: EventLog, *, items: int) -> ItemMeans:
    """Every item's mean rating, damped."""
    rating = np.asarray(log.rating, dtype=np.float64)
    events = np.bincount(log.item, minlength=items)
    return ItemMeans(
        (np.bincount(log.item, rating, items) + DAMPING * rating.mean()) / (events + DAMPING),
        events,
    )
