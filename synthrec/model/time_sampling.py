"""When synthetic users come: sessions spread over a user's span, events in bursts within them.

The moment of each session is chosen among a few at which its user could have come, by what the log
so far lacks of the measured week and calendar: sessions are bursts, so independent draws would
leave a rough week however many users there are. Post-processing throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthrec.data.columns import Datetime, hour_of_week
from synthrec.model.statistic import column_of_each, log_uniform
from synthrec.model.time_stats import (
    GAP_EDGES,
    MANY_SESSIONS,
    SESSION_EDGES,
    START_BINS,
    TimeTables,
    activity_band,
    span_edges,
    start_bin,
)

CANDIDATES = 12  # moments that a session may choose from, by hour of week
TOGETHER = 16  # users whose hours are chosen at once
SLACK = (
    1.0  # of the events of users chosen together: how far behind the week counts as missing already
)
# of the preference for hours that lack most; what it overdoes, the next sessions make up for
SHARPNESS = 4.0
SESSION_SPREAD = 1.4  # standard deviation of the log share of its user's events that a session has
FITTING_ROUNDS = 30
CODES = (hour_of_week, start_bin)  # of the week and of the calendar


@dataclass(frozen=True)
class Sessions:
    """Sessions of B users, user after user, and the events in them.

    Shapes:
        of_user int64[B + 1]: user b has sessions of_user[b] to of_user[b + 1]; of_session int64[S +
        1]: the same for events; offset int64[N]: seconds from a session's first event.
    """

    of_user: np.ndarray
    of_session: np.ndarray
    offset: np.ndarray


def draw_times(
    events: np.ndarray,
    *,
    tables: TimeTables,
    column: Datetime,
    rng: np.random.Generator,
    window: tuple[int, int] | None = None,
) -> np.ndarray:
    """Moments of synthetic users' events in seconds, not decreasing within a user, inside the
    window.

    `window` (first and last second) asks for a part of the declared window: all of each user's
    events then fall there.

    Shapes:
        events int64[B], at least 1 each -> int64[sum of events], user after user.
    """
    first, last = window or (column.min_seconds, column.max_seconds)
    number = _session_numbers(events, tables=tables, rng=rng)
    sessions = _sessions(events, number=number, tables=tables, rng=rng, longest=last - first)
    begin, end = _lives(number, tables=tables, column=column, window=(first, last), rng=rng)
    moments = _candidates(
        sessions,
        begin=begin,
        end=end,
        window=(first, last),
        week=tables.hour,
        column=column,
        rng=rng,
    )
    starts = _balanced(moments, sessions=sessions, tables=tables, column=column, rng=rng)
    seconds = np.repeat(starts, np.diff(sessions.of_session)) + sessions.offset
    order = np.lexsort((seconds, np.repeat(np.arange(len(events)), events)))
    return np.asarray(seconds[order])


def _session_numbers(
    events: np.ndarray, *, tables: TimeTables, rng: np.random.Generator
) -> np.ndarray:
    """How many sessions each user has, by their activity: log-uniform within its bucket, no more
    than events.
    """
    odds = tables.sessions + 1e-9 * (
        tables.sessions.sum(axis=0) + 1e-3
    )  # a band that noise emptied takes after everybody
    bucket = column_of_each(odds[activity_band(events)], rng=rng)
    return np.asarray(np.minimum(log_uniform(bucket, SESSION_EDGES, rng=rng), events))


def _sessions(
    events: np.ndarray,
    *,
    number: np.ndarray,
    tables: TimeTables,
    rng: np.random.Generator,
    longest: int,
) -> Sessions:
    """Deal each user's events to sessions of uneven size, at least one each, and draw the gaps
    between them.
    """
    of_user = np.concatenate(([0], np.cumsum(number)))
    share = np.cumsum(np.exp(SESSION_SPREAD * rng.standard_normal(of_user[-1])))
    before = np.concatenate(([0.0], share))
    user = np.repeat(np.arange(len(events)), events - number)
    where = (
        before[of_user[:-1]][user]
        + rng.random(len(user)) * (before[of_user[1:]] - before[of_user[:-1]])[user]
    )
    session = np.clip(
        np.searchsorted(share, where, side="right"), of_user[:-1][user], of_user[1:][user] - 1
    )
    size = 1 + np.bincount(session, minlength=of_user[-1])
    of_session = np.concatenate(([0], np.cumsum(size)))
    bucket = rng.choice(len(tables.gap), of_session[-1], p=tables.gap)
    low, past = np.asarray(GAP_EDGES)[bucket], np.asarray(GAP_EDGES)[bucket + 1]
    gap = (
        np.floor(np.exp(rng.uniform(np.log(low + 0.5), np.log(past + 0.5))) - 0.5)
        .astype(np.int64)
        .clip(low, past - 1)
    )
    gap[of_session[:-1]] = 0
    offset = np.cumsum(gap)
    offset -= np.repeat(offset[of_session[:-1]], size)
    length = np.repeat(np.maximum(offset[of_session[1:] - 1], 1), size)
    return Sessions(
        of_user=of_user,
        of_session=of_session,
        offset=np.where(length > longest, offset * longest // length, offset),
    )


def _lives(
    number: np.ndarray,
    *,
    tables: TimeTables,
    column: Datetime,
    window: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Each user's start and span as ranges of seconds, jointly, so that histories end within the
    window and both keep their shares.

    Shapes:
        -> int64[B, 2] start from and before; float64[B, 2] span from and to, 0 for users of one
        session.
    """
    edges = np.linspace(column.min_seconds, column.max_seconds + 1, START_BINS + 1)
    low, past = (
        np.clip(edges[:-1], window[0], window[1] + 1),
        np.clip(edges[1:], window[0], window[1] + 1),
    )
    inside = past - low
    start = (tables.start + 1e-9) * inside
    spans = np.concatenate(([0.0], np.tile(span_edges(column)[:-1], 2)))
    longest = np.concatenate(([0.0], np.tile(span_edges(column)[1:], 2)))
    few, many = (number > 1) & (number < MANY_SESSIONS), number >= MANY_SESSIONS
    span = np.concatenate(
        (
            [1 - (few | many).mean()],
            *(
                kind.mean() * (row + 1e-9) / (row + 1e-9).sum()
                for kind, row in zip((few, many), tables.span, strict=True)
            ),
        )
    )
    joint = _fitted(
        start / start.sum(), span, fits=(low[:, None] + spans <= window[1]) & (inside[:, None] > 0)
    )
    begin, end = np.empty((len(number), 2)), np.empty((len(number), 2))
    bins = tables.span.shape[1]
    for kind, columns in (
        (number == 1, slice(0, 1)),
        (few, slice(1, 1 + bins)),
        (many, slice(1 + bins, None)),
    ):
        part = joint[:, columns] + 1e-300 * (inside[:, None] > 0)
        cell = rng.choice(part.size, int(kind.sum()), p=(part / part.sum()).ravel())
        row, column_of_cell = np.divmod(cell, part.shape[1])
        begin[kind] = np.stack([low[row], past[row]], axis=1)
        end[kind] = np.stack(
            [spans[columns][column_of_cell], longest[columns][column_of_cell]], axis=1
        )
    return begin, end


