"""The game: a private critic against a generator that starts from the measurements.

Guarantees: real users enter through `PrivateCritic.step` only, as batches of
`Session.critic_batches`, which charges each block of steps before its first batch is drawn, and
leave as `Session.noisy_gradient`. The generator's steps see scores of a critic that is already
private: post-processing (rules: Poisson sampling, fixed steps, real data at the critic only,
write-ahead ledger). Standardisation of the critic's inputs comes from synthetic users.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from synthrec.data.eventlog import EventLog
from synthrec.errors import ReleaseError
from synthrec.model.calibration import draw
from synthrec.model.checkpoint import require_alike
from synthrec.model.dp_sgd import (
    PrivateCritic,
    Release,
    optimizer_state,
    pool_log,
    pool_picks,
    pooled_width,
    restore_optimizer,
)
from synthrec.model.generator import Generator, seeded_init
from synthrec.model.item_choice import Behaviour, ItemTables, pick
from synthrec.model.measurements import Estimates
from synthrec.model.statistic import Effort
from synthrec.privacy.plan import Training
from synthrec.privacy.session import Session
from synthrec.progress import Progress

CRITIC_HIDDEN = 48
AVERAGE_DECAY = 0.98
FARTHEST = 5.0  # standard deviations of a critic's input
EPSILON_EVERY = 50  # steps between two computations of the epsilon charged


@dataclass
class SyntheticBatches:
    """Synthetic users for the critic, with gradients to the generator."""

    generator: Generator
    estimates: Estimates
    tables: ItemTables
    rng: np.random.Generator
    mean: torch.Tensor | None = None
    deviation: torch.Tensor | None = None

    def __post_init__(self) -> None:
        device = self.generator.scale.device
        self.features = torch.as_tensor(self.tables.features, dtype=torch.float32, device=device)
        self.item_mean = torch.as_tensor(self.tables.item_mean, dtype=torch.float32, device=device)
        self.stand_ins, self.log_weight = (
            torch.as_tensor(each, dtype=torch.float32, device=device)
            for each in self.tables.stand_ins()
        )
        self.cuts = torch.as_tensor(self.tables.cuts, dtype=torch.float32, device=device)
        self.levels = torch.as_tensor(self.tables.levels, dtype=torch.float32, device=device)

    def batch(self, users: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Pooled synthetic users, and the stacked behaviour they come from.

        Shapes:
            -> [B, 3F + 2 + C] standardised, [B, D].

        The picks are fixed; a weight of value 1 on each carries the gradient of its log
        probability, so that pooled means move with the tilt as expectations do (Foerster et al.
        2018).
        """
        device = self.features.device
        conditions = draw(self.estimates, users=users, rng=self.rng)
        latent = torch.as_tensor(
            self.rng.standard_normal((users, len(self.generator.scale))),
            dtype=torch.float32,
            device=device,
        )
        vectors = conditions.vectors(self.estimates)
        condition = torch.as_tensor(vectors, dtype=torch.float32, device=device)
        stacked = self.generator.stacked(latent, condition)
        behaviour = self.generator.behaviour(stacked, condition)
        count = self.features.shape[1]
        bias, slope, tilt = behaviour[:, 0], behaviour[:, 1 : count + 1], behaviour[:, count + 1 :]
        item = pick(
            Behaviour.split(behaviour.detach().double().cpu().numpy()),
            conditions.events,
            tables=self.tables,
            rng=self.rng,
        )
        mask = np.arange(conditions.events.max()) < conditions.events[:, None]
        padded = np.zeros(mask.shape, dtype=np.int64)
        padded[mask] = item
        items = torch.as_tensor(padded, device=device)
        used = torch.as_tensor(mask, dtype=torch.float32, device=device)
        features = self.features[items]
        logs = (
            torch.einsum("bf,bnf->bn", tilt, features)
            - torch.logsumexp(tilt @ self.stand_ins.T + self.log_weight, dim=1)[:, None]
        )
        weight = used * torch.exp(logs - logs.detach()) / used.sum(dim=1, keepdim=True)
        noise = torch.as_tensor(
            self.rng.normal(0, self.tables.rating_noise, items.shape),
            dtype=torch.float32,
            device=device,
        )
        raw = (
            self.item_mean[items]
            + bias[:, None]
            + torch.einsum("bf,bnf->bn", slope, features)
            + noise
        )
        deviation = torch.zeros_like(raw)
        if self.tables.rated:
            level = (
                raw
                + (self.levels[torch.bucketize(raw.detach(), self.cuts, right=True)] - raw).detach()
            )
            deviation = (level - self.item_mean[items]) / self.estimates.frame.rating_unit
        return self.standardise(pool_picks(features, deviation, weight, condition)), stacked

    def standardise(self, pooled: torch.Tensor) -> torch.Tensor:
        """Inputs of mean 0 and variance 1 over synthetic users; not finite becomes 0."""
        if self.mean is None or self.deviation is None:
            return pooled
        return torch.nan_to_num(
            (pooled - self.mean) / self.deviation, nan=0.0, posinf=0.0, neginf=0.0
        ).clamp(-FARTHEST, FARTHEST)


