"""One arm of the utility ladder, scored per real test user: errors of rating predictions and
NDCG@10 of rankings.

Private: figures per user stay in memory so that intervals can be paired over users; only their
summaries become records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from synthrec.audit import profiles, recommenders
from synthrec.data.eventlog import EventLog

TOP = 10
# a held-out event with at least this rating is relevant; every one when there are no ratings
LIKED = 4.0
BLOCK_USERS = 512


@dataclass(frozen=True, repr=False, eq=False)
class RatingErrors:
    """Sums over each test user's held-out events. Shapes: float64[U] each."""

    events: np.ndarray
    squared: np.ndarray
    absolute: np.ndarray
    bias_squared: np.ndarray


def split_test(test: EventLog, rng: np.random.Generator) -> tuple[EventLog, EventLog]:
    """Each test user's events at random: about 80 % observed, 20 % held out; both logs keep all the
    users, in order.
    """
    held_out = np.rint(0.2 * test.activity).astype(np.int64)
    held = profiles.random_rank(test, rng=rng) < held_out[test.user_of_event()]
    return test.keep(~held), test.keep(held)


def nothing_errors(
    *,
    observed: EventLog,
    heldout: EventLog,
    scale: tuple[float, float],
    pooled: float | None = None,
) -> RatingErrors:
    """The floor: each user's damped mean of their observed events around the pooled mean; knows no
    item and no other log.
    """
    said = nothing_predictions(observed=observed, heldout=heldout, scale=scale, pooled=pooled)
    return errors_of(heldout, said=said, scale=scale)


def nothing_predictions(
    *,
    observed: EventLog,
    heldout: EventLog,
    scale: tuple[float, float],
    pooled: float | None = None,
) -> recommenders.Predictions:
    """What the floor says of every held-out event. `pooled` is the mean of the observed events
    unless it is given.
    """
    rating = np.asarray(observed.rating, dtype=np.float64)
    if pooled is None:
        pooled = float(rating.mean()) if len(rating) else 0.5 * (scale[0] + scale[1])
    user = observed.user_of_event()
    mean = pooled + recommenders.damped_means(rating - pooled, group=user, groups=observed.users)
    predicted = mean[heldout.user_of_event()]
    return recommenders.Predictions(bias=predicted, factors=predicted)


def model_errors(
    model: recommenders.Factorisation,
    *,
    observed: EventLog,
    heldout: EventLog,
    scale: tuple[float, float],
) -> RatingErrors:
    """Fold the test users into a rating model, whatever it was learned from, and predict what they
    held out.
    """
    return errors_of(
        heldout, said=recommenders.fold_in(model, observed=observed, asked=heldout), scale=scale
    )


def errors_of(
    heldout: EventLog, *, said: recommenders.Predictions, scale: tuple[float, float]
) -> RatingErrors:
    """Predictions of held-out events, clipped to the scale, against what users said."""
    user, users = heldout.user_of_event(), heldout.users
    rating = np.asarray(heldout.rating, dtype=np.float64)
    error, bias_error = np.clip(said.factors, *scale) - rating, np.clip(said.bias, *scale) - rating
    return RatingErrors(
        events=np.bincount(user, minlength=users).astype(np.float64),
        squared=np.bincount(user, error**2, users),
        absolute=np.bincount(user, np.abs(error), users),
        bias_squared=np.bincount(user, bias_error**2, users),
    )


def ease_ndcg(log: EventLog, *, observed: EventLog, heldout: EventLog, items: int) -> np.ndarray:
    """NDCG@10 over the full catalogue of EASE^R learned from `log`; NaN for users with nothing
    relevant. Shapes: float64[U].
    """
    ranker = recommenders.ease(log, items=items)
    return ranked_ndcg(ranker, observed=observed, heldout=heldout, items=items)


def ranked_ndcg(
    ranker: Callable[[sparse.csr_array], np.ndarray],
    *,
    observed: EventLog,
    heldout: EventLog,
    items: int,
) -> np.ndarray:
    """NDCG@10 over the full catalogue; NaN for users with nothing relevant. Shapes: ranker [b, V]
    -> float32[b, V]; -> float64[U].
    """
    if heldout.rating is not None:
        heldout = heldout.keep(np.asarray(heldout.rating) >= LIKED)
    have, relevant = profiles.pattern(observed, items=items), profiles.pattern(heldout, items=items)
    relevant = (
        relevant - relevant.multiply(have)
    ).tocsr()  # what a user has had already is not recommended, so not missed either
    relevant.eliminate_zeros()
    discount = 1 / np.log2(np.arange(2, TOP + 2))
    ideal = np.concatenate(([np.nan], np.cumsum(discount)))[
        np.minimum(np.diff(relevant.indptr), TOP)
    ]
    gained = []
    for first in range(0, have.shape[0], BLOCK_USERS):
        had = have[first : first + BLOCK_USERS]
        block = ranker(had)
        block[had.nonzero()] = -np.inf
        top = (
            np.argpartition(-block, TOP, axis=1)[:, :TOP]
            if items > TOP
            else np.tile(np.arange(items), (len(block), 1))
        )
        top = np.take_along_axis(
            top, np.argsort(-np.take_along_axis(block, top, axis=1), axis=1, kind="stable"), axis=1
        )
        hit = np.take_along_axis(relevant[first : first + BLOCK_USERS].toarray(), top, axis=1)
        gained.append(hit @ discount[: top.shape[1]])
    return np.concatenate(gained) / ideal if gained else np.empty(0)


def popularity_ndcg(
    log: EventLog, *, observed: EventLog, heldout: EventLog, items: int
) -> np.ndarray:
    """NDCG@10 of the same list for everybody: items by their users in `log`. Shapes: float64[U]."""
    return list_ndcg(recommenders.item_users(log, items=items), observed=observed, heldout=heldout)


def list_ndcg(score: np.ndarray, *, observed: EventLog, heldout: EventLog) -> np.ndarray:
    """NDCG@10 of one list for everybody, items by falling `score`. Shapes: float[V] -> float64[U]."""
    return ranked_ndcg(
        lambda have: np.tile(score, (have.shape[0], 1)),
        observed=observed,
        heldout=heldout,
        items=len(score),
    )
