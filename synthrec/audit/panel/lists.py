"""Recommenders that give everybody the same list."""

from __future__ import annotations

import numpy as np

from synthrec.audit import recommenders
from synthrec.audit.panel.recommender import Ranker, same_for_all
from synthrec.data.eventlog import EventLog

RECENT = 0.25       # latest share of events


def popularity(log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
    """By number of users."""
    return same_for_all(recommenders.popularity(log, items=items))


def best_rated(log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
    """By damped mean rating."""
    rating = np.asarray(log.rating, dtype=np.float64)
    mean = float(rating.mean()) if len(rating) else 0.0
    return same_for_all(recommenders.damped_means(rating - mean, group=np.asarray(log.item), groups=items))


def recent(log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
    """By number of events in the latest quarter of them."""
    time = np.asarray(log.time)
    late = time >= np.quantile(time, 1 - RECENT) if len(time) else np.zeros(0, dtype=bool)
    return same_for_all(np.bincount(np.asarray(log.item)[late], minlength=items))
