"""Sensitivity: one user moves what is released by at most the declared norm before noise, whoever
they are.

Measured on at least 20 neighbours: ordinary users, nobody at all, the longest, 10,000 events,
ratings of a hundred scales, NaN, infinite, codes of no domain; for the critic also gradients that
are a hundred times larger, not finite, or vanish. A critic step is the installed one with its noise
set to nothing: the gradient is read where the optimizer would use it, and the weights stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import scipy.sparse as sp
import torch

from synthrec.conformance.answers import Replies, clipped_sums
from synthrec.conformance.record import Check, judged
from synthrec.conformance.subject import Subject, neighbours
from synthrec.data.eventlog import BLOCK_USERS, EventLog
from synthrec.model.dp_sgd import Critic, PrivateCritic, pool_log
from synthrec.model.tastes import TasteFrame
from synthrec.privacy.mechanisms import LATTICE, SystemNoise, lattice_pairs, lattice_sum
from synthrec.privacy.plan import Training

INPUTS, HIDDEN, ITEMS = 30, 48, 40
CPU = torch.device("cpu")


class _WithoutFakes(PrivateCritic):
    def _fake_gradients(self, fake: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.zeros_like(parameter) for parameter in self._hooked.parameters())


class CriticStep:
    """A critic whose step can be looked at: its gradient comes back and its weights stay.

    Args:
        noise: multiplier; 0 to see sums. scale: of the weights, to make gradients large. fakes:
        False leaves their gradient out: it is added after the noise, and beside large ones float32
        would hide a small move.
    """

    def __init__(
        self,
        training: Training,
        *,
        noise: float = 0.0,
        scale: float = 1.0,
        inputs: int = INPUTS,
        fakes: bool = True,
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(4)
            network = Critic(inputs=inputs, hidden=HIDDEN)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(scale)
        self.training = training.model_copy(update={"noise_multiplier": noise})
        release = partial(SystemNoise().gradient, scale=noise * training.clip_norm)
        self.critic = (PrivateCritic if fakes else _WithoutFakes)(
            network, training=self.training, release=release, device=CPU
        )
        self.critic._optimizer.original_optimizer.step = lambda: None

    def __call__(self, real: torch.Tensor, fake: torch.Tensor) -> np.ndarray:
        """The gradient of all weights, in clip norms of the sum: times the expected batch size,
        over the clip norm.
        """
        self.critic.step(real, fake)
        gradient = (
            torch.cat(
                [parameter.grad.reshape(-1) for parameter in self.critic._hooked.parameters()]
            )
            .double()
            .numpy()
        )
        return gradient * (self.training.expected_batch_size / self.training.clip_norm)


def some_users(count: int, *, seed: int = 0, inputs: int = INPUTS) -> torch.Tensor:
    """Standard normal inputs."""
    return torch.randn((count, inputs), generator=torch.Generator().manual_seed(seed))


def odd_batch() -> torch.Tensor:
    """Sixteen ordinary users and one each: NaN, infinite, huge, 100 times, all zero."""
    batch = torch.cat([some_users(16), torch.full((5, INPUTS), 1.0)])
    batch[16, 3], batch[17, 0], batch[18], batch[19], batch[20] = (
        float("nan"),
        float("inf"),
        1e30,
        100.0,
        0.0,
    )
    return batch


def longest_move(training: Training, *, scale: float = 1.0) -> float:
    """The longest move of the clipped sum, in clip norms, when one user leaves the batch."""
    step, batch, fake = (
        CriticStep(training, scale=scale, fakes=False),
        odd_batch(),
        some_users(8, seed=1),
    )
    whole = step(batch, fake)
    return _longest(
        whole - step(torch.cat([batch[:gone], batch[gone + 1 :]]), fake)
        for gone in range(len(batch))
    )


def heavy_move(training: Training, *, per_event: bool = False) -> float:
    """How far a user of 10,000 events moves the sum, in clip norms; `per_event` as a saboteur's
    critic would see each event.
    """
    rng = np.random.default_rng(0)
    frame = TasteFrame(
        features=rng.normal(0, 1, (ITEMS, 4)),
        item_mean=np.full(ITEMS, 3.0),
        popularity=np.full(ITEMS, 1 / ITEMS),
        rating_unit=1.0,
    )
    heavy = _log(
        np.arange(10_001) if per_event else np.array([0, 10_000]), rating=np.full(10_000, 5.0)
    )
    crowd = _log(np.arange(0, 901, 10), rating=rng.integers(1, 6, 900))
    rest, added = (
        torch.as_tensor(pool_log(log, frame=frame, sizes={}, most_events=20))
        for log in (crowd, heavy)
    )
    step, fake = (
        CriticStep(training, inputs=rest.shape[1], fakes=False),
        torch.zeros(8, rest.shape[1]),
    )
    return float(np.linalg.norm(step(torch.cat([rest, added]), fake) - step(rest, fake)))


def constant_error(step: CriticStep) -> float:
    """How much one user's pull changes when the batch is ten times larger, relative to it."""
    nobody, crowd, newcomer, fake = (
        some_users(0),
        some_users(9),
        some_users(1, seed=8),
        some_users(8, seed=1),
    )
    alone = step(newcomer, fake) - step(nobody, fake)
    among = step(torch.cat([crowd, newcomer]), fake) - step(crowd, fake)
    return float(np.abs(among - alone).max() / max(float(np.abs(alone).max()), 1e-9))


