"""Synthetic users from a trained generator: post-processing, as many as one likes, as often as one likes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from synthrec.data.eventlog import EventLog
from synthrec.model.artifact import Artifact
from synthrec.model.calibration import behave, draw
from synthrec.model.choice import cut, pick, rate
from synthrec.model.times import draw_times

CHUNK_USERS = 1000
THREADS = 2         # that draw chunks, each by a generator of its own, while the caller writes earlier ones
AHEAD = 3           # chunks held


def generate(artifact: Artifact, *, users: int, rng: np.random.Generator) -> Iterator[EventLog]:
    """Synthetic users in chunks; the same `rng` state gives the same users, whatever the number of cores.

    Shapes:
        each log of at most CHUNK_USERS users.
    """
    starts = range(0, users, CHUNK_USERS)
    waiting: deque[Future[EventLog]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for start, own in zip(starts, rng.spawn(len(starts)), strict=True):
            waiting.append(pool.submit(_chunk, artifact, users=min(CHUNK_USERS, users - start), rng=own))
            if len(waiting) == AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _chunk(artifact: Artifact, *, users: int, rng: np.random.Generator) -> EventLog:
    conditions = draw(artifact.estimates, users=users, rng=rng)
    latent = rng.standard_normal((users, len(artifact.generator.scale)))
    behaviour = behave(artifact.generator, latent, conditions=conditions, estimates=artifact.estimates)
    user = np.repeat(np.arange(users), conditions.events)
    item = pick(behaviour, conditions.events, tables=artifact.tables, rng=rng)
    shuffled = np.lexsort((rng.random(len(item)), user))        # picks come best first; a log does not
    item = item[shuffled]
    column = artifact.schema.time
    times = artifact.estimates.times
    moments = None if times is None or column is None else draw_times(conditions.events, tables=times, column=column, rng=rng)
    tables = artifact.tables
    rating = cut(rate(behaviour, user, item, tables=tables, rng=rng), tables=tables) if tables.rated else None
    return EventLog(offsets=np.concatenate(([0], np.cumsum(conditions.events))), item=item, rating=rating, time=moments,
                    attributes=conditions.attributes)
