"""Synthetic users from a trained generator: post-processing, as many as one likes, as often as one
likes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from synthrec.data.eventlog import EventLog
from synthrec.data.filters import EVERYTHING, Scope
from synthrec.model.artifact import Artifact
from synthrec.model.calibration import behave
from synthrec.model.event_sampling import Drawn, Rules, draw_codes, draw_events, rising
from synthrec.model.generator import Conditions, Shares, draw_conditions
from synthrec.model.item_choice import Behaviour, ItemTables, cut, pick, rate
from synthrec.model.time_sampling import draw_times

CHUNK_USERS = 1000
THREADS = (
    2  # that draw chunks, each by a generator of its own, while the caller writes earlier ones
)
AHEAD = 3  # chunks held


def generate(
    artifact: Artifact, *, users: int, rng: np.random.Generator, scope: Scope = EVERYTHING
) -> Iterator[EventLog]:
    """Synthetic users in chunks, within what is asked for; the same `rng` state gives the same
    users, whatever the number of cores.

    Raises ConditionError for users whom the release does not know.

    Shapes:
        each log of at most CHUNK_USERS users.
    """
    shares = Shares.of(artifact.estimates).within(scope, plan=artifact.plan)
    tables = artifact.tables if scope.items is None else artifact.tables.only(scope.items)
    starts = range(0, users, CHUNK_USERS)
    waiting: deque[Future[EventLog]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for start, own in zip(starts, rng.spawn(len(starts)), strict=True):
            waiting.append(
                pool.submit(
                    _chunk,
                    artifact,
                    shares,
                    tables,
                    scope,
                    users=min(CHUNK_USERS, users - start),
                    rng=own,
                )
            )
            if len(waiting) == AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _chunk(
    artifact: Artifact,
    shares: Shares,
    tables: ItemTables,
    scope: Scope,
    *,
    users: int,
    rng: np.random.Generator,
) -> EventLog:
    conditions = draw_conditions(users, shares=shares, most=len(tables.log_weight), rng=rng)
    latent = rng.standard_normal((users, len(artifact.generator.scale)))
    behaviour = behave(
        artifact.generator, latent, conditions=conditions, estimates=artifact.estimates
    )
    user = np.repeat(np.arange(users), conditions.events)
    item = pick(behaviour, conditions.events, tables=tables, rng=rng)
    shuffled = np.lexsort((rng.random(len(item)), user))  # picks come best first; a log does not
    item = item[shuffled]
    if artifact.estimates.habits is not None:
        return _typed(artifact, scope, tables, conditions, behaviour, item, rng=rng)
    rating = (
        cut(rate(behaviour, user, item, tables=tables, rng=rng), tables=tables)
        if tables.rated
        else None
    )
    return EventLog(
        offsets=np.concatenate(([0], np.cumsum(conditions.events))),
        item=_of_catalogue(item, scope),
        rating=rating,
        time=_moments(artifact, scope, conditions.events, rng=rng),
        attributes=conditions.attributes,
    )


def _typed(
    artifact: Artifact,
    scope: Scope,
    tables: ItemTables,
    conditions: Conditions,
    behaviour: Behaviour,
    picked: np.ndarray,
    *,
    rng: np.random.Generator,
) -> EventLog:
    """The events of visits, with their marks."""
    schema, habits, users = artifact.schema, artifact.estimates.habits, len(conditions.events)
    assert habits is not None
    drawn = draw_events(
        conditions.events,
        tables=habits,
        schema=schema,
        edges=artifact.estimates.activity_edges,
        rng=rng,
    )
    item, user = picked[drawn.visit], np.repeat(np.arange(users), np.diff(drawn.offsets))
    codes = draw_codes(
        drawn.kind, _of_catalogue(item, scope), user, users=users, tables=habits, rng=rng
    )
    if schema.kind is not None:
        codes[schema.kind.name] = drawn.kind.astype(np.int16)
    if schema.basket is not None:
        codes[schema.basket.name] = drawn.slot.astype(np.int32)
    times = _moments(artifact, scope, drawn.slots, rng=rng)
    if times is not None:
        times = _spread(times, drawn, artifact=artifact, scope=scope)
    rating = (
        cut(rate(behaviour, user, item, tables=tables, rng=rng), tables=tables)
        if tables.rated
        else None
    )
    return EventLog(
        offsets=drawn.offsets,
        item=_of_catalogue(item, scope),
        rating=rating,
        time=times,
        attributes=conditions.attributes,
        marks={name: codes[name] for name in schema.marks},
    )


def _moments(
    artifact: Artifact, scope: Scope, counts: np.ndarray, *, rng: np.random.Generator
) -> np.ndarray | None:
    """So many moments of each user, in seconds; None for a log without time."""
    column, tables = artifact.schema.time, artifact.estimates.times
    return (
        None
        if tables is None or column is None
        else draw_times(counts, tables=tables, column=column, window=scope.window, rng=rng)
    )


def _spread(times: np.ndarray, drawn: Drawn, *, artifact: Artifact, scope: Scope) -> np.ndarray:
    """The time of each event from that of its moment; where some type follows another, moments rise
    by a second at least.
    """
    assert artifact.schema.time is not None
    users = np.arange(len(drawn.slots))
    if Rules.of(artifact.schema).follower.any():
        last = artifact.schema.time.max_seconds if scope.window is None else scope.window[1]
        times = rising(times, user=np.repeat(users, drawn.slots), last=last)
    before = np.cumsum(drawn.slots) - drawn.slots
    return np.asarray(times[np.repeat(before, np.diff(drawn.offsets)) + drawn.slot])


def _of_catalogue(item: np.ndarray, scope: Scope) -> np.ndarray:
    """Rows of the whole catalogue, where only some items were asked for."""
    return item if scope.items is None else scope.items[item].astype(np.int32)
