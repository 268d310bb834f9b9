"""Calibrated nearest user, and the search that three attacks share: does somebody's set of items
lie closer to a synthetic user than the population explains?

A profile is the set of items a user has, weighted by inverse document frequency (rare items tell
more). The score is the cosine to the nearest synthetic user less the mean cosine to the nearest few
reference users, who were in no training (calibration: Watson, Guo, Cormode, Sablayrolles 2022).
Attacks that ask who comes nearest differ in what near means: each is a `Space`, fitted on synthetic
and reference users only, searched in blocks, and again after some users made room for others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from synthrec.audit import profiles
from synthrec.data.eventlog import EventLog

KEPT = 64  # nearest others kept of each target, so that planted copies cost only their own rows
DENSE = 0.025  # share of cells that are filled, from which an array is multiplied faster
_BLOCK_CELLS = 4_000_000  # likenesses held at once


class Space(ABC):
    """What near means. Rows of `asked` and `given` are users, as an array or a sparse one; unless
    said, near is what has a large product.
    """

    @abstractmethod
    def asked(self, log: EventLog) -> Any:
        """Users about whom the attacker asks."""

    def given(self, log: EventLog) -> Any:
        """Users among whom the attacker looks."""
        return self.asked(log)

    def likeness(self, asked: Any, given: Any) -> np.ndarray:
        """Higher is nearer, 1 for a perfect match. Shapes: float32[t, O]."""
        if given.nnz > DENSE * given.shape[0] * given.shape[1]:
            return np.asarray(asked @ np.ascontiguousarray(given.toarray().T))
        return np.asarray((asked @ given.T.tocsr()).toarray())

    def score(self, near: Nearest, far: Nearest) -> np.ndarray:
        """Higher says member: closeness to a synthetic user (near) that reference users (far) do
        not have. Shapes: float64[T].
        """
        return np.asarray(first(near, 1) - first(far, CALIBRATION_NEIGHBOURS))


@dataclass(frozen=True, repr=False, eq=False)
class Nearest:
    """The nearest others of each target, nearest first; `spread` is the standard deviation over all
    others.

    Shapes:
        likeness float32[T, m], place int[T, m] (row of the other user), spread float32[T].
    """

    likeness: np.ndarray
    place: np.ndarray
    spread: np.ndarray


def nearest(space: Space, asked: Any, given: EventLog, *, count: int = KEPT) -> Nearest:
    """The `count` nearest of the given users, or all of them if they are fewer; memory grows with
    neither.
    """
    targets, first = asked.shape[0], 0
    likeness, place = np.empty((targets, 0), np.float32), np.empty((targets, 0), np.int32)
    total, squares = np.zeros(targets), np.zeros(targets)
    for some in given.blocks(users=max(1, _BLOCK_CELLS // max(1, targets))):
        found = space.likeness(asked, space.given(some))
        total += found.sum(axis=1)
        squares += np.einsum("ij,ij->i", found, found)
        rows = np.arange(first, first + some.users, dtype=np.int32)
        likeness = np.concatenate((likeness, found), axis=1)
        place = np.concatenate((place, np.broadcast_to(rows, found.shape)), axis=1)
        if likeness.shape[1] > count:
            top = np.argpartition(likeness, -count, axis=1)[:, -count:]
            likeness, place = (np.take_along_axis(part, top, axis=1) for part in (likeness, place))
        first += some.users
    order = np.argsort(-likeness, axis=1, kind="stable")
    mean = total / max(1, first)
    spread = np.sqrt(np.maximum(squares / max(1, first) - mean**2, 0.0)).astype(np.float32)
    return Nearest(
        np.take_along_axis(likeness, order, axis=1),
        np.take_along_axis(place, order, axis=1),
        spread,
    )


def replaced(before: Nearest, *, kept: np.ndarray, fresh: Nearest, count: int) -> Nearest:
    """The `count` nearest when only the users in `kept` stay of those searched before, and the
    fresh ones join them.

    `spread` is left as it was: it says nothing about fresh users, and `place` of fresh users starts
    at zero again.

    Shapes:
        kept bool[S].
    """
    stays = kept[before.place]
    enough = stays.sum(axis=1) >= min(count, int(kept.sum()))
    if not enough.all():
        raise ValueError(
            "replaced users must leave enough of the nearest ones, found too many of them gone: search again"
        )
    values = np.concatenate((np.where(stays, before.likeness, -np.inf), fresh.likeness), axis=1)
    places = np.concatenate((before.place, fresh.place), axis=1)
    order = np.argsort(-values, axis=1, kind="stable")[:, :count]
    return Nearest(
        np.take_along_axis(values, order, axis=1),
        np.take_along_axis(places, order, axis=1),
        before.spread,
    )


NAME = "calibrated nearest user"
KNOWS = "which items a person has"
CALIBRATION_NEIGHBOURS = 5


@dataclass(frozen=True, repr=False, eq=False)
class ItemSets(Space):
    """Cosine of item sets. Shapes: weights float32[V]."""

    weights: np.ndarray

    @classmethod
    def fit(cls, synthetic: EventLog, *, reference: EventLog, items: int) -> ItemSets:
        """Weights from synthetic and reference users only: under the null, members and holdout
        users are exchangeable.
        """
        return cls(inverse_document_frequency(synthetic, reference, items=items))

    def asked(self, log: EventLog) -> sparse.csr_array:
        """Shapes: float32[B, V], rows of length one; a user without events keeps an empty row."""
        return unit_profiles(log, weights=self.weights)


def first(found: Nearest, count: int) -> np.ndarray:
    """Mean likeness of the nearest few; zero where nobody was there. Shapes: float64[T]."""
    top = found.likeness[:, :count]
    return np.asarray(top.mean(axis=1, dtype=np.float64) if top.shape[1] else np.zeros(len(top)))


def inverse_document_frequency(*logs: EventLog, items: int) -> np.ndarray:
    """log((1 + users) / (1 + users with the item)) over the users of all logs. Shapes: float32[V]."""
    having = sum(profiles.pattern(log, items=items).sum(axis=0) for log in logs)
    users = sum(log.users for log in logs)
    return np.asarray(np.log((1.0 + users) / (1.0 + having)), dtype=np.float32)


def unit_profiles(log: EventLog, *, weights: np.ndarray) -> sparse.csr_array:
    """Weighted item sets of length one. Shapes: float32[B, V]."""
    matrix = profiles.pattern(log, items=len(weights))
    matrix.data = weights[matrix.indices]
    norm = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    matrix.data = (
        matrix.data / np.repeat(np.where(norm > 0, norm, 1.0), np.diff(matrix.indptr))
    ).astype(np.float32)
    return matrix
