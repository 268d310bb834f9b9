from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthrec.audit.realism import total_variation
from synthrec.data.columns import HOURS, Datetime, hour_of_week
from synthrec.data.eventlog import EventLog
from synthrec.model.statistic import project_to_simplex
from synthrec.model.time_sampling import draw_times
from synthrec.model.time_stats import (
    SESSION_EDGES,
    SHAPES,
    SIZE,
    TIME_NORM,
    TimeTables,
    grid_kernels,
    smooth,
    smooth_week,
    time_tables,
    time_vectors,
)

K = 50
COLUMN = Datetime(name="t", unit="s", zone="Europe/Berlin", min="2024-01-01", max="2024-12-31")
WEEK = np.random.default_rng(5).gamma(1.0, size=HOURS)
WEEK /= WEEK.sum()


def log_of(*histories: np.ndarray) -> EventLog:
    times = (
        np.concatenate([np.asarray(each, dtype=np.int64) for each in histories])
        if histories
        else np.zeros(0, np.int64)
    )
    return EventLog(
        offsets=np.concatenate(([0], np.cumsum([len(each) for each in histories]))).astype(
            np.int64
        ),
        item=np.zeros(len(times), dtype=np.int32),
        time=times,
    )


def simulated(*, users: int, seed: int) -> EventLog:
    """Users of 1 to 4 sessions, weeks apart, at hours drawn from WEEK; events of a session at one
    moment or half a minute apart.
    """
    rng, histories = np.random.default_rng(seed), []
    hours = np.arange(COLUMN.min_seconds, COLUMN.max_seconds, 3600)
    odds = WEEK[hour_of_week(hours, column=COLUMN)]
    for _ in range(users):
        starts = rng.choice(hours, rng.integers(1, 5), p=odds / odds.sum()) + rng.integers(0, 1800)
        histories.append(
            np.sort(np.concatenate([start + np.cumsum(rng.choice([0, 30], 8)) for start in starts]))
        )
    return log_of(*histories)


def tables_of(log: EventLog) -> TimeTables:
    return time_tables(
        time_vectors(log, column=COLUMN, events_per_user=K).sum(axis=0), noise_std=0.0
    )


def random_tables(rng: np.random.Generator) -> TimeTables:
    """Also tables that lie on one cell, as noise may leave them."""
    found = {name: rng.gamma(0.05, size=shape) + 1e-300 for name, shape in SHAPES.items()}
    return TimeTables(**{name: part / part.sum() for name, part in found.items()})


AWKWARD = {
    "no events": np.zeros(0),
    "one event": [COLUMN.min_seconds],
    "ten thousand at one second": np.full(10_000, COLUMN.max_seconds),
    "ten thousand over the year": np.linspace(COLUMN.min_seconds, COLUMN.max_seconds, 10_000),
    "before and after the window": [-(10**15), 0, COLUMN.max_seconds + 10**9, 2**60],
    "two sessions": [COLUMN.min_seconds, COLUMN.max_seconds],
    "out of order": [COLUMN.max_seconds, COLUMN.min_seconds, COLUMN.max_seconds],
}


def test_a_users_time_vector_is_finite_and_within_the_declared_norm_whatever_they_did() -> None:
    vectors = time_vectors(log_of(*AWKWARD.values()), column=COLUMN, events_per_user=K)
    assert (
        vectors.shape == (len(AWKWARD), SIZE)
        and np.isfinite(vectors).all()
        and (vectors >= 0).all()
    )
    norms = np.linalg.norm(vectors, axis=1)
    assert (norms <= TIME_NORM * (1 + 1e-12)).all() and norms[0] == 0 and norms[1] > 0.5


def test_a_time_vector_is_a_function_of_its_user_alone() -> None:
    together = time_vectors(log_of(*AWKWARD.values()), column=COLUMN, events_per_user=K)
    alone = [
        time_vectors(log_of(each), column=COLUMN, events_per_user=K)[0] for each in AWKWARD.values()
    ]
    assert np.array_equal(together, np.stack(alone))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(0, 365 * 86_400),
    st.sampled_from([0, 1, 59, 3_600, 86_400, 30 * 86_400, 400 * 86_400]),
)
def test_times_stay_in_the_window_asked_for_and_do_not_decrease_within_a_user(
    seed: int, begin: int, length: int
) -> None:
    rng = np.random.default_rng(seed)
    events = np.concatenate(([1, 2, 200], rng.integers(1, 90, 40)))
    first = COLUMN.min_seconds + begin
    window = (first, min(first + length, COLUMN.max_seconds))
    for asked, (low, high) in ((None, (COLUMN.min_seconds, COLUMN.max_seconds)), (window, window)):
        found = draw_times(events, tables=random_tables(rng), column=COLUMN, rng=rng, window=asked)
        assert (
            found.dtype == np.int64
            and len(found) == events.sum()
            and found.min() >= low
            and found.max() <= high
        )
        user = np.repeat(np.arange(len(events)), events)
        assert (np.diff(found)[user[1:] == user[:-1]] >= 0).all()


