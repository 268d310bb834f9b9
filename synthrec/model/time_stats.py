"""What is asked of each user about time, and histograms made as smooth as they themselves say.

Start, sessions (which end where nothing happens for half an hour), span, gaps, calendar and hours
of the week are one vector. Smoothing is post-processing, by a Gaussian process around a flat
histogram (Rasmussen and Williams 2006, eq. 2.23): how much cells differ, alone and with their
neighbours, is estimated from the noisy values by their marginal likelihood; the posterior mean
shrinks noise accordingly.

Guarantees: the window and the zone are declared; a user's vector is a function of their own events
only and holds three one-hots and three histograms of norm at most 1 each, times public weights, so
its norm is at most TIME_NORM whatever the number of events.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from synthrec.data.columns import HOURS, SESSION_GAP_SECONDS, Datetime, hour_of_week
from synthrec.data.eventlog import EventLog
from synthrec.model.statistic import Known, Statistic, Tensor, bucket_of, split
from synthrec.privacy.mechanisms import Measurement

DAILY_LENGTH = 0.7  # of the daily profile, in radians of the day's circle
LOCAL_LENGTH = 2.0  # of what one evening differs from another, in hours, and of neighbouring cells
MIN_RELATIVE = 0.1  # of the mean: a floor under the profile that residuals are relative to
VARIANCES = {
    "daily": 0.3,
    "weekday": 0.1,
    "near": 0.3,
    "alone": 0.1,
}  # relative: where the search starts
NARROWNESS = 0.01  # of a weak prior around them, in squared log units
BOUNDS = (-9.0, 3.0)  # of log variances


def smooth_week(noisy: np.ndarray, *, noise_std: float) -> np.ndarray:
    """Shares of the hours of the week; without noise the histogram's own.

    A daily profile, weekdays, evenings unlike others, single hours. In the second pass deviations
    are relative to the product of daily and weekday profile, as busy hours vary more.

    Shapes:
        float64[HOURS] -> float64[HOURS], sums to 1.
    """
    week = _raised(
        smooth(noisy, kernels=week_kernels(), noise_std=noise_std), least=MIN_RELATIVE / HOURS
    ).reshape(7, 24)
    profile = (week.sum(axis=1, keepdims=True) * week.sum(axis=0)).ravel() * HOURS
    return smooth(
        noisy,
        kernels={name: part * np.outer(profile, profile) for name, part in week_kernels().items()},
        noise_std=noise_std,
    )


def smooth(noisy: np.ndarray, *, kernels: dict[str, np.ndarray], noise_std: float) -> np.ndarray:
    """Shares of a histogram whose cells vary by a sum of kernels, in unknown parts; without noise
    the histogram's own.

    Shapes:
        float64[N], name -> float64[N, N] -> float64[N], sums to 1.
    """
    mean = max(float(noisy.mean()), noise_std / len(noisy), 1e-9)
    if noise_std == 0:
        return _raised(noisy, least=0.0)
    parts, start = (
        np.stack(list(kernels.values())) * mean**2,
        np.log([VARIANCES[name] for name in kernels]),
    )
    noise = noise_std**2 * np.eye(len(noisy))

    def prior(logs: np.ndarray) -> np.ndarray:
        return np.asarray(np.tensordot(np.exp(np.clip(logs, *BOUNDS)), parts, axes=1))

    def surprise(logs: np.ndarray) -> float:
        lower = np.linalg.cholesky(prior(logs) + noise)
        white = solve_triangular(lower, noisy - mean, lower=True)
        return float(
            white @ white
            + 2 * np.log(np.diag(lower)).sum()
            + NARROWNESS * ((logs - start) ** 2).sum()
        )

    best = prior(
        minimize(
            surprise,
            start,
            method="Nelder-Mead",
            options={"maxiter": 200, "xatol": 0.05, "fatol": 0.05},
        ).x
    )
    return _raised(mean + best @ np.linalg.solve(best + noise, noisy - mean), least=0.0)


def week_kernels() -> dict[str, np.ndarray]:
    """Float64[HOURS, HOURS] each: same hour of the day, same weekday, near in the week, the same
    hour.
    """
    hour = np.arange(HOURS)
    apart = np.abs(hour[:, None] - hour)
    daily = np.exp(-2 * np.sin(np.pi * (apart % 24) / 24) ** 2 / DAILY_LENGTH**2)
    near = np.exp(-np.minimum(apart, HOURS - apart) / LOCAL_LENGTH)
    return {
        "daily": daily,
        "weekday": (hour[:, None] // 24 == hour // 24).astype(float),
        "near": near,
        "alone": np.eye(HOURS),
    }


def grid_kernels(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Float64[N, N] each, N cells of a grid: neighbours alike along every axis, and each cell
    alone.
    """
    near = np.ones((1, 1))
    for size in shape:
        near = np.kron(
            near, np.exp(-np.abs(np.arange(size)[:, None] - np.arange(size)) / LOCAL_LENGTH)
        )
    return {"near": near, "alone": np.eye(len(near))}


def _raised(histogram: np.ndarray, *, least: float) -> np.ndarray:
    """As shares, none below `least` before they are made to sum to 1; flat if nothing is above 0."""
    shares = np.maximum(histogram, 0)
    if shares.sum() <= 0:
        return np.full(len(shares), 1 / len(shares))
    shares = np.maximum(shares / shares.sum(), least)
    return np.asarray(shares / shares.sum())


