"""The protocol's realism limits: a synthetic log that buys its headline by looking wrong fails here
(the evaluation protocol, docs/design.md).

What is compared, and how far apart it may be:

- rating: total variation of the shares of the rating levels, at most 0.06;
- rating variance within users (pooled, each user's own mean taken out) and variance of the users'
  mean ratings: relative, at most 15 %;
- popularity: total variation of the items' shares of all events, against the unbounded real log, at
  most 0.15;
- activity: total variation of events per user, both cut at K, over buckets that grow by the
  square root of two
  (1, 2, 3, 4-5, 6-7, 8-11, 12-15, 16-22, ...), at most 0.10;
- similarity: mean cosine between the item sets of all pairs of different users, both cut at K random
  events; relative, at most 25 %.
"""

from __future__ import annotations

import numpy as np

from synthrec.audit import profiles
from synthrec.audit.record import RealismLimit
from synthrec.data.eventlog import EventLog

RATING_LIMIT, VARIANCE_LIMIT, POPULARITY_LIMIT, ACTIVITY_LIMIT, SIMILARITY_LIMIT = (
    0.06,
    0.15,
    0.15,
    0.10,
    0.25,
)


def measure_realism(
    synthetic: EventLog,
    *,
    real: EventLog,
    items: int,
    events_per_user: int,
    rng: np.random.Generator,
) -> tuple[RealismLimit, ...]:
    """Every limit for one synthetic log against the unbounded real train log."""
    bounded, bounded_synthetic = (
        profiles.cut(log, events_per_user=events_per_user, rng=rng) for log in (real, synthetic)
    )
    limits = [
        _apart(
            "popularity (total variation)",
            popularity_distance(synthetic, other=real, items=items),
            limit=POPULARITY_LIMIT,
        ),
        _apart(
            "activity (total variation)",
            activity_distance(bounded_synthetic, other=bounded),
            limit=ACTIVITY_LIMIT,
        ),
        _relative(
            "similarity of users (mean cosine)",
            real=mean_cosine(bounded, items=items),
            synthetic=mean_cosine(bounded_synthetic, items=items),
            limit=SIMILARITY_LIMIT,
        ),
    ]
    if real.rating is None or synthetic.rating is None:
        return tuple(limits)
    truth, found = rating_variances(real), rating_variances(synthetic)
    return (
        _apart(
            "rating (total variation)",
            values_distance(synthetic.rating, other=real.rating),
            limit=RATING_LIMIT,
        ),
        _relative(
            "rating variance within users", real=truth[0], synthetic=found[0], limit=VARIANCE_LIMIT
        ),
        _relative(
            "variance of users' mean ratings",
            real=truth[1],
            synthetic=found[1],
            limit=VARIANCE_LIMIT,
        ),
        *limits,
    )


def total_variation(one: np.ndarray, *, other: np.ndarray) -> float:
    """Half the L1 distance of two histograms after normalising each; 1 when exactly one is empty.
    The shorter of two ends in zeros.
    """
    size = max(len(one), len(other))
    one, other = (np.pad(counts, (0, size - len(counts))) for counts in (one, other))
    total, other_total = one.sum(), other.sum()
    if total == 0 or other_total == 0:
        return float(total != other_total)
    return float(0.5 * np.abs(one / total - other / other_total).sum())


def values_distance(one: np.ndarray, *, other: np.ndarray) -> float:
    """Total variation of the values of two samples."""
    levels, code = np.unique(np.concatenate((one, other)), return_inverse=True)
    return total_variation(
        np.bincount(code[: len(one)], minlength=len(levels)), other=np.bincount(code[len(one) :])
    )


def popularity_distance(log: EventLog, *, other: EventLog, items: int) -> float:
    """Total variation of the items' shares of events."""
    return total_variation(
        np.bincount(log.item, minlength=items), other=np.bincount(other.item, minlength=items)
    )


def activity_distance(log: EventLog, *, other: EventLog) -> float:
    """Total variation of events per user over half-octave buckets; users without events have their
    own.
    """
    return total_variation(buckets(log.activity), other=buckets(other.activity))


EDGES = np.unique(np.ceil(2.0 ** (np.arange(64) / 2)))  # 1, 2, 3, 4, 6, 8, 12, 16, 23, ...


def buckets(sizes: np.ndarray) -> np.ndarray:
    """Histogram over buckets that grow by the square root of two: 0, 1, 2, 3, 4-5, 6-7, 8-11, ...
    Shapes: int64[N] -> int64[...].
    """
    return np.bincount(np.searchsorted(EDGES, sizes, side="right"))


def rating_variances(log: EventLog) -> tuple[float, float]:
    """Pooled variance within users, and variance over users of their mean rating."""
    user, users = log.user_of_event(), log.users
    rating = np.asarray(log.rating, dtype=np.float64)
    count = np.bincount(user, minlength=users)
    mean = np.bincount(user, rating, users) / np.maximum(count, 1)
    within = float(((rating - mean[user]) ** 2).sum() / max(1, (count - 1).clip(0).sum()))
    return within, float(mean[count > 0].var()) if (count > 0).any() else 0.0


def mean_cosine(log: EventLog, *, items: int) -> float:
    """Mean cosine of the item sets over all pairs of different users: exact, from the sum of the
    unit profiles.
    """
    matrix = profiles.pattern(log, items=items)
    size = np.diff(matrix.indptr)
    users = int((size > 0).sum())
    if users < 2:
        return 0.0
    unit = np.bincount(matrix.indices, np.repeat(1 / np.sqrt(np.maximum(size, 1)), size), items)
    return float((unit @ unit - users) / (users * (users - 1)))


def _apart(name: str, distance: float, *, limit: float) -> RealismLimit:
    return RealismLimit(
        name=name,
        real=None,
        synthetic=None,
        distance=distance,
        limit=limit,
        passed=distance <= limit,
    )


def _relative(name: str, *, real: float, synthetic: float, limit: float) -> RealismLimit:
    distance = abs(synthetic - real) / real if real > 0 else float(synthetic > 0)
    return RealismLimit(
        name=name,
        real=real,
        synthetic=synthetic,
        distance=distance,
        limit=limit,
        passed=distance <= limit,
    )
