"""The noisy union of users' sets: which values of an open column may be named, because enough users
hold them.

Nobody lists the values beforehand, so the values that exist are themselves private. A user with n
distinct values (at most `most_keys`) gives each the weight 1 / sqrt(n), a vector of L2 norm 1
whatever n is; every value that somebody holds gets Gaussian noise; those at or above the threshold
are released (the weighted Gaussian of Gopi, Gulhane, Kulkarni, Shen, Shokouhi and Yekhanin 2020,
"Differentially Private Set Union", with the threshold of its Gaussian algorithms).

Formal guarantees. Let user u join a log. (1) On values that others hold too, weights move by at
most 1 in L2: a Gaussian event. (2) t values are held by u alone, 1 <= t <= most_keys, each of
weight at most 1 / sqrt(t). With the threshold max over t of (1 / sqrt(t) + std z((1 -
delta)^(1/t))), z the normal quantile, all t stay below it with probability at least 1 - delta. The
output with u is thus (1 - delta) of an output of (1) and delta of anything, so delta is added once
to the accountant's, whatever is composed with it: the entry holds (event, extra delta), the rule
"mechanism with entry". Discrete Gaussian noise has P[X >= m] <= P[N >= m - 1] (Canonne, Kamath and
Steinke 2020, "The Discrete Gaussian for Differential Privacy", on tails); the threshold is two
lattice steps higher for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from pydantic import Field
from scipy.stats import norm

from synthrec.privacy.ledger import Entry
from synthrec.privacy.mechanisms import LATTICE, GaussianSum

MAX_KEYS = 100_000  # as many as a user may have events


class PartitionSelection(GaussianSum):
    """Plan of one look at an open column, before all other measurements.

    `most_keys`: most values of one user that count, for a union; None for a sum over a public grid.
    `extra_delta`: for its threshold.
    """

    most_keys: int | None = Field(default=None, ge=1, le=MAX_KEYS)
    extra_delta: float = Field(default=0.0, ge=0, lt=1)

    @property
    def threshold(self) -> float:
        """Noisy weight, in users, from which a value is released; 0 where there is no noise (not
        private).
        """
        if self.most_keys is None or self.noise_multiplier == 0:
            return 0.0
        return union_threshold(
            noise_std=self.noise_std, most_keys=self.most_keys, delta=self.extra_delta
        )


@dataclass(frozen=True)
class Partitions:
    """Released values, in the order of their names, and the entry that paid for them."""

    keys: tuple[str, ...]
    weights: np.ndarray
    entry: Entry


def union_threshold(*, noise_std: float, most_keys: int, delta: float) -> float:
    """Weight that values of one user alone exceed with probability at most delta, all of them
    together.
    """
    alone = np.arange(1, most_keys + 1)
    tail = -np.expm1(np.log1p(-delta) / alone)  # 1 - (1 - delta)^(1/t)
    return float((1 / np.sqrt(alone) + noise_std * norm.isf(tail)).max() + 2 / LATTICE)


def released(
    keys: Sequence[str], weights: np.ndarray, *, plan: PartitionSelection, entry: Entry
) -> Partitions:
    """The values whose noisy weight reaches the threshold.

    Shapes:
        keys[H], weights float64[H], of the values that anybody holds.

    Guarantees: what is kept of the others is neither their number nor the place of a released one
    among them.
    """
    above = sorted(
        (key, weight) for key, weight in zip(keys, weights, strict=True) if weight >= plan.threshold
    )
    return Partitions(
        keys=tuple(key for key, _ in above),
        weights=np.array([weight for _, weight in above]),
        entry=entry,
    )


def unit_weights(block: sp.csr_matrix, *, most_keys: int) -> sp.csr_matrix:
    """Rows of 1 / sqrt(n) on each row's n distinct values, at most `most_keys` of them.

    Shapes:
        [users, keys] -> [users, keys], each row of norm 1 or empty.
    """
    rows = sp.csr_matrix(block, dtype=np.float64, copy=True)
    rows.sum_duplicates()
    rank = np.arange(len(rows.indices)) - np.repeat(rows.indptr[:-1], np.diff(rows.indptr))
    counts = np.minimum(np.diff(rows.indptr), most_keys)
    weights = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), np.diff(rows.indptr))
    return sp.csr_matrix(
        (np.where(rank < most_keys, weights, 0.0), rows.indices, rows.indptr), shape=rows.shape
    )


def expected_holders(plan: PartitionSelection, *, values_each: float) -> float:
    """How many users must hold a value to have it released, if each holds `values_each`: a public
    figure.
    """
    return plan.threshold * math.sqrt(max(1.0, values_each))
