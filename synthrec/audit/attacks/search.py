"""The users of one log who are most like each target, in blocks; and the same after some of them made room for others.

Three attacks ask who comes nearest and differ in what near means: each is a `Space`, fitted on synthetic and reference users only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from synthrec.data.eventlog import EventLog

KEPT = 64                   # nearest others kept of each target, so that planted copies cost only their own rows
_BLOCK_CELLS = 10_000_000   # likenesses held at once


class Space(Protocol):
    """What near means. Rows of `asked` and `given` are users, as an array or a sparse one."""

    def asked(self, log: EventLog) -> Any:
        """Users about whom the attacker asks."""

    def given(self, log: EventLog) -> Any:
        """Users among whom the attacker looks."""

    def likeness(self, asked: Any, given: Any) -> np.ndarray:
        """Higher is nearer. Shapes: float32[t, O]."""

    def score(self, near: Nearest, far: Nearest) -> np.ndarray:
        """Higher says member: near is among synthetic users, far among reference users. Shapes: float64[T]."""


@dataclass(frozen=True, repr=False, eq=False)
class Nearest:
    """The nearest others of each target, nearest first; `spread` is the standard deviation over all others.

    Shapes:
        likeness float32[T, m], place int[T, m] (row of the other user), spread float32[T].
    """

    likeness: np.ndarray
    place: np.ndarray
    spread: np.ndarray


def nearest(space: Space, asked: Any, given: Any, *, count: int = KEPT) -> Nearest:
    """The `count` nearest of the given users, or all of them if they are fewer."""
    targets, others = asked.shape[0], given.shape[0]
    count = min(count, others)
    likeness, place = np.empty((targets, count), np.float32), np.empty((targets, count), np.int32)
    spread = np.zeros(targets, np.float32)
    block = max(1, _BLOCK_CELLS // max(1, others))
    for first in range(0, targets if others else 0, block):
        rows = slice(first, first + block)
        found = space.likeness(asked[rows], given)
        top = np.argpartition(found, others - count, axis=1)[:, others - count:]
        values = np.take_along_axis(found, top, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        likeness[rows], place[rows] = np.take_along_axis(values, order, axis=1), np.take_along_axis(top, order, axis=1)
        spread[rows] = found.std(axis=1)
    return Nearest(likeness, place, spread)


def replaced(before: Nearest, *, kept: np.ndarray, fresh: Nearest, count: int) -> Nearest:
    """The `count` nearest when only the users in `kept` stay of those searched before, and the fresh ones join them.

    `spread` is left as it was: it says nothing about fresh users, and `place` of fresh users starts at zero again.

    Shapes:
        kept bool[S].
    """
    stays = kept[before.place]
    enough = stays.sum(axis=1) >= min(count, int(kept.sum()))
    if not enough.all():
        raise ValueError("replaced users must leave enough of the nearest ones, found too many of them gone: search again")
    values = np.concatenate((np.where(stays, before.likeness, -np.inf), fresh.likeness), axis=1)
    places = np.concatenate((before.place, fresh.place), axis=1)
    order = np.argsort(-values, axis=1, kind="stable")[:, :count]
    return Nearest(np.take_along_axis(values, order, axis=1), np.take_along_axis(places, order, axis=1), before.spread)
