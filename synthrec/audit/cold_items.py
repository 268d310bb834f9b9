"""Cold start of items: how well are ratings of new items foretold from their attributes, and from k ratings by people of one's own?

Every item is new once: in five folds all events of a fold's items are taken out of the log that is learned from and out of what test users
have shown. What is learned: biases of the other items, and their ridge regression on attributes. A new item's bias is foretold from its
attributes and, as an empirical-Bayes mean, moved by k ratings of it by users who are in no training and are not scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np

from synthrec.audit import intervals, profiles
from synthrec.audit.augmentation import RESAMPLES, points_of
from synthrec.audit.cold_start import KNOWN, NOTHING, REAL, SYNTHETIC
from synthrec.audit.people import People
from synthrec.audit.recommenders import DAMPING, Factorisation, Predictions, damped_means
from synthrec.audit.scores import RatingErrors, errors_of, split_test
from synthrec.audit.utility_record import Curve
from synthrec.data.eventlog import EventLog

FOLDS = 5
RIDGE = 10.0            # items with as many events as the average one, added to what each attribute is learned from


def measure_cold_items(people: People, *, features: np.ndarray, others: Mapping[str, EventLog], scale: tuple[float, float] | None,
                       rng: np.random.Generator) -> Curve | None:
    """RMSE on held-out events of new items, by which log taught what attributes mean; None without ratings, attributes or such events.

    `nothing` knows no attribute: an item is average until it is rated. Shapes: features float64[V, F], from the catalogue.
    """
    observed, heldout = split_test(people.test, rng)
    if scale is None or features.shape[1] == 0 or not len(heldout.item):
        return None
    fold = rng.permutation(people.items) % FOLDS
    raters = EventLog.concat([people.holdout, people.reference])
    order = _random_rank_in_item(raters, rng=rng)
    weights = intervals.resamples(len(heldout.offsets) - 1, count=RESAMPLES, rng=rng)
    logs = {NOTHING: None, REAL: people.train_whole, SYNTHETIC: people.synthetic, **others}
    sums = {size: {arm: np.zeros((2, len(heldout.offsets) - 1)) for arm in logs} for size in KNOWN}
    for part, (arm, log) in product(range(FOLDS), logs.items()):
        new = fold == part
        model = _nothing(observed, new=new) if log is None else learned(log, features=features, new=new)
        for size in KNOWN:
            rated = rated_too(model, raters=profiles.keep_events(raters, ~new[raters.item] | (order < size)), new=new)
            errors = _errors(rated, observed=observed, heldout=heldout, new=new, scale=scale)
            sums[size][arm] += np.stack((errors.squared, errors.events))
    points = [point for size in KNOWN for point in points_of(sums[size], size=size, rated=True, weights=weights)]
    return Curve(name="cold start: items", size_means="known ratings of a new item", points=tuple(points))


def learned(log: EventLog, *, features: np.ndarray, new: np.ndarray) -> Factorisation:
    """Biases of known items as the protocol damps them, those of new items foretold; no factors. Shapes: new bool[V]."""
    log = profiles.keep_events(log, ~new[log.item])
    rating, items = np.asarray(log.rating, dtype=np.float64), len(new)
    mean = float(rating.mean()) if len(rating) else 0.0
    bias, count = damped_means(rating - mean, group=log.item, groups=items), np.bincount(log.item, minlength=items)
    standard = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
    design = np.column_stack([np.ones(items), standard])
    raw = bias * (count + DAMPING) / np.maximum(count, 1)           # an item counts by its events, as the figure does
    held_back = RIDGE * max(1.0, count.mean()) * np.diag([1e-9, *np.ones(standard.shape[1])])
    foretold = design @ np.linalg.solve((design * count[:, None]).T @ design + held_back, design.T @ (count * raw))
    return Factorisation(mean=mean, item_bias=np.where(new, foretold, bias), item_factors=np.zeros((items, 1), dtype=np.float32))


def rated_too(model: Factorisation, *, raters: EventLog, new: np.ndarray) -> Factorisation:
    """The same after `raters` have rated some new items: each bias moves from what was foretold as far as its ratings carry."""
    user_bias = _user_bias(model, known=profiles.keep_events(raters, ~new[raters.item]))
    asked = profiles.keep_events(raters, new[raters.item])
    deviation = np.asarray(asked.rating, dtype=np.float64) - model.mean - user_bias[profiles.user_of_event(asked)]
    count, total = (np.bincount(asked.item, weight, len(new)) for weight in (None, deviation))
    moved = (DAMPING * model.item_bias + total) / (DAMPING + count)
    return Factorisation(mean=model.mean, item_bias=np.where(new, moved, model.item_bias), item_factors=model.item_factors)


def _nothing(observed: EventLog, *, new: np.ndarray) -> Factorisation:
    rating = np.asarray(observed.rating, dtype=np.float64)
    return Factorisation(mean=float(rating.mean()), item_bias=np.zeros(len(new)), item_factors=np.zeros((len(new), 1), dtype=np.float32))


def _errors(model: Factorisation, *, observed: EventLog, heldout: EventLog, new: np.ndarray, scale: tuple[float, float]) -> RatingErrors:
    user_bias = _user_bias(model, known=profiles.keep_events(observed, ~new[observed.item]))
    asked = profiles.keep_events(heldout, new[heldout.item])
    said = model.mean + model.item_bias[asked.item] + user_bias[profiles.user_of_event(asked)]
    return errors_of(asked, said=Predictions(bias=said, factors=said), scale=scale)


def _user_bias(model: Factorisation, *, known: EventLog) -> np.ndarray:
    deviation = np.asarray(known.rating, dtype=np.float64) - model.mean - model.item_bias[known.item]
    return damped_means(deviation, group=profiles.user_of_event(known), groups=len(known.offsets) - 1)


def _random_rank_in_item(log: EventLog, *, rng: np.random.Generator) -> np.ndarray:
    """Place of each event among those of its item, in random order. Shapes: int64[N]."""
    order = np.lexsort((rng.random(len(log.item)), log.item))
    first = np.searchsorted(np.asarray(log.item)[order], log.item)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank - first
