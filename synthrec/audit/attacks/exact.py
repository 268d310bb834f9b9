"""Exact replay: how much of one person's history, in one respect at a time, stands inside one
synthetic user.

A `View` is one respect: items, whole events with every raw value, exact times, gaps, a number such
as a price, runs of a column of few values, baskets, attributes. It makes a history a set of tokens.
Somebody's score is the logarithm of a likelihood ratio: how much better a synthetic user's tokens
are explained by "half of them, or one in twenty, come of this person" than by "all come of
everybody", for the best synthetic user, less the same for the best reference user. Were tokens
drawn from everybody by chance, one synthetic user would reach s at most once in e^s times, so the
score needs no minimum length: short and popular histories cannot reach much.

A member counts as copied in a view in either of two ways.

- Whole: person and synthetic user share nine tenths of all tokens that either has, and the score
  passes both what chance reaches once in 1 / `tail_level` audits (Markov's inequality over all
  pairs and views), and half as much again as any such pair with somebody outside: holdout users
  beside synthetic users, everybody beside reference users.
- In part, where people share nothing but coincidences (fewer than one outside in k pass the score of
  a single one): more is shared than with anybody outside, and the score
  lies beyond what the highest scores outside leave to chance. Above the (k + 1)-th highest of N scores outside, let the excesses of the k highest sum to y. If the tail
  falls at least as fast as an exponential, and members are like people outside, the chance that any
  of M members exceeds it by g is at most M (k + 1) / (N + 1) (1 + g / y)^-k. The limit has this at
  `extrapolated_level`, far below any usual level, as a tail beyond what was seen is assumed, not
  measured; y is at least k coincidences of one token.

Guarantees: frequencies come of synthetic users only, so scores know no label, and reference users
meet the synthetic log as holdout users do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from synthrec.audit import profiles
from synthrec.audit.attacks.metrics import among_highest
from synthrec.audit.record import AttackedColumn, Policy, TopScores
from synthrec.audit.splits import EVERYTHING, Knowledge
from synthrec.data.eventlog import EventLog, exact, is_exact

REPLAY, REPLAY_KNOWS = "replay of ", "exact values of the person's events"
WHOLE_HISTORIES = "whole histories"  # a kind of planted copies
PARTS = (0.5, 0.05)  # of a synthetic user's tokens, that may come of one person
WHOLE = 0.9  # of all tokens that a person or a synthetic user has, that both have: a whole copy
LONGER = 1.5  # times the score of any such pair with somebody outside
TAIL = 20  # highest scores outside, from which the tail is told
MANY_RUNS = 1e6  # runs do not overlap, and are as long as it takes for so many different ones
MANY_VALUES = 30  # a column with more of them is looked at value by value
_AT_ONCE = 5_000_000  # likelihood ratios held at once


@dataclass(frozen=True, repr=False, eq=False)
class View:
    """Tokens of the users of several logs, numbered alike; `knowledge`: as what the policy's table
    lists them. Shapes: each float32[B, T] of ones.
    """

    name: str
    columns: tuple[str, ...]
    tokens: tuple[sparse.csr_array, ...]
    knowledge: str = ""


def views(logs: Sequence[EventLog]) -> Iterator[View]:
    """Every respect in which all logs speak."""
    users = [log.users for log in logs]
    user = np.repeat(np.arange(sum(users)), np.concatenate([log.activity for log in logs]))
    place = np.arange(len(user)) - np.searchsorted(user, user)

    def view(
        name: str,
        columns: Sequence[str],
        code: np.ndarray,
        *,
        first: int = 0,
        every: int = 1,
        knowledge: str = "",
    ) -> View:
        """Without the `first` events of each user; of the others each `every`-th."""
        kept = (place >= first) & ((place - first) % every == 0)
        tokens = _by_user(user[kept], code[kept], users=users)
        return View(name, tuple(columns), tokens, knowledge)

    columns = columns_of(logs)
    for name in [name for name in columns if columns[name].dtype == np.int32 and name != "item"]:
        basket = _joint([user, columns.pop(name)])
        yield view(f"baskets ({name})", [name], _contents(basket, columns["item"]))
    items, time = columns.pop("item"), columns.pop("time", None)
    yield view("items", ["item"], items)
    if columns:
        told = _joint([items, *columns.values()])
        yield view("items with all but times", ["item", *columns], told, knowledge="events")
    if time is not None:
        told = _joint([items, time, *columns.values()])
        yield view("whole events", ["item", "time", *columns], told)
        yield view("exact times", ["time"], time, knowledge="times")
        yield view("gaps between times", ["time"], np.diff(time, prepend=0), first=1)
    for name, values in columns.items():
        code = _joint([values])
        distinct = int(code.max(initial=0)) + 1
        if distinct > MANY_VALUES:
            counted = _with_counts(_joint([user, code]), code)
            yield view(name, [name], counted, knowledge="numbers")
        if 1 < distinct < np.sqrt(MANY_RUNS):
            run = int(np.ceil(np.log(MANY_RUNS) / np.log(distinct)))
            told = _joint([np.roll(code, back) for back in range(run)])
            yield view(f"runs of {name}", [name], told, first=run - 1, every=run)
    if rows := attributes_of(logs):
        token = _joint(
            [
                np.repeat(np.arange(len(rows)), sum(users)),
                np.concatenate([*map(_numbered, rows.values())]),
            ]
        )
        who = np.tile(np.arange(sum(users)), len(rows))
        yield View("attributes", tuple(rows), _by_user(who, token, users=users), "attributes")


def columns_of(logs: Sequence[EventLog]) -> dict[str, np.ndarray]:
    """Columns of the events of all logs, one log after the other, that all logs have; numbers as
    they are where they were read so.
    """
    joined = EventLog.concat(logs)
    columns = {name: getattr(joined, name) for name in ("item", "time", "rating")}
    marks = {name: joined.marks.get(exact(name), codes) for name, codes in joined.marks.items()}
    return {
        name: column
        for name, column in (columns | marks).items()
        if column is not None and not is_exact(name)
    }


def attributes_of(logs: Sequence[EventLog]) -> dict[str, np.ndarray]:
    """The same of users."""
    rows = EventLog.concat(logs).attributes
    return {
        name: rows.get(exact(name), codes) for name, codes in rows.items() if not is_exact(name)
    }


def _numbered(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _joint(columns: Sequence[np.ndarray]) -> np.ndarray:
    """A number for each combination of values. Shapes: int64[N]."""
    code = _numbered(columns[0])
    for column in columns[1:]:
        other = _numbered(column)
        code = _numbered(code * (int(other.max(initial=0)) + 1) + other)
    return code


def _with_counts(of_user: np.ndarray, code: np.ndarray) -> np.ndarray:
    """A value, and how often this user has it. Shapes: int64[N]."""
    return _joint([code, np.bincount(of_user)[of_user]])


def _contents(basket: np.ndarray, item: np.ndarray) -> np.ndarray:
    """A number for what a basket holds: baskets with the same items have the same. Shapes: int64[N]."""
    keys = np.random.default_rng(0).integers(0, 2**62, int(item.max(initial=0)) + 1)
    held = np.zeros(int(basket.max(initial=-1)) + 1, dtype=np.int64)
    np.add.at(held, basket, keys[item])
    return np.asarray(held[basket])


def _by_user(
    user: np.ndarray, code: np.ndarray, *, users: Sequence[int]
) -> tuple[sparse.csr_array, ...]:
    token = _numbered(code)
    shape = (sum(users), int(token.max(initial=-1)) + 1)
    ones = np.ones(len(token), dtype=np.float32)
    matrix = profiles.as_ones(sparse.coo_array((ones, (user, token)), shape=shape).tocsr())
    ends = np.cumsum([0, *users])
    return tuple(matrix[first:end] for first, end in zip(ends[:-1], ends[1:], strict=True))


@dataclass(frozen=True, repr=False, eq=False)
class Match:
    """The best other user of each target. Shapes: score float64[T], shared int64[T] (tokens that
    both have), whole bool[T].
    """

    score: np.ndarray
    shared: np.ndarray
    whole: np.ndarray

    def or_better(self, other: Match) -> Match:
        """The better of two."""
        better = other.score > self.score
        return Match(
            score=np.where(better, other.score, self.score),
            shared=np.where(better, other.shared, self.shared),
            whole=np.where(better, other.whole, self.whole),
        )


@dataclass(frozen=True, repr=False, eq=False)
class Replay:
    """One view of everybody: what the best synthetic user shares with each target and with each
    reference user, and the best reference user with each target.
    """

    view: View
    having: np.ndarray
    near: Match
    outside: Match
    far: Match

    @classmethod
    def of(cls, view: View) -> Replay:
        """Of targets, synthetic and reference users."""
        targets, synthetic, reference = view.tokens
        counts = np.bincount(synthetic.indices, minlength=synthetic.shape[1])
        having = np.maximum(counts, 1) + 1  # as if a copy more of each were there
        pairs = ((targets, synthetic), (reference, synthetic), (targets, reference))
        return cls(view, having, *(best(*pair, having=having) for pair in pairs))

    @property
    def name(self) -> str:
        """Of the attack."""
        return f"{REPLAY}{self.view.name}"

    @property
    def score(self) -> np.ndarray:
        """Higher says member. Shapes: float64[T]."""
        return np.asarray(self.near.score - self.far.score)

    def wholes(self, member: np.ndarray) -> TopScores:
        """Of everybody who has a whole copy, how many are members; reference users, who met the
        synthetic log like holdout users, are people outside.
        """
        everybody = np.concatenate((self.near.whole, self.outside.whole)) + 0.0
        inside = np.concatenate((member, np.zeros(len(self.outside.whole), dtype=bool)))
        return among_highest(everybody, member=inside, least=1.0, place=0)

    def planted(
        self, users: np.ndarray, *, swapped: float = 0.0, rng: np.random.Generator
    ) -> Replay:
        """With copies of some targets among the synthetic users, some of their items swapped for
        random ones.
        """
        targets = self.view.tokens[0]
        copies = targets[users]
        if swapped and "item" in self.view.columns and len(targets.indices):
            others = rng.choice(targets.indices, len(copies.indices))
            gone = rng.random(len(others)) < swapped
            copies.indices = np.where(gone, others, copies.indices).astype(copies.indices.dtype)
            copies = profiles.as_ones(copies)
        near = self.near.or_better(best(targets, copies, having=self.having))
        return replace(self, near=near)

    def copied(self, member: np.ndarray, *, policy: Policy, views: int) -> np.ndarray:
        """The members whose history stands in the synthetic log, whole or in part. Shapes: bool[T]."""
        near, others = self.near, (self.outside, self.far)
        outside = np.concatenate((near.score[~member], *(each.score for each in others)))
        pairs = float(member.sum()) * self.view.tokens[1].shape[0]
        copies = np.concatenate((near.whole[~member], *(each.whole for each in others)))
        seen = outside[copies].max(initial=0.0)
        whole = near.whole & (
            near.score > max(LONGER * seen, np.log(pairs * views / policy.tail_level))
        )
        limit = beyond_chance(
            outside,
            members=int(member.sum()),
            coincidence=self._coincidence,
            level=policy.extrapolated_level,
        )
        longest = max(
            near.shared[~member].max(initial=0), *(each.shared.max(initial=0) for each in others)
        )
        part = (near.score > limit) & (near.shared > longest)
        return np.asarray(member & (whole | part))

    @property
    def _coincidence(self) -> float:
        """What one rare token that both have by chance adds, at most, for a history of middling length."""
        length = max(1.0, float(np.median(np.diff(self.view.tokens[0].indptr))))
        return float(np.log1p(PARTS[0] / (1 - PARTS[0]) * self.having.sum() / 2 / length))


def attacked_columns(
    synthetic: EventLog, replays: Sequence[Replay], *, knowledge: Knowledge = EVERYTHING
) -> tuple[AttackedColumn, ...]:
    """Every column of the synthetic log, and the replays that look at it."""
    names = dict(knowledge.names)
    return tuple(
        AttackedColumn(
            name=names.get(name, name),
            attacks=tuple(replay.name for replay in replays if name in replay.view.columns),
        )
        for name in (*columns_of([synthetic]), *attributes_of([synthetic]))
    )


def beyond_chance(outside: np.ndarray, *, members: int, coincidence: float, level: float) -> float:
    """The score that one of the members exceeds with chance `level` at most, if the tail of scores
    outside is no heavier than an exponential whose mean is at least that of a coincidence; infinite
    where more than coincidences are shared.
    """
    kept = min(TAIL, len(outside) - 1)
    top = np.sort(outside)[::-1][: kept + 1]
    if kept < 1 or level <= 0 or top[kept] > coincidence:
        return np.inf
    total = max(float((top[:kept] - top[kept]).sum()), kept * coincidence)
    odds = members * (kept + 1) / ((len(outside) + 1) * level)
    return float(top[kept] + total * (odds ** (1 / kept) - 1))


def best(targets: sparse.csr_array, others: sparse.csr_array, *, having: np.ndarray) -> Match:
    """The best of the others for each target; a score is never below 0."""
    users, size, lengths = targets.shape[0], np.diff(targets.indptr), np.diff(others.indptr)
    odds = having.sum() / np.repeat(size, size) / having[targets.indices]
    turned, found = (
        others.T.tocsr(),
        Match(np.zeros(users), np.zeros(users, np.int64), np.zeros(users, bool)),
    )
    block = max(1, _AT_ONCE // max(1, others.shape[0]))
    for first in range(0, users, block):
        mine = targets[first : first + block]
        mine_odds = odds[targets.indptr[first] : targets.indptr[first + mine.shape[0]]]
        ratio = np.float32(0)
        for part in PARTS:
            mine.data = np.log1p(part / (1 - part) * mine_odds).astype(np.float32)
            product = mine @ turned
            told = product.data + (np.log1p(-part) * lengths).astype(np.float32)[product.indices]
            ratio = told if part == PARTS[0] else np.maximum(ratio, told)
        row = np.repeat(np.arange(mine.shape[0]), np.diff(product.indptr))
        filled = np.flatnonzero(np.diff(product.indptr))
        if not len(filled):
            continue
        top = np.zeros(mine.shape[0])
        top[filled] = np.maximum.reduceat(ratio, product.indptr[filled])
        at = np.flatnonzero(ratio == top[row])
        at = at[np.unique(row[at], return_index=True)[1]]
        mine.data[:] = 1
        other = product.indices[at]
        shared = (
            np.asarray(mine[filled].multiply(others[other]).sum(axis=1)).ravel().astype(np.int64)
        )
        place = first + filled
        found.score[place] = np.maximum(0, top[filled] - np.log(len(PARTS)))
        found.shared[place] = shared
        found.whole[place] = shared >= WHOLE * (size[place] + lengths[other] - shared)
    return found
