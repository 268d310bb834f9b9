"""The generator: from a latent vector and a condition to one user's behaviour (bias, taste in
rating, tilt in choosing).

Anchored: a linear part reproduces the measured second moment of tastes, another the measured
differences of groups; a small network adds what the game teaches, starting from nothing. Without
the game this is the moments model, without moments the marginals model.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn


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
        return latent @ self.factor.T + self.residual(torch.cat([latent, condition], dim=1))

    def behaviour(self, stacked: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Stacked behaviour and the differences of the users' groups, in natural units."""
        return (stacked * self.gain + condition @ self.effect.T) * self.scale

    def forward(self, latent: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Behaviour in natural units."""
        return self.behaviour(self.stacked(latent, condition), condition)