def _fitted(rows: np.ndarray, columns: np.ndarray, *, fits: np.ndarray) -> np.ndarray:
    """Both margins, as nearly as what fits allows (iterative proportional fitting, Deming and
    Stephan 1940).

    Shapes:
        float64[R], float64[C], bool[R, C] -> float64[R, C].
    """
    joint = np.outer(rows, columns) * fits
    for _ in range(FITTING_ROUNDS):
        joint *= (columns / np.maximum(joint.sum(axis=0), 1e-300)).clip(0, 1e3)
        joint *= (rows / np.maximum(joint.sum(axis=1), 1e-300)).clip(0, 1e3)[:, None]
    return np.asarray(joint)


def _candidates(
    sessions: Sessions,
    *,
    begin: np.ndarray,
    end: np.ndarray,
    window: tuple[int, int],
    week: np.ndarray,
    column: Datetime,
    rng: np.random.Generator,
) -> np.ndarray:
    """Moments at which each session may begin: a user's first in the start's range, the last a span
    later, others between.

    Spans count from the first session, so users of several have it settled here, by the week alone.

    Shapes:
        -> int64[S, CANDIDATES]. Every session ends within the window.
    """
    number = np.diff(sessions.of_user)
    user = np.repeat(np.arange(len(number)), number)
    first = rng.uniform(begin[:, :1], begin[:, 1:], (len(number), CANDIDATES))
    start = _one_of(
        first, odds=week[hour_of_week(first.astype(np.int64), column=column)] + 1e-9, rng=rng
    )
    low, high = np.maximum(end, 1.0).T
    reach = np.maximum(window[1] - start, 1.0)
    high = np.minimum(high, np.maximum(reach, low))
    span = np.exp(
        rng.uniform(np.log(low)[user, None], np.log(high)[user, None], (len(user), CANDIDATES))
    )
    moments = start[user, None] + span * rng.random(span.shape)
    last = sessions.of_user[1:] - 1
    moments[last] = start[:, None] + span[last]
    moments[sessions.of_user[:-1]] = np.where((number > 1)[:, None], start[:, None], first)
    latest = window[1] - sessions.offset[sessions.of_session[1:] - 1]
    return np.asarray(np.clip(moments, window[0], latest[:, None])).astype(np.int64)