def fake_error(step: CriticStep) -> float:
    """How much the fakes' pull changes beside nobody, some, and many users of large gradients,
    relative to it.
    """
    one, two = some_users(8, seed=1), some_users(8, seed=2)
    changes = [
        step(real, one) - step(real, two)
        for real in (some_users(0), some_users(5), 50 * some_users(400, seed=6))
    ]
    size = max(float(np.abs(changes[0]).max()), 1e-9)
    return max(float(np.abs(change - changes[0]).max()) for change in changes[1:]) / size


def _log(offsets: np.ndarray, *, rating: np.ndarray) -> EventLog:
    return EventLog(
        offsets=offsets,
        item=(np.arange(offsets[-1]) % ITEMS).astype(np.int32),
        rating=rating.astype(np.float32),
    )


ROUNDING = 1e-3  # of a clip norm: the critic's float32
SCALES = (1.0, 100.0)  # of the critic's weights: gradients grow with them


def sensitivity(subject: Subject) -> list[Check]:
    """A check for each planned sum, for the lattice sums on raw vectors, and for the critic step."""
    moves, forgetful = longest_moves(subject), uncounted(subject)
    return [
        *(
            judged(
                "sensitivity",
                "{sum}",
                statistic=moves.get(each.name, math.nan),
                low=0.01,
                high=1.0,
                sum=each.name,
            )
            for each in subject.plan.measurements
        ),
        *(
            judged(
                "sensitivity",
                "{add_up} of raw vectors",
                statistic=raw_move(add_up),
                low=0.5,
                high=1.0,
                add_up=add_up.__name__,
            )
            for add_up in (lattice_sum, lattice_pairs)
        ),
        judged(
            "sensitivity",
            "lattice_sum of cells in parts",
            statistic=raw_move(sum_of_parts),
            low=0.5,
            high=1.0,
        ),
        judged(
            "sensitivity",
            "everybody counts",
            statistic=len(forgetful),
            low=0,
            high=0,
            power=bool(subject.plan.measurements),
        ),
        *(critic_checks(subject) if subject.plan.training else ()),
    ]


