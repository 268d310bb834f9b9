"""One whole training as installed, watched: who was drawn, what was paid when, and what noise fell on weights that nobody's loss touches.

The critic gets spare weights whose gradient is exactly zero for every user: what arrives there is noise and nothing else. Canary users,
each in the log by a fair coin, have a gradient of ten clip norms on one spare weight of their own and none elsewhere.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from synthrec.conformance.answers import CHARGE, QUICK, RecordingNoise
from synthrec.conformance.looked import look
from synthrec.conformance.subject import Subject
from synthrec.data.eventlog import EventLog
from synthrec.model.critic import Critic
from synthrec.model.private_step import PrivateCritic, UserOptimizer
from synthrec.model.train import Means, train
from synthrec.privacy.event import Event
from synthrec.privacy.ledger import Entry, Ledger
from synthrec.privacy.plan import Training
from synthrec.privacy.session import Session
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
    released: list[np.ndarray] = field(default_factory=list)
    batches: list[np.ndarray] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)           # users whom each step was given
    paid: list[int] = field(default_factory=list)           # steps on the ledger's disk when each step ran
    constants: list[tuple[float, ...]] = field(default_factory=list)       # clip norm, expected batch size and number of fakes of each step
    given: RecordingNoise = field(default_factory=RecordingNoise)          # what the source of noise was asked for
    entries: tuple[Entry, ...] = ()

    @property
    def steps_charged(self) -> Event:
        """A block of steps as the ledger on disk has it."""
        return next(entry.event for entry in self.entries if entry.mechanism == "game")

    @property
    def noise(self) -> np.ndarray:
        """What arrived on weights that no loss touches."""
        return np.array(self.released).reshape(-1, SPARE + CANARIES)[:, :SPARE]

    @property
    def canary(self) -> np.ndarray:
        """What arrived on the canaries' weights."""
        return np.array(self.released).reshape(-1, SPARE + CANARIES)[:, SPARE:]


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
    with TemporaryDirectory(prefix="synthrec-") as scratch:
        path = Path(scratch) / "ledger.jsonl"
        found.given = RecordingNoise(batches_drawn=found.batches)
        with Ledger.open(path) as ledger:
            look(subject, subject.events, ledger=ledger)
            train(EventLog.concat([log, shadows]), catalogue=subject.catalogue, schema=subject.schema, progress=Progress(),
                  session=Session(subject.plan, ledger=ledger, charge=CHARGE, noise=found.given),
                  means=Means(effort=QUICK, critic=_instrumented(found, path=path, plan=subject.plan.training), seed=0))
        found.entries = Ledger.read(path).entries
    return found


def _instrumented(found: Watched, *, path: Path, plan: Training) -> type[PrivateCritic]:
    """The installed critic with spare weights, canaries' gradients, and a look at every batch, payment and released gradient."""
    names = np.flatnonzero(found.included)

    class Forced(UserOptimizer):
        def clip_and_accumulate(self) -> None:
            who = torch.as_tensor(np.flatnonzero(found.batches[-1] >= found.users))
            weight = torch.as_tensor(SPARE + names[found.batches[-1][who.numpy()] - found.users])
            for parameter in self.params:
                parameter.grad_sample[who] = 0
            spare = self.params[0]
            spare.grad_sample[who, weight, 0] = CANARY_NORMS * plan.clip_norm
            super().clip_and_accumulate()

    class Instrumented(PrivateCritic):
        network, optimizer = SpareCritic, Forced

        def step(self, real: torch.Tensor, fake: torch.Tensor) -> None:
            found.paid.append(sum(entry.event.count for entry in Ledger.read(path).entries if entry.mechanism == "game"))
            found.seen.append(len(real))
            super().step(real, fake)
            gradient = self._hooked._module.spare.weight.grad[:, 0].double().numpy() * (plan.expected_batch_size / plan.clip_norm)
            found.released.append(gradient.copy())

        def _fake_gradients(self, fake: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found.constants.append((self._optimizer.max_grad_norm, self._optimizer.expected_batch_size, len(fake)))
            return super()._fake_gradients(fake)

    return Instrumented


def _shortest(log: EventLog) -> int:
    return int(np.diff(log.offsets).argmin())


def _seed_libraries() -> None:
    """What a careless caller does: no privacy noise may follow from it."""
    random.seed(0)
    np.random.seed(0)       # noqa: NPY002
    torch.manual_seed(0)
