"""Do typed events behave like the real ones? Types, chains of types on an item, repeats, baskets, numbers, and what the schema declares.

Each figure is a distance between the synthetic log and the real one, beside the same distance between two random halves of the real users:
what is no farther apart than they are cannot be told from the real log by that figure.

- types, numbers by type, columns of users: total variation of the shares of events (of users);
- chains: total variation of the order in which types come for the first time on an item, over visits (a user's events on one item);
- types of a user: total variation of which types a user has at all;
- events of a visit, baskets: total variation over buckets that grow by the square root of two; the repeat share is of visits;
- declared: share of visits, items, users or events for which what the schema says holds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synthrec.audit.realism import total_variation
from synthrec.audit.record import Likeness
from synthrec.data.columns import Identifier
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema

Histogram = Callable[[EventLog], np.ndarray]
Share = Callable[[EventLog], float]
MOST_TYPES = 12         # in an order of types; later ones are not told apart
BUCKETS = np.unique(np.ceil(2.0 ** (np.arange(1, 40) / 2)))


def measure_behaviour(synthetic: EventLog, *, real: EventLog, schema: Schema, rng: np.random.Generator) -> tuple[Likeness, ...]:
    """Every figure that the schema's columns give; none for a log without types, numbers, baskets or repeats.

    Guarantees: reads a private log; its figures are not differentially private (rule 14).
    """
    users = rng.permutation(len(real.offsets) - 1)
    halves = [real.select(part) for part in np.array_split(users, 2)]
    found = [Likeness(name=name, real=None, synthetic=None, distance=_apart(of, synthetic, real), halves=_apart(of, *halves))
             for name, of in _histograms(schema)]
    for name, share in _shares(schema):
        one, other = share(real), share(synthetic)
        apart = abs(share(halves[0]) - share(halves[1]))
        found.append(Likeness(name=name, real=one, synthetic=other, distance=abs(one - other), halves=apart))
    return tuple(found)


def _apart(of: Histogram, one: EventLog, other: EventLog) -> float:
    first, second = of(one), of(other)
    size = max(len(first), len(second))
    return total_variation(np.pad(first, (0, size - len(first))), other=np.pad(second, (0, size - len(second))))


def _histograms(schema: Schema) -> list[tuple[str, Histogram]]:
    found: list[tuple[str, Histogram]] = []
    if (kind := schema.kind) is not None:
        name = kind.name
        found += [(f"{name} (total variation over events)", lambda log: np.bincount(log.marks[name])),
                  (f"order of {name} on an item (total variation over visits)", lambda log: np.bincount(_orders(log, name))),
                  (f"which {name} a user has (total variation over users)", lambda log: _held(log, name))]
    if schema.several:
        found.append(("events of a visit (total variation over visits)", lambda log: _bucketed(_sizes(log))))
    if schema.basket is not None:
        basket = schema.basket.name
        found.append((f"events of a {basket} (total variation)", lambda log: _bucketed(_sizes(log, by=log.marks[basket]))))
    for column in schema.details.values():
        found.append((f"{column.name} by type (total variation over events)", _by_type(schema, column.name, column.size + 1)))
    for column in schema.marks_of("item").values():
        found.append((f"{column.name} (total variation over events)", _plain(column.name)))
    for column in schema.marks_of("user").values():
        found.append((f"{column.name} (total variation over users)", _of_users(column.name)))
    return found


def _shares(schema: Schema) -> list[tuple[str, Share]]:
    found: list[tuple[str, Share]] = []
    if schema.several:
        found.append(("visits of more than one event (share)", lambda log: float((_sizes(log) > 1).mean())))
    if schema.basket is not None and schema.time is not None:
        basket = schema.basket.name
        found.append((f"a {basket} at one moment (share)", lambda log: _constant(log.user_of_event(), log.marks[basket], log.time)))
    for name, column in schema.marks_of("item").items():
        if not isinstance(column, Identifier):
            found.append((f"{name} the item's most common one (share of events)", _usual(name)))
    if (kind := schema.kind) is not None:
        for later, earlier in kind.follows.items():
            pair = kind.labels.index(later), kind.labels.index(earlier)
            found.append((f"{later} after {earlier} (share)", _following(kind.name, *pair)))
    return found


def _visits(log: EventLog) -> tuple[np.ndarray, np.ndarray]:
    """Order by user and item, by time within; the visit of each event in that order."""
    user, item = log.user_of_event(), np.asarray(log.item)
    order = np.lexsort((np.arange(len(item)), item, user))
    new = (np.diff(user[order]) != 0) | (np.diff(item[order]) != 0)
    return order, np.concatenate((np.zeros(min(1, len(order)), dtype=np.int64), np.cumsum(new)))


def _sizes(log: EventLog, *, by: np.ndarray | None = None) -> np.ndarray:
    group = np.asarray(log.item if by is None else by).astype(np.int64)
    _, sizes = np.unique(log.user_of_event().astype(np.int64) * (int(group.max(initial=0)) + 1) + group, return_counts=True)
    return np.asarray(sizes)


def _bucketed(sizes: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(BUCKETS, sizes, side="right"))


def _orders(log: EventLog, name: str) -> np.ndarray:
    """A number for each visit that says which types it has in which order of first coming."""
    order, visit = _visits(log)
    kind = np.minimum(np.asarray(log.marks[name], dtype=np.int64)[order], MOST_TYPES - 1)
    fresh = np.sort(np.unique(visit * MOST_TYPES + kind, return_index=True)[1])
    visit, kind = visit[fresh], kind[fresh]
    first = np.flatnonzero(np.concatenate(([True], np.diff(visit) != 0))) if len(visit) else np.zeros(0, dtype=np.int64)
    place = np.arange(len(visit)) - np.repeat(first, np.diff(np.append(first, len(visit))))
    short = place < 4
    code = np.zeros(int(visit.max(initial=-1)) + 1, dtype=np.int64)
    np.add.at(code, visit[short], (kind[short] + 1) * (MOST_TYPES + 1) ** place[short])
    return code


def _held(log: EventLog, name: str) -> np.ndarray:
    """Users by the set of types that they have."""
    kind = np.minimum(np.asarray(log.marks[name], dtype=np.int64), MOST_TYPES - 1)
    had = np.zeros((len(log.offsets) - 1, MOST_TYPES), dtype=np.int64)
    had[log.user_of_event(), kind] = 1
    return np.bincount(had @ (1 << np.arange(MOST_TYPES)))


def _plain(name: str) -> Histogram:
    return lambda log: np.bincount(log.marks[name])


def _by_type(schema: Schema, name: str, cells: int) -> Histogram:
    def of(log: EventLog) -> np.ndarray:
        kind = 0 if schema.kind is None else np.asarray(log.marks[schema.kind.name], dtype=np.int64)
        return np.bincount(kind * cells + np.asarray(log.marks[name]))
    return of


def _of_users(name: str) -> Histogram:
    """Users by the value of their first event."""
    def of(log: EventLog) -> np.ndarray:
        return np.bincount(np.asarray(log.marks[name])[log.offsets[:-1][np.diff(log.offsets) > 0]])
    return of


def _constant(user: np.ndarray, group: np.ndarray, value: np.ndarray | None) -> float:
    """Share of groups of a user whose events have one value."""
    assert value is not None
    _, place = np.unique(user.astype(np.int64) * (int(group.max(initial=0)) + 1) + group, return_inverse=True)
    low, high = np.full(place.max(initial=-1) + 1, np.iinfo(np.int64).max), np.full(place.max(initial=-1) + 1, np.iinfo(np.int64).min)
    np.minimum.at(low, place, value)
    np.maximum.at(high, place, value)
    return float((low == high).mean()) if len(low) else 1.0


def _usual(name: str) -> Share:
    def of(log: EventLog) -> float:
        code = np.asarray(log.marks[name], dtype=np.int64)
        pairs, count = np.unique(np.asarray(log.item, dtype=np.int64) * (int(code.max(initial=0)) + 1) + code, return_counts=True)
        most = np.zeros(int(log.item.max(initial=-1)) + 1, dtype=np.int64)
        np.maximum.at(most, pairs // (int(code.max(initial=0)) + 1), count)
        return float(most.sum() / max(1, len(code)))
    return of


def _following(name: str, later: int, earlier: int) -> Share:
    """Share of events of one type that have one of the other before them, strictly earlier where there is time."""
    def of(log: EventLog) -> float:
        order, visit = _visits(log)
        kind, when = np.asarray(log.marks[name])[order], order if log.time is None else np.asarray(log.time)[order]
        begun = np.full(int(visit.max(initial=-1)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(begun, visit[kind == earlier], when[kind == earlier])
        asked = kind == later
        return float((begun[visit[asked]] < when[asked]).mean()) if asked.any() else 1.0
    return of
