"""What a synthetic user does: which items they pick and how they rate them.

Items by popularity tilted by taste, without repeats; ratings by item mean, bias and taste, with
noise, cut into the declared levels.

Picking items without repeats, as a race: item v of a user arrives after an exponential time of rate
exp(log_weight + tilt . features).

The first n arrivals are the user's picks (Gumbel top-n: Kool, van Hoof and Welling 2019). Two ways
to run it:

- `gumbel_top_k` draws every item's arrival: exact, work B V. The rule of `pick`: up to
  DENSE_ITEMS items.
- `thinned_top_k` looks only at items that are likely to arrive, by thinning a Poisson process (Lewis
  and Shedler 1979): a cell of items
  with like features arrives at a rate slightly above its own, an item is drawn within it by
  popularity, and is kept with odds that restore its rate. A draw costs O(log V), a user about n
  draws over the share that is kept, plus one product with the CELLS centres.

How exact the second one is: within a cell, a factor exp(tilt . (features - centre)) above
exp(HEADROOM s) is cut to that, where s is the standard deviation of its logarithm within cells. On
a trained model's tastes over 100,000 items this moves a share of 0.00002 of a user's picks (0.0004
at most) to other items; of tastes twice as strong, 0.0001 (`benchmarks/throughput.md`). Users who
lack picks after ROUNDS rounds (nearly all that they like is picked) end with a full race among the
items left, which is exact: exponential times have no memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

NOBODY, NOTHING = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
BLOCK = 4_000_000  # users times items whose arrivals are held at once
CELLS = 1024  # of items with like features
HEADROOM = 4.0  # standard deviations
ROUNDS = 4
ROWS = 8192  # of features, gathered at once: they stay in the processor's cache
SPARE = 1.25  # draws over the number that should be enough


@dataclass(frozen=True)
class ItemClusters:
    """Items by cell: public or paid-for features only.

    Shapes:
        order int32[V], item rows, cell after cell; start int64[C + 1], places in it.
    """

    order: np.ndarray
    start: np.ndarray


def partition(features: np.ndarray, log_weight: np.ndarray) -> ItemClusters:
    """At most CELLS cells: again and again the cell with the largest sum of squares is cut at the
    mean of its widest column.

    Half of an item's weight is its popularity, so that the few items that most people pick lie in
    small cells.

    Shapes:
        features [V, F], log_weight [V].
    """
    weight = _shares(log_weight) + 1 / len(log_weight)
    cells = [_Cell.of(np.arange(len(weight), dtype=np.int32), features, weight)]
    while len(cells) < CELLS:
        widest = max(range(len(cells)), key=lambda index: cells[index].squares)
        if cells[widest].squares <= 0:
            break
        cell = cells.pop(widest)
        above = features[cell.items, cell.axis] > cell.at
        cells += [_Cell.of(cell.items[side], features, weight) for side in (~above, above)]
    return ItemClusters(
        order=np.concatenate([cell.items for cell in cells]),
        start=np.concatenate(([0], np.cumsum([len(cell.items) for cell in cells]))),
    )


@dataclass(frozen=True)
class _Cell:
    """Items, and where to cut them: the column that varies most, at its mean."""

    items: np.ndarray
    axis: int
    at: float
    squares: float

    @classmethod
    def of(cls, items: np.ndarray, features: np.ndarray, weight: np.ndarray) -> _Cell:
        rows, share = features[items], weight[items]
        mean = share @ rows / share.sum()
        squares = share @ (rows - mean) ** 2
        axis = int(squares.argmax())
        flat = len(items) < 2 or rows[:, axis].max() <= mean[axis]  # rounding, of equal rows
        return cls(
            items=items,
            axis=axis,
            at=float(mean[axis]),
            squares=0.0 if flat else float(squares.sum()),
        )


def gumbel_top_k(
    tilt: np.ndarray,
    events: np.ndarray,
    *,
    features: np.ndarray,
    log_weight: np.ndarray,
    rng: np.random.Generator,
    user: np.ndarray = NOBODY,
    item: np.ndarray = NOTHING,
) -> np.ndarray:
    """The first arrivals of each user, in order of arrival; after `item`, what they have picked
    already, among their other items.

    Shapes:
        tilt [B, F], events int64[B] at most V, features [V, F], log_weight [V]; user int64[N]
        rising, item int32[N] -> int32[N + sum of events], user after user.
    """
    features, log_weight, tilt = (
        np.asarray(each, dtype=np.float32) for each in (features, log_weight, tilt)
    )
    active, step = np.flatnonzero(events), max(1, BLOCK // len(log_weight))
    for first in range(0, len(active), step):
        block = active[first : first + step]
        # logarithms of times, float32[users, V]
        arrival = rng.standard_exponential((len(block), len(log_weight)), dtype=np.float32)
        np.log(np.maximum(arrival, np.float32(1e-30), out=arrival), out=arrival)
        arrival -= tilt[block] @ features.T
        arrival -= log_weight
        begin, end = np.searchsorted(user, (block[0], block[-1] + 1))
        known = np.isin(user[begin:end], block)
        arrival[np.searchsorted(block, user[begin:end][known]), item[begin:end][known]] = np.inf
        user = np.concatenate((user, np.repeat(block, events[block])))
        item = np.concatenate((item, _earliest(arrival, events[block])))
        ordered = np.argsort(user, kind="stable")
        user, item = user[ordered], item[ordered]
    return item


def thinned_top_k(
    tilt: np.ndarray,
    events: np.ndarray,
    *,
    features: np.ndarray,
    log_weight: np.ndarray,
    sampler: ThinningSampler,
    rng: np.random.Generator,
) -> np.ndarray:
    """The same picks, but for the error said above, without looking at every item; `sampler` is of the
    same features and weights.

    Shapes:
        as `gumbel_top_k`.
    """
    tilt = tilt.astype(np.float32)
    cell_ends, cap = sampler.cell_ends(tilt), sampler.cap(tilt)
    user, item = NOBODY, NOTHING
    lacking, accepted = events.copy(), np.exp(cap**2 / (2 * HEADROOM**2) - cap)
    for _ in range(ROUNDS):
        draws = np.ceil(SPARE * lacking / accepted + 4 * (lacking > 0)).astype(np.int64)
        who, what = sampler.draw(
            np.repeat(np.arange(len(events)), draws),
            tilt=tilt,
            cell_ends=cell_ends,
            cap=cap,
            rng=rng,
        )
        user, item = _first_arrivals(
            np.concatenate((user, who)),
            np.concatenate((item, what)),
            items=len(log_weight),
            events=events,
        )
        lacking = events - np.bincount(user, minlength=len(events))
        if not lacking.any():
            return item
        accepted = np.maximum(accepted / 2, 0.5 * (events - lacking) / np.maximum(draws, 1))
    return gumbel_top_k(
        tilt, lacking, features=features, log_weight=log_weight, rng=rng, user=user, item=item
    )


@dataclass(frozen=True)
class ThinningSampler:
    """A partition under weights: made once for any number of users.

    Shapes:
        ends float64[V + 1], cumulative weight in the partition's order; log_mass float32[C]; centre
        float32[C, F], weighted; spread float32[F, F], covariance within cells (by popularity and by
        number, added); offset float32[V, F], features less the centre of their cell.
    """

    cells: ItemClusters
    ends: np.ndarray
    log_mass: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    offset: np.ndarray

    @classmethod
    def of(
        cls, cells: ItemClusters, *, features: np.ndarray, log_weight: np.ndarray
    ) -> ThinningSampler:
        """Work in the number of items, once for these weights."""
        weight = _shares(log_weight)[cells.order]
        rows = features[cells.order].astype(np.float32)
        ends = np.concatenate(([0.0], np.cumsum(weight)))
        mass = np.maximum(np.diff(ends[cells.start]), 1e-300)
        share = (weight / np.repeat(mass, np.diff(cells.start))).astype(np.float32)
        centre = np.add.reduceat(rows * share[:, None], cells.start[:-1], axis=0)
        offset = rows - np.repeat(centre, np.diff(cells.start), axis=0)
        spread = (offset * (weight + 1 / len(weight)).astype(np.float32)[:, None]).T @ offset
        return cls(
            cells=cells,
            ends=ends,
            log_mass=np.log(mass).astype(np.float32),
            centre=centre,
            spread=spread,
            offset=offset,
        )

    def typical(self, count: int) -> np.ndarray:
        """Items that stand for all under these weights: a systematic sample along the cells.
        Shapes: -> int32[count].
        """
        index = np.searchsorted(self.ends, (np.arange(count) + 0.5) / count, side="right") - 1
        return self.cells.order[np.minimum(index, len(self.cells.order) - 1)]

    def cell_ends(self, tilt: np.ndarray) -> np.ndarray:
        """Cumulative shares of each user's cells, the users' ones laid end to end: user b's end
        between b and b + 1.

        Shapes:
            [B, F] -> float64[B * C].
        """
        logits = tilt @ self.centre.T + self.log_mass
        shares = np.cumsum(
            np.exp(logits - logits.max(axis=1, keepdims=True)), axis=1, dtype=np.float64
        )
        shares /= shares[:, -1:]
        return (shares + np.arange(len(tilt))[:, None]).ravel()

    def cap(self, tilt: np.ndarray) -> np.ndarray:
        """The largest logarithm of an item's rate over its cell's, one a user. Shapes: [B, F] ->
        float32[B].
        """
        return np.asarray(
            HEADROOM * np.sqrt(np.maximum(np.einsum("bf,bf->b", tilt @ self.spread, tilt), 0.0))
        )

    def draw(
        self,
        user: np.ndarray,
        *,
        tilt: np.ndarray,
        cell_ends: np.ndarray,
        cap: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """One candidate per entry of `user`, those kept: whose and which.

        Shapes:
            user int64[N] rising -> int64[M], int32[M], M <= N.
        """
        cells = len(self.log_mass)
        cell = np.minimum(
            np.searchsorted(cell_ends, user + rng.random(len(user)), side="right") - user * cells,
            cells - 1,
        )
        low, high = self.ends[self.cells.start[cell]], self.ends[self.cells.start[cell + 1]]
        index = (
            np.searchsorted(self.ends, low + rng.random(len(user)) * (high - low), side="right") - 1
        )
        index = np.clip(index, self.cells.start[cell], self.cells.start[cell + 1] - 1)
        excess = np.empty(len(user), dtype=np.float32)
        for first in range(0, len(user), ROWS):
            part = slice(first, first + ROWS)
            excess[part] = np.einsum("nf,nf->n", tilt[user[part]], self.offset[index[part]])
        accepted = rng.standard_exponential(len(user), dtype=np.float32) > cap[user] - excess
        return user[accepted], self.cells.order[index[accepted]]


def _shares(log_weight: np.ndarray) -> np.ndarray:
    weight = np.exp(np.asarray(log_weight, dtype=np.float64) - log_weight.max())
    return np.asarray(weight / weight.sum())


def _earliest(arrival: np.ndarray, events: np.ndarray) -> np.ndarray:
    """Each row's first ones, in order. Shapes: float32[B, V], int64[B] -> int32[sum of events]."""
    most = int(events.max())
    front = (
        np.argpartition(arrival, most - 1, axis=1)[:, :most]
        if most < arrival.shape[1]
        else np.arange(most)[None, :]
    )
    front = np.take_along_axis(
        np.broadcast_to(front, (len(arrival), most)),
        np.argsort(np.take_along_axis(arrival, front, axis=1), axis=1),
        axis=1,
    )
    return np.asarray(front[np.arange(most) < events[:, None]], dtype=np.int32)


