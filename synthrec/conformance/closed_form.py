"""Our own arithmetic of a ledger: what its lines give away at least, by no accountant's code and no
grouping of theirs.

Sums over everybody compose exactly to one Gaussian with mu^2 = sum of 1 / noise^2 (Dong, Roth and
Su 2022, corollary 3.3), whose delta is closed (Balle and Wang 2018, theorem 8). Steps on a Poisson
sample are added by the distribution of their privacy loss for removing one user, every loss rounded
down: epsilon here is below the true one, by about LOSS_ERROR (more where there are so many steps
that cells must be wider), and a claim below it is false.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

from synthrec.privacy.ledger import Entry

LOSS_ERROR = 0.02  # of all steps together
MAX_LOSS = 120.0  # what is beyond counts as less, too
MAX_CELLS = 1 << 22
COARSE = 8  # losses of all steps are kept in this many times wider cells


def least_epsilon(entries: Sequence[Entry], *, delta: float) -> float:
    """A lower bound of the epsilon of these entries, the deltas of thresholds taken from `delta`."""
    left, precision, steps = delta, 0.0, 0
    for entry in entries:
        left -= entry.extra_delta
        if entry.event.noise_multiplier == 0:
            return math.inf
        if entry.event.sampling_rate == 1.0:
            precision += entry.event.count / entry.event.noise_multiplier**2
        else:
            steps += entry.event.count
    if left <= 0:
        return math.inf
    losses, chances = np.zeros(1), np.ones(1)
    if steps:
        width = max(LOSS_ERROR / steps, 2 * MAX_LOSS / MAX_CELLS)
        losses, chances = _losses(
            [entry for entry in entries if entry.event.sampling_rate < 1], width=width
        )

    def too_small(epsilon: float) -> float:
        return float(chances @ gaussian_delta(epsilon - losses, mu=math.sqrt(precision))) - left

    return float(brentq(too_small, 0.0, MAX_LOSS)) if too_small(0.0) > 0 else 0.0


def gaussian_delta(epsilon: np.ndarray, *, mu: float) -> np.ndarray:
    """delta of a Gaussian mechanism that one user moves by `mu` standard deviations, at any
    epsilon; of nothing at all for mu 0.
    """
    if mu == 0:
        return np.asarray(np.maximum(0.0, -np.expm1(epsilon)))
    return np.asarray(
        ndtr(mu / 2 - epsilon / mu) - np.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu))
    )


def _losses(entries: Sequence[Entry], *, width: float) -> tuple[np.ndarray, np.ndarray]:
    """The privacy loss of all steps of these entries, and how likely each is. A sum that wraps
    around counts as less.
    """
    lowest = sum(
        entry.event.count * _lowest(entry.event.sampling_rate, width=width) for entry in entries
    )
    cells = min(MAX_CELLS, 1 << math.ceil(math.log2(MAX_LOSS / width - lowest)))
    power, single = (
        np.ones(cells // 2 + 1, dtype=np.complex128),
        dict[tuple[float, float], np.ndarray](),
    )
    for entry in entries:
        kind = (entry.event.noise_multiplier, entry.event.sampling_rate)
        if kind not in single:
            single[kind] = np.fft.rfft(_one_step(*kind, width=width, cells=cells))
        power *= single[kind] ** entry.event.count
    chances = np.maximum(0.0, np.fft.irfft(power, cells)).reshape(-1, COARSE).sum(axis=1)
    return (lowest + np.arange(len(chances)) * COARSE) * width, chances


def _lowest(rate: float, *, width: float) -> int:
    return math.floor(math.log1p(-rate) / width)


def _one_step(noise: float, rate: float, *, width: float, cells: int) -> np.ndarray:
    """How likely each loss of one step is, from the lowest on; rounded down, what is above the last
    cell into it.
    """
    loss = (_lowest(rate, width=width) + np.arange(1, cells)) * width
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        odds = np.log(np.maximum(0.0, np.expm1(loss) + rate) / rate)  # at which the loss is reached
        place = noise**2 * odds + 0.5
    below = (1 - rate) * ndtr(place / noise) + rate * ndtr((place - 1) / noise)
    return np.diff(below, prepend=0.0, append=1.0)
