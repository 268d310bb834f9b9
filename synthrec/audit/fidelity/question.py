"""One question about likeness: what is asked of a log, and how far two answers lie apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthrec.audit.realism import total_variation
from synthrec.data.eventlog import EventLog


@dataclass(frozen=True, repr=False, eq=False)
class Sample:
    """A private log as the questions see it: whole, cut at K random events a user, and the first
    few users of the cut one.
    """

    whole: EventLog
    cut: EventLog
    few: EventLog  # for what compares every user with every other


@dataclass(frozen=True, eq=False)
class Question:
    """One row of the table. Questions that share an `of` are answered together."""

    topic: str
    name: str
    method: str
    of: Callable[[Sample], Any]
    apart: Callable[[Any, Any], float]  # distance of (synthetic, real)
    value: Callable[[Any], float] | None = None  # the answer as one number worth showing
    linked: bool = False  # does it look at which events are one user's, beyond how many they are?


def histogram(
    topic: str, name: str, of: Callable[[Sample], np.ndarray], *, over: str, linked: bool = False
) -> Question:
    """Total variation of the shares of a histogram; the shorter of two ends in zeros."""
    return Question(
        topic,
        name,
        f"total variation over {over}",
        of,
        lambda one, other: total_variation(one, other=other),
        linked=linked,
    )


def number(
    topic: str,
    name: str,
    of: Callable[[Sample], Any],
    *,
    method: str = "difference",
    value: Callable[[Any], float] = float,
    linked: bool = False,
) -> Question:
    """How far two numbers differ."""
    return Question(
        topic,
        name,
        method,
        of,
        lambda one, other: abs(value(one) - value(other)),
        value=value,
        linked=linked,
    )


def ratio(
    topic: str,
    name: str,
    of: Callable[[Sample], Any],
    *,
    value: Callable[[Any], float] = float,
    linked: bool = False,
) -> Question:
    """How far two numbers differ, as a part of the real one."""
    return Question(
        topic,
        name,
        "difference / real",
        of,
        lambda one, other: relative(value(one), other=value(other)),
        value=value,
        linked=linked,
    )


def relative(one: float, *, other: float) -> float:
    """|one - other| / |other|; 0 when both are 0, 1 when only the other is."""
    return abs(one - other) / abs(other) if other else float(one != other)
