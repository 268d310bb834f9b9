"""From visits to events: chains of types on each item, baskets, moments, numbers; all drawn from
the measured tables.

Post-processing. What the schema declares holds for every event: what follows comes later than what
it follows, by the same user on the same item; the events of a basket share one moment; an item's
number is the item's, a user's the user's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from synthrec.data.columns import Coded
from synthrec.data.schema import Schema
from synthrec.model.statistic import Effort, Known, bucket_of, log_uniform, run_starts

BANDS, BAND_BASE = 5, 4  # bands of visits per user: 1 to 3, 4 to 15, 16 to 63, 64 to 255, more
RATIO_EDGES = (
    1.1,
    1.25,
    1.5,
    2.0,
    3.0,
    5.0,
    9.0,
)  # events per visit, after the band of exactly one
RATIOS = (
    len(RATIO_EDGES) + 3
)  # the last one: as many events as are kept of anybody, whatever the ratio
FULL = RATIOS - 1
LAST_RATIO = 13.0  # events per visit in the last, open band
LARGEST_PACE = 1e4
MIDDLES = np.array(
    [
        1.0,
        *np.sqrt(np.multiply([1.0, *RATIO_EDGES], [*RATIO_EDGES, LAST_RATIO**2 / RATIO_EDGES[-1]])),
    ]
)
OVERFULL = 1.05  # events drawn over those kept, of users who have as many as are kept


@dataclass(frozen=True)
class EventTypeTables:
    """Shares, as measured; T types of event (one where the log has none).

    Shapes:
        first float64[T] of the first event on an item; following float64[T, T + 1] of the next one,
        the last column for none; pace float64[FULL]: odds of a further event, times this; ratio
        float64[BANDS, RATIOS] of users by visits, rows sum to 1; details name -> float64[T, cells];
        baskets float64[S] of baskets, by `activity_edges`; people name -> float64[cells]; items
        name -> int16[V], one code an item.
    """

    first: np.ndarray
    following: np.ndarray
    pace: np.ndarray
    ratio: np.ndarray
    baskets: np.ndarray
    details: Mapping[str, np.ndarray] = field(default_factory=dict)
    people: Mapping[str, np.ndarray] = field(default_factory=dict)
    items: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, known: Known) -> EventTypeTables | None:
        """As measured; None in a log whose events have no types, numbers, baskets or repeats."""
        if "habits.first" not in known.arrays:
            return None
        plain = ("first", "following", "pace", "ratio", "baskets")
        return cls(
            **{name: known[f"habits.{name}"] for name in plain},
            details=known.room("habits.details/"),
            people=known.room("habits.people/"),
            items=known.room("habits.items/"),
        )


@dataclass(frozen=True)
class Rules:
    """What the schema says about chains of types. Shapes: leader int64[T], the type that must come
    before, or -1.
    """

    leader: np.ndarray
    once: bool  # no type twice on an item

    @classmethod
    def of(cls, schema: Schema) -> Rules:
        """From the declaration."""
        leader = np.full(types(schema), -1)
        if schema.kind is not None:
            for later, earlier in schema.kind.follows.items():
                leader[schema.kind.labels.index(later)] = schema.kind.labels.index(earlier)
        return cls(leader=leader, once=not schema.repeats)

    @property
    def follower(self) -> np.ndarray:
        """bool[T]: types that need another before them."""
        return self.leader >= 0


def cells(column: Coded) -> int:
    """Codes that a column can have: one more than its domain where values outside become "other"."""
    return column.size + (column.outside == "other")


def types(schema: Schema) -> int:
    """Types of event; one where the log has no such column."""
    return 1 if schema.kind is None else cells(schema.kind)


def band(visited: np.ndarray) -> np.ndarray:
    """Which band of visits. Shapes: int64[B], at least 1 -> int64[B]."""
    return np.searchsorted(BAND_BASE ** np.arange(1, BANDS), visited, side="right")


@dataclass(frozen=True)
class TypeSequences:
    """Events of visits, in no particular order.

    Shapes:
        visit, place, kind int64[N]: which visit, where in its chain, which type.
    """

    visit: np.ndarray
    place: np.ndarray
    kind: np.ndarray


@dataclass(frozen=True)
class Drawn:
    """Events of B users in the order of time, and the slots of time that they share.

    Shapes:
        offsets int64[B + 1]; visit int64[N]; kind int64[N]; slots int64[B], how many each user has;
        slot int64[N], number within the user.
    """

    offsets: np.ndarray
    visit: np.ndarray
    kind: np.ndarray
    slots: np.ndarray
    slot: np.ndarray


def draw_events(
    visited: np.ndarray,
    *,
    tables: EventTypeTables,
    schema: Schema,
    edges: tuple[int, ...],
    rng: np.random.Generator,
) -> Drawn:
    """Events of users with so many visits, at most K a user.

    Shapes:
        visited int64[B], at least 1 -> see Drawn; visits are numbered user after user.
    """
    rules = Rules.of(schema)
    user_of_visit = np.repeat(np.arange(len(visited)), visited)
    chains = _type_sequences(
        visited, user_of_visit, tables=tables, schema=schema, most=edges[-1] - 1, rng=rng
    )
    user = user_of_visit[chains.visit]
    base = np.flatnonzero(~rules.follower[chains.kind])
    turn = _shuffle_within_users(chains, base=base, user=user, users=len(visited), rng=rng)
    if schema.basket is not None:
        counts = np.bincount(user[base], minlength=len(visited))
        baskets = _assign_baskets(counts, share=tables.baskets, edges=edges, rng=rng)
        turn[base] = baskets[(np.cumsum(counts) - counts)[user[base]] + turn[base]]
    key = 2 * turn
    _place_followers(key, chains, base=base, user=user, rng=rng)
    apart = np.zeros(len(key), dtype=np.int64)
    if schema.basket is None:
        apart = rng.permutation(len(key))
    order = np.lexsort((rng.random(len(key)), apart, key, user))
    new = run_starts(user[order], key[order], apart[order])
    offsets = np.concatenate(([0], np.cumsum(np.bincount(user, minlength=len(visited)))))
    number = np.cumsum(new) - 1
    return Drawn(
        offsets=offsets,
        visit=chains.visit[order],
        kind=chains.kind[order],
        slots=np.bincount(user[order][new], minlength=len(visited)),
        slot=number - number[offsets[:-1]][user[order]],
    )


def draw_codes(
    kind: np.ndarray,
    item: np.ndarray,
    user: np.ndarray,
    *,
    users: int,
    tables: EventTypeTables,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Codes of every column that is no basket and no type.

    Shapes:
        kind, item, user int64[N] -> name -> int16[N].
    """
    columns = {name: _by_row(table, kind, rng=rng) for name, table in tables.details.items()}
    columns |= {name: codes[item] for name, codes in tables.items.items()}
    columns |= {
        name: rng.choice(len(shares), users, p=shares)[user]
        for name, shares in tables.people.items()
    }
    return {name: codes.astype(np.int16) for name, codes in columns.items()}


