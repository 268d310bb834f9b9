"""The hidden truth behind a simulated log: who would pick what, when, and how they would rate it.

It holds no person's data; tests and benchmarks score against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

CONTEXTS = ("weekday day", "weekday evening", "weekend")
RATING_NOISE_STD = 0.8


@dataclass(frozen=True, eq=False)
class Truth:
    """What the simulator knows and a log does not show.

    Shapes:
        quality, appeal float[V]; scene int[V]; franchise int[V], -1 outside; circle int[B]; bias, spread float[B].
        liking float32[B, scenes]: a user's taste for each scene; mood float32[contexts, circles, scenes]: what the hour adds to it.
        fan bool[B, franchises]; share float[B, contexts]: how a user's events fall on the contexts.
    """

    quality: np.ndarray
    appeal: np.ndarray
    scene: np.ndarray
    franchise: np.ndarray
    circle: np.ndarray
    bias: np.ndarray
    spread: np.ndarray
    liking: np.ndarray
    mood: np.ndarray
    fan: np.ndarray
    share: np.ndarray

    def is_fan(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Whether each user (row of `.users`) is a fan of the franchise of each item (row of `.items`); arguments broadcast."""
        franchise = self.franchise[item]
        return np.asarray(self.fan[user, np.maximum(franchise, 0)] & (franchise >= 0))

    def latent_rating(self, user: np.ndarray, item: np.ndarray, *, context: np.ndarray | int) -> np.ndarray:
        """Mean of the rating before noise, rounding and the ends of the scale."""
        scene = self.scene[item]
        taste = 1.0 * np.tanh(self.liking[user, scene]) + 0.4 * self.is_fan(user, item)
        mood = 0.3 * np.tanh(self.mood[context, self.circle[user], scene])
        return np.asarray(3.2 + self.quality[item] + self.bias[user] + self.spread[user] * taste + mood)

    def expected_rating(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        """The ideal prediction for an event of the log: mean of the written rating over noise and the contexts in which it may happen."""
        scene = self.scene[item]
        total, weight = np.zeros(np.broadcast(user, item).shape), np.zeros(np.broadcast(user, item).shape)
        for context in range(len(CONTEXTS)):
            latent = self.latent_rating(user, item, context=context)
            rating = 1.0 + sum(ndtr((latent - step) / RATING_NOISE_STD) for step in (1.5, 2.5, 3.5, 4.5))
            chance = self.share[user, context] * np.exp(self.mood[context, self.circle[user], scene])
            total, weight = total + chance * rating, weight + chance
        return np.asarray(total / weight)

    def choice_weights(self, users: np.ndarray) -> np.ndarray:
        """Relative weight with which each of `users` picks each item in each context. Shapes: int[B] -> float32[B, contexts, V]."""
        mood = self.mood[:, self.circle[users], :].transpose(1, 0, 2)
        by_scene = np.exp(self.liking[users][:, None, :] + mood) * self.share[users][:, :, None]
        weights = by_scene[:, :, self.scene] * np.exp(self.appeal)
        everyone, items = users[:, None], np.arange(len(self.scene))[None, :]
        weights *= np.where(self.is_fan(everyone, items), 8.0, 1.0)[:, None, :]
        return np.asarray(weights, dtype=np.float32)
