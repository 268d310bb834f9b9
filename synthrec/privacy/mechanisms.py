"""Noisy sums over users, who takes part in a training step, and the source of noise.

Formal guarantees. Sums: each user's vector is made finite (else zero), clipped to the declared L2
norm and rounded towards zero on an integer lattice, so adding or removing one user moves the sum by
at most the norm; discrete Gaussian noise of `noise_multiplier` norms follows in `session`, which
charges the ledger first (rules: clip per user, mechanism with entry, system noise, write-ahead
ledger). On a lattice this fine (2^36 steps a norm) the discrete Gaussian is accounted as the
Gaussian event (Canonne, Kamath and Steinke 2020: same concentrated privacy, tails never heavier).
Sums are exact: floating point adds integers below 2^53 without error, so blocks are added up in
parts that stay below, and parts as int64, which holds 10^8 users who all fill one cell.

Steps: every user by an independent coin of public bias, the Poisson sampling that the accountant
describes (rule: Poisson sampling). No fixed batches, no shuffling, no weights; an empty batch is a
batch.

Noise: `SystemNoise`, which every release uses, draws from fresh bytes of the operating system, so
no seed exists that could be guessed or reused (the rule "system noise"; a library's generator may
take a seed of 64 bits and keep 32 of them). On integer sums it is OpenDP's discrete Gaussian. On
gradients each number is the sum of four draws over 2, against attacks on the last bits of
floating-point noise (Holohan and Braghin 2021). It stores nothing. Another source is for checks of
the mechanism alone:
it is an argument of a session's, and no release is written with it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from scipy.special import ndtri

from synthrec.errors import PlanError
from synthrec.privacy.event import Event, NoiseMultiplier, PublicRecord, Sensitivity, gaussian
from synthrec.privacy.ledger import Entry

LATTICE = 1 << 36  # integer steps per clip norm; a row whose pairs are summed has 2^18
# rows whose sum, of cells or of pairs, stays below 2^53: sqrt(2) LATTICE EXACT_ROWS < 2^53
EXACT_ROWS = 1 << 16
ROUNDING = 1 - 1e-9  # keeps floating-point clipping below the norm


class UserSum(PublicRecord):
    """A sum over users.

    `sensitivity`: L2 norm that each user's vector is clipped to, in the vector's own unit, written
    in `unit`.
    """

    name: str
    purpose: str
    unit: str
    sensitivity: Sensitivity


class GaussianSum(UserSum):
    """Plan of one noisy sum; without noise (a multiplier of 0) it is not private."""

    noise_multiplier: NoiseMultiplier

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise on each coordinate, in `unit`."""
        return self.sensitivity * self.noise_multiplier

    @property
    def event(self) -> Event:
        """What its ledger entry says."""
        return gaussian(noise_multiplier=self.noise_multiplier, sampling_rate=1.0, count=1)


@dataclass(frozen=True)
class Measurement:
    """A released value: safe to print, store and compute with."""

    values: np.ndarray
    noise_std: float
    entry: Entry


def lattice_sum(block: np.ndarray | sp.csr_matrix, *, norm: float) -> np.ndarray:
    """Sum of rows, each finite or zero, of L2 norm at most `norm`, in integer steps of `norm /
    LATTICE`.

    Shapes:
        [users, size] -> int64[size].

    Guarantees: each row's integer vector has an L2 norm of at most LATTICE.
    """
    rows: Any = (
        sp.csr_matrix(block, dtype=np.float64, copy=True)
        if sp.issparse(block)
        else np.array(block, dtype=np.float64)
    )
    if sp.issparse(rows):
        # parts of one cell, rounded one by one, could add up to more than the cell
        rows.sum_duplicates()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        squares = (
            rows.multiply(rows).sum(axis=1).A1 if sp.issparse(rows) else (rows * rows).sum(axis=1)
        )
        factor = np.where(np.isfinite(squares), np.minimum(1.0, norm / np.sqrt(squares)), 0.0)
    factor = np.where(squares > 0, factor, 0.0) * (LATTICE / norm * ROUNDING)
    if sp.issparse(rows):
        with np.errstate(invalid="ignore"):
            scaled = np.trunc(rows.data * np.repeat(factor, np.diff(rows.indptr)))
        scaled[~np.isfinite(scaled)] = 0
        total = np.zeros(rows.shape[1], dtype=np.int64)
        for start in range(0, rows.shape[0], EXACT_ROWS):
            part = slice(rows.indptr[start], rows.indptr[min(start + EXACT_ROWS, rows.shape[0])])
            total += np.bincount(
                rows.indices[part], weights=scaled[part], minlength=len(total)
            ).astype(np.int64)
        return total
    with np.errstate(invalid="ignore"):
        scaled = np.trunc(rows * factor[:, None])
    scaled[~np.isfinite(scaled)] = 0
    summed: np.ndarray = scaled.astype(np.int64).sum(axis=0)
    return summed