def test_synthetic_times_give_back_hours_sessions_gaps_and_starts_of_a_simulated_log() -> None:
    log = simulated(users=1500, seed=1)
    tables = tables_of(log)
    drawn = draw_times(log.activity, tables=tables, column=COLUMN, rng=np.random.default_rng(2))
    found = tables_of(EventLog(offsets=log.offsets, item=log.item, time=drawn))
    assert total_variation(tables.hour, other=WEEK) < 0.12
    distances = {
        name: total_variation(getattr(found, name).ravel(), other=getattr(tables, name).ravel())
        for name in SHAPES
    }
    assert max(distances.values()) < 0.1, distances


def test_users_with_more_events_come_more_often_when_the_log_says_so() -> None:
    sessions = np.zeros(SHAPES["sessions"])
    sessions[0, 0] = sessions[3, 4] = 0.5
    tables = TimeTables(
        **(
            {name: np.full(shape, 1 / np.prod(shape)) for name, shape in SHAPES.items()}
            | {"sessions": sessions}
        )
    )
    events = np.repeat([20, 200], 200)
    drawn = draw_times(events, tables=tables, column=COLUMN, rng=np.random.default_rng(0))
    spans = np.array([each[-1] - each[0] for each in np.split(drawn, np.cumsum(events)[:-1])])
    assert (
        np.median(spans[:200]) < 3 * 3_600
        and np.median(spans[200:]) > 6 * 3_600
        and SESSION_EDGES[4] == 9
    )


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "UTC"]
)
def test_hours_of_the_week_are_local_also_on_the_days_when_clocks_change(zone: str) -> None:
    column = COLUMN.model_copy(update={"zone": zone})
    changes = [
        datetime(2024, 3, 10, tzinfo=UTC),
        datetime(2024, 3, 31, tzinfo=UTC),
        datetime(2024, 10, 27, tzinfo=UTC),
    ]
    seconds = np.concatenate(
        [int(day.timestamp()) + np.arange(-86_400, 2 * 86_400, 1_777) for day in changes]
    )
    local = [datetime.fromtimestamp(int(second), tz=ZoneInfo(zone)) for second in seconds]
    assert hour_of_week(seconds, column=column).tolist() == [
        moment.weekday() * 24 + moment.hour for moment in local
    ]


def test_a_noisy_week_is_brought_nearer_to_the_truth_and_one_without_noise_stays() -> None:
    hour = np.arange(HOURS)
    week = 1 + 0.8 * np.sin(2 * np.pi * hour / 24) + 0.3 * (hour // 24 > 4)
    week *= 1000 / week.sum()
    assert smooth_week(week, noise_std=0.0) == pytest.approx(week / week.sum())
    noisy = week + np.random.default_rng(0).normal(0, 4.0, HOURS)
    plain = total_variation(project_to_simplex(noisy), other=week)
    assert total_variation(smooth_week(noisy, noise_std=4.0), other=week) < 0.6 * plain


@pytest.mark.parametrize("extreme", [-1e9, 0.0, 1e-12, 1e9])
def test_any_noisy_sum_makes_tables_that_can_be_drawn_from(extreme: float) -> None:
    tables = time_tables(np.full(SIZE, extreme), noise_std=3.0)
    assert all(
        part.min() >= 0 and part.sum() == pytest.approx(1)
        for part in (getattr(tables, name) for name in SHAPES)
    )
    assert (
        len(
            draw_times(
                np.array([1, 5, 200]), tables=tables, column=COLUMN, rng=np.random.default_rng(0)
            )
        )
        == 206
    )


def test_without_noise_every_table_is_the_logs_own_and_cells_of_a_grid_are_kept_apart() -> None:
    counts = np.random.default_rng(0).gamma(0.5, size=24) * 50
    for shape in ((24,), (4, 6)):
        kernels = grid_kernels(shape)
        assert smooth(counts, kernels=kernels, noise_std=0.0) == pytest.approx(
            counts / counts.sum()
        )
        assert smooth(counts, kernels=kernels, noise_std=0.01) == pytest.approx(
            counts / counts.sum(), abs=1e-3
        )
        assert all(np.linalg.eigvalsh(kernel).min() > -1e-9 for kernel in kernels.values())
    assert grid_kernels((4, 6))["near"][0, 6] == pytest.approx(grid_kernels((4, 6))["near"][0, 1])


def test_noise_alone_makes_a_flat_histogram() -> None:
    noise = np.random.default_rng(1).normal(0, 5.0, 32)
    assert np.abs(
        smooth(10 + noise, kernels=grid_kernels((32,)), noise_std=5.0) - 1 / 32
    ).sum() / 2 < 0.5 * total_variation(project_to_simplex(10 + noise), other=np.ones(32))
