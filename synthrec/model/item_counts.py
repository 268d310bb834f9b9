"""How often each item is picked, how it is rated, and which number belongs to it: one noisy sum.

Counts by a nonparametric empirical Bayes prior (Koenker and Mizera 2014, by fixed-point iteration
on a grid), item means by a regression on features with estimated prior variance (Fay and Herriot
1979): post-processing, which costs nothing.

Guarantees: a user's row is a function of that user's own events and of shares of ratings and
numbers that were paid for before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import scipy.sparse as sp

from synthrec.data.columns import Coded
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.model.item_features import MEASURED, ItemFeatures
from synthrec.model.statistic import Known, Statistic, Tensor
from synthrec.model.tastes import by_user
from synthrec.privacy.mechanisms import Measurement
from synthrec.privacy.session import Vectors

# of the norm of a user with K events: heavier users count for less, all counts are less noisy
ITEM_NORM = 0.7
# of an event's count beside its rating deviation (in quarters of the scale) in a user's vector
COUNT_WEIGHT = 0.7
# of an item's number (in standard deviations of all) beside an event's count in a user's vector
NUMBER_WEIGHT = 0.4
FARTHEST = 3.0  # standard deviations of an item's number from the middle
GRID = 150
ROUNDS = 200
PRIOR_ITEMS = 5000  # items that the prior of counts is fitted on, at most
RATING_VARIANCE = 1.1  # of one rating around its item's mean, in squared quarters of the scale
MIN_PRIOR_VARIANCE = 0.005
SLOPE_PENALTY = 5.0


def item_vectors(
    users: EventLog,
    *,
    items: int,
    centre: float,
    unit: float,
    numbers: Sequence[tuple[Coded, np.ndarray]] = (),
) -> sp.csr_matrix:
    """For each kept event 1 in the first part; where there are ratings, its deviation /
    COUNT_WEIGHT in the second; for each number that belongs to items its standardised code times
    NUMBER_WEIGHT in one more. Counted in events.
    """
    parts = [np.ones(len(users.item))]
    if users.rating is not None:
        parts.append((np.asarray(users.rating, dtype=np.float64) - centre) / unit / COUNT_WEIGHT)
    parts += [
        NUMBER_WEIGHT * item_deviations(users, column=column, shares=shares)
        for column, shares in numbers
    ]
    return sp.hstack([by_user(users, part, items=items) for part in parts], format="csr")


def item_deviations(log: EventLog, *, column: Coded, shares: np.ndarray) -> np.ndarray:
    """Where each event's number lies among all, in standard deviations (of half a code at least) of
    a paid histogram.

    Shapes:
        shares float64[cells] -> float64[N].
    """
    code = np.arange(len(shares))
    centre = float(shares @ code)
    spread = max(0.5, float(np.sqrt(shares @ (code - centre) ** 2)))
    return np.asarray(
        np.clip((np.asarray(log.marks[column.name]) - centre) / spread, -FARTHEST, FARTHEST)
    )


def estimate_items(items: Measurement, *, features: ItemFeatures) -> tuple[np.ndarray, np.ndarray]:
    """How often each item is picked (in events, above 0) and its mean deviation in quarters of the
    scale.

    Shapes:
        items.values float64[2V], or float64[V] of a log without ratings, whose mean deviations are
        0 -> float64[V], float64[V].
    """
    counts, *sums = np.split(items.values, len(items.values) // len(features.values))
    count = shrunken_counts(counts, noise_std=items.noise_std)
    if not sums:
        return count, np.zeros(len(count))
    noise_std = items.noise_std * COUNT_WEIGHT
    return count, _means(
        sums[0] * COUNT_WEIGHT, count=count, noise_std=noise_std, features=features
    )


def item_codes(
    sums: np.ndarray,
    *,
    noise_std: float,
    count: np.ndarray,
    shares: np.ndarray,
    features: ItemFeatures,
) -> np.ndarray:
    """One code for each item, such that their shares, weighted by popularity, are as measured, and
    their order is the estimated one.

    Shapes:
        sums float64[V] of standardised codes over picks, shares float64[cells] -> int16[V].
    """
    means = _means(sums, count=count, noise_std=noise_std, features=features)
    order = np.argsort(means, kind="stable")
    weight = count[order] / count.sum()
    codes = np.empty(len(count), dtype=np.int16)
    middle = np.cumsum(weight) - weight / 2
    codes[order] = np.searchsorted(np.cumsum(shares), middle).clip(0, len(shares) - 1)
    return codes


def shrunken_counts(noisy: np.ndarray, *, noise_std: float) -> np.ndarray:
    """Posterior means of counts under a prior estimated from all of them; without noise the counts
    themselves, above 0.

    Shapes:
        float64[V] -> float64[V].
    """
    if noise_std == 0:
        return np.asarray(np.maximum(noisy, 1e-3))
    grid = np.geomspace(0.02 * noise_std, 1.05 * max(noisy.max(), 3 * noise_std), GRID)

    def likelihood(some: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-0.5 * ((some[:, None] - grid) / noise_std) ** 2) + 1e-300)

    of_some, prior = (
        likelihood(noisy[:: max(1, len(noisy) // PRIOR_ITEMS)]),
        np.full(GRID, 1 / GRID),
    )
    for _ in range(ROUNDS):
        posterior = of_some * prior
        prior = (posterior / posterior.sum(axis=1, keepdims=True)).mean(axis=0)
    means = np.empty(len(noisy))
    for start in range(0, len(noisy), PRIOR_ITEMS):
        block = slice(start, start + PRIOR_ITEMS)
        weight = likelihood(noisy[block]) * prior
        means[block] = weight @ grid / weight.sum(axis=1)
    # beyond, the grid is coarser than the noise, which is then a small part of a count
    clear = noise_std / (grid[1] / grid[0] - 1) / 2
    return np.where(noisy > clear, noisy, means)


def _means(
    sums: np.ndarray, *, count: np.ndarray, noise_std: float, features: ItemFeatures
) -> np.ndarray:
    """Posterior mean deviation of each item: a regression on features and log count, pulled to the
    item's own noisy mean.
    """
    own = sums / count
    variance = (noise_std / count) ** 2 + RATING_VARIANCE / count
    plain = features.standardised(np.ones(len(count))).values
    design = np.column_stack([np.ones(len(count)), plain, np.log(count) / 2])
    penalty = np.diag(np.concatenate(([1e-3], np.full(design.shape[1] - 1, SLOPE_PENALTY))))
    prior = 0.15
    for _ in range(30):
        weight = 1 / (variance + prior)
        fitted = design @ np.linalg.solve(
            (design * weight[:, None]).T @ design + penalty, (design * weight[:, None]).T @ own
        )
        posterior = fitted + prior * weight * (own - fitted)
        spread = (posterior - fitted) ** 2 + 1 / (1 / variance + 1 / prior)
        prior = max(MIN_PRIOR_VARIANCE, float(spread @ weight / weight.sum()))
    return np.asarray(posterior)


def _norm(schema: Schema) -> float:
    """Of a user's item vector; with ratings, that of a user of half K middling events."""
    most, numbers = schema.privacy.events_per_user, len(schema.marks_of("item"))
    if schema.rating is None:
        return math.sqrt(most * (1 + numbers * NUMBER_WEIGHT**2))
    weight = (NUMBER_WEIGHT * COUNT_WEIGHT) ** 2
    return ITEM_NORM * math.sqrt(most * (1 + numbers * weight)) / COUNT_WEIGHT


