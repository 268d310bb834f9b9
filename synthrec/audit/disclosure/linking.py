"""Linkability and attribute inference: an intruder knows a few events of a person, and asks the
synthetic users who look most like them.

Each known event gives every synthetic user who has its item a weight, larger for rarer items, times
one for the item itself and up to one more each for a rating and a date that agree (after Narayanan
and Shmatikov 2008); of an item had several times the best counts. Linkability, of 2, 4 or 8 known
events: the named user must have the person's rarest other item (fewest times in the synthetic log,
ties by chance); for people outside training that succeeds as often as tastes alone make it, which
is the control, and the random attacker names any synthetic user; so it is of a few exact times,
numbers or attributes. Attribute inference, of 8: every attribute that real and synthetic users both
have (the commonest among the five nearest), what a hidden event says besides its item and time
(that of the nearest user who has the item), and which of two items the person
has, one of theirs and one about as common in the synthetic log (the one that a nearer user has);
the random attacker draws from the synthetic log's values, or throws a coin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse

from synthrec.audit import profiles
from synthrec.audit.attacks.exact import View, columns_of
from synthrec.audit.disclosure.common import (
    DATE_ERROR_SECONDS,
    RATING_ERROR,
    Person,
    equally_many,
    people_known,
    risk_of,
)
from synthrec.audit.record import Risk
from synthrec.audit.splits import Knowledge
from synthrec.data.eventlog import EventLog, exact, is_exact


class SyntheticIndex:
    """The synthetic log by item: columns of its events."""

    def __init__(self, synthetic: EventLog, *, items: int) -> None:
        self.log = synthetic
        self.users = synthetic.users
        self.user = np.asarray(synthetic.user_of_event())
        self._by_item = np.argsort(synthetic.item, kind="stable")
        self.having = np.bincount(synthetic.item, minlength=items)  # events of each item
        self._ends = np.cumsum(self.having)
        self.columns = {
            name: np.asarray(values, dtype=np.float64)
            for name, values in columns_of([synthetic]).items()
            if name not in ("item", "time") and values.dtype != np.int32
        }  # that can be inferred of an event
        self._weight = 1.0 / np.log(2.0 + self.having)

    def column(self, item: int) -> np.ndarray:
        """Events of an item. Shapes: int[E]."""
        return self._by_item[self._ends[item] - self.having[item] : self._ends[item]]

    def has(self, user: int, item: int) -> bool:
        """Does a synthetic user have an item?"""
        first, end = self.log.offsets[user], self.log.offsets[user + 1]
        return bool((self.log.item[first:end] == item).any())

    def scores(self, person: Person) -> Iterator[np.ndarray]:
        """Everybody's score after each further known event; the array is reused. Shapes:
        float64[S].
        """
        total = np.zeros(self.users)
        for place, item in enumerate(person.item):
            column, part = self.column(item), np.zeros(self.users)
            np.maximum.at(
                part, self.user[column], self._agreement(person, place=place, column=column)
            )
            total += self._weight[item] * part
            yield total

    def _agreement(self, person: Person, *, place: int, column: np.ndarray) -> np.ndarray:
        found = np.ones(len(column))
        if person.rating is not None and self.log.rating is not None:
            found += np.exp(-np.abs(self.log.rating[column] - person.rating[place]) / RATING_ERROR)
        if person.time is not None and self.log.time is not None:
            found += np.exp(
                -np.abs(self.log.time[column] - person.time[place]) / DATE_ERROR_SECONDS
            )
        return found


def nearest(score: np.ndarray, *, count: int, rng: np.random.Generator) -> np.ndarray:
    """The highest positive scores, best first, ties by chance; fewer than `count` where fewer agree
    in anything. Shapes: int[<= count].
    """
    among = np.flatnonzero(score > 0)
    if len(among) > count:
        least = np.partition(score[among], len(among) - count)[len(among) - count]
        among = among[score[among] >= least]
    order = np.lexsort((rng.random(len(among)), -score[among]))
    return among[order[:count]]


def _most_alike(
    person: Person, *, index: SyntheticIndex, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Everybody's score once all is known, and the nearest. Shapes: float64[S], int[<= count]."""
    *_, score = index.scores(person)
    return score, nearest(score, count=count, rng=rng)


