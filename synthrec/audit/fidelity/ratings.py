"""Ratings: their levels, mean and spread, and what each item is worth.

The per-item error is the mean distance of item means, weighted by the real events of the item; means are drawn towards the log's own
mean as if by DAMPING further events (the protocol's damping), so that an item nobody rated is an average one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from synthrec.audit import realism
from synthrec.audit.fidelity.question import Question, Sample, number, ratio
from synthrec.audit.realism import total_variation
from synthrec.data.eventlog import EventLog

DAMPING = 5.0


class ItemMeans(NamedTuple):
    """Damped mean of every item, and its events. Shapes: float64[V], int64[V]."""

    mean: np.ndarray
    events: np.ndarray


def questions(items: int) -> list[Question]:
    """Of logs with ratings."""
    return [
        Question("ratings", "levels", "total variation over events", _rating, _levels_apart),
        number("ratings", "mean", lambda sample: _rating(sample).mean()),
        number("ratings", "standard deviation", lambda sample: _rating(sample).std()),
        Question("ratings", "mean of each item", f"mean error over events, means damped by {DAMPING:g}",
                 lambda sample: item_means(sample.whole, items=items), _means_apart),
        ratio("ratings", "variance within users", lambda sample: realism.rating_variances(sample.whole)[0], linked=True),
        ratio("ratings", "variance of users' means", lambda sample: realism.rating_variances(sample.whole)[1], linked=True),
    ]


def _rating(sample: Sample) -> np.ndarray:
    return np.asarray(sample.whole.rating, dtype=np.float64)


def _levels_apart(one: np.ndarray, other: np.ndarray) -> float:
    levels, code = np.unique(np.concatenate((one, other)), return_inverse=True)
    return total_variation(np.bincount(code[: len(one)], minlength=len(levels)), other=np.bincount(code[len(one) :], minlength=len(levels)))


def item_means(log: EventLog, *, items: int) -> ItemMeans:
    """Every item's mean rating, damped."""
    rating = np.asarray(log.rating, dtype=np.float64)
    events = np.bincount(log.item, minlength=items)
    return ItemMeans((np.bincount(log.item, rating, items) + DAMPING * rating.mean()) / (events + DAMPING), events)


def _means_apart(one: ItemMeans, other: ItemMeans) -> float:
    return float(np.average(np.abs(one.mean - other.mean), weights=other.events))
