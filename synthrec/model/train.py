"""One training: measure, anchor, play, watch, calibrate.

Guarantees: the bounded log is seen by `measure` and `play` only, which charge what they ask; all else is post-processing. `rng` moves
initialisation and synthetic users, never privacy noise (rule 7).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.model.artifact import Artifact, filterable
from synthrec.model.calibration import calibrate, starting_tables
from synthrec.model.estimates import Estimates
from synthrec.model.game import play
from synthrec.model.generator import Generator
from synthrec.model.habits import visits
from synthrec.model.layout import HIDDEN
from synthrec.model.measurements import measure
from synthrec.model.watch import watch
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.plan import Plan
from synthrec.progress import Progress


def train(log: EventLog, *, catalogue: Catalogue, schema: Schema, plan: Plan, ledger: Ledger, charge: Charge, device: str,
          rng: np.random.Generator, progress: Progress) -> Artifact:
    """A generator of users like those of a bounded log."""
    estimates = measure(log, catalogue=catalogue, schema=schema, plan=plan, ledger=ledger, charge=charge, progress=progress)
    generator = anchored(estimates, rng=rng).to(device)
    with progress.stage("calibrate", total=1) as advance:
        tables = calibrate(generator, estimates=estimates, tables=starting_tables(estimates), rng=rng)
        advance(1)
    game = None
    if plan.training is not None:
        anchor = copy.deepcopy(generator)
        with one_thread():
            generator = play(generator, visits(log) if schema.several else log, estimates=estimates, tables=tables, plan=plan,
                             ledger=ledger, charge=charge, rng=rng, progress=progress)
        watched = watch(generator, anchor=anchor, estimates=estimates, rng=rng, progress=progress)
        generator, game = watched.generator, watched.game
        with progress.stage("calibrate again", total=1) as advance:
            tables = calibrate(generator, estimates=estimates, tables=tables, rng=rng)
            advance(1)
    return Artifact(schema=schema, plan=plan, catalogue=filterable(catalogue, schema), estimates=estimates, tables=tables,
                    generator=generator.cpu(), game=game)


@contextmanager
def one_thread() -> Iterator[None]:
    """The game's tensors are small: a second thread waits more than it works, and on a busy machine far more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def anchored(estimates: Estimates, *, rng: np.random.Generator) -> Generator:
    """A generator whose users have the measured second moment of tastes; without one, no tastes at all."""
    frame = estimates.frame
    factor = np.zeros((frame.size, frame.size))
    if estimates.moment is not None:
        values, vectors = np.linalg.eigh(estimates.moment)
        factor = vectors * np.sqrt(np.maximum(values, 0))
    conditions = 1 + sum(len(shares) for shares in estimates.attributes.values())
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(int(rng.integers(2**62)))
        return Generator(factor=torch.as_tensor(factor, dtype=torch.float32), scale=torch.as_tensor(frame.scale, dtype=torch.float32),
                         conditions=conditions, hidden=HIDDEN)
