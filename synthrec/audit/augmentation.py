"""Augmentation: a partner with few users of their own adds the synthetic log of another organisation. Does it help them?

The partner's users are people in no training and not among those who are scored. Arms: the partner's log alone; with the synthetic log;
with as many bootstrap copies of the partner's own users; with any other log that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from synthrec.audit import intervals
from synthrec.audit.figure import Figure
from synthrec.audit.people import People
from synthrec.audit.recommenders import EASE_ITEMS_MOST
from synthrec.audit.scores import ease_ndcg, rating_errors, split_test
from synthrec.audit.utility_record import Curve, CurvePoint
from synthrec.data.eventlog import EventLog

SIZES = (25, 50, 100, 200, 400, 800)
ADDED_MOST = 3_000      # users of a log that is added: more of them cost time and change little
RESAMPLES = 1_000
ALONE, SYNTHETIC, COPIES = "partner alone", "partner + synthetic", "partner + copies of its own"


def measure_augmentation(people: People, *, others: Mapping[str, EventLog], scale: tuple[float, float] | None, draws: int,
                         rng: np.random.Generator) -> Curve | None:
    """RMSE on real test users, or NDCG@10 without ratings, over the partner's size; None where nobody is left to be the partner, or
    a catalogue is too large to be ranked.

    Args:
        others: further logs to add, by the name of their arm.
        draws: partners of each size; errors are averaged over them.
    """
    partners = EventLog.concat([people.holdout, people.reference])
    most = len(partners.offsets) - 1
    observed, heldout = split_test(people.test, rng)
    if most < SIZES[0] or not len(heldout.item) or (scale is None and people.items > EASE_ITEMS_MOST):
        return None
    added = {arm: _some(log, rng=rng) for arm, log in {SYNTHETIC: people.synthetic,
                                                       **{f"partner + {name}": log for name, log in others.items()}}.items()}
    sizes = [size for size in SIZES if size <= most]
    weights = intervals.resamples(len(heldout.offsets) - 1, count=RESAMPLES, rng=rng)
    points = []
    for size in sizes:
        found: dict[str, list[np.ndarray]] = {}
        for _ in range(draws):
            own = partners.select(rng.permutation(most)[:size])
            copies = own.select(rng.integers(0, size, len(added[SYNTHETIC].offsets) - 1))
            seed = int(rng.integers(2**63))
            for arm, more in ({ALONE: None, **added, COPIES: copies}).items():
                log = own if more is None else EventLog.concat([own, more])
                scored = _scored(log, observed=observed, heldout=heldout, items=people.items, scale=scale, seed=seed)
                found.setdefault(arm, []).append(scored)
        points += points_of({arm: np.mean(each, axis=0) for arm, each in found.items()}, size=size, rated=scale is not None,
                            weights=weights)
    return Curve(name="augmentation", size_means="users of the partner's own", points=tuple(points))


def _some(log: EventLog, *, rng: np.random.Generator) -> EventLog:
    users = len(log.offsets) - 1
    return log if users <= ADDED_MOST else log.select(rng.permutation(users)[:ADDED_MOST])


def _scored(log: EventLog, *, observed: EventLog, heldout: EventLog, items: int, scale: tuple[float, float] | None,
            seed: int) -> np.ndarray:
    """Shapes: float64[2, U]: squared errors and events, or NDCG and ones, of each test user."""
    if scale is None:
        found = ease_ndcg(log, observed=observed, heldout=heldout, items=items)
        return np.stack((np.nan_to_num(found), np.isfinite(found).astype(np.float64)))
    errors = rating_errors(log, observed=observed, heldout=heldout, items=items, scale=scale, rng=np.random.default_rng(seed))
    return np.stack((errors.squared, errors.events))


def points_of(scored: Mapping[str, np.ndarray], *, size: int, rated: bool, weights: np.ndarray) -> list[CurvePoint]:
    """Every arm at one size, and how far it is from the first. Shapes: each float64[2, U] of sums and counts per test user."""
    first = next(iter(scored.values()))
    return [CurvePoint(arm=arm, size=size, measure="RMSE" if rated else "NDCG@10",
                       figure=_figure(lambda some, each=each: _mean(each, some, rated=rated), scored=each, weights=weights),
                       difference=None if each is first else _figure(
                           lambda some, each=each: _mean(each, some, rated=rated) - _mean(first, some, rated=rated),
                           scored=each, weights=weights))
            for arm, each in scored.items()]


def _mean(scored: np.ndarray, weights: np.ndarray, *, rated: bool) -> np.ndarray:
    mean = (weights @ scored[0]) / (weights @ scored[1])
    return np.asarray(np.sqrt(mean) if rated else mean)


def _figure(statistic: Callable[[np.ndarray], np.ndarray], *, scored: np.ndarray, weights: np.ndarray) -> Figure:
    found = intervals.bootstrap(statistic, weights=weights, n=int((scored[1] > 0).sum()))
    assert found is not None, "somebody has something held out"
    return found
