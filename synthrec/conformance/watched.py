"""One whole training as installed, watched: who was drawn, what was paid when, and what noise fell on weights that nobody's loss touches.

The critic gets spare weights whose gradient is exactly zero for every user: what arrives there is noise and nothing else. Canary users,
each in the log by a fair coin, have a gradient of ten clip norms on one spare weight of their own and none elsewhere.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from synthrec.conformance.answers import CHARGE
from synthrec.conformance.looked import look
from synthrec.conformance.quick import less_to_calibrate
from synthrec.conformance.subject import Subject
from synthrec.data.eventlog import EventLog
from synthrec.model import game
from synthrec.model import train as training
from synthrec.model.critic import Critic
from synthrec.model.private_step import PrivateCritic, UserOptimizer
from synthrec.privacy.ledger import Entry, Ledger
from synthrec.privacy.plan import Training
from synthrec.progress import Progress

SPARE = 400             # weights that collect pure noise
CANARIES = 1_500        # weights of one canary each
CANARY_NORMS = 10.0     # of a canary's gradient, before clipping


@dataclass
class Watched:
    """What a training did.

    Shapes:
        noise float64[steps, SPARE], canary float64[steps, CANARIES]: released gradients of the sum, in clip norms; included bool[CANARIES].
    """

    included: np.ndarray
    users: int = 0
    noise: np.ndarray = field(default_factory=lambda: np.zeros((0, SPARE)))
    canary: np.ndarray = field(default_factory=lambda: np.zeros((0, CANARIES)))
    batches: list[np.ndarray] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)           # users whom each step was given
    paid: list[int] = field(default_factory=list)           # steps on the ledger's disk when each step ran
    entries: tuple[Entry, ...] = ()


class SpareCritic(Critic):
    """The installed critic with weights beside it that see nothing but zeros."""

    def __init__(self, *, inputs: int, hidden: int) -> None:
        super().__init__(inputs=inputs, hidden=hidden)
        self.spare = nn.Linear(1, SPARE + CANARIES, bias=False)
        self._modules = {"spare": self._modules.pop("spare"), **self._modules}      # first to be noised, however wide the others are

    def forward(self, users: torch.Tensor) -> torch.Tensor:
        """Scores, to which the spare weights add exactly 0."""
        nothing: torch.Tensor = self.spare(torch.zeros_like(users[:, :1])).sum(dim=1)
        return super().forward(users) + nothing


def watch(subject: Subject, *, users: int | None = None, canaries: bool = True) -> Watched:
    """Train on the subject's log with canaries in it, or on its first `users` without. Libraries are seeded alike each time."""
    assert subject.plan.training is not None
    log = subject.read(subject.events)
    log = log if users is None else log.select(np.arange(users))
    included = np.random.default_rng().random(CANARIES) < 0.5 if canaries else np.zeros(CANARIES, dtype=bool)
    found = Watched(included=included, users=len(log.offsets) - 1)
    shadows = log.select(np.zeros(int(included.sum()), dtype=np.int64) + _shortest(log))
    _seed_libraries()
    with TemporaryDirectory(prefix="synthrec-") as scratch, _instruments(found, plan=subject.plan.training), less_to_calibrate():
        path = Path(scratch) / "ledger.jsonl"
        with Ledger.open(path) as ledger, _payments(found, path):
            look(subject, subject.events, ledger=ledger)
            training.train(EventLog.concat([log, shadows]), catalogue=subject.catalogue, schema=subject.schema, plan=subject.plan,
                           ledger=ledger, charge=CHARGE, device="cpu", rng=np.random.default_rng(0), progress=Progress())
        found.entries = Ledger.read(path).entries
    return found


@contextmanager
def _instruments(found: Watched, *, plan: Training) -> Iterator[None]:
    """Spare weights, canaries' gradients, and a look at every batch and every released gradient."""
    draw, clip, step, names = game.poisson_batches, UserOptimizer.clip_and_accumulate, PrivateCritic.step, np.flatnonzero(found.included)
    noise, canary = list[np.ndarray](), list[np.ndarray]()

    def drawn(users: int, **options: Any) -> Iterator[np.ndarray]:
        for batch in draw(users, **options):
            found.batches.append(batch)
            yield batch

    def forced(self: UserOptimizer) -> None:
        who = torch.as_tensor(np.flatnonzero(found.batches[-1] >= found.users))
        weight = torch.as_tensor(SPARE + names[found.batches[-1][who.numpy()] - found.users])
        for parameter in self.params:
            parameter.grad_sample[who] = 0
        spare = self.params[0]
        spare.grad_sample[who, weight, 0] = CANARY_NORMS * plan.clip_norm
        clip(self)

    def watched(self: PrivateCritic, real: torch.Tensor, fake: torch.Tensor) -> None:
        found.seen.append(len(real))
        step(self, real, fake)
        gradient = self._hooked._module.spare.weight.grad[:, 0].double().numpy() * (plan.expected_batch_size / plan.clip_norm)
        noise.append(gradient[:SPARE].copy())
        canary.append(gradient[SPARE:].copy())

    with (patch.object(game, "Critic", SpareCritic), patch.object(game, "poisson_batches", drawn),
          patch.object(UserOptimizer, "clip_and_accumulate", forced), patch.object(PrivateCritic, "step", watched)):
        yield
    found.noise, found.canary = np.array(noise).reshape(-1, SPARE), np.array(canary).reshape(-1, CANARIES)


@contextmanager
def _payments(found: Watched, path: Path) -> Iterator[None]:
    """How many steps the ledger on disk had been charged for when each step ran."""
    step = PrivateCritic.step

    def paid(self: PrivateCritic, real: torch.Tensor, fake: torch.Tensor) -> None:
        found.paid.append(sum(entry.event.count for entry in Ledger.read(path).entries if entry.mechanism == "game"))
        step(self, real, fake)

    with patch.object(PrivateCritic, "step", paid):
        yield


def _shortest(log: EventLog) -> int:
    return int(np.diff(log.offsets).argmin())


def _seed_libraries() -> None:
    """What a careless caller does: no privacy noise may follow from it."""
    random.seed(0)
    np.random.seed(0)       # noqa: NPY002
    torch.manual_seed(0)
