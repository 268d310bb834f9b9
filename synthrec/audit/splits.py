"""Everybody whom an audit looks at, by the part they play: the one shape in which real people reach
the attacks and the figures of use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthrec.data.eventlog import EventLog


@dataclass(frozen=True)
class Knowledge:
    """Columns that the intruder knows, and those that are to be inferred; None: all."""

    known: frozenset[str] | None = None
    secret: frozenset[str] | None = None
    names: tuple[tuple[str, str], ...] = ()  # of item, rating and time, as declared

    def knows(self, column: str) -> bool:
        """Does the intruder know values of a column?"""
        return self.known is None or column in self.known

    def asks(self, column: str) -> bool:
        """Is a column to be inferred?"""
        return self.secret is None or column in self.secret

    def of(self, log: EventLog) -> EventLog:
        """What the intruder may know of it."""
        unknown = [name for name in ("rating", "time") if not self.knows(name)]
        missing: dict[str, Any] = dict.fromkeys(unknown)
        return replace(log, **missing)


EVERYTHING = Knowledge()


@dataclass(frozen=True, repr=False, eq=False)
class AuditSplits:
    """Private logs, all read alike; `trained`, `holdout` and `reference` are bounded at K by the
    same rule.

    Coined users entered training, or stayed out, by an independent fair coin each: those of
    `trained` marked in `coined` came in, all of `holdout` stayed out. Nothing but the coin tells
    the two apart.

    Shapes:
        coined bool[B], B the users of `trained`.
    """

    trained: EventLog  # the very events that training used
    coined: np.ndarray
    holdout: EventLog  # in no training
    reference: EventLog  # in no training, known to the attacker
    test: EventLog  # in no training, unbounded: scores use
    train_whole: EventLog  # the users of `trained`, unbounded: the ceiling of use
    synthetic: EventLog
    items: int  # rows of the catalogue
    events_per_user: int  # K
    knowledge: Knowledge = EVERYTHING  # of whoever attacks
