"""Parts of the held-out events: items by popularity, users by activity. A method may be good on hits and useless in the tail.

The rule: items sorted by their events in the real train log are cut where they hold the first and the second third of those events: head,
middle, tail (which takes items that the train log never saw). Test users sorted by their events are cut into ten equal parts, decile 1 the
least active. Ties go by place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthrec.audit import profiles
from synthrec.data.eventlog import EventLog

POPULARITY_PARTS = ("head", "middle", "tail")
DECILES = 10


@dataclass(frozen=True, repr=False, eq=False)
class Part:
    """Some of the held-out events: private. Shapes: chosen bool[N]."""

    by: Literal["item popularity", "user activity"]
    name: str
    chosen: np.ndarray


def parts(*, train: EventLog, test: EventLog, heldout: EventLog, items: int) -> tuple[Part, ...]:
    """Three parts by item, ten by user; each kind covers every held-out event once. `test` and `heldout` have the same users in order."""
    return (*_by_item(train, heldout=heldout, items=items), *_by_user(test, heldout=heldout))


def popularity_part(train: EventLog, *, items: int) -> np.ndarray:
    """0 head, 1 middle, 2 tail. Shapes: int64[V]."""
    events = np.bincount(train.item, minlength=items)
    order = np.argsort(-events, kind="stable")
    before = np.cumsum(events[order]) - events[order]       # an item belongs where its first event falls
    part = np.empty(items, dtype=np.int64)
    part[order] = np.where(events[order] > 0, np.minimum(3 * before // max(1, events.sum()), 2), 2)
    return part


def _by_item(train: EventLog, *, heldout: EventLog, items: int) -> Iterator[Part]:
    part = popularity_part(train, items=items)[np.asarray(heldout.item)]
    return (Part(by="item popularity", name=name, chosen=part == place) for place, name in enumerate(POPULARITY_PARTS))


def _by_user(test: EventLog, *, heldout: EventLog) -> Iterator[Part]:
    users = len(test.offsets) - 1
    decile = np.empty(users, dtype=np.int64)
    decile[np.argsort(profiles.activity(test), kind="stable")] = np.arange(users) * DECILES // max(1, users)
    mine = decile[profiles.user_of_event(heldout)]
    return (Part(by="user activity", name=f"decile {place + 1}", chosen=mine == place) for place in range(DECILES))
