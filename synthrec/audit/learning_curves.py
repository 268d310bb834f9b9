"""Learning curves: what a synthetic log is worth to whoever has few users, few events of a user, or
new items.

Augmentation: a partner with few users of their own, people in no training and not among those who
are scored, adds the synthetic log of another organisation; beside it stand the partner's log alone,
with as many bootstrap copies of its own users, and with any other log that is handed in. Cold start
of users: those of whom only k events are known, by what was learned from which log. Cold start of
items: in five folds all events of a fold's items are taken out of the log that is learned from and
out of what test users have shown, so every item is new once. Biases of the other items and their
ridge regression on attributes are learned; a new item's bias is foretold from its attributes and,
as an empirical-Bayes mean, moved by k ratings of it by users who are in no training and not scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from typing import Literal

import numpy as np

from synthrec.audit import intervals, profiles, recommenders
from synthrec.audit.recommenders import (
    DAMPING,
    Factorisation,
    Predictions,
    Ranker,
    damped_means,
)
from synthrec.audit.record import Curve, CurvePoint, Figure
from synthrec.audit.scores import (
    RatingErrors,
    ease_ndcg,
    errors_of,
    model_errors,
    nothing_errors,
    ranked_ndcg,
    split_test,
)
from synthrec.audit.splits import AuditSplits
from synthrec.data.eventlog import EventLog

SIZES = (25, 50, 100, 200, 400, 800)
MAX_ADDED = 3_000  # users of a log that is added: more of them cost time and change little
RESAMPLES = 1_000
ALONE, SYNTHETIC, COPIES = "partner alone", "partner + synthetic", "partner + copies of its own"


def measure_augmentation(
    people: AuditSplits,
    *,
    others: Mapping[str, EventLog],
    scale: tuple[float, float] | None,
    draws: int,
    rng: np.random.Generator,
) -> Curve | None:
    """RMSE on real test users, or NDCG@10 without ratings, over the partner's size; None where
    nobody is left to be the partner.

    Args:
        others: further logs to add, by the name of their arm.
        draws: partners of each size; errors are averaged over them.
    """
    partners = EventLog.concat([people.holdout, people.reference])
    most = partners.users
    observed, heldout = split_test(people.test, rng)
    if most < SIZES[0] or not len(heldout.item):
        return None
    added = {
        arm: profiles.some(log, most=MAX_ADDED, rng=rng)
        for arm, log in {
            SYNTHETIC: people.synthetic,
            **{f"partner + {name}": log for name, log in others.items()},
        }.items()
    }
    sizes = [size for size in SIZES if size <= most]
    weights = intervals.resamples(heldout.users, count=RESAMPLES, rng=rng)
    points = []
    for size in sizes:
        found: dict[str, list[np.ndarray]] = {}
        for _ in range(draws):
            own = partners.select(rng.permutation(most)[:size])
            copies = own.select(rng.integers(0, size, len(added[SYNTHETIC].offsets) - 1))
            seed = int(rng.integers(2**63))
            for arm, more in ({ALONE: None, **added, COPIES: copies}).items():
                log = own if more is None else EventLog.concat([own, more])
                scored = _scored(
                    log,
                    observed=observed,
                    heldout=heldout,
                    items=people.items,
                    scale=scale,
                    seed=seed,
                )
                found.setdefault(arm, []).append(scored)
        points += points_of(
            {arm: np.mean(each, axis=0) for arm, each in found.items()},
            size=size,
            rated=scale is not None,
            weights=weights,
        )
    return _curve("augmentation", "users of the partner's own", points)


def _scored(
    log: EventLog,
    *,
    observed: EventLog,
    heldout: EventLog,
    items: int,
    scale: tuple[float, float] | None,
    seed: int,
) -> np.ndarray:
    """Shapes: float64[2, U]: squared errors and events, or NDCG and ones, of each test user."""
    if scale is None:
        return _sums(ease_ndcg(log, observed=observed, heldout=heldout, items=items))
    model = recommenders.fit_factorisation(log, items=items, rng=np.random.default_rng(seed))
    return _sums(model_errors(model, observed=observed, heldout=heldout, scale=scale))


def _sums(scored: RatingErrors | np.ndarray) -> np.ndarray:
    """Squared errors and events, or NDCG and ones, of each test user. Shapes: float64[2, U]."""
    if isinstance(scored, RatingErrors):
        return np.stack((scored.squared, scored.events))
    return np.stack((np.nan_to_num(scored), np.isfinite(scored).astype(np.float64)))


CurveName = Literal["augmentation", "cold start: users", "cold start: items"]


def _curve(name: CurveName, size_means: str, points: list[CurvePoint]) -> Curve | None:
    return Curve(name=name, size_means=size_means, points=tuple(points)) if points else None


def points_of(
    scored: Mapping[str, np.ndarray], *, size: int, rated: bool, weights: np.ndarray
) -> list[CurvePoint]:
    """Every arm at one size, and how far it is from the first; none of too few test users for an
    interval. Shapes: each float64[2, U] of sums and counts per test user.
    """
    first = next(iter(scored.values()))

    def mean(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
        found = (weights @ sums[0]) / (weights @ sums[1])
        return np.asarray(np.sqrt(found) if rated else found)

    def figure(sums: np.ndarray, *, less: np.ndarray | None = None) -> Figure | None:
        return intervals.bootstrap(
            lambda some: mean(sums, some) - (0.0 if less is None else mean(less, some)),
            weights=weights,
            n=int((sums[1] > 0).sum()),
        )

    return [
        CurvePoint(
            arm=arm,
            size=size,
            measure="RMSE" if rated else "NDCG@10",
            figure=whole,
            difference=None if sums is first else figure(sums, less=first),
        )
        for arm, sums in scored.items()
        if (whole := figure(sums)) is not None
    ]


KNOWN = (0, 1, 2, 5, 10)
COLD_NOTHING, COLD_REAL, COLD_SYNTHETIC = "nothing", "real log", "synthetic log"


def measure_cold_start(
    people: AuditSplits,
    *,
    others: Mapping[str, EventLog],
    scale: tuple[float, float] | None,
    rng: np.random.Generator,
) -> Curve | None:
    """RMSE, or NDCG@10 without ratings, of real test users over k of their events at random; None
    without events to hold out.

    `nothing` is the damped mean of the k known ratings around the mean of all ratings that test
    users have shown, or the most popular items of the real log.
    """
    observed, heldout = split_test(people.test, rng)
    if not len(heldout.item):
        return None
    order = profiles.random_rank(observed, rng=rng)
    weights = intervals.resamples(heldout.users, count=RESAMPLES, rng=rng)
    logs = {COLD_REAL: people.train_whole, COLD_SYNTHETIC: people.synthetic, **others}
    seed = int(rng.integers(2**63))
    scorers = {
        arm: _scorer(log, people=people, observed=observed, heldout=heldout, scale=scale, seed=seed)
        for arm, log in ({COLD_NOTHING: None, **logs}).items()
    }
    points = []
    for size in KNOWN:
        known = observed.keep(order < size)
        points += points_of(
            {arm: scorer(known) for arm, scorer in scorers.items()},
            size=size,
            rated=scale is not None,
            weights=weights,
        )
    return _curve("cold start: users", "known events of a new user", points)


def _scorer(
    log: EventLog | None,
    *,
    people: AuditSplits,
    observed: EventLog,
    heldout: EventLog,
    scale: tuple[float, float] | None,
    seed: int,
) -> Callable[[EventLog], np.ndarray]:
    """From what is known of the test users to sums and counts per user; what is learned from `log`
    is learned once.
    """
    if scale is None:
        ranker = _ranker(log, people=people)
        return lambda known: _sums(
            ranked_ndcg(ranker, observed=known, heldout=heldout, items=people.items)
        )
    if log is None:
        pooled = float(np.asarray(observed.rating, dtype=np.float64).mean())
        return lambda known: _sums(
            nothing_errors(observed=known, heldout=heldout, scale=scale, pooled=pooled)
        )
    rng = np.random.default_rng(seed)
    model = recommenders.fit_factorisation(log, items=people.items, rng=rng)
    return lambda known: _sums(model_errors(model, observed=known, heldout=heldout, scale=scale))


def _ranker(log: EventLog | None, *, people: AuditSplits) -> Ranker:
    popular = recommenders.item_users(
        people.train_whole if log is None else log, items=people.items
    )
    if log is None:
        return lambda have: np.tile(popular, (have.shape[0], 1))
    ranker = recommenders.ease(log, items=people.items)
    return lambda have: ranker(have) + 1e-6 * popular  # of somebody unknown: what is popular


FOLDS = 5
# items with as many events as the average one, added to what each attribute is learned from
RIDGE = 10.0


def measure_cold_items(
    people: AuditSplits,
    *,
    features: np.ndarray,
    others: Mapping[str, EventLog],
    scale: tuple[float, float] | None,
    rng: np.random.Generator,
) -> Curve | None:
    """RMSE on held-out events of new items, by which log taught what attributes mean; None without
    ratings, attributes or such events.

    `nothing` knows no attribute: an item is average until it is rated. Shapes: features float64[V,
    F], from the catalogue.
    """
    observed, heldout = split_test(people.test, rng)
    if scale is None or features.shape[1] == 0 or not len(heldout.item):
        return None
    fold = rng.permutation(people.items) % FOLDS
    raters = EventLog.concat([people.holdout, people.reference])
    order = profiles.rank_within(raters.item, rng=rng)
    weights = intervals.resamples(heldout.users, count=RESAMPLES, rng=rng)
    logs = {
        COLD_NOTHING: None,
        COLD_REAL: people.train_whole,
        COLD_SYNTHETIC: people.synthetic,
        **others,
    }
    sums = {size: {arm: np.zeros((2, heldout.users)) for arm in logs} for size in KNOWN}
    for part, (arm, log) in product(range(FOLDS), logs.items()):
        new = fold == part
        model = (
            _nothing(observed, new=new) if log is None else learned(log, features=features, new=new)
        )
        for size in KNOWN:
            rated = rated_too(
                model,
                raters=raters.keep(~new[raters.item] | (order < size)),
                new=new,
            )
            errors = _errors(rated, observed=observed, heldout=heldout, new=new, scale=scale)
            sums[size][arm] += _sums(errors)
    points = [
        point
        for size in KNOWN
        for point in points_of(sums[size], size=size, rated=True, weights=weights)
    ]
    return _curve("cold start: items", "known ratings of a new item", points)


def learned(log: EventLog, *, features: np.ndarray, new: np.ndarray) -> Factorisation:
    """Biases of known items as the protocol damps them, those of new items foretold; no factors.
    Shapes: new bool[V].
    """
    log = log.keep(~new[log.item])
    rating, items = np.asarray(log.rating, dtype=np.float64), len(new)
    mean = float(rating.mean()) if len(rating) else 0.0
    bias, count = (
        damped_means(rating - mean, group=log.item, groups=items),
        np.bincount(log.item, minlength=items),
    )
    standard = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
    design = np.column_stack([np.ones(items), standard])
    raw = (
        bias * (count + DAMPING) / np.maximum(count, 1)
    )  # an item counts by its events, as the figure does
    held_back = RIDGE * max(1.0, count.mean()) * np.diag([1e-9, *np.ones(standard.shape[1])])
    foretold = design @ np.linalg.solve(
        (design * count[:, None]).T @ design + held_back, design.T @ (count * raw)
    )
    return Factorisation(
        mean=mean,
        item_bias=np.where(new, foretold, bias),
        item_factors=np.zeros((items, 1), dtype=np.float32),
    )


def rated_too(model: Factorisation, *, raters: EventLog, new: np.ndarray) -> Factorisation:
    """The same after `raters` have rated some new items: each bias moves from what was foretold as
    far as its ratings carry.
    """
    user_bias = _user_bias(model, known=raters.keep(~new[raters.item]))
    asked = raters.keep(new[raters.item])
    deviation = (
        np.asarray(asked.rating, dtype=np.float64) - model.mean - user_bias[asked.user_of_event()]
    )
    count, total = (np.bincount(asked.item, weight, len(new)) for weight in (None, deviation))
    moved = (DAMPING * model.item_bias + total) / (DAMPING + count)
    return replace(model, item_bias=np.where(new, moved, model.item_bias))


def _nothing(observed: EventLog, *, new: np.ndarray) -> Factorisation:
    rating = np.asarray(observed.rating, dtype=np.float64)
    return Factorisation(
        mean=float(rating.mean()),
        item_bias=np.zeros(len(new)),
        item_factors=np.zeros((len(new), 1), dtype=np.float32),
    )


def _errors(
    model: Factorisation,
    *,
    observed: EventLog,
    heldout: EventLog,
    new: np.ndarray,
    scale: tuple[float, float],
) -> RatingErrors:
    user_bias = _user_bias(model, known=observed.keep(~new[observed.item]))
    asked = heldout.keep(new[heldout.item])
    said = model.mean + model.item_bias[asked.item] + user_bias[asked.user_of_event()]
    return errors_of(asked, said=Predictions(bias=said, factors=said), scale=scale)


def _user_bias(model: Factorisation, *, known: EventLog) -> np.ndarray:
    deviation = (
        np.asarray(known.rating, dtype=np.float64) - model.mean - model.item_bias[known.item]
    )
    return damped_means(deviation, group=known.user_of_event(), groups=known.users)
