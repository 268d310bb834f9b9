"""One training: measure, anchor, play, watch, calibrate.

Guarantees: the bounded log is seen by `measure` and `play` only, which charge what they ask; all else is post-processing. `rng` moves
initialisation and synthetic users, never privacy noise (rule 7).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.errors import ReleaseError
from synthrec.model.artifact import Artifact, filterable
from synthrec.model.calibration import calibrate, starting_tables
from synthrec.model.checkpoint import Checkpoint, require_alike
from synthrec.model.choice import ItemTables
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

TABLES = ("features", "item_mean", "log_weight", "levels", "cuts")


def train(log: EventLog, *, catalogue: Catalogue, schema: Schema, plan: Plan, ledger: Ledger, charge: Charge, device: str,
          rng: np.random.Generator, progress: Progress, checkpoint: Checkpoint | None = None) -> Artifact:
    """A generator of users like those of a bounded log; with a checkpoint kept as it goes, and continued from where it died.

    Raises: BudgetError if what the checkpoint holds and what the ledger was charged do not agree.
    """
    if checkpoint is not None:
        checkpoint.charged_steps(ledger.of_release(charge.release_id), plan=plan)
    estimates = measure(log, catalogue=catalogue, schema=schema, plan=plan, ledger=ledger, charge=charge, progress=progress,
                        checkpoint=checkpoint)
    generator = anchored(estimates, rng=rng).to(device)
    with progress.stage("calibrate", total=1) as advance:
        tables = calibrate(generator, estimates=estimates, tables=starting_tables(estimates), rng=rng)
        if checkpoint is not None:
            tables = same_start(generator, tables, checkpoint=checkpoint)
        advance(1)
    game = None
    if plan.training is not None:
        anchor = copy.deepcopy(generator)
        with one_thread():
            generator = play(generator, visits(log) if schema.several else log, estimates=estimates, tables=tables, plan=plan,
                             ledger=ledger, charge=charge, rng=rng, progress=progress, checkpoint=checkpoint)
        watched = watch(generator, anchor=anchor, estimates=estimates, rng=rng, progress=progress)
        generator, game = watched.generator, watched.game
        with progress.stage("calibrate again", total=1) as advance:
            tables = calibrate(generator, estimates=estimates, tables=tables, rng=rng)
            advance(1)
    return Artifact(schema=schema.shared(), plan=plan, catalogue=filterable(catalogue, schema), estimates=estimates, tables=tables,
                    generator=generator.cpu(), game=game)


def same_start(generator: Generator, tables: ItemTables, *, checkpoint: Checkpoint) -> ItemTables:
    """The start that the checkpoint keeps, put into the generator; a new training's is kept. Raises ReleaseError for another's."""
    kept = checkpoint.start()
    if kept is None:
        now = {f"generator.{name}": tensor.detach().cpu().numpy() for name, tensor in generator.state_dict().items()}
        checkpoint.keep_start(now | {f"tables.{name}": getattr(tables, name) for name in TABLES}
                              | {"tables.rating_noise": np.array([tables.rating_noise])})
        return tables
    try:
        require_alike(kept, {f"tables.{name}": getattr(tables, name) for name in TABLES} | {"tables.rating_noise": np.zeros(1)}
                      | {f"generator.{name}": tensor.detach().cpu().numpy() for name, tensor in generator.state_dict().items()})
        if not np.allclose(kept["tables.features"], tables.features, rtol=1e-4, atol=1e-6):
            raise ValueError
        generator.load_state_dict({name: torch.as_tensor(kept[f"generator.{name}"]) for name in generator.state_dict()})
        return replace(tables, rating_noise=float(kept["tables.rating_noise"][0]), **{name: kept[f"tables.{name}"] for name in TABLES})
    except (LookupError, ValueError, RuntimeError, TypeError):
        raise ReleaseError("a training is continued on the machine and with the software that began it", found="other item features",
                           remedy="Start a new one; what this one was charged is spent.") from None


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
