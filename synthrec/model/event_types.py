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
from functools import partial

import numpy as np
import scipy.sparse as sp

from synthrec.data.columns import Coded
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.model.event_sampling import (
    BANDS,
    FULL,
    RATIO_EDGES,
    RATIOS,
    EventTypeTables,
    Rules,
    band,
    cells,
    fit_basket_sizes,
    fit_continuation,
    types,
)
from synthrec.model.statistic import (
    Known,
    Statistic,
    Tensor,
    bucket_of,
    project_to_simplex,
    run_starts,
    split,
)
from synthrec.privacy.mechanisms import Measurement

WHOLE_PART = 4  # users of up to K / WHOLE_PART events count each of them, others that many in all
STANDS_OUT = 2.0  # standard deviations of noise


def first_interactions(log: EventLog) -> EventLog:
    """The first event of each user on each item."""
    return _firsts(log, np.asarray(log.item))


def basket_starts(log: EventLog, *, schema: Schema) -> EventLog:
    """The first event of each basket; the whole log where it has none."""
    if schema.basket is None:
        return log
    return _firsts(log, np.asarray(log.marks[schema.basket.name]))


def _firsts(log: EventLog, group: np.ndarray) -> EventLog:
    order, first = _ordered(log, group)
    return log.keep(np.isin(np.arange(len(order)), order[first]))


def mark_vectors(log: EventLog, *, schema: Schema, most: float) -> sp.csr_matrix:
    """Counts over a user's events: first and next types of visits, numbers by type; of more than
    `most` events each counts less.

    Shapes:
        -> csr float64[B, sum of mark_sizes].
    """
    many, user, kind = types(schema), log.user_of_event(), kinds(log, schema=schema)
    sizes = mark_sizes(schema)
    rows, columns = [], []
    if schema.several:
        order, first = _ordered(log, np.asarray(log.item))
        last, after = np.append(first[1:], True), np.append(kind[order][1:], many)
        following = kind[order] * (many + 1) + np.where(
            last[: len(order)], many, after[: len(order)]
        )
        rows += [user[order[first]], user[order]]
        columns += [kind[order[first]], following]
    for name, column in {**schema.details, **schema.marks_of("item")}.items():
        rows.append(user)
        columns.append(kind * (name in schema.details) * cells(column) + _codes(log, column))
    starts = np.cumsum([0, *sizes.values()])
    column_of_event = np.concatenate(
        [codes + start for codes, start in zip(columns, starts, strict=False)]
    )
    weight = np.minimum(1.0, most / np.maximum(log.activity, 1))
    row = np.concatenate(rows)
    return sp.csr_matrix((weight[row], (row, column_of_event)), shape=(log.users, starts[-1]))


def habit_vectors(log: EventLog, *, schema: Schema, edges: tuple[int, ...]) -> np.ndarray:
    """A one-hot of visits and events per visit, shares of events by the size of their basket,
    shares of each column of the user's.

    Shapes:
        -> float64[B, sum of habit_sizes].
    """
    user, events = log.user_of_event(), log.activity
    sizes = habit_sizes(schema, edges=edges)
    parts = {name: np.zeros((log.users, size)) for name, size in sizes.items()}
    if schema.several:
        active = np.flatnonzero(events > 0)
        order, first = _ordered(log, np.asarray(log.item))
        visited = np.bincount(user[order[first]], minlength=log.users)[active]
        ratio = events[active] / visited
        bucket = np.where(ratio <= 1, 0, 1 + np.searchsorted(RATIO_EDGES, ratio, side="right"))
        bucket[events[active] >= edges[-1] - 1] = FULL
        parts["ratio"][active, band(visited) * RATIOS + bucket] = 1
    if schema.basket is not None:
        _basket_shares(parts["baskets"], log, schema=schema, edges=edges)
    for name, column in schema.marks_of("user").items():
        np.add.at(parts[f"people/{name}"], (user, _codes(log, column)), 1 / events[user])
    return np.concatenate(list(parts.values()), axis=1)


def kinds(log: EventLog, *, schema: Schema) -> np.ndarray:
    """int64[N]: the type of each event; 0 where the log has no such column."""
    if schema.kind is None:
        return np.zeros(len(log.item), dtype=np.int64)
    return _codes(log, schema.kind)


def _codes(log: EventLog, column: Coded) -> np.ndarray:
    """int64[N]: what events say in a column, within its domain."""
    return np.clip(np.asarray(log.marks[column.name], dtype=np.int64), 0, cells(column) - 1)


