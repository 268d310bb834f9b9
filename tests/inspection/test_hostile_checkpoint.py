"""A checkpoint that somebody altered: continuing from it fails with an error of ours, or goes on
with arrays of the right kind.

Read as `fit --resume` reads it: what it says of itself, what the ledger paid for, measurements,
start and state of the game.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from synthrec.conformance import answers
from synthrec.errors import SynthrecError
from synthrec.model import adversarial, train
from synthrec.model.checkpoint import BEGUN, GAME, START, Checkpoint
from synthrec.privacy.ledger import Entry, Ledger
from synthrec.privacy.plan import Plan
from synthrec.privacy.session import Session
from synthrec.progress import Progress
from tests.inspection.test_hostile import QUICK, SLOW, fuzz
from tests.model.small import CHARGE, make_log, make_plan, prepared


class Killed(BaseException):
    """As if the process had been killed."""


@dataclass
class Left:
    """What a training that died leaves, and what one that continues it has in memory by then."""

    folder: Path
    entries: tuple[Entry, ...]
    plan: Plan
    start: tuple[Any, Any]  # generator, tables
    match: adversarial.GanState

    def read(self, _: Path) -> None:
        """As far as continuing goes before it trains on."""
        checkpoint, ledger = Checkpoint.open(self.folder, same={}), answers.NullLedger()
        ledger.entries = self.entries
        session = Session(self.plan, ledger=ledger, charge=CHARGE)
        session.continue_from(checkpoint)
        train.same_start(*self.start, session=session)
        state = checkpoint.state("game")
        assert state is not None
        self.match.restore(state)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    folder = tmp_path_factory.mktemp("checkpoint")
    schema, catalogue = prepared(folder)
    plan, steps, held = make_plan(schema), iter(range(100)), dict[str, Any]()
    honest, new, start = adversarial.PrivateCritic.step, adversarial.new_gan, train.same_start

    def step(self: Any, *batch: Any) -> None:
        if next(steps) == 12:
            raise Killed
        honest(self, *batch)

    with pytest.MonkeyPatch.context() as patch, Ledger.open(schema.ledger_path) as ledger:
        patch.setattr(adversarial.PrivateCritic, "step", step)
        patch.setattr(
            adversarial,
            "new_gan",
            lambda *words, **named: held.setdefault("match", new(*words, **named)),
        )
        patch.setattr(
            train,
            "same_start",
            lambda *pair, **named: start(*held.setdefault("start", pair), **named),
        )
        checkpoint = Checkpoint.begin(
            folder / "checkpoint", release_id=CHARGE.release_id, settled=(), same={"plan": "a"}
        )
        session = Session(plan, ledger=ledger, charge=CHARGE)
        session.continue_from(checkpoint)
        with pytest.raises(Killed):
            train.train(
                make_log(),
                catalogue=catalogue,
                schema=schema,
                session=session,
                means=train.Means(effort=answers.QUICK, seed=0),
                progress=Progress(),
            )
        entries = ledger.entries
    found = Left(folder / "checkpoint", entries, plan, held["start"], held["match"])
    found.read(found.folder)
    return found


FILES: dict[str, Callable[[Path], Path]] = {
    "begun": lambda folder: folder / BEGUN,
    "start": lambda folder: folder / START,
    "game": lambda folder: folder / GAME,
    "measurement": lambda folder: sorted(folder.glob("measured-*"))[0],
}


@pytest.mark.parametrize("name", FILES)
def test_an_altered_checkpoint_is_refused_by_an_error_of_ours(left: Left, name: str) -> None:
    fuzz(FILES[name](left.folder), left.read, cases=QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_an_altered_checkpoint_is_refused_in_a_hundred_thousand_cases(
    left: Left, name: str
) -> None:
    fuzz(FILES[name](left.folder), left.read, cases=SLOW)


Arrays = dict[str, np.ndarray]
SPOILT: dict[str, tuple[str, Callable[[Arrays], Arrays]]] = {
    "a number that is none": (GAME, lambda a: a | {"mean": np.full_like(a["mean"], np.nan)}),
    "another shape": (GAME, lambda a: a | {"mean": a["mean"][:1]}),
    "another type": (GAME, lambda a: a | {"mean": a["mean"].astype(np.int64)}),
    "a moment of another shape": (GAME, lambda a: a | {"critic_moments.0.exp_avg": np.zeros(3)}),
    "a moment below 0": (
        GAME,
        lambda a: a | {"critic_moments.0.exp_avg_sq": -a["critic_moments.0.exp_avg_sq"] - 1},
    ),
    "a moment of no weight": (GAME, lambda a: a | {"critic_moments.99.exp_avg": np.zeros(3)}),
    "a moment of no number": (GAME, lambda a: a | {"critic_moments.x.exp_avg": np.zeros(3)}),
    "something more": (GAME, lambda a: a | {"rows": np.zeros(3)}),
    "half the moments": (
        GAME,
        lambda a: {
            name: array
            for name, array in a.items()
            if not name.startswith("critic_moments.0.exp_avg_")
        },
    ),
    "steps that are no whole number": (GAME, lambda a: a | {"done": np.array([np.nan])}),
    "steps below 0": (GAME, lambda a: a | {"done": np.array([-1])}),
    "more steps than were paid for": (GAME, lambda a: a | {"done": np.array([21])}),
    "a table of another shape": (
        START,
        lambda a: a | {"tables.item_mean": a["tables.item_mean"][:1]},
    ),
    "a table of nothing but features": (START, lambda a: {"tables.features": a["tables.features"]}),
    "noise that is no number": (START, lambda a: a | {"tables.rating_noise": np.array([np.inf])}),
    "features of another shape": (
        START,
        lambda a: a | {"tables.features": a["tables.features"][:1]},
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_arrays_that_no_training_leaves_are_refused(left: Left, case: str) -> None:
    name, spoil = SPOILT[case]
    path = left.folder / name
    whole = path.read_bytes()
    save_file(
        {name: np.ascontiguousarray(array) for name, array in spoil(load_file(path)).items()}, path
    )
    try:
        with pytest.raises(SynthrecError):
            left.read(path)
    finally:
        path.write_bytes(whole)
    left.read(path)