@dataclass
class GanState:
    """All that moves during the game: what a checkpoint keeps. No state of a random generator is in
    it.
    """

    fakes: SyntheticBatches
    critic: PrivateCritic
    optimizer: torch.optim.Optimizer
    average: Generator

    def state(self) -> dict[str, np.ndarray]:
        """Weights, moments and the critic's standardisation."""
        assert self.fakes.mean is not None and self.fakes.deviation is not None
        tensors = {
            "mean": self.fakes.mean,
            "deviation": self.fakes.deviation,
            **self.critic.state(),
            **optimizer_state(self.optimizer, prefix="moments"),
        }
        for room, generator in (("generator", self.fakes.generator), ("average", self.average)):
            tensors |= {f"{room}.{name}": tensor for name, tensor in generator.state_dict().items()}
        return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Be as `arrays` say. Raises ReleaseError for another game's."""
        device = self.fakes.generator.scale.device
        state = {name: torch.as_tensor(array, device=device) for name, array in arrays.items()}
        try:
            require_alike(arrays, self.state())
            self.fakes.mean, self.fakes.deviation = state["mean"], state["deviation"]
            self.critic.restore(state)
            restore_optimizer(self.optimizer, state, prefix="moments")
            for room, generator in (("generator", self.fakes.generator), ("average", self.average)):
                generator.load_state_dict(
                    {name: state[f"{room}.{name}"] for name in generator.state_dict()}
                )
            if self.state().keys() | {"done"} != arrays.keys():
                raise ValueError
        except (LookupError, ValueError, RuntimeError, TypeError):
            raise ReleaseError(
                "a training is continued from a whole checkpoint",
                found="the state of another game",
                remedy="Start a new one; what this one was charged is spent.",
            ) from None


def train_gan(
    generator: Generator,
    log: EventLog,
    *,
    estimates: Estimates,
    tables: ItemTables,
    session: Session,
    rng: np.random.Generator,
    progress: Progress,
    effort: Effort,
    critic: type[PrivateCritic] = PrivateCritic,
) -> Generator:
    """The generator after the plan's critic steps, averaged over the later ones; if one died, from
    the first step not charged.
    """
    training = session.plan.training
    assert training is not None
    gan = new_gan(
        generator,
        estimates=estimates,
        tables=tables,
        training=training,
        release=session.noisy_gradient,
        rng=rng,
        effort=effort,
        critic=critic,
    )
    if (before := session.recall("game")) is not None:
        gan.restore(before)
    vectors = partial(
        pool_log,
        frame=estimates.frame,
        sizes=estimates.sizes,
        most_events=session.plan.events_per_user,
    )
    note = ""
    with progress.stage("game", total=training.steps) as advance:
        advance(session.drawn_steps)
        for rows in session.critic_batches(log, vectors):
            done = session.drawn_steps
            real = gan.fakes.standardise(torch.as_tensor(rows, device=gan.fakes.features.device))
            gan.critic.step(real, gan.fakes.batch(training.fakes_per_step)[0])
            if done % training.critic_steps_per_generator_step == 0:
                _generator_step(generator, gan.critic, gan.fakes, gan.optimizer, training=training)
                _average(gan.average, generator)
            if done == session.charged_steps:  # the end of what was charged ahead
                session.keep("game", gan.state() | {"done": np.array([done])})
            if done % EPSILON_EVERY == 0 or done == training.steps:
                note = f"epsilon charged {session.epsilon():.2f}"
            advance(1, note=note)
    return gan.average


def new_gan(
    generator: Generator,
    *,
    estimates: Estimates,
    tables: ItemTables,
    training: Training,
    release: Release,
    rng: np.random.Generator,
    effort: Effort,
    critic: type[PrivateCritic],
) -> GanState:
    """The game before its first step."""
    fakes = SyntheticBatches(generator, estimates, tables, rng)
    with torch.no_grad():  # inputs are standardised by synthetic users
        rows = torch.cat([fakes.batch(256)[0] for _ in range(effort.standard_users // 256)])
    fakes.mean, fakes.deviation = rows.mean(dim=0), rows.std(dim=0).clamp_min(1e-3)
    width = pooled_width(fakes.features.shape[1]) + estimates.conditions
    with seeded_init(rng):
        network = critic.network(inputs=width, hidden=CRITIC_HIDDEN)
    private = critic(
        network,
        training=training,
        release=release,
        device=generator.scale.device,
    )
    optimizer = torch.optim.Adam(
        generator.parameters(), lr=training.generator_rate, betas=(0.5, 0.9)
    )
    return GanState(fakes, private, optimizer, average=copy.deepcopy(generator))


def _generator_step(
    generator: Generator,
    critic: PrivateCritic,
    fakes: SyntheticBatches,
    optimizer: torch.optim.Optimizer,
    *,
    training: Training,
) -> None:
    """Look more real, and stay near the measured moments: taste means at 0, second moment where it
    was.
    """
    pooled, stacked = fakes.batch(training.fakes_per_step)
    loss = torch.nn.functional.softplus(-critic.score(pooled)).mean()
    size = torch.linalg.matrix_norm(generator.factor).square() + 1e-6
    drift = stacked.mean(dim=0).square().sum() / size
    moment = stacked.T @ stacked / len(stacked) - generator.factor @ generator.factor.T
    loss = loss + training.anchor_weight * (drift + moment.square().sum() / size.square())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _average(average: Generator, generator: Generator) -> None:
    with torch.no_grad():
        for mean, now in zip(average.parameters(), generator.parameters(), strict=True):
            mean.lerp_(now, 1 - AVERAGE_DECAY)