def _first_arrivals(
    user: np.ndarray, item: np.ndarray, *, items: int, events: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of arrivals in order (within each user), each item's first one and each user's first
    `events`; sorted by user, order kept.
    """
    _, first = np.unique(user * items + item, return_index=True)
    first.sort()
    first = first[np.argsort(user[first], kind="stable")]
    user, item = user[first], item[first]
    rank = np.arange(len(user)) - np.searchsorted(user, np.arange(len(events)))[user]
    within = rank < events[user]
    return user[within], item[within]


STAND_INS = 4096  # for the items of a larger catalogue, where a mean over all of them is asked for
# up to so many, a key for every item is as fast as looking for the likely ones, and exact
DENSE_ITEMS = 10_000


@dataclass(frozen=True)
class Behaviour:
    """B users.

    Shapes:
        bias float64[B] in ratings; slope float64[B, F] in ratings per feature; tilt float64[B, F]
        in log odds per feature.
    """

    bias: np.ndarray
    slope: np.ndarray
    tilt: np.ndarray

    @classmethod
    def split(cls, rows: np.ndarray) -> Behaviour:
        """From the generator's output [B, 2F + 1]."""
        count = (rows.shape[1] - 1) // 2
        return cls(bias=rows[:, 0], slope=rows[:, 1 : count + 1], tilt=rows[:, count + 1 :])


@dataclass(frozen=True)
class ItemTables:
    """What choosing and rating need of the items; all of it measured or public.

    Shapes:
        features float64[V, F]; item_mean, log_weight float64[V]; levels float64[L]; cuts float64[L
        - 1], rising: a raw rating between cuts l - 1 and l becomes level l.
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
        changed = replace(self, **changes)  # type: ignore[arg-type]
        if changed.features is self.features and "partition" in self.__dict__:
            changed.__dict__["partition"] = self.partition
        return changed

    def only(self, rows: np.ndarray) -> ItemTables:
        """The tables of some items; what is picked from them is a place in `rows`."""
        return self.with_(
            features=self.features[rows],
            item_mean=self.item_mean[rows],
            log_weight=self.log_weight[rows],
        )

    @cached_property
    def partition(self) -> ItemClusters:
        """Cells of items with like features, for catalogues too large to look at every item."""
        return partition(self.features, self.log_weight)

    @cached_property
    def sampler(self) -> ThinningSampler:
        """The partition under these weights."""
        return ThinningSampler.of(
            self.partition, features=self.features, log_weight=self.log_weight
        )

    def stand_ins(self) -> tuple[np.ndarray, np.ndarray]:
        """Features and log weights over which to average as over all items: of all, or of a
        systematic sample with equal weights.

        Shapes:
            -> float64[S, F], float64[S].
        """
        if len(self.log_weight) <= DENSE_ITEMS:
            return self.features, self.log_weight
        return self.features[self.sampler.typical(STAND_INS)], np.full(
            STAND_INS, -np.log(STAND_INS)
        )


def pick(
    behaviour: Behaviour, events: np.ndarray, *, tables: ItemTables, rng: np.random.Generator
) -> np.ndarray:
    """Items of each user, all different, first come first; see the file for how close to the weights
    exp(log_weight + tilt . features).

    Shapes:
        events int64[B], at most V -> int32[sum of events], user after user.
    """
    weights = {"features": tables.features, "log_weight": tables.log_weight}
    if len(tables.log_weight) <= DENSE_ITEMS:
        return gumbel_top_k(behaviour.tilt, events, rng=rng, **weights)
    return thinned_top_k(behaviour.tilt, events, sampler=tables.sampler, rng=rng, **weights)


def rate(
    behaviour: Behaviour,
    user: np.ndarray,
    item: np.ndarray,
    *,
    tables: ItemTables,
    rng: np.random.Generator,
) -> np.ndarray:
    """Ratings before they are cut into levels.

    Shapes:
        user, item int[N] -> float64[N].
    """
    taste = np.einsum("nf,nf->n", behaviour.slope[user], tables.features[item])
    noise = rng.normal(0, tables.rating_noise, len(item))
    return np.asarray(tables.item_mean[item] + behaviour.bias[user] + taste + noise)


def cut(raw: np.ndarray, *, tables: ItemTables) -> np.ndarray:
    """Raw ratings as levels of the declared scale.

    Shapes:
        float64[N] -> float32[N].
    """
    return tables.levels[np.searchsorted(tables.cuts, raw, side="right")].astype(np.float32)
