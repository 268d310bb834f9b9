"""One critic step under the glass: the noiseless gradient that it would release, for any batch.

The step is the installed one with its noise set to nothing; the gradient is read where the optimizer would use it, and the weights stay.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from synthrec.data.eventlog import EventLog
from synthrec.model.critic import Critic
from synthrec.model.pooling import pool_log
from synthrec.model.private_step import PrivateCritic
from synthrec.model.tastes import TasteFrame
from synthrec.privacy.noise import SystemNoise
from synthrec.privacy.plan import Training

INPUTS, HIDDEN, ITEMS = 30, 48, 40
CPU = torch.device("cpu")


class _WithoutFakes(PrivateCritic):
    def _fake_gradients(self, fake: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.zeros_like(parameter) for parameter in self._hooked.parameters())


class CriticStep:
    """A critic whose step can be looked at: its gradient comes back and its weights stay.

    Args:
        noise: multiplier; 0 to see sums.
        scale: of the weights, to make gradients large.
        fakes: False leaves their gradient out: it is added after the noise, and beside large ones float32 would hide a small move.
    """

    def __init__(self, training: Training, *, noise: float = 0.0, scale: float = 1.0, inputs: int = INPUTS, fakes: bool = True) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(4)
            network = Critic(inputs=inputs, hidden=HIDDEN)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(scale)
        self.training = training.model_copy(update={"noise_multiplier": noise})
        release = partial(SystemNoise().gradient, scale=noise * training.clip_norm)
        self.critic = (PrivateCritic if fakes else _WithoutFakes)(network, training=self.training, release=release, device=CPU)
        self.critic._optimizer.original_optimizer.step = lambda: None

    def __call__(self, real: torch.Tensor, fake: torch.Tensor) -> np.ndarray:
        """The gradient of all weights, in clip norms of the sum: times the expected batch size, over the clip norm."""
        self.critic.step(real, fake)
        gradient = torch.cat([parameter.grad.reshape(-1) for parameter in self.critic._hooked.parameters()]).double().numpy()
        return gradient * (self.training.expected_batch_size / self.training.clip_norm)


def some_users(count: int, *, seed: int = 0, inputs: int = INPUTS) -> torch.Tensor:
    """Standard normal inputs."""
    return torch.randn((count, inputs), generator=torch.Generator().manual_seed(seed))


def odd_batch() -> torch.Tensor:
    """Sixteen ordinary users and one each: NaN, infinite, huge, 100 times, all zero."""
    batch = torch.cat([some_users(16), torch.full((5, INPUTS), 1.0)])
    batch[16, 3], batch[17, 0], batch[18], batch[19], batch[20] = float("nan"), float("inf"), 1e30, 100.0, 0.0
    return batch


def longest_move(training: Training, *, scale: float = 1.0) -> float:
    """The longest move of the clipped sum, in clip norms, when one user leaves the batch."""
    step, batch, fake = CriticStep(training, scale=scale, fakes=False), odd_batch(), some_users(8, seed=1)
    whole = step(batch, fake)
    moves = [np.linalg.norm(whole - step(torch.cat([batch[:gone], batch[gone + 1:]]), fake)) for gone in range(len(batch))]
    return max(float(move) if np.isfinite(move) else np.inf for move in moves)


def heavy_move(training: Training, *, per_event: bool = False) -> float:
    """How far a user of 10,000 events moves the sum, in clip norms; `per_event` as a saboteur's critic would see each event."""
    rng = np.random.default_rng(0)
    frame = TasteFrame(features=rng.normal(0, 1, (ITEMS, 4)), item_mean=np.full(ITEMS, 3.0), popularity=np.full(ITEMS, 1 / ITEMS),
                       rating_unit=1.0)
    heavy = _log(np.arange(10_001) if per_event else np.array([0, 10_000]), rating=np.full(10_000, 5.0))
    crowd = _log(np.arange(0, 901, 10), rating=rng.integers(1, 6, 900))
    rest, added = (torch.as_tensor(pool_log(log, frame=frame, sizes={}, most_events=20)) for log in (crowd, heavy))
    step, fake = CriticStep(training, inputs=rest.shape[1], fakes=False), torch.zeros(8, rest.shape[1])
    return float(np.linalg.norm(step(torch.cat([rest, added]), fake) - step(rest, fake)))


def constant_error(step: CriticStep) -> float:
    """How much one user's pull changes when the batch is ten times larger, relative to it."""
    nobody, crowd, newcomer, fake = some_users(0), some_users(9), some_users(1, seed=8), some_users(8, seed=1)
    alone = step(newcomer, fake) - step(nobody, fake)
    among = step(torch.cat([crowd, newcomer]), fake) - step(crowd, fake)
    return float(np.abs(among - alone).max() / max(float(np.abs(alone).max()), 1e-9))


def fake_error(step: CriticStep) -> float:
    """How much the fakes' pull changes beside nobody, some, and many users of large gradients, relative to it."""
    one, two = some_users(8, seed=1), some_users(8, seed=2)
    changes = [step(real, one) - step(real, two) for real in (some_users(0), some_users(5), 50 * some_users(400, seed=6))]
    size = max(float(np.abs(changes[0]).max()), 1e-9)
    return max(float(np.abs(change - changes[0]).max()) for change in changes[1:]) / size


def _log(offsets: np.ndarray, *, rating: np.ndarray) -> EventLog:
    return EventLog(offsets=offsets, item=(np.arange(offsets[-1]) % ITEMS).astype(np.int32), rating=rating.astype(np.float32))
