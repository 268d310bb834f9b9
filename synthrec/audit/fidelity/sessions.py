"""Sessions: a user's events without a longer pause than half an hour; gaps between events, events of a session, sessions of a user."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from synthrec.audit.fidelity.question import Question, Sample, histogram
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
    def asked(name: str, place: int, over: str) -> Question:
        plain = histogram("sessions", name, _rhythm, over=over)
        return Question(plain.topic, name, plain.method, _rhythm, lambda one, other: plain.apart(one[place], other[place]))
    return [asked("gap between events, by octaves", 0, "gaps"), asked("sessions of a user, by octaves", 1, "users"),
            asked("events of a session, by octaves", 2, "sessions")]


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
