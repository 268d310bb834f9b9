"""Everybody whom an audit looks at, by the part they play: the one shape in which real people reach
the attacks and the figures of use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthrec.audit import profiles
from synthrec.data.eventlog import EventLog

MAX_ASKED = 5_000  # members, and so holdout, reference and test users
MAX_GIVEN = 100_000  # synthetic users among whom attacks look
MAX_LEARNED = 20_000  # users of a log from which figures of use and likeness are made


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
    asked_share: float = 1.0  # of the members, whom attacks ask about
    given_share: float = 1.0  # of the synthetic users, among whom they look

    def sampled(self, *, synthetic: int, rng: np.random.Generator) -> AuditSplits:
        """The same with at most MAX_ASKED users of each kind, and so many synthetic ones, by chance:
        what pairs people off costs no more beyond.

        Guarantees: of users in for a coin and users out for one a part is drawn without a look at
        the coin, which stays fair and independent; users in for one come before other members.
        """
        coined, members, most = np.flatnonzero(self.coined), self.trained.users, MAX_ASKED
        both = rng.permutation(len(coined) + self.holdout.users)
        both = both[: most * (2 if len(coined) else 1)]
        others = rng.permutation(np.flatnonzero(~self.coined))
        kept_in = coined[both[both < len(coined)]]
        asked = np.sort(np.concatenate((kept_in, others[: max(0, most - len(kept_in))])))
        return replace(
            self,
            trained=self.trained.select(asked),
            coined=self.coined[asked],
            holdout=self.holdout.select(np.sort(both[both >= len(coined)] - len(coined))),
            reference=profiles.some(self.reference, most=most, rng=rng),
            test=profiles.some(self.test, most=most, rng=rng),
            train_whole=profiles.some(self.train_whole, most=MAX_LEARNED, rng=rng),
            synthetic=profiles.some(self.synthetic, most=synthetic, rng=rng),
            asked_share=len(asked) / max(1, members),
            given_share=min(1.0, synthetic / max(1, self.synthetic.users)),
        )
