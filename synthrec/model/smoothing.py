"""Histograms that noise has roughened, made as smooth as they themselves say they were: post-processing, which costs nothing.

A Gaussian process around a flat histogram (Rasmussen and Williams 2006, eq. 2.23): how much cells differ, alone and with their
neighbours, is estimated from the noisy values by their marginal likelihood; the posterior mean shrinks noise accordingly.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from synthrec.data.hours import HOURS

DAILY_LENGTH = 0.7          # of the daily profile, in radians of the day's circle
LOCAL_LENGTH = 2.0          # of what one evening differs from another, in hours, and of neighbouring cells
LEAST_RELATIVE = 0.1        # of the mean: a floor under the profile that residuals are relative to
VARIANCES = {"daily": 0.3, "weekday": 0.1, "near": 0.3, "alone": 0.1}      # relative: where the search starts
NARROWNESS = 0.01           # of a weak prior around them, in squared log units
BOUNDS = (-9.0, 3.0)        # of log variances


def smooth_week(noisy: np.ndarray, *, noise_std: float) -> np.ndarray:
    """Shares of the hours of the week; without noise the histogram's own.

    A daily profile, weekdays, evenings unlike others, single hours. In the second pass deviations are relative to the product of daily
    and weekday profile, as busy hours vary more.

    Shapes:
        float64[HOURS] -> float64[HOURS], sums to 1.
    """
    week = _raised(smooth(noisy, kernels=week_kernels(), noise_std=noise_std), least=LEAST_RELATIVE / HOURS).reshape(7, 24)
    profile = (week.sum(axis=1, keepdims=True) * week.sum(axis=0)).ravel() * HOURS
    return smooth(noisy, kernels={name: part * np.outer(profile, profile) for name, part in week_kernels().items()}, noise_std=noise_std)


def smooth(noisy: np.ndarray, *, kernels: dict[str, np.ndarray], noise_std: float) -> np.ndarray:
    """Shares of a histogram whose cells vary by a sum of kernels, in unknown parts; without noise the histogram's own.

    Shapes:
        float64[N], name -> float64[N, N] -> float64[N], sums to 1.
    """
    mean = max(float(noisy.mean()), noise_std / len(noisy), 1e-9)
    if noise_std == 0:
        return _raised(noisy, least=0.0)
    parts, start = np.stack(list(kernels.values())) * mean**2, np.log([VARIANCES[name] for name in kernels])
    noise = noise_std**2 * np.eye(len(noisy))

    def prior(logs: np.ndarray) -> np.ndarray:
        return np.asarray(np.tensordot(np.exp(np.clip(logs, *BOUNDS)), parts, axes=1))

    def surprise(logs: np.ndarray) -> float:
        lower = np.linalg.cholesky(prior(logs) + noise)
        white = np.linalg.solve(lower, noisy - mean)
        return float(white @ white + 2 * np.log(np.diag(lower)).sum() + NARROWNESS * ((logs - start) ** 2).sum())

    best = prior(minimize(surprise, start, method="Nelder-Mead", options={"maxiter": 200, "xatol": 0.05, "fatol": 0.05}).x)
    return _raised(mean + best @ np.linalg.solve(best + noise, noisy - mean), least=0.0)


def week_kernels() -> dict[str, np.ndarray]:
    """Float64[HOURS, HOURS] each: same hour of the day, same weekday, near in the week, the same hour."""
    hour = np.arange(HOURS)
    apart = np.abs(hour[:, None] - hour)
    daily = np.exp(-2 * np.sin(np.pi * (apart % 24) / 24) ** 2 / DAILY_LENGTH**2)
    near = np.exp(-np.minimum(apart, HOURS - apart) / LOCAL_LENGTH)
    return {"daily": daily, "weekday": (hour[:, None] // 24 == hour // 24).astype(float), "near": near, "alone": np.eye(HOURS)}


def grid_kernels(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Float64[N, N] each, N cells of a grid: neighbours alike along every axis, and each cell alone."""
    near = np.ones((1, 1))
    for size in shape:
        near = np.kron(near, np.exp(-np.abs(np.arange(size)[:, None] - np.arange(size)) / LOCAL_LENGTH))
    return {"near": near, "alone": np.eye(len(near))}


def _raised(histogram: np.ndarray, *, least: float) -> np.ndarray:
    """As shares, none below `least` before they are made to sum to 1; flat if nothing is above 0."""
    found = np.maximum(histogram, 0)
    if found.sum() <= 0:
        return np.full(len(found), 1 / len(found))
    found = np.maximum(found / found.sum(), least)
    return np.asarray(found / found.sum())
