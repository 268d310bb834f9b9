"""Hours of the local week, and histograms that noise has roughened.

The zone's offset is looked up once for each UTC hour of the declared window, so daylight saving is honoured to the hour.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from scipy.optimize import minimize

from synthrec.data.columns import Datetime

HOURS = 168
HOUR, DAY = 3_600, 86_400
DAILY_LENGTH = 0.7          # of the daily profile, in radians of the day's circle
LOCAL_LENGTH = 2.0          # of what one evening differs from another, in hours
LEAST_RELATIVE = 0.1        # of the mean: a floor under the profile that residuals are relative to
AMPLITUDES = (0.3, 0.1, 0.3, 0.1)      # squared, relative: where the search starts
NARROWNESS = 0.01           # of a weak prior around them, in squared log units
PASSES = 2


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


def smooth_week(noisy: np.ndarray, *, noise_std: float) -> np.ndarray:
    """Posterior mean of a noisy hour-of-week histogram, as shares; without noise the histogram itself.

    A Gaussian process (Rasmussen and Williams 2006, eq. 2.23) around a flat week: a daily profile, weekdays, evenings unlike
    others, single hours; how much of each is estimated from the noisy values alone (their marginal likelihood). In the second pass
    deviations are relative to the product of daily and weekday profile, as busy hours vary more. Post-processing.

    Shapes:
        float64[HOURS] -> float64[HOURS], sums to 1.
    """
    mean = max(float(noisy.mean()), noise_std / HOURS, 1e-9)
    found, profile = noisy, np.full(HOURS, mean)
    for _ in range(PASSES if noise_std > 0 else 0):
        found = mean + _posterior(noisy - mean, parts=week_kernels() * np.outer(profile, profile), noise_std=noise_std)
        week = np.maximum(found, LEAST_RELATIVE * mean).reshape(7, 24)
        profile = (week.sum(axis=1, keepdims=True) * week.sum(axis=0) / week.sum()).ravel()
    found = np.maximum(found, 0)
    return np.asarray(found / found.sum()) if found.sum() > 0 else np.full(HOURS, 1 / HOURS)


def week_kernels() -> np.ndarray:
    """Float64[4, HOURS, HOURS]: same hour of the day, same weekday, near in the week, the same hour."""
    hour = np.arange(HOURS)
    apart = np.abs(hour[:, None] - hour)
    daily = np.exp(-2 * np.sin(np.pi * (apart % 24) / 24) ** 2 / DAILY_LENGTH**2)
    near = np.exp(-np.minimum(apart, HOURS - apart) / LOCAL_LENGTH)
    return np.stack([daily, (hour[:, None] // 24 == hour // 24).astype(float), near, np.eye(HOURS)])


def _posterior(noisy: np.ndarray, *, parts: np.ndarray, noise_std: float) -> np.ndarray:
    start = np.log(AMPLITUDES)
    noise = noise_std**2 * np.eye(len(noisy))

    def surprise(logs: np.ndarray) -> float:
        lower = np.linalg.cholesky(np.tensordot(np.exp(np.clip(logs, -9, 3)), parts, axes=1) + noise)
        white = np.linalg.solve(lower, noisy)
        return float(white @ white + 2 * np.log(np.diag(lower)).sum() + NARROWNESS * ((logs - start) ** 2).sum())

    found = minimize(surprise, start, method="Nelder-Mead", options={"maxiter": 200, "xatol": 0.05, "fatol": 0.05}).x
    prior = np.tensordot(np.exp(np.clip(found, -9, 3)), parts, axes=1)
    return np.asarray(prior @ np.linalg.solve(prior + noise, noisy))


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
