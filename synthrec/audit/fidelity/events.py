"""Typed events: their types, which types lead to which on an item, and the numbers that they hold.

The funnel is the order in which types come for the first time on an item by one user: the first four of them. Where the schema says
that one type follows another, the share for which it holds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synthrec.audit.fidelity.question import Question, Sample, histogram, number
from synthrec.audit.fidelity.visits import in_visits
from synthrec.data.columns import EventCategory
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema

MOST_TYPES = 12         # in an order of types; later ones are not told apart
FUNNEL = 4


def questions(schema: Schema) -> list[Question]:
    """Of logs with the schema's columns of events."""
    found = [] if schema.kind is None else _of_types(schema.kind)
    found += [histogram("events", f"{column.name} by type", _by_type(schema, column.name, column.size + 1), over="events")
              for column in schema.details.values()]
    for column in schema.marks_of("item").values():
        found += [histogram("events", column.name, _plain(column.name), over="events"),
                  number("events", f"{column.name} the item's most common one", _usual(column.name), linked=True,
                         method="difference of shares of events")]
    return found


def _of_types(kind: EventCategory) -> list[Question]:
    name = kind.name
    return [histogram("events", name, _plain(name), over="events"),
            histogram("events", f"order of {name} on an item", lambda sample: np.bincount(funnels(sample.whole, name)), over="visits",
                      linked=True),
            histogram("events", f"which {name} a user has", lambda sample: held(sample.whole, name), over="users"),
            *(number("events", f"{later} after {earlier}", _following(name, kind.labels.index(later), kind.labels.index(earlier)),
                     method="difference of shares of events", linked=True) for later, earlier in kind.follows.items())]


def funnels(log: EventLog, name: str) -> np.ndarray:
    """A number for each visit that says which types it has in which order of first coming."""
    order, visit = in_visits(log)
    kind = np.minimum(np.asarray(log.marks[name], dtype=np.int64)[order], MOST_TYPES - 1)
    fresh = np.sort(np.unique(visit * MOST_TYPES + kind, return_index=True)[1])
    visit, kind = visit[fresh], kind[fresh]
    first = np.flatnonzero(np.concatenate(([True], np.diff(visit) != 0))) if len(visit) else np.zeros(0, dtype=np.int64)
    place = np.arange(len(visit)) - np.repeat(first, np.diff(np.append(first, len(visit))))
    short = place < FUNNEL
    code = np.zeros(int(visit.max(initial=-1)) + 1, dtype=np.int64)
    np.add.at(code, visit[short], (kind[short] + 1) * (MOST_TYPES + 1) ** place[short])
    return code


def held(log: EventLog, name: str) -> np.ndarray:
    """Users by the set of types that they have."""
    kind = np.minimum(np.asarray(log.marks[name], dtype=np.int64), MOST_TYPES - 1)
    had = np.zeros((len(log.offsets) - 1, MOST_TYPES), dtype=np.int64)
    had[log.user_of_event(), kind] = 1
    return np.bincount(had @ (1 << np.arange(MOST_TYPES)))


def _plain(name: str) -> Callable[[Sample], np.ndarray]:
    return lambda sample: np.bincount(sample.whole.marks[name])


def _by_type(schema: Schema, name: str, cells: int) -> Callable[[Sample], np.ndarray]:
    def of(sample: Sample) -> np.ndarray:
        kind = 0 if schema.kind is None else np.asarray(sample.whole.marks[schema.kind.name], dtype=np.int64)
        return np.bincount(kind * cells + np.asarray(sample.whole.marks[name]))
    return of


def _usual(name: str) -> Callable[[Sample], float]:
    """Share of events whose value is their item's most common one."""
    def of(sample: Sample) -> float:
        log, code = sample.whole, np.asarray(sample.whole.marks[name], dtype=np.int64)
        pairs, count = np.unique(np.asarray(log.item, dtype=np.int64) * (int(code.max(initial=0)) + 1) + code, return_counts=True)
        most = np.zeros(int(log.item.max(initial=-1)) + 1, dtype=np.int64)
        np.maximum.at(most, pairs // (int(code.max(initial=0)) + 1), count)
        return float(most.sum() / max(1, len(code)))
    return of


def _following(name: str, later: int, earlier: int) -> Callable[[Sample], float]:
    """Share of events of one type that have one of the other before them, strictly earlier where there is time; 1 of none."""
    def of(sample: Sample) -> float:
        log = sample.whole
        order, visit = in_visits(log)
        kind, when = np.asarray(log.marks[name])[order], order if log.time is None else np.asarray(log.time)[order]
        begun = np.full(int(visit.max(initial=-1)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(begun, visit[kind == earlier], when[kind == earlier])
        asked = kind == later
        return float((begun[visit[asked]] < when[asked]).mean()) if asked.any() else 1.0
    return of