def _james_stein(table: np.ndarray, *, noise_std: float) -> np.ndarray:
    """Rows of noisy counts, drawn to their sum. Shapes: float64[T, cells] -> float64[T, cells]."""
    total = np.maximum(table.sum(axis=1, keepdims=True), 1e-9)
    pooled = _above_noise(table.sum(axis=0), noise_std=noise_std * np.sqrt(len(table)))
    own, pooled = table / total, pooled / max(pooled.sum(), 1e-9)
    apart = ((own - pooled) ** 2).sum(axis=1, keepdims=True)
    noise = table.shape[1] * (noise_std / total) ** 2
    trust = (
        np.clip(1 - noise / np.maximum(apart, 1e-12), 0, 1)
        if noise_std > 0
        else np.ones_like(total)
    )
    heard = np.stack([_above_noise(row, noise_std=noise_std) for row in table])
    alone = heard.sum(axis=1, keepdims=True)
    return np.asarray(
        np.where(alone > 0, trust * heard / np.maximum(alone, 1e-9) + (1 - trust) * pooled, pooled)
    )


def _above_noise(counts: np.ndarray, *, noise_std: float) -> np.ndarray:
    """Counts that stand out of noise, the others 0: the many empty bins of a long tail would
    together get what nobody has.
    """
    return np.where(counts >= STANDS_OUT * noise_std, counts, 0.0) if noise_std > 0 else counts


def mark_sizes(schema: Schema) -> dict[str, int]:
    """Lengths of the parts of a mark vector, by the name of the array that each becomes: first and
    next types, then the numbers by type, then the numbers of items.
    """
    many = types(schema)
    sizes = {"habits.first": many, "habits.following": many * (many + 1)} if schema.several else {}
    sizes |= {f"habits.details/{name}": many * cells(each) for name, each in schema.details.items()}
    return sizes | {f"marks.{name}": cells(each) for name, each in schema.marks_of("item").items()}


def habit_sizes(schema: Schema, *, edges: tuple[int, ...]) -> dict[str, int]:
    """Lengths of the parts of a habit vector: repeats, baskets, and each column that belongs to
    users.
    """
    sizes = {"ratio": BANDS * RATIOS} if schema.several else {}
    sizes |= {} if schema.basket is None else {"baskets": len(edges) - 1}
    return sizes | {f"people/{name}": cells(each) for name, each in schema.marks_of("user").items()}


