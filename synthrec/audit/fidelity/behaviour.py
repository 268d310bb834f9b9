"""Behaviour: sessions, visits, baskets, typed events and times of either log.

A session is a user's events without a longer pause than half an hour; a visit is all of a user's
events on one item; sizes are compared over buckets that grow by the square root of two. The funnel
is the order in which types come for the first time on an item by one user: the first four of them.
Where the schema says that one type follows another, the share for which it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from synthrec.audit.fidelity.question import Question, Sample, histogram, number
from synthrec.audit.realism import buckets, total_variation
from synthrec.data.columns import HOURS, SESSION_GAP_SECONDS, Datetime, EventCategory, hour_of_week
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema

OCTAVES = 2.0 ** np.arange(26)


class Rhythm(NamedTuple):
    """Histograms by octaves: seconds between a user's events, sessions of a user, events of a
    session.
    """

    gap: np.ndarray
    per_user: np.ndarray
    per_session: np.ndarray


def sessions_questions() -> list[Question]:
    """Of logs with times."""

    def asked(name: str, part: Callable[[Rhythm], np.ndarray], over: str) -> Question:
        return Question(
            "sessions",
            f"{name}, by octaves",
            f"total variation over {over}",
            _rhythm,
            lambda one, other: total_variation(part(one), other=part(other)),
        )

    return [
        asked("gap between events", lambda found: found.gap, "gaps"),
        asked("sessions of a user", lambda found: found.per_user, "users"),
        asked("events of a session", lambda found: found.per_session, "sessions"),
    ]


def _rhythm(sample: Sample) -> Rhythm:
    return rhythm(sample.whole)


def rhythm(log: EventLog) -> Rhythm:
    """All three histograms; events of a user need not be in order."""
    user = log.user_of_event()
    time = np.asarray(log.time, dtype=np.int64)
    time = time[np.lexsort((time, user))]
    first = np.ones(len(time), dtype=bool)
    first[1:] = np.diff(user) != 0
    gap = np.diff(time, prepend=0)
    opens = first | (gap > SESSION_GAP_SECONDS)
    per_user = np.bincount(user[opens])
    per_session = np.diff(np.append(np.flatnonzero(opens), len(opens)))
    return Rhythm(
        *(
            np.bincount(np.searchsorted(OCTAVES, each, side="right"), minlength=len(OCTAVES) + 1)
            for each in (gap[~first], per_user[per_user > 0], per_session)
        )
    )


def visits_questions(schema: Schema, *, timed: bool) -> list[Question]:
    """Of logs in which a user may come back to an item, or with baskets."""
    found: list[Question] = []
    if schema.several:
        found += [
            histogram(
                "events",
                "events of a visit",
                lambda sample: buckets(group_sizes(sample.whole, sample.whole.item)),
                over="visits",
                linked=True,
            ),
            number(
                "events",
                "visits of more than one event",
                lambda sample: float((group_sizes(sample.whole, sample.whole.item) > 1).mean()),
                method="difference of shares of visits",
                linked=True,
            ),
        ]
    if (basket := schema.basket) is not None:
        name = basket.name
        found.append(
            histogram(
                "events",
                f"events per {name}",
                lambda sample: buckets(group_sizes(sample.whole, sample.whole.marks[name])),
                over=name,
            )
        )
        if timed:
            found.append(
                number(
                    "events",
                    f"{name} at one moment",
                    lambda sample: at_one_moment(sample.whole, name),
                    method="difference of shares",
                )
            )
    return found


def group_sizes(log: EventLog, group: np.ndarray) -> np.ndarray:
    """Events of each visit, where groups are items, or of each basket."""
    return np.unique(_grouped(log, group), return_counts=True)[1]


def _grouped(log: EventLog, group: np.ndarray) -> np.ndarray:
    """One number for each pair of user and group."""
    return np.asarray(
        log.user_of_event().astype(np.int64) * (int(np.max(group, initial=0)) + 1) + group
    )


def at_one_moment(log: EventLog, name: str) -> float:
    """Share of baskets whose events have one time; 1 of none."""
    moments = pd.Series(log.time).groupby(_grouped(log, log.marks[name])).nunique()
    return float((moments == 1).mean()) if len(moments) else 1.0


MAX_TYPES = 12  # in an order of types; later ones are not told apart
FUNNEL = 4


def events_questions(schema: Schema) -> list[Question]:
    """Of logs with the schema's columns of events."""
    found = [] if schema.kind is None else _of_types(schema.kind)
    found += [
        histogram(
            "events",
            f"{column.name} by type",
            _by_type(schema, column.name, column.size + 1),
            over="events",
        )
        for column in schema.details.values()
    ]
    for column in schema.marks_of("item").values():
        found += [
            histogram("events", column.name, _plain(column.name), over="events"),
            number(
                "events",
                f"{column.name} the item's most common one",
                _usual(column.name),
                linked=True,
                method="difference of shares of events",
            ),
        ]
    return found


def _of_types(kind: EventCategory) -> list[Question]:
    name = kind.name
    return [
        histogram("events", name, _plain(name), over="events"),
        histogram(
            "events",
            f"order of {name} on an item",
            lambda sample: np.bincount(funnels(sample.whole, name)),
            over="visits",
            linked=True,
        ),
        histogram(
            "events",
            f"which {name} a user has",
            lambda sample: held(sample.whole, name),
            over="users",
        ),
        *(
            number(
                "events",
                f"{later} after {earlier}",
                _following(name, kind.labels.index(later), kind.labels.index(earlier)),
                method="difference of shares of events",
                linked=True,
            )
            for later, earlier in kind.follows.items()
        ),
    ]