def critic_checks(subject: Subject) -> list[Check]:
    """What one critic step does with a user's gradient, a batch's size and the fakes."""
    training = subject.plan.training
    assert training is not None
    return [
        *(
            judged(
                "sensitivity",
                "critic step, weights x{scale:g}",
                high=1 + ROUNDING,
                statistic=longest_move(training, scale=scale),
                scale=scale,
            )
            for scale in SCALES
        ),
        judged(
            "sensitivity",
            "critic step, 10,000 events",
            statistic=heavy_move(training),
            high=1 + ROUNDING,
        ),
        judged(
            "sensitivity",
            "critic step, denominator",
            statistic=constant_error(CriticStep(training)),
            high=ROUNDING,
        ),
        judged(
            "sensitivity",
            "critic step, fakes",
            statistic=fake_error(CriticStep(training, scale=3.0)),
            high=ROUNDING,
        ),
    ]


def longest_moves(subject: Subject) -> dict[str, float]:
    """Per measurement, the longest move of the clipped sum in declared norms; infinite if others'
    parts moved with it.
    """
    replies, most = Replies(), dict[str, float]()
    for log, rest, user in neighbours(subject):
        with np.errstate(invalid="ignore", over="ignore"):
            whole, left, alone = (
                clipped_sums(
                    part,
                    schema=subject.schema,
                    catalogue=subject.catalogue,
                    plan=subject.plan,
                    replies=replies,
                )
                for part in (log, rest, user)
            )
        for name, total in whole.items():
            move = float(np.linalg.norm((total - left[name]).astype(np.float64))) / LATTICE
            others_moved = (total - left[name] != alone[name]).any()
            most[name] = max(most.get(name, 0.0), math.inf if others_moved else move)
    return most


def uncounted(subject: Subject) -> list[str]:
    """Measurements in which some user is forgotten, or counts otherwise among more: sums of a long
    log against those of two parts.

    The parts are cut where no block of the whole ends.
    """
    replies, log, users = Replies(), subject.read(subject.events), np.arange(5 * BLOCK_USERS // 4)
    some = users % (log.users)
    whole, first, rest = (
        clipped_sums(
            log.select(part),
            schema=subject.schema,
            catalogue=subject.catalogue,
            plan=subject.plan,
            replies=replies,
        )
        for part in (some, *np.split(some, [3 * BLOCK_USERS // 4]))
    )
    return [
        name
        for name, total in whole.items()
        if not total.any() or (total != first[name] + rest[name]).any()
    ]


def sum_of_parts(users: np.ndarray, *, norm: float) -> np.ndarray:
    """`lattice_sum` of vectors whose every cell x is written as 2x and a thousand times -x / 1000:
    rounded one by one they are more.
    """
    parts = np.concatenate(([2.0], np.full(1_000, -1e-3)))
    with np.errstate(invalid="ignore", over="ignore"):
        values = (users[:, :, None] * parts).ravel()
    columns = np.tile(np.repeat(np.arange(users.shape[1]), len(parts)), len(users))
    offsets = np.arange(len(users) + 1) * users.shape[1] * len(parts)
    return lattice_sum(sp.csr_matrix((values, columns, offsets), shape=users.shape), norm=norm)


def raw_vectors(norm: float) -> np.ndarray:
    """Ordinary vectors, then nothing, NaN, infinite, huge, overflowing, tiny, 10,000 events in one
    cell, 100 times the norm.
    """
    users = np.random.default_rng(3).normal(0, 1, (20, 6))
    users[12:] = 0
    users[13, 2] = np.nan
    users[14, :3] = (np.inf, -np.inf, 1)
    users[15], users[16], users[17] = 1e150, 1e300, 1e-30
    users[18, 4] = 10_000
    users[19] = 100 * norm / math.sqrt(6)
    return users


def raw_move(add_up: Callable[..., np.ndarray], *, norm: float = 2.5) -> float:
    """How far a lattice sum moves, in norms, when the worst of the vectors leaves."""
    users = raw_vectors(norm)
    whole = add_up(users, norm=norm).astype(np.float64)
    moves = (
        whole - add_up(np.delete(users, gone, axis=0), norm=norm) for gone in range(len(users))
    )
    return _longest(moves) / LATTICE


def _longest(moves: Iterable[np.ndarray]) -> float:
    lengths = [float(np.linalg.norm(move)) for move in moves]
    return max(length if math.isfinite(length) else math.inf for length in lengths)