def _ordered(log: EventLog, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Events ordered by user and group, in the log's order within; which of them are the first of
    their group.

    Shapes:
        int[N] -> int64[N], bool[N].
    """
    user = log.user_of_event()
    order = np.lexsort((np.arange(len(group)), group, user))
    return order, run_starts(user[order], group[order])


def _basket_shares(
    shares: np.ndarray, log: EventLog, *, schema: Schema, edges: tuple[int, ...]
) -> None:
    """Add to each user's row the shares of their events by the size of the basket; events that
    follow others have baskets of their own.
    """
    assert schema.basket is not None
    base = log.keep(~Rules.of(schema).follower[kinds(log, schema=schema)])
    order, opens = _ordered(base, np.asarray(base.marks[schema.basket.name]))
    first = np.flatnonzero(opens)
    size = np.diff(np.append(first, len(order)))
    owner = base.user_of_event()[order[first]]
    np.add.at(shares, (owner, bucket_of(size, edges)), size / base.activity[owner])


def whole_events(events_per_user: int) -> float:
    """Up to how many events of a user count whole where types and numbers are counted."""
    return max(1.0, events_per_user / WHOLE_PART)


def _mark_shares(known: Known, noisy: Measurement) -> Known:
    """Shares of first and next types and of numbers.

    What the schema rules out is moved to where it must be: a first event that needs another before
    it counts as that other one's successor. A row of next types that is nothing but noise says
    nothing: after such a type comes none. The numbers of a type are drawn to those of all types by
    as much as noise may have moved them (James and Stein 1961).
    """
    schema, noise_std, rules = known.schema, noisy.noise_std, Rules.of(known.schema)
    counts = split(noisy.values.copy(), mark_sizes(schema))
    for name, each in counts.items():
        if name.startswith("habits.details/"):
            counts[name] = _james_stein(each.reshape(types(schema), -1), noise_std=noise_std)
        elif name.startswith("marks."):
            counts[name] = _above_noise(each, noise_std=noise_std)
    if schema.several:
        first, table = counts["habits.first"], counts["habits.following"].reshape(types(schema), -1)
        for later in np.flatnonzero(rules.follower):
            moved = max(0.0, first[later])
            first[rules.leader[later]] += moved
            table[rules.leader[later], later] += moved
            first[later] = 0
        silent = table.sum(axis=1) < 2 * noise_std * np.sqrt(table.shape[1])
        table[silent] = np.eye(table.shape[1])[-1]
        counts["habits.following"] = table
    return known.adding(
        {name: np.apply_along_axis(project_to_simplex, -1, each) for name, each in counts.items()}
    )


def _event_type_tables(known: Known, noisy: Measurement | None = None) -> Known:
    """Tables from which visits become events, of the shares of marks and a noisy sum of habits."""
    schema, effort, many = known.schema, known.effort, types(known.schema)
    if not known.planned("marks", "habits"):
        return known
    arrays = {
        "first": np.eye(1, many)[0],
        "following": np.eye(many + 1)[-1:].repeat(many, axis=0),
        "pace": np.ones(FULL),
        "ratio": np.eye(1, RATIOS).repeat(BANDS, axis=0),
        "baskets": np.ones(1),
    } | known.room("habits.")
    if noisy is not None:
        sizes = habit_sizes(schema, edges=known.activity_edges)
        arrays |= {
            name: project_to_simplex(each) for name, each in split(noisy.values, sizes).items()
        }
    if schema.several:
        joint = arrays["ratio"].reshape(BANDS, RATIOS)
        alone = joint.sum(axis=1, keepdims=True)
        arrays["ratio"] = np.where(alone > 0, joint / np.maximum(alone, 1e-300), joint.sum(axis=0))
    known = known.adding({f"habits.{name}": each for name, each in arrays.items()})
    tables = EventTypeTables.of(known)
    assert tables is not None
    if schema.several:
        tables = fit_continuation(tables, schema=schema, effort=effort)
    if schema.basket is not None:
        edges = known.activity_edges
        tables = fit_basket_sizes(
            tables, activity=known.activity, schema=schema, edges=edges, effort=effort
        )
    return known.adding({"habits.pace": tables.pace, "habits.baskets": tables.baskets})


def _tensors(known: Known) -> dict[str, Tensor]:
    """The tables that marks, items and habits fill together."""
    schema, many = known.schema, types(known.schema)
    marks, habits = known.planned("marks"), known.planned("habits")
    if not (marks or habits):
        return {}
    baskets = 1 if schema.basket is None else len(known.activity_edges) - 1
    tensors = {
        "first": Tensor("F64", (many,), "paid", marks, holds="shares"),
        "following": Tensor("F64", (many, many + 1), "paid", marks, holds="rows"),
        "pace": Tensor("F64", (FULL,), "post-processing", (*marks, *habits), holds="positive"),
        "ratio": Tensor("F64", (BANDS, RATIOS), "paid", habits, holds="rows"),
        "baskets": Tensor("F64", (baskets,), "paid", habits, holds="shares"),
    }
    for name, column in schema.details.items():
        rows = (many, cells(column))
        tensors[f"details/{name}"] = Tensor("F64", rows, "paid", marks, holds="rows")
    for name, column in schema.marks_of("user").items():
        shape = (cells(column),)
        tensors[f"people/{name}"] = Tensor("F64", shape, "paid", habits, holds="shares")
    for name, column in schema.marks_of("item").items():
        shape, paid_by = (known.items,), ("items", *marks)
        below = cells(column)
        tensors[f"items/{name}"] = Tensor("I16", shape, "paid", paid_by, holds="codes", below=below)
    return {f"habits.{name}": tensor for name, tensor in tensors.items()}


MARKS = Statistic(
    name="marks",
    purpose="which types of event follow each other, and numbers by type",
    unit="events",
    share=0.04,
    sensitivity=lambda schema: (
        whole_events(schema.privacy.events_per_user) * math.sqrt(len(mark_sizes(schema)))
    ),
    noise_words="events of each type after another, and in each bin of numbers",
    of="events",
    needed=lambda schema: len(mark_sizes(schema)) > 0,
    vectors=lambda known: partial(
        mark_vectors, schema=known.schema, most=whole_events(known.plan.events_per_user)
    ),
    size=lambda known: sum(mark_sizes(known.schema).values()),
    decode=_mark_shares,
)
HABITS = Statistic(
    name="habits",
    purpose="how often users repeat, in which baskets, and what belongs to them",
    unit="users",
    share=0.04,
    sensitivity=lambda schema: math.sqrt(len(habit_sizes(schema, edges=()))),
    noise_words="users in each band of repeats, size of basket and value of their own columns",
    of="events",
    needed=lambda schema: len(habit_sizes(schema, edges=())) > 0,
    vectors=lambda known: partial(habit_vectors, schema=known.schema, edges=known.activity_edges),
    size=lambda known: sum(habit_sizes(known.schema, edges=known.activity_edges).values()),
    decode=_event_type_tables,
    otherwise=_event_type_tables,
    tensors=_tensors,
)
