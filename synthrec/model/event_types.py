"""What is measured of typed events: which types follow each other on an item, numbers by type,
repeats, baskets, what belongs to users.

A user's events on one item are a visit: a chain of types in the order of time ("view, cart, buy";
"buy, buy, cancel"). The tastes, items and activity of a model are about visits; what is measured
here turns visits into events again.

Guarantees: a row of `mark_vectors` has an L1 norm of at most `most` in each of its parts, a row of
`habit_vectors` of at most 1, so that their L2 norms are at most most sqrt(parts) and sqrt(parts);
either is a function of that user's own events and of declared domains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from synthrec.data.columns import Coded
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.model.statistic import Declared, Statistic, Tensor

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
WHOLE_PART = 4  # users of up to K / WHOLE_PART events count each of them, others that many in all
STANDS_OUT = 2.0  # standard deviations of noise
FARTHEST = 3.0  # standard deviations of an item's number from the middle


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

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat, for a file of arrays."""
        plain = {
            name: getattr(self, name) for name in ("first", "following", "pace", "ratio", "baskets")
        }
        return plain | {
            f"{room}/{name}": array
            for room in ("details", "people", "items")
            for name, array in getattr(self, room).items()
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> EventTypeTables:
        """The reverse of `to_arrays`."""
        rooms: dict[str, dict[str, np.ndarray]] = {
            room: {} for room in ("details", "people", "items")
        }
        for name, array in arrays.items():
            room, slash, inner = name.partition("/")
            if slash:
                rooms[room][inner] = array
        return cls(**{name: array for name, array in arrays.items() if "/" not in name}, **rooms)


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


def mark_parts(schema: Schema) -> int:
    """Parts of a mark vector: first and next types, then the numbers by type, then the numbers of
    items.
    """
    return 2 * schema.several + len(schema.details) + len(schema.marks_of("item"))


def habit_parts(schema: Schema) -> int:
    """Parts of a habit vector: repeats, baskets, and each column that belongs to users."""
    return int(schema.several) + (schema.basket is not None) + len(schema.marks_of("user"))


def mark_size(schema: Schema) -> int:
    """Length of a mark vector."""
    return sum(size for _, size in _mark_sizes(schema))


def habit_size(schema: Schema, *, edges: tuple[int, ...]) -> int:
    """Length of a habit vector."""
    return (
        BANDS * RATIOS * schema.several
        + (len(edges) - 1) * (schema.basket is not None)
        + sum(cells(column) for column in schema.marks_of("user").values())
    )


def first_interactions(log: EventLog) -> EventLog:
    """The first event of each user on each item."""
    order, first = _type_sequences(log)
    kept = np.zeros(len(log.item), dtype=bool)
    kept[order[first]] = True
    return log.keep(kept)


def moments(log: EventLog, *, schema: Schema) -> EventLog:
    """The first event of each basket; the whole log where it has none."""
    if schema.basket is None:
        return log
    basket = np.asarray(log.marks[schema.basket.name])
    order = np.lexsort((np.arange(len(basket)), basket, log.user_of_event()))
    kept = np.zeros(len(basket), dtype=bool)
    kept[order[_first_of(log.user_of_event()[order], basket[order])]] = True
    return log.keep(kept)


def mark_vectors(log: EventLog, *, schema: Schema, most: float) -> sp.csr_matrix:
    """Counts over a user's events: first and next types of visits, numbers by type; of more than
    `most` events each counts less.

    Shapes:
        -> csr float64[B, mark_size].
    """
    many, user, kind = types(schema), log.user_of_event(), kinds(log, schema=schema)
    rows, columns, start = [], [], 0
    if schema.several:
        order, first = _type_sequences(log)
        last = np.append(first[1:], True) if len(first) else first
        after = np.append(kind[order][1:], many) if len(first) else kind
        rows += [user[order[first]], user[order]]
        columns += [
            kind[order[first]],
            many + kind[order] * (many + 1) + np.where(last, many, after),
        ]
        start = many + many * (many + 1)
    for name, column in {**schema.details, **schema.marks_of("item")}.items():
        by_type = name in schema.details
        code = np.clip(np.asarray(log.marks[name], dtype=np.int64), 0, cells(column) - 1)
        rows.append(user)
        columns.append(start + (kind * by_type) * cells(column) + code)
        start += cells(column) * (many if by_type else 1)
    row, place = (
        np.concatenate([np.zeros(0, dtype=np.int64), *rows]),
        np.concatenate([np.zeros(0, dtype=np.int64), *columns]),
    )
    weight = np.minimum(1.0, most / np.maximum(log.activity, 1))
    return sp.csr_matrix((weight[row], (row, place)), shape=(log.users, start))


def habit_vectors(log: EventLog, *, schema: Schema, edges: tuple[int, ...]) -> np.ndarray:
    """A one-hot of visits and events per visit, shares of events by the size of their basket,
    shares of each column of the user's.

    Shapes:
        -> float64[B, habit_size].
    """
    users, user, events = log.users, log.user_of_event(), log.activity
    found = np.zeros((users, habit_size(schema, edges=edges)))
    active, start = np.flatnonzero(events > 0), 0
    if schema.several:
        order, first = _type_sequences(log)
        visited = np.bincount(user[order[first]], minlength=users)[active]
        ratio = np.where(events[active] >= edges[-1] - 1, FULL, _ratio(events[active] / visited))
        found[active, band(visited) * RATIOS + ratio] = 1
        start += BANDS * RATIOS
    if schema.basket is not None:
        _basket_shares(found[:, start : start + len(edges) - 1], log, schema=schema, edges=edges)
        start += len(edges) - 1
    for name, column in schema.marks_of("user").items():
        code = np.clip(np.asarray(log.marks[name], dtype=np.int64), 0, cells(column) - 1)
        np.add.at(found, (user, start + code), 1 / events[user])
        start += cells(column)
    return found


def item_deviations(log: EventLog, *, column: Coded, shares: np.ndarray) -> np.ndarray:
    """Where each event's number lies among all, in standard deviations of a paid histogram.

    Shapes:
        shares float64[cells] -> float64[N].
    """
    centre, spread = middle(shares)
    return np.asarray(
        np.clip((np.asarray(log.marks[column.name]) - centre) / spread, -FARTHEST, FARTHEST)
    )


def middle(shares: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the codes; at least half a code."""
    code = np.arange(len(shares))
    centre = float(shares @ code)
    return centre, max(0.5, float(np.sqrt(shares @ (code - centre) ** 2)))


def kinds(log: EventLog, *, schema: Schema) -> np.ndarray:
    """int64[N]: the type of each event; 0 where the log has no such column."""
    if schema.kind is None:
        return np.zeros(len(log.item), dtype=np.int64)
    return np.clip(np.asarray(log.marks[schema.kind.name], dtype=np.int64), 0, types(schema) - 1)


def band(visited: np.ndarray) -> np.ndarray:
    """Which band of visits. Shapes: int64[B], at least 1 -> int64[B]."""
    return np.searchsorted(BAND_BASE ** np.arange(1, BANDS), visited, side="right")


def mark_tables(
    asked: np.ndarray, *, noise_std: float, schema: Schema
) -> Iterator[tuple[str, np.ndarray]]:
    """The parts of a noisy sum of mark vectors by name: "first", "following", then the columns, as
    counts of at least 0.

    What the schema rules out is moved to where it must be: a first event that needs another before
    it counts as that other one's successor. A row of next types that is nothing but noise says
    nothing: after such a type comes none. The numbers of a type are drawn to those of all types by
    as much as noise may have moved them (James and Stein 1961).
    """
    start, rules = 0, Rules.of(schema)
    for name, size in _mark_sizes(schema):
        part = asked[start : start + size]
        start += size
        if name == "first":
            first = part.copy()
            continue
        if name == "following":
            table = part.reshape(len(first), -1).copy()
            for later in np.flatnonzero(rules.follower):
                moved = max(0.0, first[later])
                first[rules.leader[later]] += moved
                table[rules.leader[later], later] += moved
                first[later] = 0
            yield "first", first
            silent = table.sum(axis=1) < 2 * noise_std * np.sqrt(table.shape[1])
            table[silent] = np.eye(table.shape[1])[-1]
            yield name, table
            continue
        if name in schema.details:
            yield name, _james_stein(part.reshape(types(schema), -1), noise_std=noise_std)
        else:
            yield name, _above_noise(part, noise_std=noise_std)


def _james_stein(table: np.ndarray, *, noise_std: float) -> np.ndarray:
    """Rows of noisy counts, drawn to their sum. Shapes: float64[T, cells] -> float64[T, cells]."""
    total = np.maximum(table.sum(axis=1, keepdims=True), 1e-9)
    pooled = _above_noise(table.sum(axis=0), noise_std=noise_std * np.sqrt(len(table)))
    own, pooled = table / total, pooled / max(pooled.sum(), 1e-9)
    apart = ((own - pooled) ** 2).sum(axis=1, keepdims=True)
    noise = table.shape[1] * (noise_std / total) ** 2
    kept = (
        np.clip(1 - noise / np.maximum(apart, 1e-12), 0, 1)
        if noise_std > 0
        else np.ones_like(total)
    )
    heard = np.stack([_above_noise(row, noise_std=noise_std) for row in table])
    alone = heard.sum(axis=1, keepdims=True)
    return np.asarray(
        np.where(alone > 0, kept * heard / np.maximum(alone, 1e-9) + (1 - kept) * pooled, pooled)
    )


def _above_noise(counts: np.ndarray, *, noise_std: float) -> np.ndarray:
    """Counts that stand out of noise, the others 0: the many empty bins of a long tail would
    together get what nobody has.
    """
    return np.where(counts >= STANDS_OUT * noise_std, counts, 0.0) if noise_std > 0 else counts


def habit_tables(
    asked: np.ndarray,
    *,
    marks: Mapping[str, np.ndarray],
    items: Mapping[str, np.ndarray],
    schema: Schema,
    edges: tuple[int, ...],
    shares: Callable[[np.ndarray], np.ndarray],
) -> EventTypeTables:
    """Tables from a noisy sum of habit vectors and the shares of marks; pace and baskets are still
    to be fitted.

    Shapes:
        asked float64[habit_size]; `shares` turns a noisy histogram into shares.
    """
    start = BANDS * RATIOS * schema.several
    ratio = np.eye(1, RATIOS).repeat(BANDS, axis=0)
    if schema.several:
        joint = shares(asked[:start]).reshape(BANDS, RATIOS)
        alone = joint.sum(axis=1, keepdims=True)
        ratio = np.where(alone > 0, joint / np.maximum(alone, 1e-300), joint.sum(axis=0))
    baskets = np.ones(1)
    if schema.basket is not None:
        baskets = shares(asked[start : start + len(edges) - 1])
        start += len(edges) - 1
    people = {}
    for name, column in schema.marks_of("user").items():
        people[name] = shares(asked[start : start + cells(column)])
        start += cells(column)
    many = types(schema)
    first = marks.get("first", np.eye(1, many)[0])
    following = marks.get("following", np.eye(many + 1)[-1:].repeat(many, axis=0))
    return EventTypeTables(
        first=first,
        following=following,
        pace=np.ones(FULL),
        ratio=ratio,
        baskets=baskets,
        people=people,
        details={name: marks[name] for name in schema.details},
        items=dict(items),
    )


def _mark_sizes(schema: Schema) -> list[tuple[str, int]]:
    many = types(schema)
    found = [("first", many), ("following", many * (many + 1))] if schema.several else []
    found += [(name, many * cells(column)) for name, column in schema.details.items()]
    return found + [(name, cells(column)) for name, column in schema.marks_of("item").items()]


def _type_sequences(log: EventLog) -> tuple[np.ndarray, np.ndarray]:
    """Events ordered by user and item, in the log's order within; which of them are the first of a
    visit.

    Shapes:
        -> int64[N], bool[N].
    """
    user, item = log.user_of_event(), np.asarray(log.item)
    order = np.lexsort((np.arange(len(item)), item, user))
    return order, _first_of(user[order], item[order])


def _first_of(user: np.ndarray, group: np.ndarray) -> np.ndarray:
    return (
        np.concatenate(([True], (np.diff(user) != 0) | (np.diff(group) != 0)))
        if len(user)
        else np.zeros(0, dtype=bool)
    )


def _ratio(ratio: np.ndarray) -> np.ndarray:
    return np.where(ratio <= 1, 0, 1 + np.searchsorted(RATIO_EDGES, ratio, side="right"))


def _basket_shares(
    found: np.ndarray, log: EventLog, *, schema: Schema, edges: tuple[int, ...]
) -> None:
    """Add to each user's row the shares of their events by the size of the basket; events that
    follow others have baskets of their own.
    """
    assert schema.basket is not None
    kept = log.keep(~Rules.of(schema).follower[kinds(log, schema=schema)])
    user, basket = kept.user_of_event(), np.asarray(kept.marks[schema.basket.name])
    if not len(user):
        return
    order = np.lexsort((basket, user))
    first = np.flatnonzero(_first_of(user[order], basket[order]))
    size = np.diff(np.append(first, len(order)))
    bucket = np.minimum(np.searchsorted(edges, size, side="right") - 1, found.shape[1] - 1)
    owner = user[order[first]]
    np.add.at(found, (owner, bucket), size / kept.activity[owner])


def whole_events(events_per_user: int) -> float:
    """Up to how many events of a user count whole where types and numbers are counted."""
    return max(1.0, events_per_user / WHOLE_PART)


def _tensors(declared: Declared) -> dict[str, Tensor]:
    """The tables that marks and habits fill together."""
    schema, many = declared.schema, types(declared.schema)
    marks, habits = declared.planned("marks"), declared.planned("habits")
    if not (marks or habits):
        return {}
    baskets = 1 if schema.basket is None else len(declared.edges) - 1
    found = {
        "first": Tensor("F64", (many,), "paid", marks, holds="shares"),
        "following": Tensor("F64", (many, many + 1), "paid", marks, holds="rows"),
        "pace": Tensor("F64", (FULL,), "post-processing", (*marks, *habits), holds="positive"),
        "ratio": Tensor("F64", (BANDS, RATIOS), "paid", habits, holds="rows"),
        "baskets": Tensor("F64", (baskets,), "paid", habits, holds="shares"),
    }
    for name, column in schema.details.items():
        found[f"details/{name}"] = Tensor("F64", (many, cells(column)), "paid", marks, holds="rows")
    for name, column in schema.marks_of("user").items():
        found[f"people/{name}"] = Tensor("F64", (cells(column),), "paid", habits, holds="shares")
    for name, column in schema.marks_of("item").items():
        found[f"items/{name}"] = Tensor(
            "I16", (declared.items,), "paid", ("items", *marks), holds="codes", below=cells(column)
        )
    return {f"habits.{name}": tensor for name, tensor in found.items()}


MARKS = Statistic(
    name="marks",
    purpose="which types of event follow each other, and numbers by type",
    unit="events",
    share=0.04,
    sensitivity=lambda schema: (
        whole_events(schema.privacy.events_per_user) * math.sqrt(mark_parts(schema))
    ),
    noise_words="events of each type after another, and in each bin of numbers",
    needed=lambda schema: mark_parts(schema) > 0,
)
HABITS = Statistic(
    name="habits",
    purpose="how often users repeat, in which baskets, and what belongs to them",
    unit="users",
    share=0.04,
    sensitivity=lambda schema: math.sqrt(habit_parts(schema)),
    noise_words="users in each band of repeats, size of basket and value of their own columns",
    needed=lambda schema: habit_parts(schema) > 0,
    tensors=_tensors,
)
