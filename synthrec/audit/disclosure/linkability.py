"""Linkability: an intruder knows 2, 4 or 8 events of a person and names the synthetic user who looks most like them.

The link is judged by what the intruder did not know: it succeeds when the named user has the person's rarest other item (fewest times in
the synthetic log, ties by chance). For people outside training it succeeds as often as tastes alone make it; that is the control. The
random attacker names any synthetic user.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from synthrec.audit.disclosure.knowledge import Person, equally_many, people_known
from synthrec.audit.disclosure.risk import risk_of
from synthrec.audit.disclosure.scoreboard import Scoreboard, nearest
from synthrec.audit.record import Risk
from synthrec.data.eventlog import EventLog

KNOWN = (2, 4, 8)


def linkability(trained: EventLog, *, holdout: EventLog, board: Scoreboard, rng: np.random.Generator) -> Iterable[Risk]:
    """One risk for each number of known events that anybody can have; users are attacked who have more than that."""
    for events in KNOWN:
        inside, outside = equally_many(*(people_known(log, events=events, rng=rng) for log in (trained, holdout)))
        if not inside:
            return
        secret = [[_rarest(person, log=log, board=board, rng=rng) for person in people]
                  for people, log in ((inside, trained), (outside, holdout))]
        attack, control = (np.array([_linked(person, item=item, board=board, rng=rng) for person, item in zip(people, items, strict=True)])
                           for people, items in zip((inside, outside), secret, strict=True))
        anybody = np.array([board.has(int(rng.integers(board.users)), item) for item in secret[0]])
        yield risk_of("linkability", setting=f"{events} known events", attack=attack, control=control, random=anybody)


def _rarest(person: Person, *, log: EventLog, board: Scoreboard, rng: np.random.Generator) -> int:
    items = log.item[person.hidden]
    return int(items[np.lexsort((rng.random(len(items)), board.having[items]))[0]])


def _linked(person: Person, *, item: int, board: Scoreboard, rng: np.random.Generator) -> bool:
    *_, score = board.scores(person)
    best = nearest(score, count=1, rng=rng)
    return len(best) == 1 and board.has(int(best[0]), item)
