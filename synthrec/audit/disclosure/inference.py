"""Attribute inference: an intruder knows 8 events of a person and guesses something else from the synthetic users who look like them.

What is guessed: every attribute that real and synthetic users both have (the commonest among the five nearest); the rating of a hidden
event (that of the nearest user who has the item); and which of two items the person has, one of theirs and one that is not, about as common
in the synthetic log (the one that a nearer user has). The random attacker draws from the synthetic log's attributes and ratings, or throws
a coin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from synthrec.audit.disclosure.knowledge import Person, equally_many, people_known
from synthrec.audit.disclosure.risk import risk_of
from synthrec.audit.disclosure.scoreboard import Scoreboard, nearest
from synthrec.audit.record import Risk
from synthrec.data.eventlog import EventLog

KNOWN, NEIGHBOURS = 8, 5
NEARBY = 10             # places in the order of popularity within which a decoy is sought


class Guess(NamedTuple):
    """Was the guess right, and would one at random have been?"""

    right: bool
    random: bool


def attribute_inference(trained: EventLog, *, holdout: EventLog, board: Scoreboard, rng: np.random.Generator) -> Iterable[Risk]:
    """One risk for each secret; users with fewer than nine events are not attacked."""
    inside, outside = equally_many(*(people_known(log, events=KNOWN, rng=rng) for log in (trained, holdout)))
    if not inside:
        return
    order = np.argsort(board.having, kind="stable")
    found = [[dict(_guesses(person, log=log, board=board, order=order, rng=rng)) for person in people]
             for people, log in ((inside, trained), (outside, holdout))]
    for setting in dict.fromkeys(name for guesses in found for guess in guesses for name in guess):
        attack, control = (np.array([guess[setting].right for guess in guesses if setting in guess], dtype=bool) for guesses in found)
        random = np.array([guess[setting].random for guess in found[0] if setting in guess], dtype=bool)
        yield risk_of("attribute inference", setting=f"{setting}, {KNOWN} known events", attack=attack, control=control, random=random)


def _guesses(person: Person, *, log: EventLog, board: Scoreboard, order: np.ndarray,
             rng: np.random.Generator) -> Iterator[tuple[str, Guess]]:
    *_, score = board.scores(person)
    near = nearest(score, count=NEIGHBOURS, rng=rng)
    for name in log.attributes:
        if name in board.log.attributes:
            yield name, _attribute(int(log.attributes[name][person.row]), codes=board.log.attributes[name], near=near, rng=rng)
    event = int(rng.choice(person.hidden))
    if log.rating is not None and board.log.rating is not None:
        yield "rating of a hidden event", _rating(float(log.rating[event]), item=int(log.item[event]), score=score, board=board, rng=rng)
    decoy = _decoy(int(log.item[event]), own=log.item[log.offsets[person.row]:log.offsets[person.row + 1]], order=order, rng=rng)
    if decoy is not None:
        closest = [score[board.user[board.column(item)]].max(initial=0.0) for item in (int(log.item[event]), decoy)]
        coin = bool(rng.random() < 0.5)
        yield "a hidden item against a decoy", Guess(closest[0] > closest[1] or (closest[0] == closest[1] and coin), coin)


def _attribute(truth: int, *, codes: np.ndarray, near: np.ndarray, rng: np.random.Generator) -> Guess:
    anybody = int(codes[rng.integers(len(codes))])
    if len(near) == 0:
        return Guess(anybody == truth, anybody == truth)
    values, first, votes = np.unique(codes[near], return_index=True, return_counts=True)
    guess = values[np.lexsort((first, -votes))[0]]      # of equally many votes those of the nearest
    return Guess(int(guess) == truth, anybody == truth)


def _rating(truth: float, *, item: int, score: np.ndarray, board: Scoreboard, rng: np.random.Generator) -> Guess:
    assert board.log.rating is not None
    column = board.column(item)
    anybody = float(board.log.rating[rng.integers(len(board.log.rating))])
    if len(column) == 0:
        return Guess(anybody == truth, anybody == truth)
    best = column[np.lexsort((rng.random(len(column)), -score[board.user[column]]))[0]]
    return Guess(float(board.log.rating[best]) == truth, anybody == truth)


def _decoy(item: int, *, own: np.ndarray, order: np.ndarray, rng: np.random.Generator) -> int | None:
    """An item that the person does not have, near theirs in the order of popularity; None if they have all of those."""
    place = int(np.flatnonzero(order == item)[0])
    around = order[max(0, place - NEARBY):place + NEARBY + 1]
    others = around[~np.isin(around, own)]
    return int(rng.choice(others)) if len(others) else None