def rising(seconds: np.ndarray, *, user: np.ndarray, last: int) -> np.ndarray:
    """The nearest moments, none before it was, that rise within each user by a second at least,
    unless the window's end forbids it.

    Shapes:
        seconds int64[M], not decreasing within a user; user int64[M], rising -> int64[M].
    """
    index = np.arange(len(seconds))
    lift = (seconds.max(initial=0) - seconds.min(initial=0) + len(seconds) + 1) * user
    lifted = np.maximum.accumulate(seconds - index + lift) + index - lift
    left = np.searchsorted(user, user, side="right") - 1 - index
    return np.asarray(np.minimum(lifted, last - left))


def fit_continuation(tables: EventTypeTables, *, schema: Schema, effort: Effort) -> EventTypeTables:
    """Tables whose pace gives each band of events per visit its middle."""
    paces, rules = np.zeros(FULL), Rules.of(schema)
    for band_of_ratios, wanted in enumerate(MIDDLES[1:], start=1):
        low, high = -8.0, float(np.log(LARGEST_PACE))
        for _ in range(effort.fitting_rounds):
            middle = (low + high) / 2
            chains = _simulate(
                np.full(effort.fitting_users, np.exp(middle)),
                tables=tables,
                rules=rules,
                most=60,
                rng=np.random.default_rng(band_of_ratios),
            )
            few = len(chains.visit) < wanted * effort.fitting_users
            low, high = (middle, high) if few else (low, middle)
        paces[band_of_ratios] = np.exp((low + high) / 2)
    return replace(tables, pace=paces)


