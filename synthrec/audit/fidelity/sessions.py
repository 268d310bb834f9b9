"""Sessions: a user's events without a longer pause than half an hour; gaps between events, events of a session, sessions of a user."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from synthrec.audit.fidelity.question import Question, Sample
from synthrec.audit.realism import total_variation
from synthrec.data.eventlog import EventLog
from synthrec.data.hours import SESSION_GAP_SECONDS

OCTAVES = 2.0 ** np.arange(26)


class Rhythm(NamedTuple):
    """Histograms by octaves: seconds between a user's events, sessions of a user, events of a session."""

    gap: np.ndarray
    per_user: np.ndarray
    per_session: np.ndarray


def questions() -> list[Question]:
    """Of logs with times."""
    def asked(name: str, part: Callable[[Rhythm], np.ndarray], over: str) -> Question:
        return Question("sessions", f"{name}, by octaves", f"total variation over {over}", _rhythm,
                        lambda one, other: total_variation(part(one), other=part(other)))

    return [asked("gap between events", lambda found: found.gap, "gaps"),
            asked("sessions of a user", lambda found: found.per_user, "users"),
            asked("events of a session", lambda found: found.per_session, "sessions")]


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
    return Rhythm(*(np.bincount(np.searchsorted(OCTAVES, each, side="right"), minlength=len(OCTAVES) + 1)
                    for each in (gap[~first], per_user[per_user > 0], per_session)))