def _balanced(
    moments: np.ndarray,
    *,
    sessions: Sessions,
    tables: TimeTables,
    column: Datetime,
    rng: np.random.Generator,
) -> np.ndarray:
    """One of each session's candidates, a few users at a time, by what the events so far lack of
    the measured week and calendar.

    Shapes:
        int64[S, CANDIDATES] -> int64[S].
    """
    size = np.diff(sessions.of_session)
    middle = moments + sessions.offset[sessions.of_session[:-1] + size // 2][:, None]
    codes = [code(middle, column=column) for code in CODES]
    wanted = [
        _reached(table, each)
        for table, each in zip((tables.hour, tables.calendar), codes, strict=True)
    ]
    had, starts = [np.zeros(len(table)) for table in wanted], np.empty(len(size), dtype=np.int64)
    for user in range(0, len(sessions.of_user) - 1, TOGETHER):
        some = slice(
            sessions.of_user[user],
            sessions.of_user[min(user + TOGETHER, len(sessions.of_user) - 1)],
        )
        inside = slice(sessions.of_session[some.start], sessions.of_session[some.stop])
        due = inside.stop + SLACK * (inside.stop - inside.start)
        odds = np.prod(
            [
                _lacking(table, due=due, had=past)[each[some]]
                for table, past, each in zip(wanted, had, codes, strict=True)
            ],
            axis=0,
        )
        starts[some] = _one_of(moments[some], odds=odds**SHARPNESS, rng=rng)
        at = np.repeat(starts[some], size[some]) + sessions.offset[inside]
        for past, code in zip(had, CODES, strict=True):
            past += np.bincount(code(at, column=column), minlength=len(past))
    return starts


def _reached(table: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Shares of the cells that some candidate lies in, of which a window may leave few."""
    shares = (table + 1e-9) * (np.bincount(codes.ravel(), minlength=len(table)) > 0)
    return np.asarray(shares / shares.sum())


def _lacking(table: np.ndarray, *, due: float, had: np.ndarray) -> np.ndarray:
    """How far each cell is behind its share of the events due, as a part of the most; a little for
    cells that are not.
    """
    lacks = table * due - had
    return np.asarray(np.maximum(lacks / max(lacks.max(), 1e-9), 1e-4 * (table + 1e-6)))


def _one_of(moments: np.ndarray, *, odds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of each row.

    Shapes:
        [S, CANDIDATES], float64[S, CANDIDATES] -> [S].
    """
    return np.asarray(moments[np.arange(len(odds)), column_of_each(odds, rng=rng)])
