"""The critic: does a user look real? It sees a user, not a row: events pooled in feature space, and
the user's conditions.

No batch normalisation and nothing else that lets one user's score depend on another (rule: clip per
user).

A user as the critic sees them: means over the user's events of features, squared features,
deviations and their products.

The same numbers two ways: from a log with sparse products, and from a generator's picks with
gradients.

Guarantees: row b is a function of user b's own events and attributes, public features and released
measurements only.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from synthrec.data.eventlog import EventLog
from synthrec.model.population import condition_vectors
from synthrec.model.tastes import TasteFrame, by_user, deviations


class Critic(nn.Module):
    """Pooled user features to a score, higher for real.

    Shapes:
        [B, inputs] -> [B].
    """

    def __init__(self, *, inputs: int, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden // 2),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden // 2, 1),
        )

    def forward(self, users: torch.Tensor) -> torch.Tensor:
        """Scores (logits of "real")."""
        scores: torch.Tensor = self.body(users).squeeze(1)
        return scores


def pooled_width(features: int) -> int:
    """Length of a pooled vector, conditions not counted."""
    return 3 * features + 2


def pool_log(
    log: EventLog, *, frame: TasteFrame, sizes: Mapping[str, int], most_events: int
) -> np.ndarray:
    """Pooled vectors and conditions of all users of a log.

    Shapes:
        -> float32[B, 3F + 2 + C].
    """
    rows = []
    items = len(frame.item_mean)
    ones, squares = np.ones(items), frame.features**2
    for block in log.blocks():
        events = block.activity
        weight = np.repeat(1 / np.maximum(events, 1), events)
        deviation = deviations(block, frame=frame)
        picked, rated, squared = (
            by_user(block, weight * value, items=items)
            for value in (np.ones(len(weight)), deviation, deviation**2)
        )
        rows.append(
            np.column_stack(
                [
                    picked @ frame.features,
                    picked @ squares,
                    rated @ frame.features,
                    rated @ ones,
                    squared @ ones,
                    condition_vectors(
                        events, block.attributes, sizes=sizes, most_events=most_events
                    ),
                ]
            )
        )
    width = pooled_width(frame.features.shape[1]) + 1 + sum(size + 1 for size in sizes.values())
    return np.concatenate([np.zeros((0, width)), *rows]).astype(np.float32)


def pool_picks(
    features: torch.Tensor, deviation: torch.Tensor, weight: torch.Tensor, condition: torch.Tensor
) -> torch.Tensor:
    """Pooled vectors of picked events; differentiable in `deviation` and `weight`.

    Shapes:
        features [B, N, F] of the picked items, deviation [B, N] in quarters of the scale, weight
        [B, N] summing to 1 per user (0 where there is no event), condition [B, C] -> [B, 3F + 2 +
        C].
    """

    def mean(values: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bn,bnf->bf", weight, values)

    rated = mean(features * deviation[..., None])
    own = torch.stack([(weight * deviation).sum(dim=1), (weight * deviation**2).sum(dim=1)], dim=1)
    return torch.cat([mean(features), mean(features**2), rated, own, condition], dim=1)
