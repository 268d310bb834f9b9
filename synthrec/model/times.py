"""When users come: the start of each user's history in the window, its span, and the hours of the week that events fall into.

Guarantees: the window and the zone are declared; a user's vector holds two one-hots and one histogram of sum 1, so its norm is at
most sqrt(3) whatever the number of events.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from synthrec.data.columns import Datetime
from synthrec.data.eventlog import EventLog

START_BINS = 64
SHORTEST_SPAN_SECONDS = 300
SPAN_BINS = 14
HOURS = 168
CANDIDATES = 8      # moments that an event may choose from, by hour of week
SIZE = START_BINS + SPAN_BINS + HOURS


@dataclass(frozen=True)
class TimeTables:
    """Shares that sum to 1 each, as measured.

    Shapes:
        start float64[START_BINS] over equal parts of the window; span float64[SPAN_BINS] over log buckets of seconds from first to
        last event; hour float64[HOURS] from Monday 0:00 local time.
    """

    start: np.ndarray
    span: np.ndarray
    hour: np.ndarray


def time_vectors(log: EventLog, *, column: Datetime) -> np.ndarray:
    """A user's time vector.

    Shapes:
        -> float64[B, SIZE].
    """
    assert log.time is not None
    users = len(log.offsets) - 1
    found = np.zeros((users, SIZE))
    active = np.flatnonzero(np.diff(log.offsets) > 0)
    first, last = log.time[log.offsets[active]], log.time[log.offsets[active + 1] - 1]
    found[active, _start_bin(first, column=column)] = 1
    found[active, START_BINS + _span_bin(last - first, column=column)] = 1
    events = np.diff(log.offsets).astype(np.float64)
    user = log.user_of_event()
    np.add.at(found, (user, START_BINS + SPAN_BINS + hour_of_week(log.time, zone=column.zone)), 1 / events[user])
    return found


def draw_times(events: np.ndarray, *, tables: TimeTables, column: Datetime, rng: np.random.Generator) -> np.ndarray:
    """Moments of synthetic users' events, not decreasing within a user, inside the window.

    Shapes:
        events int64[B] -> int64[sum of events], user after user.
    """
    users = len(events)
    width = (column.max_seconds + 1 - column.min_seconds) / START_BINS
    start_bin = rng.choice(START_BINS, users, p=tables.start)
    starts = column.min_seconds + (start_bin[:, None] + rng.random((users, CANDIDATES))) * width
    start = _choose(starts, tables=tables, column=column, rng=rng)
    edges = _span_edges(column)
    span_bin = rng.choice(SPAN_BINS, users, p=tables.span)
    span = np.exp(rng.uniform(np.log(edges[span_bin]), np.log(edges[span_bin + 1])))
    span = np.minimum(span, column.max_seconds - start)
    user = np.repeat(np.arange(users), events)
    moments = start[user, None] + rng.random((len(user), CANDIDATES)) * span[user, None]
    chosen = _choose(moments, tables=tables, column=column, rng=rng)
    ordered = np.lexsort((chosen, user))
    return np.clip(chosen[ordered], column.min_seconds, column.max_seconds).astype(np.int64)


def hour_of_week(seconds: np.ndarray, *, zone: str) -> np.ndarray:
    """Hour from Monday 0:00 in the zone, with the zone's offset at each day's start (UTC).

    Shapes:
        int64[N] -> int64[N] in 0..167.
    """
    days = np.asarray(seconds) // 86_400
    distinct, place = np.unique(days, return_inverse=True)
    offsets = np.array([_offset(int(day) * 86_400, zone) for day in distinct], dtype=np.int64)
    local = np.asarray(seconds) + offsets[place]
    return ((local // 3_600 + 3 * 24) % HOURS).astype(np.int64)      # 1970-01-01 was a Thursday


def _choose(moments: np.ndarray, *, tables: TimeTables, column: Datetime, rng: np.random.Generator) -> np.ndarray:
    """One of each row's candidates, with odds by hour of week.

    Shapes:
        float64[N, CANDIDATES] -> float64[N].
    """
    hours = hour_of_week(np.clip(moments, column.min_seconds, column.max_seconds).astype(np.int64).ravel(), zone=column.zone)
    odds = np.cumsum(tables.hour[hours].reshape(moments.shape) + 1e-12, axis=1)
    pick = (odds < rng.random((len(moments), 1)) * odds[:, -1:]).sum(axis=1)
    return moments[np.arange(len(moments)), np.minimum(pick, CANDIDATES - 1)]


def _start_bin(seconds: np.ndarray, *, column: Datetime) -> np.ndarray:
    width = (column.max_seconds + 1 - column.min_seconds) / START_BINS
    return np.clip(((seconds - column.min_seconds) / width).astype(np.int64), 0, START_BINS - 1)


def _span_edges(column: Datetime) -> np.ndarray:
    window = max(column.max_seconds - column.min_seconds, 2 * SHORTEST_SPAN_SECONDS)
    return np.concatenate(([1.0], np.geomspace(SHORTEST_SPAN_SECONDS, window, SPAN_BINS)))


def _span_bin(seconds: np.ndarray, *, column: Datetime) -> np.ndarray:
    return np.clip(np.searchsorted(_span_edges(column), seconds, side="right") - 1, 0, SPAN_BINS - 1)


def _offset(second: int, zone: str) -> int:
    offset = datetime.fromtimestamp(second, tz=UTC).astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())