EVENTS_KNOWN, NEIGHBOURS = 8, 5
NEARBY = 10  # places in the order of popularity within which a decoy is sought


class Guess(NamedTuple):
    """Was the guess right, and would one at random have been?"""

    right: bool
    random: bool


def attribute_inference(
    trained: EventLog,
    *,
    holdout: EventLog,
    index: SyntheticIndex,
    knowledge: Knowledge,
    rng: np.random.Generator,
) -> Iterable[Risk]:
    """One risk for each secret; users with fewer than nine events are not attacked."""
    inside, outside = equally_many(
        *(
            people_known(knowledge.of(log), events=EVENTS_KNOWN, rng=rng)
            for log in (trained, holdout)
        )
    )
    if not inside:
        return
    order = np.argsort(index.having, kind="stable")
    found = [
        [
            {
                setting: guess
                for column, setting, guess in _guesses(
                    person, log=log, index=index, order=order, rng=rng
                )
                if knowledge.asks(column)
            }
            for person in people
        ]
        for people, log in ((inside, trained), (outside, holdout))
    ]
    for setting in dict.fromkeys(name for guesses in found for guess in guesses for name in guess):
        attack, control = (
            np.array([guess[setting].right for guess in guesses if setting in guess], dtype=bool)
            for guesses in found
        )
        random = np.array(
            [guess[setting].random for guess in found[0] if setting in guess], dtype=bool
        )
        yield risk_of(
            "attribute inference",
            setting=f"{setting}, {EVENTS_KNOWN} known events",
            attack=attack,
            control=control,
            random=random,
        )


def _guesses(
    person: Person,
    *,
    log: EventLog,
    index: SyntheticIndex,
    order: np.ndarray,
    rng: np.random.Generator,
) -> Iterator[tuple[str, str, Guess]]:
    """Column, setting and guess."""
    score, near = _most_alike(person, index=index, count=NEIGHBOURS, rng=rng)
    for name, codes in log.attributes.items():
        if name in index.log.attributes and not is_exact(name):
            truth, others = int(codes[person.row]), index.log.attributes[name]
            yield name, name, _attribute(truth, codes=others, near=near, rng=rng)
    event = int(rng.choice(person.hidden))
    item = int(log.item[event])
    for name, values in index.columns.items():
        own = log.rating if name == "rating" else log.marks.get(exact(name), log.marks.get(name))
        if own is not None:
            guess = _value(
                float(own[event]), item=item, values=values, score=score, index=index, rng=rng
            )
            yield name, f"{name} of a hidden event", guess
    decoy = _decoy(
        item,
        own=log.item[log.offsets[person.row] : log.offsets[person.row + 1]],
        order=order,
        rng=rng,
    )
    if decoy is not None:
        closest = [score[index.user[index.column(each)]].max(initial=0.0) for each in (item, decoy)]
        coin = bool(rng.random() < 0.5)
        right = closest[0] > closest[1] or (closest[0] == closest[1] and coin)
        yield "item", "a hidden item against a decoy", Guess(right, coin)


def _attribute(
    truth: int, *, codes: np.ndarray, near: np.ndarray, rng: np.random.Generator
) -> Guess:
    anybody = guess = int(codes[rng.integers(len(codes))])
    if len(near):
        values, first, votes = np.unique(codes[near], return_index=True, return_counts=True)
        guess = values[np.lexsort((first, -votes))[0]]  # of equally many votes those of the nearest
    return Guess(int(guess) == truth, anybody == truth)


def _value(
    truth: float,
    *,
    item: int,
    values: np.ndarray,
    score: np.ndarray,
    index: SyntheticIndex,
    rng: np.random.Generator,
) -> Guess:
    column = index.column(item)
    anybody = guess = float(values[rng.integers(len(values))])
    if len(column):
        best = column[np.lexsort((rng.random(len(column)), -score[index.user[column]]))[0]]
        guess = float(values[best])
    return Guess(guess == truth, anybody == truth)


