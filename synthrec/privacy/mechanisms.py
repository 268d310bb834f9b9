"""The noisy sum over users: the one way in which anything but training learns from the log.

Formal guarantees: each user's vector is made finite (else zero), clipped to the declared L2 norm and rounded towards zero on an
integer lattice, so adding or removing one user moves the sum by at most the norm. Discrete Gaussian noise of
`noise_multiplier` norms is added by OpenDP, seeded by the operating system. The ledger is charged before the log is touched, and
the measurement comes back together with its entry (rules 1, 5, 7, 11). On a lattice this fine (2^20 steps a norm) the discrete
Gaussian is accounted as the Gaussian event (Canonne, Kamath and Steinke 2020: same concentrated privacy, tails never heavier).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from synthrec.errors import PlanError
from synthrec.privacy.event import Noise, PublicRecord, Sensitivity, gaussian
from synthrec.privacy.ledger import Charge, Entry, Ledger

LATTICE = 1 << 20       # integer steps per clip norm
ROUNDING = 1 - 1e-9     # keeps floating-point clipping below the norm


class GaussianSum(PublicRecord):
    """Plan of one noisy sum.

    `sensitivity`: L2 norm that each user's vector is clipped to, in the vector's own unit, written in `unit`.
    """

    name: str
    purpose: str
    unit: str
    sensitivity: Sensitivity
    noise_multiplier: Noise

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


def noisy_sum(blocks: Iterable[np.ndarray | sp.csr_matrix], *, plan: GaussianSum, size: int, ledger: Ledger, charge: Charge,
              add_up: Callable[..., np.ndarray] | None = None) -> Measurement:
    """Sum of clipped user vectors with noise.

    Shapes:
        blocks of [users, any], one row per user, each user in one row of one block only -> values float64[size].

    Args:
        add_up: `lattice_sum` (size = length of a row; the default), or `lattice_pairs` (size = pairs of a row's entries).

    Guarantees: L2 sensitivity `plan.sensitivity` for adding or removing one row; the blocks are drawn only after the charge is on
    disk; nothing else about the rows is kept.
    """
    entry = ledger.charge(charge.entry(mechanism=plan.name, event=gaussian(
        noise_multiplier=plan.noise_multiplier, sampling_rate=1.0, count=1)))
    total = np.zeros(size, dtype=np.int64)
    for block in blocks:
        total += (add_up or lattice_sum)(block, norm=plan.sensitivity)
    noisy = _add_noise(total, scale=plan.noise_multiplier * LATTICE)
    return Measurement(values=noisy * (plan.sensitivity / LATTICE), noise_std=plan.noise_std, entry=entry)


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
        found: np.ndarray = np.bincount(rows.indices, weights=scaled, minlength=rows.shape[1]).astype(np.int64)
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
    sqrt(sqrt(2) LATTICE) moves the sum by at most LATTICE. Its parts stay far below 2^53: floating point adds them exactly.
    """
    rows = np.array(block, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        squares = (rows * rows).sum(axis=1)
        factor = np.where(np.isfinite(squares), np.minimum(1.0, np.sqrt(math.sqrt(2) * norm / squares)), 0.0)
        factor = np.where(squares > 0, factor, 0.0) * (math.sqrt(LATTICE / norm) * ROUNDING)
        whole = np.trunc(rows * factor[:, None])
    whole[~np.isfinite(whole)] = 0
    products = whole.T @ whole
    return np.asarray(products[np.triu_indices(len(products), 1)], dtype=np.int64)


def _add_noise(total: np.ndarray, *, scale: float) -> np.ndarray:
    """Discrete Gaussian noise of standard deviation `scale` lattice steps on each coordinate; scale 0 (not private) adds none."""
    if scale < 0 or not np.isfinite(scale):
        raise PlanError("noise_multiplier must be finite and at least 0", found=f"{scale / LATTICE:g}", remedy="Make the plan anew.")
    if scale == 0:
        return total.astype(np.float64)
    import opendp.prelude as dp

    dp.enable_features("contrib")
    measure = dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T="i64"), size=len(total)), dp.l2_distance(T=float), scale=float(scale))
    return np.asarray(measure(total), dtype=np.float64)
