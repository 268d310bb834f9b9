"""Time: the hours of the week, the calendar, and when histories begin."""

from __future__ import annotations

import numpy as np

from synthrec.audit.fidelity.question import Question, histogram
from synthrec.data.columns import Datetime
from synthrec.data.eventlog import EventLog
from synthrec.data.hours import HOURS, hour_of_week

MONTH_SECONDS = 30 * 86_400
START_BINS = 32


def questions(column: Datetime) -> list[Question]:
    """Of logs with times; hours are those of the declared zone."""
    return [
        histogram("time", "hour by weekday", lambda sample: hours(sample.whole, column=column), over="events"),
        histogram("time", "hour", lambda sample: hours(sample.whole, column=column).reshape(7, 24).sum(axis=0), over="events"),
        histogram("time", "weekday", lambda sample: hours(sample.whole, column=column).reshape(7, 24).sum(axis=1), over="events"),
        histogram("time", "events per 30 days", lambda sample: months(sample.whole, column=column), over="events"),
        histogram("time", f"start of history, in {START_BINS} parts of the window", lambda sample: starts(sample.whole, column=column),
                  over="users"),
    ]


def hours(log: EventLog, *, column: Datetime) -> np.ndarray:
    """Events of each hour of the week, from Monday 0:00. Shapes: int64[168]."""
    return np.bincount(hour_of_week(_time(log), column=column), minlength=HOURS)


def months(log: EventLog, *, column: Datetime) -> np.ndarray:
    """Events of each 30 days of the window; what lies outside counts at its ends."""
    last = (column.max_seconds - column.min_seconds) // MONTH_SECONDS
    return np.bincount(np.clip((_time(log) - column.min_seconds) // MONTH_SECONDS, 0, last), minlength=last + 1)


def starts(log: EventLog, *, column: Datetime) -> np.ndarray:
    """Users by the part of the window in which they begin."""
    first = np.minimum.reduceat(_time(log), log.offsets[:-1][np.diff(log.offsets) > 0]) if len(log.item) else np.zeros(0, dtype=np.int64)
    width = (column.max_seconds + 1 - column.min_seconds) / START_BINS
    return np.bincount(np.clip((first - column.min_seconds) // width, 0, START_BINS - 1).astype(np.int64), minlength=START_BINS)


def _time(log: EventLog) -> np.ndarray:
    return np.asarray(log.time, dtype=np.int64)
