"""A person's behaviour as a few dozen numbers: what they choose, how much, how they rate, when they are there.

Item sets are projected on the leading directions of their variety (randomised SVD); the other numbers are plain statistics. What is
learned, directions, centre and scale, is learned of synthetic and reference users only, so that it cannot know who was in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from synthrec.audit import profiles
from synthrec.audit.attacks.nearest_user import ItemSets
from synthrec.data.eventlog import EventLog

DIRECTIONS = 32
DAY, HOUR = 86_400, 3_600
DAY_PARTS = 6               # of four hours each
SESSION_GAP_SECONDS = 1_800


@dataclass(frozen=True, repr=False, eq=False)
class BehaviourSpace:
    """Shapes: directions float32[V, k], centre and scale float64[k + statistics]."""

    sets: ItemSets
    directions: np.ndarray
    rated: bool
    timed: bool
    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, synthetic: EventLog, *, reference: EventLog, sets: ItemSets, rng: np.random.Generator) -> BehaviourSpace:
        """Directions, centre and scale of synthetic and reference users together."""
        seen = EventLog.concat([synthetic, reference])
        rows = sets.asked(seen)
        count = max(1, min(DIRECTIONS, rows.shape[0] - 1, rows.shape[1] - 1))
        _, _, directions = randomized_svd(sparse.csr_matrix(rows), n_components=count, n_iter=3, random_state=int(rng.integers(2**31)))
        bare = cls(sets=sets, directions=directions.T.astype(np.float32), rated=seen.rating is not None, timed=seen.time is not None,
                   centre=np.zeros(1), scale=np.ones(1))
        raw = bare._raw(seen)
        scale = raw.std(axis=0)
        scale[:count] = max(float(np.sqrt(np.mean(scale[:count] ** 2))), 1e-12)     # one scale for all directions: the leading ones lead
        return cls(sets=sets, directions=bare.directions, rated=bare.rated, timed=bare.timed, centre=raw.mean(axis=0),
                   scale=np.where(scale > 1e-9, scale, 1.0))

    def __call__(self, log: EventLog) -> np.ndarray:
        """Shapes: float32[B, F], about centred and of unit variance."""
        return ((self._raw(log) - self.centre) / self.scale).astype(np.float32)

    def _raw(self, log: EventLog) -> np.ndarray:
        columns = [self.sets.asked(log) @ self.directions, np.log1p(profiles.activity(log))[:, None], _rarity(log, self.sets.weights)]
        if self.rated:
            columns.append(_ratings(log))
        if self.timed:
            columns += [_week(log), _gaps(log)]
        return np.concatenate(columns, axis=1, dtype=np.float64)


def _mean(log: EventLog, values: np.ndarray) -> np.ndarray:
    """Mean of a value over each user's events, zero for nobody's. Shapes: float[N] -> float64[B, 1]."""
    total = np.bincount(profiles.user_of_event(log), weights=values, minlength=len(log.offsets) - 1)
    return np.asarray(total / np.maximum(profiles.activity(log), 1))[:, None]


def _rarity(log: EventLog, weights: np.ndarray) -> np.ndarray:
    return _mean(log, weights[log.item])


def _ratings(log: EventLog) -> np.ndarray:
    """Mean and spread. Shapes: float64[B, 2]."""
    rating = np.asarray(log.rating, dtype=np.float64)
    mean = _mean(log, rating)
    return np.concatenate((mean, np.sqrt(np.maximum(_mean(log, rating**2) - mean**2, 0.0))), axis=1)


def _week(log: EventLog) -> np.ndarray:
    """Share of events in each part of the day, on working days and at weekends. Shapes: float64[B, 12]."""
    time = np.asarray(log.time, dtype=np.int64)
    part = (time % DAY) // (DAY // DAY_PARTS)
    weekend = (time // DAY + 3) % 7 >= 5            # 1970-01-01 was a Thursday
    return np.concatenate([_mean(log, ((part == p) & (weekend == w)).astype(np.float64)) for w in (False, True) for p in range(DAY_PARTS)],
                          axis=1)


def _gaps(log: EventLog) -> np.ndarray:
    """First day, span, mean and spread of the logarithm of gaps, share of gaps within a session. Shapes: float64[B, 5]."""
    time, user = np.asarray(log.time, dtype=np.float64), profiles.user_of_event(log)
    users, events = len(log.offsets) - 1, profiles.activity(log)
    within = user[1:] == user[:-1]
    gap, owner = np.log1p(np.maximum(np.diff(time), 0.0))[within], user[1:][within]
    count = np.maximum(np.bincount(owner, minlength=users), 1)
    mean, square, short = (np.bincount(owner, weights=w, minlength=users) / count
                           for w in (gap, gap**2, gap < np.log1p(SESSION_GAP_SECONDS)))
    some = events > 0
    begins, ends = np.zeros(users), np.zeros(users)
    begins[some], ends[some] = time[log.offsets[:-1][some]], time[log.offsets[1:][some] - 1]
    span, spread = np.log1p(np.maximum(ends - begins, 0.0) / HOUR), np.sqrt(np.maximum(square - mean**2, 0.0))
    return np.stack((begins / DAY, span, mean, spread, short), axis=1)
