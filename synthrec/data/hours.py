"""Hours of the local week, and the pause that ends a session.

The zone's offset is looked up once for each UTC hour of the declared window, so daylight saving is honoured to the hour.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from synthrec.data.columns import Datetime

HOURS = 168
HOUR, DAY = 3_600, 86_400
SESSION_GAP_SECONDS = 1800     # a session ends where nothing happens for longer


def hour_of_week(seconds: np.ndarray, *, column: Datetime) -> np.ndarray:
    """Hour from Monday 0:00 in the column's zone; a second outside the window takes the offset at its nearer end.

    Shapes:
        int64[...] -> int64[...] in 0..167.
    """
    seconds = np.asarray(seconds, dtype=np.int64)
    first, last = column.min_seconds // DAY, column.max_seconds // DAY
    offsets = _hourly_offsets(column.zone, first, last)
    local = seconds + offsets[np.clip(seconds // HOUR - first * 24, 0, len(offsets) - 1)]
    return np.asarray((local // HOUR + 3 * 24) % HOURS)      # 1970-01-01 was a Thursday


@lru_cache(maxsize=8)
def _hourly_offsets(zone: str, first_day: int, last_day: int) -> np.ndarray:
    """Seconds that the zone is ahead of UTC, for each UTC hour of the days."""
    days = np.array([_offset(day * DAY, zone) for day in range(first_day, last_day + 2)], dtype=np.int64)
    hours = np.repeat(days[:-1], 24)
    for changes in np.flatnonzero(days[1:] != days[:-1]):
        hours[changes * 24 : changes * 24 + 24] = [_offset((first_day + int(changes)) * DAY + hour * HOUR, zone) for hour in range(24)]
    return hours


def _offset(second: int, zone: str) -> int:
    offset = datetime.fromtimestamp(second, tz=UTC).astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())
