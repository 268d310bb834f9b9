"""The critic: does a user look real? It sees a user, not a row: events pooled in feature space, and the user's conditions.

No batch normalisation and nothing else that lets one user's score depend on another (rule 1).
"""

from __future__ import annotations

import torch
from torch import nn


class Critic(nn.Module):
    """Pooled user features to a score, higher for real.

    Shapes:
        [B, inputs] -> [B].
    """

    def __init__(self, *, inputs: int, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, hidden // 2), nn.LeakyReLU(0.2),
                                  nn.Linear(hidden // 2, 1))

    def forward(self, users: torch.Tensor) -> torch.Tensor:
        """Scores (logits of "real")."""
        scores: torch.Tensor = self.body(users).squeeze(1)
        return scores