def _decoy(
    item: int, *, own: np.ndarray, order: np.ndarray, rng: np.random.Generator
) -> int | None:
    """An item that the person does not have, near theirs in the order of popularity; None if they
    have all of those.
    """
    place = int(np.flatnonzero(order == item)[0])
    around = order[max(0, place - NEARBY) : place + NEARBY + 1]
    others = around[~np.isin(around, own)]
    return int(rng.choice(others)) if len(others) else None


EVENTS_KNOWN_OF_HALVES = (2, 4, 8)


def linkability(
    trained: EventLog,
    *,
    holdout: EventLog,
    index: SyntheticIndex,
    knowledge: Knowledge,
    rng: np.random.Generator,
) -> Iterable[Risk]:
    """One risk for each number of known events that anybody can have; users are attacked who have
    more than that.
    """
    for events in EVENTS_KNOWN_OF_HALVES:
        inside, outside = equally_many(
            *(people_known(knowledge.of(log), events=events, rng=rng) for log in (trained, holdout))
        )
        if not inside:
            return
        secret = [
            [_rarest(person, log=log, index=index, rng=rng) for person in people]
            for people, log in ((inside, trained), (outside, holdout))
        ]
        attack, control = (
            np.array(
                [
                    any(index.has(int(user), item) for user in best)
                    for person, item in zip(people, items, strict=True)
                    for best in [_most_alike(person, index=index, count=1, rng=rng)[1]]
                ]
            )
            for people, items in zip((inside, outside), secret, strict=True)
        )
        anybody = np.array([index.has(int(rng.integers(index.users)), item) for item in secret[0]])
        yield risk_of(
            "linkability",
            setting=f"{events} known events",
            attack=attack,
            control=control,
            random=anybody,
        )


def _rarest(
    person: Person, *, log: EventLog, index: SyntheticIndex, rng: np.random.Generator
) -> int:
    items = log.item[person.hidden]
    return int(items[np.lexsort((rng.random(len(items)), index.having[items]))[0]])


def linked_by_values(view: View, *, known: int, rng: np.random.Generator) -> Risk | None:
    """Of so many exact values that the intruder knows: the synthetic user with the rarest of them
    must have the person's rarest other value. None without people who have more than those.
    """
    *people, synthetic = view.tokens
    having = np.bincount(synthetic.indices, minlength=synthetic.shape[1])
    linked, secrets = [], []
    for tokens in people:
        tokens = tokens[np.flatnonzero(np.diff(tokens.indptr) > known)]
        user = np.repeat(np.arange(tokens.shape[0]), np.diff(tokens.indptr))
        told = profiles.rank_within(user, rng=rng) < known
        hidden = np.where(told, np.inf, having[tokens.indices])
        secret = tokens.indices[profiles.rank_within(user, by=hidden, rng=rng) == 0]
        tokens.data = np.where(told, 1 / np.log(2.0 + having[tokens.indices]), 0)
        tokens.eliminate_zeros()
        linked.append(_has(_named(tokens @ synthetic.T.tocsr(), rng=rng), secret, synthetic))
        secrets.append(secret)
    users = min(map(len, linked))
    if users == 0:
        return None
    anybody = rng.integers(0, synthetic.shape[0], users)
    return risk_of(
        "linkability",
        setting=f"{known} known of {view.name}",
        attack=linked[0][:users],
        control=linked[1][:users],
        random=_has(anybody, secrets[0][:users], synthetic),
    )


def _named(scores: sparse.csr_array, *, rng: np.random.Generator) -> np.ndarray:
    """The column of each row's largest entry, ties by chance; -1 for a row of none. Shapes: int64[B]."""
    row = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
    order = np.lexsort((rng.random(len(row)), scores.data, row))
    last = np.flatnonzero(np.diff(row, append=scores.shape[0]))
    named = np.full(scores.shape[0], -1)
    named[row[last]] = scores.indices[order[last]]
    return named


def _has(user: np.ndarray, token: np.ndarray, synthetic: sparse.csr_array) -> np.ndarray:
    """Has each of the synthetic users (-1: nobody) the token? Shapes: bool[B]."""
    found = np.zeros(len(user), dtype=bool)
    asked = np.flatnonzero(user >= 0)
    tokens = synthetic[user[asked]]
    row = np.repeat(np.arange(len(asked)), np.diff(tokens.indptr))
    found[asked[row[tokens.indices == token[asked][row]]]] = True
    return found
