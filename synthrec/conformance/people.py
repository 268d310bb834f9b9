"""Random people for any schema: ordinary ones in the declared domain, and odd ones whom no reader would let through."""

from __future__ import annotations

import numpy as np

from synthrec.data.columns import Identifier
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema

LIMIT = np.iinfo(np.int16).max


def random_users(schema: Schema, *, items: int, users: int, most: int, rng: np.random.Generator) -> EventLog:
    """Users with 1 to `most` events, popular items more often, every code of the domain and "other" in turn."""
    chance = 1 / np.arange(3, items + 3)
    pace = np.log(rng.random((users, items))) / chance          # an exponential race: no item twice
    counts = rng.integers(1, min(most, items) + 1, users)
    item = np.concatenate([np.sort(np.argsort(-row)[:count]) for row, count in zip(pace, counts, strict=True)]).astype(np.int32)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    user = np.repeat(np.arange(users), counts)
    time = None
    if schema.time is not None:
        time = rng.integers(schema.time.min_seconds, schema.time.max_seconds + 1, len(item))
        time = time[np.lexsort((time, user))].astype(np.int64)
    rating = None if schema.rating is None else rng.choice(schema.rating.levels, len(item)).astype(np.float32)
    attributes = {name: rng.integers(0, each.size + 1, users).astype(np.int16) for name, each in schema.user_attributes.items()}
    return EventLog(offsets=offsets, item=item, rating=rating, time=time, marks=_marks(schema, item=item, user=user, rng=rng),
                    attributes=attributes)


def one_user(schema: Schema, *, items: int, events: int, rng: np.random.Generator, rating: float | None = None, item: int | None = None,
             code: int | None = None) -> EventLog:
    """A user of any size, who may do the same again and again, at one moment.

    Args:
        rating: place on the scale, 0 its lowest and 1 its highest level, any other number beyond; None draws levels.
        code: of every mark and attribute, also one that no domain holds; None draws some.
    """
    picked = (np.arange(events) % items if item is None else np.full(events, item)).astype(np.int32)
    levels = None if schema.rating is None else schema.rating.levels
    rated = None
    if levels is not None:
        drawn = rng.choice(levels, events) if rating is None else np.full(events, levels[0] + rating * (levels[-1] - levels[0]))
        rated = drawn.astype(np.float32)
    marks = _marks(schema, item=picked, user=np.zeros(events, dtype=np.int64), rng=rng)
    if code is not None:
        marks = {name: np.full(events, min(code, LIMIT)).astype(codes.dtype) for name, codes in marks.items()}
    attributes = {name: np.array([each.size if code is None else min(code, LIMIT)], dtype=np.int16)
                  for name, each in schema.user_attributes.items()}
    time = None if schema.time is None else np.full(events, schema.time.min_seconds, dtype=np.int64)
    return EventLog(offsets=np.array([0, events], dtype=np.int64), item=picked, rating=rated, time=time, marks=marks, attributes=attributes)


def _marks(schema: Schema, *, item: np.ndarray, user: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What belongs to an item is the same at all its events, what belongs to a user at all of theirs; baskets hold about four events."""
    found: dict[str, np.ndarray] = {}
    for name, column in schema.marks.items():
        if isinstance(column, Identifier):
            found[name] = (np.arange(len(item)) // 4 % 30_000).astype(np.int32)
            continue
        owner = {"item": item, "user": user}.get(getattr(column, "of", None) or "", np.arange(len(item)))
        codes = rng.integers(0, column.size, int(owner.max(initial=0)) + 1)
        found[name] = codes[owner].astype(np.int16)
    return found