def fit_basket_sizes(
    tables: EventTypeTables,
    *,
    activity: np.ndarray,
    schema: Schema,
    edges: tuple[int, ...],
    effort: Effort,
) -> EventTypeTables:
    """Tables whose shares of baskets, dealt to users of the measured activity, give the measured
    shares of events (indirect inference).

    Shapes:
        activity float64[S]; tables.baskets: shares of events by the size of their basket, averaged
        over users.
    """
    rng = np.random.default_rng(0)
    bucket = rng.choice(len(activity), effort.fitting_users, p=activity)
    visited = log_uniform(bucket, edges, rng=rng)
    wanted, size = tables.baskets, np.sqrt(np.multiply(edges[:-1], np.asarray(edges[1:]) - 1))
    user = np.repeat(np.arange(len(visited)), visited)
    chains = _type_sequences(
        visited, user, tables=tables, schema=schema, most=edges[-1] - 1, rng=rng
    )
    owner = user[chains.visit[~Rules.of(schema).follower[chains.kind]]]
    counts = np.bincount(owner, minlength=len(visited))
    share = (wanted + 1e-6) / size
    for _ in range(effort.fitting_rounds):
        basket = _assign_baskets(counts, share=share / share.sum(), edges=edges, rng=rng)
        given = _shares_by_size(
            np.repeat(np.arange(len(counts)), counts), basket, counts, edges=edges
        )
        share *= np.clip((wanted + 1e-4) / (given + 1e-4), 0.5, 2.0)
    return replace(tables, baskets=share / share.sum())


def _type_sequences(
    visited: np.ndarray,
    user: np.ndarray,
    *,
    tables: EventTypeTables,
    schema: Schema,
    most: int,
    rng: np.random.Generator,
) -> TypeSequences:
    if not schema.several:
        every = np.arange(len(user))
        return TypeSequences(visit=every, place=np.zeros_like(every), kind=np.zeros_like(every))
    ratio = _by_row(tables.ratio, band(visited), rng=rng)
    full = np.interp(np.log(OVERFULL * most / visited), np.log(MIDDLES), tables.pace)
    pace = np.where(ratio == FULL, full, np.append(tables.pace, 0.0)[ratio])
    chains = _simulate(pace[user], tables=tables, rules=Rules.of(schema), most=most, rng=rng)
    owner = user[chains.visit]
    order = np.lexsort((chains.place, owner))
    rows = order[_rank(owner[order]) < most]  # the ends of chains go first
    return TypeSequences(visit=chains.visit[rows], place=chains.place[rows], kind=chains.kind[rows])


def _simulate(
    pace: np.ndarray, *, tables: EventTypeTables, rules: Rules, most: int, rng: np.random.Generator
) -> TypeSequences:
    """A chain for each visit: a first type, then others until none follows. Shapes: pace
    float64[P].
    """
    many = len(tables.first)
    active, kind = np.arange(len(pace)), rng.choice(many, len(pace), p=tables.first)
    had = np.zeros((len(pace), many), dtype=np.int64)
    parts = []
    for step in range(most):
        parts.append((active, np.full(len(active), step), kind))
        had[active, kind] += 1
        odds = tables.following[kind]
        odds[:, :-1] *= pace[active, None] * _allowed(had[active], rules=rules)
        steps = np.cumsum(odds + [*np.zeros(many), 1e-12], axis=1)
        following = (steps <= rng.random((len(active), 1)) * steps[:, -1:]).sum(axis=1)
        going = following < many
        active, kind = active[going], following[going]
        if not len(active):
            break
    return TypeSequences(*map(np.concatenate, zip(*parts, strict=True)))


