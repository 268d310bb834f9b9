"""The recommenders of the protocol and of the panel, each learned from one log (usually synthetic)
and asked about users it has never seen, through what they have.

Fitted models are plain arrays. Item biases with ALS factors and ridge fold-in (Koren, Bell,
Volinsky 2009); EASE^R (Steck 2019); weighted least squares for implicit feedback (Hu, Koren,
Volinsky 2008); plain singular vectors; one list for everybody; item-based nearest neighbours by
shrunk cosine (Sarwar, Karypis, Konstan, Riedl 2001); and learning to rank an item had above one not
had (BPR; Rendle, Freudenthaler, Gantner, Schmidt-Thieme 2009), where a user is the scaled sum of
vectors of their items, the asked item left out (FISM; Kabbur, Ning, Karypis 2013), so a new user
needs no training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse
from scipy.special import expit
from sklearn.utils.extmath import randomized_svd

from synthrec.audit import profiles
from synthrec.data.eventlog import EventLog

DAMPING = 5.0  # of every bias: events of zero deviation added to a mean
FACTORS = 16
RIDGE = 12.0  # of every factor vector, whatever its number of events
ROUNDS = 12
EASE_RIDGE_PER_USER = 200.0 / 5_000
MAX_EASE_ITEMS = (
    4_000  # the most popular, between which EASE^R holds weights; of the rest it knows nothing
)


# which items users have, as ones -> a score of every item. Shapes: [b, V] -> float32[b, V],
# writable
Ranker = Callable[[sparse.csr_array], np.ndarray]


# learns from a log: (log, items=, rng=) -> a ranker; equal logs and states of `rng` give equal ones
Fit = Callable[..., Ranker]


@dataclass(frozen=True, eq=False)
class Factorisation:
    """Rating model learned from a log. Shapes: item_bias float64[V]; item_factors float32[V, k]."""

    mean: float
    item_bias: np.ndarray
    item_factors: np.ndarray


def damped_means(values: np.ndarray, *, group: np.ndarray, groups: int) -> np.ndarray:
    """Sum of a group's values over its count plus DAMPING. Shapes: float[N], int[N] ->
    float64[groups].
    """
    return np.asarray(
        np.bincount(group, values, groups) / (np.bincount(group, minlength=groups) + DAMPING)
    )


def fit_factorisation(log: EventLog, *, items: int, rng: np.random.Generator) -> Factorisation:
    """Mean, item biases, then factors by ALS on what biases of items and users leave. An empty log
    predicts 3 zeros: mean 0 and no bias.
    """
    user, item = log.user_of_event(), np.asarray(log.item)
    factors = rng.normal(0.0, 0.1, (items, FACTORS)).astype(np.float32)
    if len(item) == 0:
        return Factorisation(
            mean=0.0, item_bias=np.zeros(items), item_factors=np.zeros_like(factors)
        )
    rating = np.asarray(log.rating, dtype=np.float64)
    mean = float(rating.mean())
    item_bias = damped_means(rating - mean, group=item, groups=items)
    user_bias = damped_means(rating - mean - item_bias[item], group=user, groups=log.users)
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
    left, right = np.triu_indices(features.shape[1])
    seen = sparse.csr_array(
        (np.ones_like(residuals.data), residuals.indices, residuals.indptr), shape=residuals.shape
    )
    half = seen @ (features[:, left] * features[:, right])
    return _ridge_solved(half, residuals @ features, ridge=RIDGE)


def _ridge_solved(half: np.ndarray, right_side: np.ndarray, *, ridge: float) -> np.ndarray:
    """Solutions of one small system a row. Shapes: half float[R, k (k + 1) / 2], the upper
    triangles of the matrices without the ridge; right_side float[R, k] -> float[R, k].
    """
    rows, k = right_side.shape
    left, right = np.triu_indices(k)
    gram = np.empty((rows, k, k), dtype=np.float32)
    gram[:, left, right] = gram[:, right, left] = half
    gram[:, np.arange(k), np.arange(k)] += np.float32(ridge)
    return np.asarray(np.linalg.solve(gram, right_side[:, :, None])[:, :, 0])


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the model says about events of users folded in, before clipping to the scale. Shapes:
    float64[N] each.
    """

    bias: np.ndarray  # item and user biases only
    factors: np.ndarray  # with factors


def fold_in(model: Factorisation, *, observed: EventLog, asked: EventLog) -> Predictions:
    """Meet users through `observed`, predict their events in `asked` (same users, same order)."""
    items = len(model.item_bias)
    user, item = observed.user_of_event(), np.asarray(observed.item)
    deviation = np.asarray(observed.rating, dtype=np.float64) - model.mean - model.item_bias[item]
    user_bias = damped_means(deviation, group=user, groups=observed.users)
    residuals = profiles.events(
        observed, (deviation - user_bias[user]).astype(np.float32), items=items
    )
    taste = ridge(residuals, model.item_factors)
    user, item = asked.user_of_event(), np.asarray(asked.item)
    bias = model.mean + model.item_bias[item] + user_bias[user]
    return Predictions(
        bias=bias, factors=bias + np.einsum("nk,nk->n", taste[user], model.item_factors[item])
    )