def lattice_pairs(block: np.ndarray, *, norm: float) -> np.ndarray:
    """Sum over rows of the products of all pairs of different entries, in integer steps of `norm /
    LATTICE`.

    Each row is made finite (else zero) and clipped to a norm R with R^2 = sqrt(2) norm.

    Shapes:
        [users, M] -> int64[M (M - 1) / 2], the upper triangle of the sum of outer products, row
        after row.

    Guarantees: a row's products have a squared norm of sum over i < j of (x_i x_j)^2 <= |x|^4 / 2,
    so a row of integers of norm at most sqrt(sqrt(2) LATTICE), some 311,000 steps, moves the sum by
    at most LATTICE. What it adds to any product is at most sqrt(2) LATTICE, so that of EXACT_ROWS
    rows is exact.
    """
    rows = np.array(block, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        squares = (rows * rows).sum(axis=1)
        factor = np.where(
            np.isfinite(squares), np.minimum(1.0, np.sqrt(math.sqrt(2) * norm / squares)), 0.0
        )
        factor = np.where(squares > 0, factor, 0.0) * (math.sqrt(LATTICE / norm) * ROUNDING)
        whole = np.trunc(rows * factor[:, None])
    whole[~np.isfinite(whole)] = 0
    upper = np.triu_indices(whole.shape[1], 1)
    total = np.zeros(len(upper[0]), dtype=np.int64)
    for start in range(0, len(whole), EXACT_ROWS):
        part = whole[start : start + EXACT_ROWS]
        total += (part.T @ part)[upper].astype(np.int64)
    return total


def system_generator(random_bytes: Callable[[int], bytes] = os.urandom) -> np.random.Generator:
    """A generator seeded with 256 bits from the operating system; never from `--seed`."""
    return np.random.default_rng(int.from_bytes(random_bytes(32), "big"))


def poisson_batches(
    users: int, *, sampling_rate: float, steps: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """`steps` batches of user indices; `users` is private and leaves only as the batches' range.

    Shapes:
        each batch int64[about users * sampling_rate], ascending, perhaps empty.
    """
    if not 0 < sampling_rate <= 1:
        raise PlanError(
            "sampling_rate must be in (0, 1]",
            found=f"{sampling_rate:g}",
            remedy="Make the plan anew.",
        )
    for _ in range(steps):
        yield np.flatnonzero(rng.random(users) < sampling_rate)


DRAWS = 4


class Noise(Protocol):
    """What is released of an exact value; `name` says which mechanism asks."""

    def lattice(self, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
        """An integer sum with noise of standard deviation `scale`. Shapes: int64[D] -> float64[D]."""

    def gradient(self, summed: np.ndarray, *, scale: float) -> np.ndarray:
        """A sum of clipped gradients with noise of standard deviation `scale`. Shapes: float64[D]
        -> float64[D].
        """

    def batches(self, users: int, *, sampling_rate: float, steps: int) -> Iterator[np.ndarray]:
        """Who takes part in each step. Shapes: each int64[any number], ascending."""


class SystemNoise:
    """Noise and coins of the operating system."""

    def random_bytes(self, count: int) -> bytes:
        """What noise of training and coins are made of, and nothing else."""
        return os.urandom(count)

    def lattice(self, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
        """Discrete Gaussian noise on each coordinate; scale 0 (not private) adds none. Shapes:
        int64[D] -> float64[D].
        """
        if scale < 0 or not np.isfinite(scale):
            raise PlanError(
                "noise must be finite and at least 0",
                found=f"a scale of {scale:g} lattice steps",
                remedy="Make the plan anew.",
            )
        if scale == 0:
            return total.astype(np.float64)
        import opendp.prelude as dp

        dp.enable_features("contrib")
        measure = dp.m.make_gaussian(
            dp.vector_domain(dp.atom_domain(T="i64"), size=len(total)),
            dp.l2_distance(T=float),
            scale=float(scale),
        )
        return np.asarray(measure(total), dtype=np.float64)

    def gradient(self, summed: np.ndarray, *, scale: float) -> np.ndarray:
        """Normal noise on each coordinate. Shapes: float64[D] -> float64[D]."""
        return np.asarray(
            summed + system_normal(len(summed), random_bytes=self.random_bytes) * scale
        )

    def batches(self, users: int, *, sampling_rate: float, steps: int) -> Iterator[np.ndarray]:
        """Every user by an independent coin. Shapes: each int64[about users * sampling_rate],
        ascending.
        """
        return poisson_batches(
            users, sampling_rate=sampling_rate, steps=steps, rng=system_generator(self.random_bytes)
        )


def system_normal(size: int, *, random_bytes: Callable[[int], bytes] | None = None) -> np.ndarray:
    """Independent standard normal numbers.

    Shapes:
        -> float64[size].
    """
    words = np.frombuffer((random_bytes or os.urandom)(8 * DRAWS * size), dtype=np.uint64).reshape(
        DRAWS, size
    )
    uniform = ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52  # never 0, never 1
    normal: np.ndarray = ndtri(uniform).sum(axis=0) / np.sqrt(DRAWS)
    return normal