START_BINS = 32  # equal parts of the window, for a user's first event and for all of them
ACTIVITY_EDGES = (30, 60, 120)  # events: bands of activity, beside which sessions are counted
SESSION_EDGES = (
    1,
    2,
    3,
    5,
    9,
    17,
    65,
)  # buckets of sessions per user; the last is open, and drawn below 65
MANY_SESSIONS = 5  # from here on a user's span has a histogram of its own
SPAN_BINS = 6  # log buckets from a session's gap to the window, for users of more than one session
GAP_EDGES = (
    0,
    1,
    3,
    10,
    20,
    40,
    80,
    160,
    320,
    640,
    SESSION_GAP_SECONDS + 1,
)  # seconds between two events of one session
HISTOGRAM_NORM = 0.15  # of K: counts are divided by this or by their own norm, whichever is more

SHAPES = {
    "start": (START_BINS,),
    "sessions": (len(ACTIVITY_EDGES) + 1, len(SESSION_EDGES) - 1),
    "span": (2, SPAN_BINS),
    "gap": (len(GAP_EDGES) - 1,),
    "calendar": (START_BINS,),
    "hour": (HOURS,),
}
WEIGHTS = {"start": 0.4, "sessions": 0.45, "span": 0.35, "gap": 0.25, "calendar": 0.4, "hour": 1.0}
SIZES = {name: int(np.prod(shape)) for name, shape in SHAPES.items()}
SIZE = sum(SIZES.values())
TIME_NORM = float(np.sqrt(sum(weight**2 for weight in WEIGHTS.values())))


@dataclass(frozen=True)
class TimeTables:
    """Shares that sum to 1 each, as measured.

    Shapes:
        start float64[START_BINS] over equal parts of the window; sessions float64[bands, buckets],
        activity by sessions per user; span float64[2, SPAN_BINS] of users with few and with many
        sessions; gap float64[gaps]; calendar float64[START_BINS] of events over the window; hour
        float64[HOURS] from Monday 0:00 local time.
    """

    start: np.ndarray
    sessions: np.ndarray
    span: np.ndarray
    gap: np.ndarray
    calendar: np.ndarray
    hour: np.ndarray

    @classmethod
    def of(cls, known: Known) -> TimeTables | None:
        """As measured; None in a log without time."""
        tables = known.room("times.")
        return cls(**tables) if tables else None


def time_vectors(log: EventLog, *, column: Datetime, events_per_user: int) -> np.ndarray:
    """A user's time vector; one without events has zeros.

    Shapes:
        -> float64[B, SIZE].
    """
    assert log.time is not None
    events, user = log.activity, log.user_of_event()
    active = np.flatnonzero(events > 0)
    first, last = log.time[log.offsets[active]], log.time[log.offsets[active + 1] - 1]
    gap = np.diff(log.time, prepend=0)
    opens = gap > SESSION_GAP_SECONDS
    opens[log.offsets[active]] = True
    sessions = np.bincount(user[opens], minlength=len(events))
    parts = {name: np.zeros((len(events), size)) for name, size in SIZES.items()}
    parts["start"][active, start_bin(first, column=column)] = 1
    bucket = bucket_of(sessions[active], SESSION_EDGES)
    parts["sessions"][active, activity_band(events[active]) * SHAPES["sessions"][1] + bucket] = 1
    several = sessions[active] > 1
    many = (sessions[active] >= MANY_SESSIONS)[several]
    span = bucket_of((last - first)[several], span_edges(column))
    parts["span"][active[several], many * SPAN_BINS + span] = 1
    within = ~opens
    np.add.at(parts["gap"], (user[within], bucket_of(gap[within], GAP_EDGES)), 1)
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
    parts = split(sums, SIZES)
    tables = {
        name: smooth(parts[name], kernels=grid_kernels(SHAPES[name]), noise_std=noise_std).reshape(
            SHAPES[name]
        )
        for name in parts
        if name != "hour"
    }
    return TimeTables(**tables, hour=smooth_week(parts["hour"], noise_std=noise_std))


def start_bin(seconds: np.ndarray, *, column: Datetime) -> np.ndarray:
    """Which part of the window."""
    width = (column.max_seconds + 1 - column.min_seconds) / START_BINS
    return np.clip(((seconds - column.min_seconds) / width).astype(np.int64), 0, START_BINS - 1)


def activity_band(events: np.ndarray) -> np.ndarray:
    """Which band of activity."""
    return np.searchsorted(ACTIVITY_EDGES, events, side="right")


def span_edges(column: Datetime) -> np.ndarray:
    """Seconds from first to last event."""
    window = max(column.max_seconds - column.min_seconds, 2 * SESSION_GAP_SECONDS)
    return np.geomspace(SESSION_GAP_SECONDS, window, SPAN_BINS + 1)


def _decoded(known: Known, noisy: Measurement) -> Known:
    tables = time_tables(noisy.values, noise_std=noisy.noise_std)
    return known.adding({f"times.{name}": getattr(tables, name) for name in SHAPES})


def _tensors(known: Known) -> dict[str, Tensor]:
    shapes = {} if known.schema.time is None else SHAPES
    return {
        f"times.{name}": Tensor("F64", shape, "paid", ("times",), holds="shares")
        for name, shape in shapes.items()
    }


TIMES = Statistic(
    name="times",
    purpose="when users come, in how many sessions, at which hours",
    unit="users",
    share=0.04,
    sensitivity=lambda schema: TIME_NORM,
    noise_words="on each hour of the week, where a user counts at most 1; 2 to 4 times that on "
    "starts, sessions, spans, gaps and calendar",
    of="baskets",
    needed=lambda schema: schema.time is not None,
    vectors=lambda known: partial(
        time_vectors,
        column=cast(Datetime, known.schema.time),
        events_per_user=known.plan.events_per_user,
    ),
    size=lambda known: SIZE,
    decode=_decoded,
    tensors=_tensors,
)