def _allowed(had: np.ndarray, *, rules: Rules) -> np.ndarray:
    """May each type come next? Shapes: int64[A, T] -> bool[A, T]."""
    free = had == 0 if rules.once else np.ones(had.shape, dtype=bool)
    for later in np.flatnonzero(rules.follower):
        free[:, later] &= had[:, rules.leader[later]] > had[:, later]
    return free


def _shuffle_within_users(
    chains: TypeSequences,
    *,
    base: np.ndarray,
    user: np.ndarray,
    users: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """A random order of each user's events that keeps the order of chains; only for those of
    `base`. Shapes: -> int64[N].
    """
    drawn = rng.random(len(base))
    visit, step = chains.visit[base], chains.place[base]
    by_place, by_draw = np.lexsort((step, visit)), np.lexsort((drawn, visit))
    ordered = np.empty(len(base))
    ordered[by_place] = drawn[
        by_draw
    ]  # within a visit the smallest draw for the first event, and so on
    turn = np.full(len(user), -1, dtype=np.int64)
    order = np.lexsort((ordered, user[base]))
    turn[base[order]] = _rank(user[base][order])
    return turn


def _place_followers(
    key: np.ndarray,
    chains: TypeSequences,
    *,
    base: np.ndarray,
    user: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Place what follows, in place: after any of the user's moments from the one on that it
    follows. Twice a moment is the moment itself, one more is after it.
    """
    rest = np.setdiff1d(np.arange(len(key)), base, assume_unique=True)
    if not len(rest):
        return
    order = np.lexsort((chains.place, chains.visit))
    before = np.empty(len(key), dtype=np.int64)
    before[order] = np.concatenate(([-1], order[:-1]))
    last = np.zeros(user.max() + 1, dtype=np.int64)
    np.maximum.at(last, user[base], key[base] // 2)
    for step in range(1, int(chains.place[rest].max()) + 1):
        now = rest[chains.place[rest] == step]
        earliest = key[before[now]] // 2
        key[now] = (
            2
            * (
                earliest
                + np.floor(rng.random(len(now)) * (last[user[now]] - earliest + 1)).astype(np.int64)
            )
            + 1
        )


def _assign_baskets(
    counts: np.ndarray, *, share: np.ndarray, edges: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    """The number within its user of the basket of each event, in the order of time.

    Shapes:
        counts int64[B] -> int64[sum of counts].
    """
    user = np.repeat(np.arange(len(counts)), counts)
    bucket = rng.choice(len(share), len(user), p=share)
    size = log_uniform(bucket, edges, rng=rng)
    begin, start = (np.cumsum(counts) - counts)[user], np.cumsum(size) - size
    start -= start[begin]
    used = start < counts[user]
    opens = np.zeros(len(user), dtype=np.int64)
    opens[begin[used] + start[used]] = 1
    number = np.cumsum(opens)
    return np.asarray(number - number[begin])


def _shares_by_size(
    user: np.ndarray, basket: np.ndarray, counts: np.ndarray, *, edges: tuple[int, ...]
) -> np.ndarray:
    """Shares of events by the size of their basket, averaged over users with events. Shapes: user,
    basket int64[N], in order.
    """
    first = np.flatnonzero(run_starts(user, basket))
    size = np.diff(np.append(first, len(user)))
    shares = np.bincount(bucket_of(size, edges), size / counts[user[first]], len(edges) - 1)
    return np.asarray(shares / shares.sum())


def _rank(group: np.ndarray) -> np.ndarray:
    """0, 1, ... within runs of equal values. Shapes: int64[N] -> int64[N]."""
    first = np.flatnonzero(run_starts(group))
    return np.arange(len(group)) - np.repeat(first, np.diff(np.append(first, len(group))))


def _by_row(table: np.ndarray, row: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """One column of each named row of shares. Shapes: float64[R, C], int64[N] -> int64[N]."""
    steps = np.cumsum(table, axis=1)
    drawn = rng.random(len(row)) * steps[row, -1]
    columns = np.empty(len(row), dtype=np.int64)
    for index, rising_steps in enumerate(steps):
        mask = row == index
        columns[mask] = np.searchsorted(rising_steps, drawn[mask], side="right")
    return np.asarray(np.minimum(columns, table.shape[1] - 1))
