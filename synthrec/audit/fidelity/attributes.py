"""Attributes of users, each alone and two at a time.

A generator that draws attributes independently of each other gets each alone right and pairs wrong: the second kind of row is there to
say so. A column of events that is the same for all events of a user counts as an attribute.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from synthrec.audit.fidelity.question import Question, Sample, histogram
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema

MOST_PAIRS = 15


def questions(real: EventLog, *, other: EventLog, schema: Schema) -> list[Question]:
    """Of the attributes that both logs have, in the schema's order."""
    columns = {name: _attribute(name) for name in schema.user_attributes if name in real.attributes and name in other.attributes}
    columns |= {name: _of_first_event(name) for name in schema.marks_of("user") if name in real.marks and name in other.marks}
    sizes = {name: column.size + 1 for name, column in {**schema.user_attributes, **schema.marks_of("user")}.items()}
    pairs = list(combinations(columns, 2))[:MOST_PAIRS]
    return [histogram("attributes", name, _counted(column), over="users") for name, column in columns.items()] + [
        histogram("attributes", f"{one} and {two}", _counted(columns[one], columns[two], size=sizes[two]), over="users")
        for one, two in pairs]


def _attribute(name: str) -> Callable[[Sample], np.ndarray]:
    return lambda sample: np.asarray(sample.whole.attributes[name], dtype=np.int64)


def _of_first_event(name: str) -> Callable[[Sample], np.ndarray]:
    """The value of each user's first event; users without events have none."""
    def of(sample: Sample) -> np.ndarray:
        log = sample.whole
        active = np.diff(log.offsets) > 0
        code = np.full(len(active), -1, dtype=np.int64)
        code[active] = np.asarray(log.marks[name])[log.offsets[:-1][active]]
        return code
    return of


def _counted(one: Callable[[Sample], np.ndarray], two: Callable[[Sample], np.ndarray] | None = None, *,
             size: int = 1) -> Callable[[Sample], np.ndarray]:
    """Users by the code of one attribute, or by the codes of two."""
    def of(sample: Sample) -> np.ndarray:
        first, second = one(sample), np.zeros(1, dtype=np.int64) if two is None else two(sample)
        return np.bincount((first * size + second)[(first >= 0) & (second >= 0)])
    return of
