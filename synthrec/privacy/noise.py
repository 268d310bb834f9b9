"""The source of noise: what a `Session` adds to exact values, and who takes part in a training step.

Formal guarantees: `SystemNoise`, which every release uses, draws from fresh bytes of the operating system, so no seed exists that
could be guessed or reused (rule 7; a library's generator may take a seed of 64 bits and keep 32 of them). On integer sums it is
OpenDP's discrete Gaussian. On gradients each number is the sum of four draws over 2, against attacks on the last bits of
floating-point noise (Holohan and Braghin 2021). It stores nothing. Another source is for checks of the mechanism alone: it is an
argument of a session's, and no release is written with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from scipy.special import ndtri

from synthrec.errors import PlanError
from synthrec.privacy.sampler import poisson_batches, system_generator

DRAWS = 4


class Noise(Protocol):
    """What is released of an exact value; `name` says which mechanism asks."""

    def lattice(self, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
        """An integer sum with noise of standard deviation `scale`. Shapes: int64[D] -> float64[D]."""
        ...

    def gradient(self, summed: np.ndarray, *, scale: float) -> np.ndarray:
        """A sum of clipped gradients with noise of standard deviation `scale`. Shapes: float64[D] -> float64[D]."""
        ...

    def batches(self, users: int, *, sampling_rate: float, steps: int) -> Iterator[np.ndarray]:
        """Who takes part in each step. Shapes: each int64[any number], ascending."""
        ...


class SystemNoise:
    """Noise and coins of the operating system."""

    def random_bytes(self, count: int) -> bytes:
        """What noise of training and coins are made of, and nothing else."""
        return os.urandom(count)

    def lattice(self, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
        """Discrete Gaussian noise on each coordinate; scale 0 (not private) adds none. Shapes: int64[D] -> float64[D]."""
        if scale < 0 or not np.isfinite(scale):
            raise PlanError("noise must be finite and at least 0", found=f"a scale of {scale:g} lattice steps",
                            remedy="Make the plan anew.")
        if scale == 0:
            return total.astype(np.float64)
        import opendp.prelude as dp

        dp.enable_features("contrib")
        measure = dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T="i64"), size=len(total)), dp.l2_distance(T=float),
                                     scale=float(scale))
        return np.asarray(measure(total), dtype=np.float64)

    def gradient(self, summed: np.ndarray, *, scale: float) -> np.ndarray:
        """Normal noise on each coordinate. Shapes: float64[D] -> float64[D]."""
        return np.asarray(summed + system_normal(len(summed), random_bytes=self.random_bytes) * scale)

    def batches(self, users: int, *, sampling_rate: float, steps: int) -> Iterator[np.ndarray]:
        """Every user by an independent coin. Shapes: each int64[about users * sampling_rate], ascending."""
        return poisson_batches(users, sampling_rate=sampling_rate, steps=steps, rng=system_generator(self.random_bytes))


def system_normal(size: int, *, random_bytes: Callable[[int], bytes] | None = None) -> np.ndarray:
    """Independent standard normal numbers.

    Shapes:
        -> float64[size].
    """
    words = np.frombuffer((random_bytes or os.urandom)(8 * DRAWS * size), dtype=np.uint64).reshape(DRAWS, size)
    uniform = ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52     # never 0, never 1
    normal: np.ndarray = ndtri(uniform).sum(axis=0) / np.sqrt(DRAWS)
    return normal
