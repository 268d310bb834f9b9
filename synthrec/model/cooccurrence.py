"""Item factors that no attribute names, learned from which items the same users hold.

The pair critic: a quadratic form over pairs of items whose gradient for one user is the outer
product of what the user picked beyond expectation. One step on all users at once, from zero, is the
most that a budget buys (Bie, Kamath and Zhang 2023: large batches; Dwork, Talwar, Thakurta and
Zhang 2014: the noisy sum of outer products). Its widest directions, what features explain taken
out, become further columns of the item features, and the generator answers along them.

Guarantees: a user's row is a function of that user's own events and of released measurements, of
norm at most 1; the sum is released by a session's `noisy_sum` of `lattice_pairs` only. Everything
after it is post-processing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.linalg import eigh

from synthrec.data.eventlog import EventLog
from synthrec.model.item_features import ItemFeatures
from synthrec.model.statistic import Known, Statistic
from synthrec.model.tastes import by_user
from synthrec.privacy.mechanisms import Measurement, lattice_pairs

FEWEST_ITEMS, MAX_ITEMS = 200, 1500
USERS_PER_ITEM = 10  # declared users, over the noise multiplier, for each further item
AXES = 16
# columns are divided by this power of how many users hold the item: popular items would drown the
# others
WEIGHT_POWER = 0.25
PACE_ROUNDS = 4
COMMUNALITY_ROUNDS = 5


@dataclass(frozen=True)
class PairFrame:
    """What picks are measured against; public or paid for.

    Shapes:
        popularity float64[V], sums to 1; items int64[M], the most popular; weight, reach
        float64[M]: of an item's column in a row, and what a unit of log odds moves that column by.
    """

    popularity: np.ndarray
    items: np.ndarray
    weight: np.ndarray
    reach: np.ndarray


def items_in_pairs(population: int, *, noise_multiplier: float) -> int:
    """How many items to pair, the most popular ones: the noise on a direction grows with the root
    of their number.
    """
    if noise_multiplier == 0:
        return MAX_ITEMS
    return int(np.clip(population / noise_multiplier / USERS_PER_ITEM, FEWEST_ITEMS, MAX_ITEMS))


def pair_frame(
    popularity: np.ndarray, *, activity_edges: tuple[int, ...], activity: np.ndarray, most: int
) -> PairFrame:
    """The `most` most popular items, and how likely a user of the measured activity is to hold
    each.
    """
    items = np.sort(np.argsort(-popularity, kind="stable")[:most])
    edges = np.asarray(activity_edges, dtype=np.float64)
    typical = np.sqrt(edges[:-1] * np.maximum(edges[1:] - 1, edges[:-1]))
    held = activity @ chances(typical, popularity=popularity)[:, items]
    weight = held**-WEIGHT_POWER
    return PairFrame(popularity=popularity, items=items, weight=weight, reach=weight * held)


def chances(events: np.ndarray, *, popularity: np.ndarray) -> np.ndarray:
    """Chance of each item to be among a user's picks without repeats: 1 - exp(-c p), with c such
    that the chances sum to the picks.

    Shapes:
        events float64[B] -> float64[B, V].
    """
    pace = np.asarray(events, dtype=np.float64)[:, None]
    for _ in range(PACE_ROUNDS):
        total = -np.expm1(-pace * popularity).sum(axis=1, keepdims=True)
        pace = pace * np.clip(np.asarray(events)[:, None] / np.maximum(total, 1e-12), 0.5, 3.0)
    return np.asarray(-np.expm1(-pace * popularity))


def pair_vectors(users: EventLog, *, frame: PairFrame) -> np.ndarray:
    """What each user picked beyond expectation, at unit length; a user without events is zero.

    Shapes:
        -> float64[B, M].
    """
    events = users.activity
    held = (
        by_user(users, np.ones(len(users.item)), items=len(frame.popularity))
        .tocsc()[:, frame.items]
        .toarray()
    )
    distinct, which = np.unique(
        events, return_inverse=True
    )  # few, however large block and catalogue are
    rows = (
        np.minimum(held, 1) - chances(distinct, popularity=frame.popularity)[:, frame.items][which]
    ) * frame.weight
    rows[events == 0] = 0
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def cooccurrence_factors(
    noisy: np.ndarray, *, noise_std: float, frame: PairFrame, features: np.ndarray
) -> np.ndarray:
    """Columns over all items: the widest directions of the residual, shrunk where noise is large;
    items out of the frame get 0.

    Shapes:
        noisy float64[M (M - 1) / 2], the upper triangle; features float64[V, F] -> float64[V, at
        most AXES].
    """
    size = len(frame.items)
    products = np.zeros((size, size))
    products[np.triu_indices(size, 1)] = noisy
    products += products.T
    known, _ = np.linalg.qr(
        frame.reach[:, None] * np.column_stack([np.ones(size), features[frame.items]])
    )

    def residual(matrix: np.ndarray) -> np.ndarray:
        half = matrix - known @ (known.T @ matrix)
        return np.asarray(half - (half @ known) @ known.T)

    values, vectors = _widest(residual(products), count=AXES)
    count = int(
        (values > 2 * noise_std * np.sqrt(size)).sum()
    )  # beyond the edge of pure noise (Wigner 1955)
    for _ in range(
        COMMUNALITY_ROUNDS if count else 0
    ):  # the diagonal was not measured: what the axes say of it
        values, vectors = _widest(
            residual(products + np.diag(vectors[:, :count] ** 2 @ np.maximum(values[:count], 0))),
            count=count,
        )
    columns = np.zeros((len(frame.popularity), count))
    for axis, value in enumerate(values[:count]):
        error = (noise_std / value) ** 2  # of an entry of the eigenvector
        signal = max(float((vectors[:, axis] ** 2).mean() - error), 1e-9) / float(
            (frame.reach**2).mean()
        )
        shrink = signal * frame.reach**2 / (signal * frame.reach**2 + error)
        columns[frame.items, axis] = vectors[:, axis] / frame.reach * shrink
    return columns


def _widest(matrix: np.ndarray, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Largest eigenvalues first, with their vectors in columns."""
    values, vectors = eigh(matrix, subset_by_index=[max(0, len(matrix) - count), len(matrix) - 1])
    return values[::-1], vectors[:, ::-1]


def _frame(known: Known) -> PairFrame:
    multiplier = known.plan.measurement("pairs").noise_multiplier
    return pair_frame(
        known["frame.popularity"],
        activity_edges=known.activity_edges,
        activity=known.activity,
        most=items_in_pairs(known.plan.population, noise_multiplier=multiplier),
    )


def _decoded(known: Known, noisy: Measurement) -> Known:
    """The item features with the factors that users' picks reveal beside them."""
    described = ItemFeatures(known.feature_names, known["frame.features"])
    axes = cooccurrence_factors(
        noisy.values, noise_std=noisy.noise_std, frame=_frame(known), features=described.values
    )
    described = described.with_columns(
        {f"pairs {number}": axis for number, axis in enumerate(axes.T, start=1)}
    ).standardised(known["frame.popularity"])
    return known.adding({"frame.features": described.values}, feature_names=described.names)


PAIRS = Statistic(
    name="pairs",
    purpose="which items the same users hold, beyond what popularity says",
    unit="squared row norms",
    share=0.20,
    sensitivity=lambda schema: math.sqrt(0.5),
    noise_words="on each pair of items, where one user counts at most 0.71 over all of them",
    models=("gan",),
    vectors=lambda known: partial(pair_vectors, frame=_frame(known)),
    size=lambda known: math.comb(len(_frame(known).items), 2),
    add_up=lattice_pairs,
    decode=_decoded,
)