def funnels(log: EventLog, name: str) -> np.ndarray:
    """A number for each visit that says which types it has in which order of first coming."""
    user, item = log.user_of_event(), np.asarray(log.item)
    order = np.lexsort((np.arange(len(item)), item, user))
    new = (np.diff(user[order], prepend=-1) != 0) | (np.diff(item[order], prepend=-1) != 0)
    visit = np.cumsum(new) - 1
    kind = np.minimum(np.asarray(log.marks[name], dtype=np.int64)[order], MAX_TYPES - 1)
    fresh = np.sort(np.unique(visit * MAX_TYPES + kind, return_index=True)[1])
    kinds = pd.Series(kind[fresh]).groupby(visit[fresh])
    place = kinds.cumcount().to_numpy()
    digit = (kind[fresh] + 1) * (MAX_TYPES + 1) ** np.minimum(place, FUNNEL)
    return pd.Series(digit * (place < FUNNEL)).groupby(visit[fresh]).sum().to_numpy()


def held(log: EventLog, name: str) -> np.ndarray:
    """Users by the set of types that they have."""
    kind = np.minimum(np.asarray(log.marks[name], dtype=np.int64), MAX_TYPES - 1)
    had = np.zeros((log.users, MAX_TYPES), dtype=np.int64)
    had[log.user_of_event(), kind] = 1
    return np.bincount(had @ (1 << np.arange(MAX_TYPES)))


def _plain(name: str) -> Callable[[Sample], np.ndarray]:
    return lambda sample: np.bincount(sample.whole.marks[name])


def _by_type(schema: Schema, name: str, cells: int) -> Callable[[Sample], np.ndarray]:
    def of(sample: Sample) -> np.ndarray:
        kind = (
            0
            if schema.kind is None
            else np.asarray(sample.whole.marks[schema.kind.name], dtype=np.int64)
        )
        return np.bincount(kind * cells + np.asarray(sample.whole.marks[name]))

    return of


def _usual(name: str) -> Callable[[Sample], float]:
    """Share of events whose value is their item's most common one."""

    def of(sample: Sample) -> float:
        log = sample.whole
        count = pd.DataFrame({"item": log.item, "code": log.marks[name]}).value_counts()
        return float(count.groupby(level="item").max().sum() / max(1, len(log.item)))

    return of


def _following(name: str, later: int, earlier: int) -> Callable[[Sample], float]:
    """Share of events of one type that have one of the other before them, strictly earlier where
    there is time; 1 of none.
    """

    def of(sample: Sample) -> float:
        log = sample.whole
        kind, events = np.asarray(log.marks[name]), np.arange(len(log.item))
        when = pd.Series(events if log.time is None else np.asarray(log.time))
        begun = (
            when.where(kind == earlier).groupby([log.user_of_event(), log.item]).transform("min")
        )
        asked = kind == later
        return float((begun[asked] < when[asked]).mean()) if asked.any() else 1.0

    return of


MONTH_SECONDS = 30 * 86_400
START_BINS = 32


def hour_questions(column: Datetime) -> list[Question]:
    """Of logs with times; hours are those of the declared zone."""
    return [
        histogram(
            "time",
            "hour by weekday",
            lambda sample: hours(sample.whole, column=column),
            over="events",
        ),
        histogram(
            "time",
            "hour",
            lambda sample: hours(sample.whole, column=column).reshape(7, 24).sum(axis=0),
            over="events",
        ),
        histogram(
            "time",
            "weekday",
            lambda sample: hours(sample.whole, column=column).reshape(7, 24).sum(axis=1),
            over="events",
        ),
        histogram(
            "time",
            "events per 30 days",
            lambda sample: months(sample.whole, column=column),
            over="events",
        ),
        histogram(
            "time",
            f"start of history, in {START_BINS} parts of the window",
            lambda sample: starts(sample.whole, column=column),
            over="users",
        ),
    ]


def hours(log: EventLog, *, column: Datetime) -> np.ndarray:
    """Events of each hour of the week, from Monday 0:00. Shapes: int64[168]."""
    return np.bincount(hour_of_week(_time(log), column=column), minlength=HOURS)


def months(log: EventLog, *, column: Datetime) -> np.ndarray:
    """Events of each 30 days of the window; what lies outside counts at its ends."""
    last = (column.max_seconds - column.min_seconds) // MONTH_SECONDS
    return np.bincount(
        np.clip((_time(log) - column.min_seconds) // MONTH_SECONDS, 0, last), minlength=last + 1
    )


def starts(log: EventLog, *, column: Datetime) -> np.ndarray:
    """Users by the part of the window in which they begin."""
    first = (
        np.minimum.reduceat(_time(log), log.offsets[:-1][log.activity > 0])
        if len(log.item)
        else np.zeros(0, dtype=np.int64)
    )
    width = (column.max_seconds + 1 - column.min_seconds) / START_BINS
    return np.bincount(
        np.clip((first - column.min_seconds) // width, 0, START_BINS - 1).astype(np.int64),
        minlength=START_BINS,
    )


def _time(log: EventLog) -> np.ndarray:
    return np.asarray(log.time, dtype=np.int64)