def _centre(known: Known) -> float:
    """The mean rating; 0 where nobody rates."""
    return float(known["estimates.rating_shares"] @ known.levels)


def _vectors(known: Known) -> Vectors:
    numbers = known.schema.marks_of("item")
    return partial(
        item_vectors,
        items=known.items,
        centre=_centre(known),
        unit=known.rating_unit,
        numbers=[(column, known[f"marks.{name}"]) for name, column in numbers.items()],
    )


def _decoded(known: Known, noisy: Measurement) -> Known:
    """Popularity, means and features of the items, and the code of each number that belongs to
    them.
    """
    features = ItemFeatures(known.feature_names, known["catalogue"])
    numbers = tuple(known.schema.marks_of("item"))
    cuts = (1 + known.rated + np.arange(len(numbers))) * known.items
    values, *sums = np.split(noisy.values, cuts)
    count, mean = estimate_items(replace(noisy, values=values), features=features)
    popularity = count / count.sum()
    measured = dict(zip(MEASURED, (np.log(count + 1e-4 * count.max()), mean), strict=True))
    described = features.with_columns(measured).standardised(popularity)
    ratings = _centre(known) + known.rating_unit * mean
    arrays = {
        "frame.features": described.values,
        "frame.item_mean": ratings.clip(*known.levels[[0, -1]]) if known.rated else mean,
        "frame.popularity": popularity,
    }
    for name, of_number in zip(numbers, sums, strict=True):
        arrays[f"habits.items/{name}"] = item_codes(
            of_number / NUMBER_WEIGHT,
            noise_std=noisy.noise_std / NUMBER_WEIGHT,
            count=count,
            shares=known[f"marks.{name}"],
            features=features,
        )
    return known.adding(arrays, feature_names=described.names)


def _tensors(known: Known) -> dict[str, Tensor]:
    items, paid_by = known.items, ("items", *known.planned("pairs"))
    return {
        "frame.features": Tensor("F64", (items, len(known.feature_names)), "paid", paid_by),
        "frame.item_mean": Tensor("F64", (items,), "paid", ("items",)),
        "frame.popularity": Tensor("F64", (items,), "paid", ("items",), holds="shares"),
    }


ITEMS = Statistic(
    name="items",
    purpose="how often each item is picked and how it is rated",
    unit="events",
    share=0.70,
    unrated={"purpose": "how often each item is picked", "share": 0.60},
    sensitivity=_norm,
    noise_words="events of each item",
    vectors=_vectors,
    size=lambda known: (1 + known.rated + len(known.schema.marks_of("item"))) * known.items,
    decode=_decoded,
    tensors=_tensors,
)
