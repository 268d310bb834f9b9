"""What a synthetic user does: which items they pick and how they rate them.

Items by popularity tilted by taste, without repeats; ratings by item mean, bias and taste, with noise, cut into the declared levels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from synthrec.model.race import Partition, Urn, full_race, partition, thinned_race

STAND_INS = 4096        # for the items of a larger catalogue, where a mean over all of them is asked for
DENSE_ITEMS = 10_000    # up to so many, a key for every item is as fast as looking for the likely ones, and exact


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
        """A copy with some columns changed; a partition of the same features is kept."""
        changed = replace(self, **changes)     # type: ignore[arg-type]
        if changed.features is self.features and "partition" in self.__dict__:
            changed.__dict__["partition"] = self.partition
        return changed

    def only(self, rows: np.ndarray) -> ItemTables:
        """The tables of some items; what is picked from them is a place in `rows`."""
        return self.with_(features=self.features[rows], item_mean=self.item_mean[rows], log_weight=self.log_weight[rows])

    @cached_property
    def partition(self) -> Partition:
        """Cells of items with like features, for catalogues too large to look at every item."""
        return partition(self.features, self.log_weight)

    @cached_property
    def urn(self) -> Urn:
        """The partition under these weights."""
        return Urn.of(self.partition, features=self.features, log_weight=self.log_weight)

    def stand_ins(self) -> tuple[np.ndarray, np.ndarray]:
        """Features and log weights over which to average as over all items: of all, or of a systematic sample with equal weights.

        Shapes:
            -> float64[S, F], float64[S].
        """
        if len(self.log_weight) <= DENSE_ITEMS:
            return self.features, self.log_weight
        return self.features[self.urn.typical(STAND_INS)], np.full(STAND_INS, -np.log(STAND_INS))


def pick(behaviour: Behaviour, events: np.ndarray, *, tables: ItemTables, rng: np.random.Generator) -> np.ndarray:
    """Items of each user, all different, first come first; see `race` for how close to the weights exp(log_weight + tilt . features).

    Shapes:
        events int64[B], at most V -> int32[sum of events], user after user.
    """
    weights = {"features": tables.features, "log_weight": tables.log_weight}
    if len(tables.log_weight) <= DENSE_ITEMS:
        return full_race(behaviour.tilt, events, rng=rng, **weights)
    return thinned_race(behaviour.tilt, events, urn=tables.urn, rng=rng, **weights)


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
