"""Synthetic users from a trained generator: post-processing, as many as one likes, as often as one likes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from synthrec.data.conditions import EVERYTHING, Scope
from synthrec.data.eventlog import EventLog
from synthrec.model.artifact import Artifact
from synthrec.model.calibration import behave
from synthrec.model.choice import ItemTables, cut, pick, rate
from synthrec.model.population import Shares, draw_conditions
from synthrec.model.times import draw_times

CHUNK_USERS = 1000
THREADS = 2         # that draw chunks, each by a generator of its own, while the caller writes earlier ones
AHEAD = 3           # chunks held


def generate(artifact: Artifact, *, users: int, rng: np.random.Generator, scope: Scope = EVERYTHING) -> Iterator[EventLog]:
    """Synthetic users in chunks, within what is asked for; the same `rng` state gives the same users, whatever the number of cores.

    Raises ConditionError for users whom the release does not know.

    Shapes:
        each log of at most CHUNK_USERS users.
    """
    shares = artifact.estimates.shares.within(scope, plan=artifact.plan)
    tables = artifact.tables if scope.items is None else artifact.tables.only(scope.items)
    starts = range(0, users, CHUNK_USERS)
    waiting: deque[Future[EventLog]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for start, own in zip(starts, rng.spawn(len(starts)), strict=True):
            waiting.append(pool.submit(_chunk, artifact, shares, tables, scope, users=min(CHUNK_USERS, users - start), rng=own))
            if len(waiting) == AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _chunk(artifact: Artifact, shares: Shares, tables: ItemTables, scope: Scope, *, users: int, rng: np.random.Generator) -> EventLog:
    conditions = draw_conditions(users, shares=shares, most=len(tables.log_weight), rng=rng)
    latent = rng.standard_normal((users, len(artifact.generator.scale)))
    behaviour = behave(artifact.generator, latent, conditions=conditions, estimates=artifact.estimates)
    user = np.repeat(np.arange(users), conditions.events)
    item = pick(behaviour, conditions.events, tables=tables, rng=rng)
    shuffled = np.lexsort((rng.random(len(item)), user))        # picks come best first; a log does not
    item = item[shuffled]
    column = artifact.schema.time
    times = artifact.estimates.times
    moments = None if times is None or column is None else draw_times(conditions.events, tables=times, column=column,
                                                                      window=scope.window, rng=rng)
    rating = cut(rate(behaviour, user, item, tables=tables, rng=rng), tables=tables) if tables.rated else None
    if scope.items is not None:
        item = scope.items[item].astype(np.int32)
    return EventLog(offsets=np.concatenate(([0], np.cumsum(conditions.events))), item=item, rating=rating, time=moments,
                    attributes=conditions.attributes)
