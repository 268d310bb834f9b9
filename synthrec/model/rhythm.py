"""What is asked of each user about time: start, sessions, span, gaps, calendar and hours of the week, as one vector.

A session ends where nothing happens for half an hour.

Guarantees: the window and the zone are declared; a user's vector is a function of their own events only and holds three one-hots and
three histograms of norm at most 1 each, times public weights, so its norm is at most TIME_NORM whatever the number of events.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from synthrec.data.columns import Datetime
from synthrec.data.eventlog import EventLog
from synthrec.data.hours import HOURS, SESSION_GAP_SECONDS, hour_of_week
from synthrec.model.smoothing import grid_kernels, smooth, smooth_week

START_BINS = 32             # equal parts of the window, for a user's first event and for all of them
ACTIVITY_EDGES = (30, 60, 120)      # events: bands of activity, beside which sessions are counted
SESSION_EDGES = (1, 2, 3, 5, 9, 17, 65)     # buckets of sessions per user; the last is open, and drawn below 65
MANY_SESSIONS = 5           # from here on a user's span has a histogram of its own
SPAN_BINS = 6               # log buckets from a session's gap to the window, for users of more than one session
GAP_EDGES = (0, 1, 3, 10, 20, 40, 80, 160, 320, 640, SESSION_GAP_SECONDS + 1)   # seconds between two events of one session
HISTOGRAM_NORM = 0.15       # of K: counts are divided by this or by their own norm, whichever is more

SHAPES = {"start": (START_BINS,), "sessions": (len(ACTIVITY_EDGES) + 1, len(SESSION_EDGES) - 1), "span": (2, SPAN_BINS),
          "gap": (len(GAP_EDGES) - 1,), "calendar": (START_BINS,), "hour": (HOURS,)}
WEIGHTS = {"start": 0.4, "sessions": 0.45, "span": 0.35, "gap": 0.25, "calendar": 0.4, "hour": 1.0}
SIZES = {name: int(np.prod(shape)) for name, shape in SHAPES.items()}
SIZE = sum(SIZES.values())
TIME_NORM = float(np.sqrt(sum(weight**2 for weight in WEIGHTS.values())))


@dataclass(frozen=True)
class TimeTables:
    """Shares that sum to 1 each, as measured.

    Shapes:
        start float64[START_BINS] over equal parts of the window; sessions float64[bands, buckets], activity by sessions per user;
        span float64[2, SPAN_BINS] of users with few and with many sessions; gap float64[gaps];
        calendar float64[START_BINS] of events over the window; hour float64[HOURS] from Monday 0:00
        local time.
    """

    start: np.ndarray
    sessions: np.ndarray
    span: np.ndarray
    gap: np.ndarray
    calendar: np.ndarray
    hour: np.ndarray

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Of the tables."""
        return tuple(field.name for field in fields(cls))


def time_vectors(log: EventLog, *, column: Datetime, events_per_user: int) -> np.ndarray:
    """A user's time vector; one without events has zeros.

    Shapes:
        -> float64[B, SIZE].
    """
    assert log.time is not None
    events, user = np.diff(log.offsets), log.user_of_event()
    active = np.flatnonzero(events > 0)
    first, last = log.time[log.offsets[active]], log.time[log.offsets[active + 1] - 1]
    gap = np.diff(log.time, prepend=0)
    opens = gap > SESSION_GAP_SECONDS
    opens[log.offsets[active]] = True
    sessions = np.bincount(user[opens], minlength=len(events))
    parts = {name: np.zeros((len(events), size)) for name, size in SIZES.items()}
    parts["start"][active, start_bin(first, column=column)] = 1
    parts["sessions"][active, activity_band(events[active]) * SHAPES["sessions"][1] + session_bucket(sessions[active])] = 1
    several = sessions[active] > 1
    parts["span"][active[several], (sessions[active] >= MANY_SESSIONS)[several] * SPAN_BINS
                  + span_bin((last - first)[several], column=column)] = 1
    within = np.flatnonzero(~opens)
    np.add.at(parts["gap"], (user[within], np.clip(np.searchsorted(GAP_EDGES, gap[within], side="right") - 1, 0, None)), 1)
    np.add.at(parts["hour"], (user, hour_of_week(log.time, column=column)), 1)
    np.add.at(parts["calendar"], (user, start_bin(log.time, column=column)), 1)
    for name in ("gap", "calendar", "hour"):
        norm = np.linalg.norm(parts[name], axis=1, keepdims=True)
        parts[name] /= np.maximum(norm, HISTOGRAM_NORM * events_per_user)
    return np.concatenate([WEIGHTS[name] * part for name, part in parts.items()], axis=1)


def time_tables(sums: np.ndarray, *, noise_std: float) -> TimeTables:
    """What the noisy sums say, smoothed as far as they themselves say. Post-processing.

    Shapes:
        float64[SIZE].
    """
    parts = dict(zip(SIZES, np.split(sums, np.cumsum(list(SIZES.values()))[:-1]), strict=True))
    found = {name: smooth(parts[name], kernels=grid_kernels(SHAPES[name]), noise_std=noise_std).reshape(SHAPES[name])
             for name in parts if name != "hour"}
    return TimeTables(**found, hour=smooth_week(parts["hour"], noise_std=noise_std))


def start_bin(seconds: np.ndarray, *, column: Datetime) -> np.ndarray:
    """Which part of the window."""
    width = (column.max_seconds + 1 - column.min_seconds) / START_BINS
    return np.clip(((seconds - column.min_seconds) / width).astype(np.int64), 0, START_BINS - 1)


def activity_band(events: np.ndarray) -> np.ndarray:
    """Which band of activity."""
    return np.searchsorted(ACTIVITY_EDGES, events, side="right")


def session_bucket(sessions: np.ndarray) -> np.ndarray:
    """Which bucket of sessions per user."""
    return np.clip(np.searchsorted(SESSION_EDGES, sessions, side="right") - 1, 0, len(SESSION_EDGES) - 2)


def span_edges(column: Datetime) -> np.ndarray:
    """Seconds from first to last event."""
    window = max(column.max_seconds - column.min_seconds, 2 * SESSION_GAP_SECONDS)
    return np.geomspace(SESSION_GAP_SECONDS, window, SPAN_BINS + 1)


def span_bin(seconds: np.ndarray, *, column: Datetime) -> np.ndarray:
    """Which bucket of spans."""
    return np.clip(np.searchsorted(span_edges(column), seconds, side="right") - 1, 0, SPAN_BINS - 1)
