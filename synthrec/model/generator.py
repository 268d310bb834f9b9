"""The generator: from a latent vector and a condition to one user's behaviour (bias, taste in
rating, tilt in choosing); and the conditions, which say who a synthetic user is before they do
anything.

Conditions are attributes and activity, drawn from the measured shares. Attributes are drawn
independently of each other, so that shares of what a sample asks for are exact: the measured ones,
cut and scaled to 1.

Anchored: a linear part reproduces the measured second moment of tastes, another the measured
differences of groups; a small network adds what the game teaches, starting from nothing. Without
the game this is the moments model, without moments the marginals model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from synthrec.data.filters import ACTIVITY, Scope
from synthrec.errors import ConditionError
from synthrec.model.statistic import Known, log_uniform
from synthrec.privacy.plan import Plan


@dataclass(frozen=True)
class Conditions:
    """Attributes and number of events of B users.

    Shapes:
        events int64[B], at least 1; attributes name -> int16[B], the domain's size for "other".
    """

    events: np.ndarray
    attributes: Mapping[str, np.ndarray]

    def vectors(self, known: Known) -> np.ndarray:
        """As numbers; see `condition_vectors`."""
        most = known.plan.events_per_user
        return condition_vectors(self.events, self.attributes, sizes=known.sizes, most_events=most)


@dataclass(frozen=True)
class Shares:
    """What conditions are drawn from.

    Shapes:
        activity float64[len(edges) - 1]: bucket j holds edges[j] to edges[j + 1] - 1 events;
        attributes name -> float64[size + 1].
    """

    edges: tuple[int, ...]
    activity: np.ndarray
    attributes: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, known: Known) -> Shares:
        """As measured."""
        return cls(known.activity_edges, known.activity, known.attributes)

    def within(self, scope: Scope, *, plan: Plan) -> Shares:
        """The shares of what a sample asks for. Raises ConditionError for a group that the release
        does not tell from nobody.
        """
        rarest = {each.name: each.noise_std / plan.population for each in plan.measurements}
        attributes = {
            name: _within(shares, scope.where[name], name=name, rarest=rarest["attributes"])
            if name in scope.where
            else shares
            for name, shares in self.attributes.items()
        }
        if scope.events is None:
            return Shares(edges=self.edges, activity=self.activity, attributes=attributes)
        edges = np.clip(self.edges, scope.events[0], scope.events[1] + 1)
        parts = np.diff(np.log(edges)) / np.diff(np.log(self.edges))
        activity = _within(self.activity, parts, name=ACTIVITY, rarest=rarest["activity"])
        return Shares(edges=tuple(edges.tolist()), activity=activity, attributes=attributes)


def _within(shares: np.ndarray, parts: np.ndarray, *, name: str, rarest: float) -> np.ndarray:
    within = shares * parts
    if within.sum() <= rarest:
        raise ConditionError(
            "--where must ask for a group that is larger than the noise of its measurement",
            found=f"a measured share of {within.sum():.1%} for {name}, where noise alone makes {rarest:.1%}",
            remedy=f"Ask for more of {name}.",
        )
    return np.asarray(within / within.sum())


def draw_conditions(
    users: int, *, shares: Shares, most: int, rng: np.random.Generator
) -> Conditions:
    """Independent draws: each attribute from its shares, activity log-uniform within its bucket, at
    most `most` events.
    """
    bucket = rng.choice(len(shares.activity), users, p=shares.activity)
    events = log_uniform(bucket, shares.edges, rng=rng)
    codes = {
        name: rng.choice(len(part), users, p=part).astype(np.int16)
        for name, part in shares.attributes.items()
    }
    return Conditions(events=np.minimum(events, most), attributes=codes)


def condition_vectors(
    events: np.ndarray,
    attributes: Mapping[str, np.ndarray],
    *,
    sizes: Mapping[str, int],
    most_events: int,
) -> np.ndarray:
    """Conditions as numbers: log activity between 0 and 1, then a one-hot per attribute, "other"
    included.

    Shapes:
        events int64[B] -> float64[B, 1 + sum(size + 1)].
    """
    parts = [(np.log(np.maximum(events, 1)) / np.log(most_events + 1))[:, None]]
    for name, size in sizes.items():
        parts.append(np.eye(size + 1)[np.clip(attributes[name], 0, size)])
    return np.concatenate(parts, axis=1)


@contextmanager
def seeded_init(rng: np.random.Generator) -> Iterator[None]:
    """First weights of a network follow from `rng`, not from torch's global state."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(rng.integers(2**62)))
        yield


class Generator(nn.Module):
    """Latent and condition to behaviour.

    Shapes:
        factor [D, D], scale [D], effect [D, C] (at first 0); forward:
        latent [B, D], condition [B, C] -> [B, D]: bias, F slopes, F tilts (D = 2F + 1), in
        ratings, ratings per feature and log odds per feature.
    """

    factor: torch.Tensor
    scale: torch.Tensor
    gain: torch.Tensor
    effect: torch.Tensor

    def __init__(
        self, *, factor: torch.Tensor, scale: torch.Tensor, conditions: int, hidden: int
    ) -> None:
        super().__init__()
        self.register_buffer("factor", factor)
        self.register_buffer("scale", scale)
        self.register_buffer("gain", torch.ones_like(scale))
        self.register_buffer("effect", torch.zeros(len(scale), conditions))
        last = nn.Linear(hidden, len(scale))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.residual = nn.Sequential(
            nn.Linear(len(scale) + conditions, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            last,
        )

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Generator:
        """From what `arrays` gave."""
        hidden, inputs = arrays["residual.0.weight"].shape
        size = len(arrays["scale"])
        generator = cls(
            factor=torch.zeros(size, size),
            scale=torch.zeros(size),
            conditions=inputs - size,
            hidden=hidden,
        )
        generator.restore(arrays)
        return generator

    def arrays(self) -> dict[str, np.ndarray]:
        """Its weights, by name."""
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.state_dict().items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Be as `arrays` say; names that are none of its weights do not matter."""
        self.load_state_dict({name: torch.as_tensor(arrays[name]) for name in self.state_dict()})

    def stacked(self, latent: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Behaviour in the units of the stacked taste vectors, in which it is anchored; without
        what groups differ by.
        """
        residual: torch.Tensor = self.residual(torch.cat([latent, condition], dim=1))
        return latent @ self.factor.T + residual

    def behaviour(self, stacked: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Stacked behaviour and the differences of the users' groups, in natural units."""
        return (stacked * self.gain + condition @ self.effect.T) * self.scale

    def forward(self, latent: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Behaviour in natural units."""
        return self.behaviour(self.stacked(latent, condition), condition)
