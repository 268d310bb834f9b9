"""The protocol's recommenders: item biases with ALS factors and ridge fold-in, EASE^R, popularity (design section 6).

A recommender is learned from one log (usually synthetic) and then asked about users it has never seen, through their observed events.
Fitted models are plain arrays. Sources: Koren, Bell, Volinsky 2009 (biases and ALS); Steck 2019 (EASE^R).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

from synthrec.audit import profiles
from synthrec.data.eventlog import EventLog

DAMPING = 5.0               # of every bias: events of zero deviation added to a mean
FACTORS = 16
RIDGE = 12.0                # of every factor vector, whatever its number of events
ROUNDS = 12
EASE_RIDGE_PER_USER = 200.0 / 5_000
EASE_ITEMS_MOST = 20_000    # EASE^R holds a dense matrix of items by items


@dataclass(frozen=True, eq=False)
class Factorisation:
    """Rating model learned from a log. Shapes: item_bias float64[V]; item_factors float32[V, k]."""

    mean: float
    item_bias: np.ndarray
    item_factors: np.ndarray


def damped_means(values: np.ndarray, *, group: np.ndarray, groups: int) -> np.ndarray:
    """Sum of a group's values over its count plus DAMPING. Shapes: float[N], int[N] -> float64[groups]."""
    return np.asarray(np.bincount(group, values, groups) / (np.bincount(group, minlength=groups) + DAMPING))


def fit_factorisation(log: EventLog, *, items: int, rng: np.random.Generator) -> Factorisation:
    """Mean, item biases, then factors by ALS on what biases of items and users leave. An empty log predicts 3 zeros: mean 0 and no bias."""
    user, item = profiles.user_of_event(log), np.asarray(log.item)
    factors = rng.normal(0.0, 0.1, (items, FACTORS)).astype(np.float32)
    if len(item) == 0:
        return Factorisation(mean=0.0, item_bias=np.zeros(items), item_factors=np.zeros_like(factors))
    rating = np.asarray(log.rating, dtype=np.float64)
    mean = float(rating.mean())
    item_bias = damped_means(rating - mean, group=item, groups=items)
    user_bias = damped_means(rating - mean - item_bias[item], group=user, groups=len(log.offsets) - 1)
    residual = (rating - mean - item_bias[item] - user_bias[user]).astype(np.float32)
    by_user = profiles.events(log, residual, items=items)
    by_item = by_user.T.tocsr()
    for _ in range(ROUNDS):
        factors = ridge(by_item, ridge(by_user, factors))
    return Factorisation(mean=mean, item_bias=item_bias, item_factors=factors)


def ridge(residuals: sparse.csr_array, features: np.ndarray) -> np.ndarray:
    """For each row the ridge regression of its stored residuals on the features of their columns.

    Shapes:
        residuals [R, C]; features float32[C, k] -> float32[R, k].
    """
    k = features.shape[1]
    left, right = np.triu_indices(k)
    seen = sparse.csr_array((np.ones_like(residuals.data), residuals.indices, residuals.indptr), shape=residuals.shape)
    half = seen @ (features[:, left] * features[:, right])
    gram = np.empty((residuals.shape[0], k, k), dtype=np.float32)
    gram[:, left, right] = gram[:, right, left] = half
    gram[:, np.arange(k), np.arange(k)] += np.float32(RIDGE)
    return np.asarray(np.linalg.solve(gram, (residuals @ features)[:, :, None])[:, :, 0])


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the model says about events of users folded in, before clipping to the scale. Shapes: float64[N] each."""

    bias: np.ndarray        # item and user biases only
    factors: np.ndarray     # with factors


def fold_in(model: Factorisation, *, observed: EventLog, asked: EventLog) -> Predictions:
    """Meet users through `observed`, predict their events in `asked` (same users, same order)."""
    items = len(model.item_bias)
    user, item = profiles.user_of_event(observed), np.asarray(observed.item)
    deviation = np.asarray(observed.rating, dtype=np.float64) - model.mean - model.item_bias[item]
    user_bias = damped_means(deviation, group=user, groups=len(observed.offsets) - 1)
    residuals = profiles.events(observed, (deviation - user_bias[user]).astype(np.float32), items=items)
    taste = ridge(residuals, model.item_factors)
    user, item = profiles.user_of_event(asked), np.asarray(asked.item)
    bias = model.mean + model.item_bias[item] + user_bias[user]
    return Predictions(bias=bias, factors=bias + np.einsum("nk,nk->n", taste[user], model.item_factors[item]))


def fit_ease(log: EventLog, *, items: int) -> np.ndarray:
    """EASE^R weights between items, on which items users have. Shapes: float32[V, V], zero diagonal."""
    if items > EASE_ITEMS_MOST:
        raise ValueError(f"EASE^R needs at most {EASE_ITEMS_MOST} items, found {items}")
    have = profiles.pattern(log, items=items)
    gram = np.zeros((items, items), dtype=np.float32, order="F")
    block = max(1, 50_000_000 // items)
    for first in range(0, have.shape[0], block):
        dense = have[first:first + block].toarray()
        gram = linalg.blas.ssyrk(1.0, dense.T, beta=1.0, c=gram, trans=0, overwrite_c=True)
    gram[np.arange(items), np.arange(items)] += np.float32(max(1.0, EASE_RIDGE_PER_USER * have.shape[0]))
    inverse = _inverse(gram)
    diagonal = np.diagonal(inverse).copy()
    weights = inverse / -diagonal[None, :]
    weights[np.arange(items), np.arange(items)] = 0.0
    return np.ascontiguousarray(weights)


def _inverse(upper: np.ndarray) -> np.ndarray:
    """Inverse of a positive definite matrix given by its upper triangle; overwrites it."""
    factor, failed = linalg.lapack.spotrf(upper, lower=0, overwrite_a=True)
    inverse, failed_too = linalg.lapack.spotri(factor, lower=0, overwrite_c=True)
    assert failed == 0 and failed_too == 0, "a Gram matrix plus a ridge is positive definite"
    lower = np.tril_indices(len(inverse), -1)
    inverse[lower] = inverse.T[lower]
    return np.asarray(inverse)


def popularity(log: EventLog, *, items: int) -> np.ndarray:
    """Users of each item. Shapes: float32[V]."""
    return np.asarray(profiles.pattern(log, items=items).sum(axis=0), dtype=np.float32)
