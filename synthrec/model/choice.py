"""What a synthetic user does: which items they pick and how they rate them.

Items by popularity tilted by taste, without repeats (Gumbel top-n: Kool, van Hoof and Welling 2019); ratings by item mean, bias and
taste, with noise, cut into the declared levels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

CELLS = 4_000_000       # users times items in a block of choices


@dataclass(frozen=True)
class Behaviour:
    """B users.

    Shapes:
        bias float64[B] in ratings; slope float64[B, F] in ratings per feature; tilt float64[B, F] in log odds per feature.
    """

    bias: np.ndarray
    slope: np.ndarray
    tilt: np.ndarray

    @classmethod
    def split(cls, rows: np.ndarray) -> Behaviour:
        """From the generator's output [B, 2F + 1]."""
        count = (rows.shape[1] - 1) // 2
        return cls(bias=rows[:, 0], slope=rows[:, 1 : count + 1], tilt=rows[:, count + 1 :])

    def __getitem__(self, part: slice) -> Behaviour:
        return Behaviour(bias=self.bias[part], slope=self.slope[part], tilt=self.tilt[part])


@dataclass(frozen=True)
class ItemTables:
    """What choosing and rating need of the items; all of it measured or public.

    Shapes:
        features float64[V, F]; item_mean, log_weight float64[V]; levels float64[L]; cuts float64[L - 1], rising: a raw rating
        between cuts l - 1 and l becomes level l.
    """

    features: np.ndarray
    item_mean: np.ndarray
    log_weight: np.ndarray
    levels: np.ndarray
    cuts: np.ndarray
    rating_noise: float

    @property
    def rated(self) -> bool:
        """Does the log have ratings?"""
        return len(self.levels) > 0

    def with_(self, **changes: object) -> ItemTables:
        """A copy with some columns changed."""
        return replace(self, **changes)     # type: ignore[arg-type]


def pick(behaviour: Behaviour, events: np.ndarray, *, tables: ItemTables, rng: np.random.Generator) -> np.ndarray:
    """Items of each user, all different, in no particular order.

    Shapes:
        events int64[B], at most V -> int32[sum of events], user after user.
    """
    features, weight = tables.features.astype(np.float32), tables.log_weight.astype(np.float32)
    step = max(1, CELLS // len(weight))
    picked = []
    for start in range(0, len(events), step):
        part = slice(start, start + step)
        keys = behaviour.tilt[part].astype(np.float32) @ features.T
        keys += weight
        keys -= np.log(rng.exponential(size=keys.shape).astype(np.float32) + np.float32(1e-30))
        most = int(events[part].max())
        if most < keys.shape[1]:
            top = np.argpartition(-keys, most - 1, axis=1)[:, :most]
            top = np.take_along_axis(top, np.argsort(-np.take_along_axis(keys, top, axis=1), axis=1), axis=1)
        else:
            top = np.argsort(-keys, axis=1)
        picked.append(top[np.arange(top.shape[1]) < events[part, None]])
    return np.concatenate(picked).astype(np.int32)


def rate(behaviour: Behaviour, user: np.ndarray, item: np.ndarray, *, tables: ItemTables, rng: np.random.Generator) -> np.ndarray:
    """Ratings before they are cut into levels.

    Shapes:
        user, item int[N] -> float64[N].
    """
    taste = np.einsum("nf,nf->n", behaviour.slope[user], tables.features[item])
    return tables.item_mean[item] + behaviour.bias[user] + taste + rng.normal(0, tables.rating_noise, len(item))


def cut(raw: np.ndarray, *, tables: ItemTables) -> np.ndarray:
    """Raw ratings as levels of the declared scale.

    Shapes:
        float64[N] -> float32[N].
    """
    return tables.levels[np.searchsorted(tables.cuts, raw, side="right")].astype(np.float32)