def ease(log: EventLog, *, items: int, rng: np.random.Generator | None = None) -> Ranker:
    """EASE^R on which items users have, among the MAX_EASE_ITEMS that most users of the log have;
    all others score zero.
    """
    have = profiles.pattern(log, items=items)
    if items <= MAX_EASE_ITEMS:
        weights = ease_weights(have)
        return lambda asked: np.asarray(asked @ weights)
    head = np.sort(np.argsort(-have.sum(axis=0), kind="stable")[:MAX_EASE_ITEMS])
    known = ease_weights(have[:, head])

    def ranker(asked: sparse.csr_array) -> np.ndarray:
        score = np.zeros(asked.shape, dtype=np.float32)
        score[:, head] = asked[:, head] @ known
        return score

    return ranker


def ease_weights(have: sparse.csr_array) -> np.ndarray:
    """EASE^R weights between items. Shapes: float32[B, V] -> float32[V, V], zero diagonal."""
    items = have.shape[1]
    gram = np.zeros((items, items), dtype=np.float32, order="F")
    block = max(1, 50_000_000 // items)
    for first in range(0, have.shape[0], block):
        dense = have[first : first + block].toarray()
        gram = linalg.blas.ssyrk(1.0, dense.T, beta=1.0, c=gram, trans=0, overwrite_c=True)
    gram[np.arange(items), np.arange(items)] += np.float32(
        max(1.0, EASE_RIDGE_PER_USER * have.shape[0])
    )
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


def item_users(log: EventLog, *, items: int) -> np.ndarray:
    """Users of each item. Shapes: float32[V]."""
    return np.asarray(profiles.pattern(log, items=items).sum(axis=0), dtype=np.float32)


def same_for_all(score: np.ndarray) -> Ranker:
    """A ranker that asks nobody anything. Shapes: float[V]."""
    return lambda have: np.tile(score.astype(np.float32), (have.shape[0], 1))


IMPLICIT_FACTORS = 24
WEIGHT = 10.0  # of an item had, beyond that of one not had
IMPLICIT_RIDGE_PER_USER = 4.0 / 1_000
IMPLICIT_ROUNDS = 6
DIRECTIONS = 32


def implicit_least_squares(log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
    """Alternating least squares; a new user's factors are one more step."""
    have = profiles.pattern(log, items=items)
    by_item = have.T.tocsr()
    ridge = max(1.0, IMPLICIT_RIDGE_PER_USER * have.shape[0])
    factors = rng.normal(0.0, 0.1, (items, IMPLICIT_FACTORS)).astype(np.float32)
    for _ in range(IMPLICIT_ROUNDS):
        factors = _solved(by_item, _solved(have, factors, ridge=ridge), ridge=ridge)
    return lambda asked: np.asarray(
        _solved(asked, factors, ridge=ridge) @ factors.T, dtype=np.float32
    )


def singular_vectors(log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
    """What a user has, projected on the leading directions of all users (PureSVD; Cremonesi, Koren,
    Turrin 2010).
    """
    have = profiles.pattern(log, items=items)
    count = max(1, min(DIRECTIONS, min(have.shape) - 1))
    _, _, directions = randomized_svd(
        sparse.csr_matrix(have), n_components=count, n_iter=4, random_state=int(rng.integers(2**31))
    )
    return lambda asked: np.asarray((asked @ directions.T) @ directions, dtype=np.float32)


def _solved(have: sparse.csr_array, other: np.ndarray, *, ridge: float) -> np.ndarray:
    """Factors of the rows, given those of the columns. Shapes: have [R, C], other float32[C, k] ->
    float32[R, k].
    """
    left, right = np.triu_indices(other.shape[1])
    half = WEIGHT * (have @ (other[:, left] * other[:, right])) + (other.T @ other)[left, right]
    return _ridge_solved(half, (1 + WEIGHT) * (have @ other), ridge=ridge).astype(np.float32)


RECENT = 0.25  # latest share of events


def popularity(log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
    """By number of users."""
    return same_for_all(item_users(log, items=items))


def best_rated(log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
    """By damped mean rating."""
    rating = np.asarray(log.rating, dtype=np.float64)
    mean = float(rating.mean()) if len(rating) else 0.0
    return same_for_all(damped_means(rating - mean, group=np.asarray(log.item), groups=items))


def recent(log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
    """By number of events in the latest quarter of them."""
    time = np.asarray(log.time)
    late = time >= np.quantile(time, 1 - RECENT) if len(time) else np.zeros(0, dtype=bool)
    return same_for_all(np.bincount(np.asarray(log.item)[late], minlength=items))


NEIGHBOURS = 100
SHRINKAGE = 20.0  # users without either item, added below
_BLOCK_CELLS = 8_000_000  # similarities held at once


def item_neighbours(log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
    """Sum of similarities to the items a user has; each item keeps its nearest NEIGHBOURS."""
    have = profiles.pattern(log, items=items)
    size = np.sqrt(np.asarray(have.sum(axis=0), dtype=np.float64))
    by_item, block = have.T.tocsr(), max(1, _BLOCK_CELLS // items)
    parts = [
        _nearest(by_item[first : first + block] @ have, first=first, size=size)
        for first in range(0, items, block)
    ]
    similarity = sparse.vstack(parts).tocsr().T.tocsr()
    return lambda asked: np.asarray((asked @ similarity).toarray(), dtype=np.float32)


def _nearest(together: sparse.csr_array, *, first: int, size: np.ndarray) -> sparse.csr_array:
    """Rows of the similarity matrix with all but the largest entries left out. Shapes: together
    float32[b, V].
    """
    other = together.indices
    item = first + np.repeat(np.arange(together.shape[0]), np.diff(together.indptr))
    similar = together.data / (size[item] * size[other] + SHRINKAGE)
    similar[item == other] = 0.0
    for start, end in zip(together.indptr[:-1], together.indptr[1:], strict=True):
        if end - start > NEIGHBOURS:
            row = similar[start:end]
            row[row < np.partition(row, -NEIGHBOURS)[-NEIGHBOURS]] = 0.0
    together.data = similar.astype(np.float32)
    together.eliminate_zeros()
    return together


PAIRWISE_FACTORS = 24
EPOCHS = 12
USERS_PER_STEP = 256
PAIRS_PER_USER = 24  # of a step
PAIRWISE_RATE, PAIRWISE_RIDGE = 0.05, 1e-4


def pairwise(log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
    """Adaptive gradient steps (AdaGrad; Duchi, Hazan, Singer 2011) over users in random order;
    pairs drawn anew each time.
    """
    have = profiles.pattern(log, items=items)
    have = have[np.flatnonzero(np.diff(have.indptr) > 1)]
    weights = [
        rng.normal(0, 0.05, (items, PAIRWISE_FACTORS)),
        rng.normal(0, 0.05, (items, PAIRWISE_FACTORS)),
        np.zeros((items, 1)),
    ]
    squares = [np.full_like(weight, 1e-3) for weight in weights]
    for _ in range(EPOCHS):
        order = rng.permutation(have.shape[0])
        for first in range(0, len(order), USERS_PER_STEP):
            gradients = _gradients(have[order[first : first + USERS_PER_STEP]], weights, rng=rng)
            for weight, square, gradient in zip(weights, squares, gradients, strict=True):
                gradient -= PAIRWISE_RIDGE * weight
                square += gradient**2
                weight += PAIRWISE_RATE * gradient / np.sqrt(square)
    given, asked_for, bias = weights
    return lambda asked: np.asarray(
        _pooled(asked, given) @ asked_for.T + bias[:, 0], dtype=np.float32
    )


def _pooled(have: sparse.csr_array, given: np.ndarray) -> np.ndarray:
    """Shapes: [b, V], float[V, k] -> float[b, k]."""
    return np.asarray((have @ given) / np.sqrt(np.maximum(np.diff(have.indptr), 1))[:, None])


def _gradients(
    have: sparse.csr_array, weights: list[np.ndarray], *, rng: np.random.Generator
) -> list[np.ndarray]:
    """Of the mean log likelihood that the item had is above the one not had, uphill."""
    given, asked_for, bias = weights
    users, items = have.shape
    counts = np.diff(have.indptr)
    owner = np.repeat(np.arange(users), PAIRS_PER_USER)
    liked = have.indices[
        have.indptr[owner] + (rng.random(len(owner)) * counts[owner]).astype(np.int64)
    ]
    other = rng.integers(0, items, len(owner))
    known = (
        np.asarray(have[owner, other]).ravel() == 0
    )  # one that the user has, too, teaches nothing
    rest = np.sqrt(counts[owner] - 1.0)[:, None]
    person = ((have @ given)[owner] - given[liked]) / rest
    margin = ((asked_for[liked] - asked_for[other]) * person).sum(axis=1) + (
        bias[liked] - bias[other]
    )[:, 0]
    pull = (known * expit(-margin))[:, None] / PAIRS_PER_USER
    toward = pull * (asked_for[liked] - asked_for[other]) / rest
    to_given = have.T @ _added(owner, toward, size=users) - _added(liked, toward, size=items)
    to_asked = _added(liked, pull * person, size=items) - _added(other, pull * person, size=items)
    return [
        np.asarray(to_given),
        to_asked,
        _added(liked, pull, size=items) - _added(other, pull, size=items),
    ]


def _added(place: np.ndarray, values: np.ndarray, *, size: int) -> np.ndarray:
    """Sum of rows by place. Shapes: int[n], float[n, k] -> float[size, k]."""
    return np.asarray(
        sparse.csr_array(
            (np.ones(len(place)), (place, np.arange(len(place)))), shape=(size, len(place))
        )
        @ values
    )
