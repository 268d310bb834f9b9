"""The scoreboard of Narayanan and Shmatikov (2008): a sparse record is found by rare items, ratings
about right and dates about right.

An item that target and candidate share scores 1 / log(2 + users who have it), times the mean of
exp(-|rating gap| / 1.5 stars) and exp(-|date gap| / 30 days), whichever of the two the log has.
Candidates' dates count as the middle of their fortnight, and fortnights more than three away as no
match; so both kernels are sparse products. Where somebody has an item more than once, the mean over
pairs of events counts.

Two scores: the best candidate's sum, as a share of what a perfect match would have, less the same
among reference users; and eccentricity, the lead of the best candidate over the second best in
standard deviations, by which the paper decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from synthrec.audit import profiles
from synthrec.audit.attacks.nearest_user import Nearest, Space
from synthrec.data.eventlog import EventLog

NAME, ECCENTRICITY = "scoreboard", "scoreboard, eccentricity"
KNOWS = "items, ratings (about) and dates (about)"
RATING_SCALE = 3 / 8  # of the rating range: 1.5 stars of 1 to 5
DATE_SCALE_SECONDS = 30 * 86_400
WINDOW_SECONDS = 14 * 86_400
WINDOWS_AROUND = 3
MAX_LEVELS = 20


@dataclass(frozen=True, repr=False, eq=False)
class Scoreboard(Space):
    """Weights of items and the cells that ratings and dates fall into.

    Shapes:
        weights float32[V]; levels float64[L], or none; windows: how many fortnights from `start`
        on, or 0.
    """

    weights: np.ndarray
    levels: np.ndarray = field(default_factory=lambda: np.zeros(0))
    start: int = 0
    windows: int = 0

    @classmethod
    def fit(cls, synthetic: EventLog, *, reference: EventLog, items: int) -> Scoreboard:
        """Sparse weights, levels and fortnights of synthetic and reference users."""
        having = sum(
            profiles.pattern(log, items=items).sum(axis=0) for log in (synthetic, reference)
        )
        weights = (1 / np.log(2.0 + np.maximum(having, 1))).astype(np.float32)
        rated, timed = (
            all(getattr(log, name) is not None for log in (synthetic, reference))
            and len(synthetic.item) + len(reference.item) > 0
            for name in ("rating", "time")
        )
        levels = rating_levels(synthetic, reference) if rated else np.zeros(0)
        if not timed:
            return cls(weights=weights, levels=levels)
        times = np.concatenate((np.asarray(synthetic.time), np.asarray(reference.time)))
        start = int(times.min())
        return cls(
            weights=weights,
            levels=levels,
            start=start,
            windows=int((times.max() - start) // WINDOW_SECONDS) + 1,
        )

    def asked(self, log: EventLog) -> sparse.csr_array:
        """What each candidate's cell would score. Shapes: float32[T, cells], rows divided by a
        perfect match's score.
        """
        whole = profiles.pattern(log, items=len(self.weights)) @ self.weights.astype(np.float64)
        value = (
            self.weights[log.item]
            / self._events_of_item(log)
            / np.maximum(whole, 1e-12)[log.user_of_event()]
        )
        parts = []
        if len(self.levels):
            gap = np.abs(np.asarray(log.rating, dtype=np.float64)[:, None] - self.levels)
            kernel = np.exp(-gap / max(RATING_SCALE * np.ptp(self.levels), 1e-12))
            parts.append(
                self._cells(
                    log,
                    np.arange(len(self.levels))[None].repeat(len(gap), 0),
                    value[:, None] * kernel,
                    len(self.levels),
                )
            )
        if self.windows:
            since = np.asarray(log.time, dtype=np.float64) - self.start
            window = np.floor(since / WINDOW_SECONDS).astype(np.int64)[:, None] + np.arange(
                -WINDOWS_AROUND, WINDOWS_AROUND + 1
            )
            kernel = np.exp(
                -np.abs(since[:, None] - (window + 0.5) * WINDOW_SECONDS) / DATE_SCALE_SECONDS
            )
            kernel[(window < 0) | (window >= self.windows)] = 0.0
            parts.append(
                self._cells(
                    log, np.clip(window, 0, self.windows - 1), value[:, None] * kernel, self.windows
                )
            )
        if not parts:
            return self._cells(log, np.zeros((len(log.item), 1), dtype=np.int64), value[:, None], 1)
        return (sparse.hstack(parts, format="csr") / len(parts)).astype(np.float32)

    def given(self, log: EventLog) -> sparse.csr_array:
        """Each event in its rating's and in its fortnight's cell. Shapes: float32[O, cells]."""
        value = (1 / self._events_of_item(log))[:, None]
        parts = []
        if len(self.levels):
            nearest = np.abs(
                np.asarray(log.rating, dtype=np.float64)[:, None] - self.levels
            ).argmin(axis=1)
            parts.append(self._cells(log, nearest[:, None], value, len(self.levels)))
        if self.windows:
            window = (np.asarray(log.time) - self.start) // WINDOW_SECONDS
            inside = (window >= 0) & (window < self.windows)
            parts.append(
                self._cells(
                    log, np.where(inside, window, 0)[:, None], value * inside[:, None], self.windows
                )
            )
        return (
            sparse.hstack(parts, format="csr")
            if parts
            else self._cells(log, np.zeros((len(log.item), 1), dtype=np.int64), value, 1)
        )

    def _cells(
        self, log: EventLog, code: np.ndarray, value: np.ndarray, codes: int
    ) -> sparse.csr_array:
        """Sums over a user's events. Shapes: code int[N, c], value float[N, c] -> float32[B, V *
        codes].
        """
        width = code.shape[1]
        column = (np.asarray(log.item, dtype=np.int64)[:, None] * codes + code).ravel()
        row = np.repeat(log.user_of_event(), width)
        shape = (log.users, len(self.weights) * codes)
        matrix = sparse.coo_array(
            (value.ravel().astype(np.float32), (row, column)), shape=shape
        ).tocsr()
        matrix.eliminate_zeros()
        return matrix

    def _events_of_item(self, log: EventLog) -> np.ndarray:
        """How often the event's user has the event's item. Shapes: int64[N]."""
        key = log.user_of_event() * np.int64(len(self.weights)) + np.asarray(log.item)
        _, code, counts = np.unique(key, return_inverse=True, return_counts=True)
        return np.asarray(counts[code])


def rating_levels(synthetic: EventLog, reference: EventLog) -> np.ndarray:
    """The ratings of both logs, or MAX_LEVELS evenly over their range where there are more."""
    ratings = np.concatenate((np.asarray(synthetic.rating), np.asarray(reference.rating)))
    values = np.unique(ratings).astype(np.float64)
    return values if len(values) <= MAX_LEVELS else np.linspace(values[0], values[-1], MAX_LEVELS)


def eccentricity(near: Nearest) -> np.ndarray:
    """(best - second best) / standard deviation over candidates; zero without two candidates that
    differ. Shapes: float64[T].
    """
    if near.likeness.shape[1] < 2:
        return np.zeros(len(near.spread))
    lead = (near.likeness[:, 0] - near.likeness[:, 1]).astype(np.float64)
    return np.asarray(lead / np.where(near.spread > 0, near.spread, np.inf))
