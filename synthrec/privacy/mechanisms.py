"""Noisy sums over users: their plan, and how each user's vector is clipped and rounded before it is added up.

Formal guarantees: each user's vector is made finite (else zero), clipped to the declared L2 norm and rounded towards zero on an
integer lattice, so adding or removing one user moves the sum by at most the norm. Discrete Gaussian noise of `noise_multiplier`
norms follows in `session`, which charges the ledger first (rules 1, 5, 7, 11). On a lattice this fine (2^36 steps a norm) the
discrete Gaussian is accounted as the Gaussian event (Canonne, Kamath and Steinke 2020: same concentrated privacy, tails never
heavier). Sums are exact: floating point adds integers below 2^53 without error, so blocks are added up in parts that stay below,
and parts as int64, which holds 10^8 users who all fill one cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from synthrec.privacy.chain import Entry
from synthrec.privacy.event import NoiseMultiplier, PublicRecord, Sensitivity

LATTICE = 1 << 36       # integer steps per clip norm; a row whose pairs are summed has 2^18
EXACT_ROWS = 1 << 16    # rows whose sum, of cells or of pairs, stays below 2^53: sqrt(2) LATTICE EXACT_ROWS < 2^53
ROUNDING = 1 - 1e-9     # keeps floating-point clipping below the norm


class GaussianSum(PublicRecord):
    """Plan of one noisy sum.

    `sensitivity`: L2 norm that each user's vector is clipped to, in the vector's own unit, written in `unit`.
    """

    name: str
    purpose: str
    unit: str
    sensitivity: Sensitivity
    noise_multiplier: NoiseMultiplier

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise on each coordinate, in `unit`."""
        return self.sensitivity * self.noise_multiplier


@dataclass(frozen=True)
class Measurement:
    """A released value: safe to print, store and compute with."""

    values: np.ndarray
    noise_std: float
    entry: Entry


def lattice_sum(block: np.ndarray | sp.csr_matrix, *, norm: float) -> np.ndarray:
    """Sum of rows, each finite or zero, of L2 norm at most `norm`, in integer steps of `norm / LATTICE`.

    Shapes:
        [users, size] -> int64[size].

    Guarantees: each row's integer vector has an L2 norm of at most LATTICE.
    """
    rows: Any = sp.csr_matrix(block, dtype=np.float64, copy=True) if sp.issparse(block) else np.array(block, dtype=np.float64)
    if sp.issparse(rows):
        rows.sum_duplicates()       # parts of one cell, rounded one by one, could add up to more than the cell
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        squares = rows.multiply(rows).sum(axis=1).A1 if sp.issparse(rows) else (rows * rows).sum(axis=1)
        factor = np.where(np.isfinite(squares), np.minimum(1.0, norm / np.sqrt(squares)), 0.0)
    factor = np.where(squares > 0, factor, 0.0) * (LATTICE / norm * ROUNDING)
    if sp.issparse(rows):
        with np.errstate(invalid="ignore"):
            scaled = np.trunc(rows.data * np.repeat(factor, np.diff(rows.indptr)))
        scaled[~np.isfinite(scaled)] = 0
        found = np.zeros(rows.shape[1], dtype=np.int64)
        for start in range(0, rows.shape[0], EXACT_ROWS):
            part = slice(rows.indptr[start], rows.indptr[min(start + EXACT_ROWS, rows.shape[0])])
            found += np.bincount(rows.indices[part], weights=scaled[part], minlength=len(found)).astype(np.int64)
        return found
    with np.errstate(invalid="ignore"):
        scaled = np.trunc(rows * factor[:, None])
    scaled[~np.isfinite(scaled)] = 0
    summed: np.ndarray = scaled.astype(np.int64).sum(axis=0)
    return summed


def lattice_pairs(block: np.ndarray, *, norm: float) -> np.ndarray:
    """Sum over rows of the products of all pairs of different entries, in integer steps of `norm / LATTICE`.

    Each row is made finite (else zero) and clipped to a norm R with R^2 = sqrt(2) norm.

    Shapes:
        [users, M] -> int64[M (M - 1) / 2], the upper triangle of the sum of outer products, row after row.

    Guarantees: a row's products have a squared norm of sum over i < j of (x_i x_j)^2 <= |x|^4 / 2, so a row of integers of norm at most
    sqrt(sqrt(2) LATTICE), some 311,000 steps, moves the sum by at most LATTICE. What it adds to any product is at most
    sqrt(2) LATTICE, so that of EXACT_ROWS rows is exact.
    """
    rows = np.array(block, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        squares = (rows * rows).sum(axis=1)
        factor = np.where(np.isfinite(squares), np.minimum(1.0, np.sqrt(math.sqrt(2) * norm / squares)), 0.0)
        factor = np.where(squares > 0, factor, 0.0) * (math.sqrt(LATTICE / norm) * ROUNDING)
        whole = np.trunc(rows * factor[:, None])
    whole[~np.isfinite(whole)] = 0
    upper = np.triu_indices(whole.shape[1], 1)
    found = np.zeros(len(upper[0]), dtype=np.int64)
    for start in range(0, len(whole), EXACT_ROWS):
        part = whole[start : start + EXACT_ROWS]
        found += (part.T @ part)[upper].astype(np.int64)
    return found
