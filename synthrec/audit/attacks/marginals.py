"""Likelihood ratio of marginals: do a person's items and ratings fit the synthetic log's
frequencies better than other real users'?

The most powerful test that knows frequencies only (Sankararaman, Obozinski, Jordan, Halperin 2009,
after Homer et al. 2008): for each item, had or not had, the logarithm of its frequency among
synthetic over that among reference users; for each rating the same of the item's rating
distribution. Frequencies are smoothed towards those of both logs together.
"""

from __future__ import annotations

import numpy as np

from synthrec.audit import profiles
from synthrec.audit.attacks.scoreboard import rating_levels
from synthrec.data.eventlog import EventLog

NAME = "likelihood ratio of marginals"
KNOWS = "items and ratings; of the synthetic log only frequencies"
PRIOR_USERS = 2.0  # users, or ratings, that the pooled frequencies count for


def score(targets: EventLog, *, synthetic: EventLog, reference: EventLog, items: int) -> np.ndarray:
    """Higher says member. Shapes: float64[T]."""
    total: np.ndarray = _item_ratio(targets, synthetic=synthetic, reference=reference, items=items)
    if any(log.rating is None for log in (targets, synthetic, reference)):
        return total
    return np.asarray(
        total + _rating_ratio(targets, synthetic=synthetic, reference=reference, items=items)
    )


def _item_ratio(
    targets: EventLog, *, synthetic: EventLog, reference: EventLog, items: int
) -> np.ndarray:
    counts = [
        np.asarray(profiles.pattern(log, items=items).sum(axis=0), dtype=np.float64)
        for log in (synthetic, reference)
    ]
    users = [float(log.users) for log in (synthetic, reference)]
    pooled = (sum(counts) + 0.5) / (sum(users) + 1.0)
    here, there = (
        (count + PRIOR_USERS * pooled) / (n + PRIOR_USERS)
        for count, n in zip(counts, users, strict=True)
    )
    had, missed = np.log(here / there), np.log((1 - here) / (1 - there))
    return np.asarray(profiles.pattern(targets, items=items) @ (had - missed) + missed.sum())


def _rating_ratio(
    targets: EventLog, *, synthetic: EventLog, reference: EventLog, items: int
) -> np.ndarray:
    """Sum over events. Shapes: float64[T]."""
    levels = rating_levels(synthetic, reference)
    if not len(levels):
        return np.zeros(targets.users)
    counts = [
        np.bincount(_cell(log, levels), minlength=items * len(levels)).reshape(items, -1) + 0.0
        for log in (synthetic, reference)
    ]
    overall = [(count.sum(axis=0) + 1) / (count.sum() + len(levels)) for count in counts]
    pooled = np.mean(overall, axis=0)
    ratio = np.subtract(
        *(
            np.log(
                (count + PRIOR_USERS * pooled) / (count.sum(axis=1, keepdims=True) + PRIOR_USERS)
            )
            for count in counts
        )
    )
    gained = ratio.ravel()[_cell(targets, levels)]
    user = targets.user_of_event()
    return np.asarray(np.bincount(user, weights=gained, minlength=targets.users))


def _cell(log: EventLog, levels: np.ndarray) -> np.ndarray:
    code = np.abs(np.asarray(log.rating, dtype=np.float64)[:, None] - levels).argmin(axis=1)
    return np.asarray(np.asarray(log.item, dtype=np.int64) * len(levels) + code)
