"""Cold start: how well are people served of whom only k events are known, by what was learned from which log?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from synthrec.audit import intervals, profiles, recommenders
from synthrec.audit.augmentation import RESAMPLES, points_of
from synthrec.audit.panel.recommender import Ranker
from synthrec.audit.people import People
from synthrec.audit.scores import model_errors, nothing_errors, ranked_ndcg, split_test
from synthrec.audit.utility_record import Curve
from synthrec.data.eventlog import EventLog

KNOWN = (0, 1, 2, 5, 10)
NOTHING, REAL, SYNTHETIC = "nothing", "real log", "synthetic log"


def measure_cold_start(people: People, *, others: Mapping[str, EventLog], scale: tuple[float, float] | None,
                       rng: np.random.Generator) -> Curve | None:
    """RMSE, or NDCG@10 without ratings, of real test users over k of their events at random; None without events to hold out.

    `nothing` is the damped mean of the k known ratings around the mean of all ratings that test users have shown, or the most popular
    items of the real log.
    """
    observed, heldout = split_test(people.test, rng)
    if not len(heldout.item) or (scale is None and people.items > recommenders.EASE_ITEMS_MOST):
        return None
    order = profiles.random_rank(observed, rng=rng)
    weights = intervals.resamples(len(heldout.offsets) - 1, count=RESAMPLES, rng=rng)
    logs = {REAL: people.train_whole, SYNTHETIC: people.synthetic, **others}
    seed = int(rng.integers(2**63))
    scorers = {arm: _scorer(log, people=people, observed=observed, heldout=heldout, scale=scale, seed=seed)
               for arm, log in ({NOTHING: None, **logs}).items()}
    points = []
    for size in KNOWN:
        known = profiles.keep_events(observed, order < size)
        points += points_of({arm: scorer(known) for arm, scorer in scorers.items()}, size=size, rated=scale is not None, weights=weights)
    return Curve(name="cold start: users", size_means="known events of a new user", points=tuple(points))


def _scorer(log: EventLog | None, *, people: People, observed: EventLog, heldout: EventLog, scale: tuple[float, float] | None,
            seed: int) -> Callable[[EventLog], np.ndarray]:
    """From what is known of the test users to sums and counts per user; what is learned from `log` is learned once."""
    if scale is None:
        ranker = _ranker(log, people=people)

        def ranked(known: EventLog) -> np.ndarray:
            found = ranked_ndcg(ranker, observed=known, heldout=heldout, items=people.items)
            return np.stack((np.nan_to_num(found), np.isfinite(found).astype(np.float64)))

        return ranked
    model = None if log is None else recommenders.fit_factorisation(log, items=people.items, rng=np.random.default_rng(seed))

    pooled = float(np.asarray(observed.rating, dtype=np.float64).mean())

    def rated(known: EventLog) -> np.ndarray:
        errors = (nothing_errors(observed=known, heldout=heldout, scale=scale, pooled=pooled) if model is None
                  else model_errors(model, observed=known, heldout=heldout, scale=scale))
        return np.stack((errors.squared, errors.events))

    return rated


def _ranker(log: EventLog | None, *, people: People) -> Ranker:
    popular = recommenders.popularity(people.train_whole if log is None else log, items=people.items)
    if log is None:
        return lambda have: np.tile(popular, (have.shape[0], 1))
    weights = recommenders.fit_ease(log, items=people.items)
    return lambda have: np.asarray(have @ weights) + 1e-6 * popular      # of somebody unknown: what is popular
