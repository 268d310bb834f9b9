"""From a ledger to epsilon: privacy loss distributions over all its events, with a second opinion.

Formal guarantees: every figure is an upper bound for the events given (pessimistic discretisation),
under adding or removing one user, Poisson sampling where an event says so, any adaptive order.
Deltas that no event holds (thresholds) are added to delta. Events whose loss no accountant computes
in some seconds and a GiB are refused with BudgetError before one sees them.

Source: PLD accounting with connect-the-dots discretisation (Doroshenko et al. 2022) from
dp-accounting; the cross-check is the PRV accountant of Gopi, Lee and Wutschitz (2021) from Opacus.
Trade-off from a profile: Dong, Roth and Su (2022), proposition 2.12.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from synthrec.errors import BudgetError, PlanError
from synthrec.privacy.event import Event, PublicRecord

INTERVAL = 1e-3
CROSS_CHECK_ERROR = 0.001  # absolute error of epsilon that the second accountant is asked for
ACCOUNTANT = f"privacy loss distribution (dp-accounting), discretisation {INTERVAL:g}, pessimistic"
MAX_LOSS, MAX_KINDS, MAX_RUNS = 20.0, 100, 10**7
MAX_EPSILON = 300.0  # at MAX_LOSS and any usual delta
FINE_LOSS = 10.0  # no plan has more: beyond, INTERVAL is not kept
MAX_POINTS = 1 << 21  # of each of the second accountant's grids, where a training runs beside a sum
CROSS_CHECK = f"privacy random variables (Opacus), error of epsilon at most {CROSS_CHECK_ERROR:g}"
EPSILON_GRID = np.concatenate(
    (np.linspace(0, 1, 26), np.linspace(1.1, 12, 110), np.linspace(12.5, 60, 96))
)


class Bound(PublicRecord):
    """The most that any attacker can reach against one user, whatever they know about everybody
    else.
    """

    fpr: float
    tpr: float
    auc: float
    advantage: float
    roc: tuple[tuple[float, float], ...]


class Accountant:
    """The privacy loss of some events, composed once and asked many times. Raises BudgetError for
    more than can be computed.
    """

    def __init__(self, events: Iterable[Event], *, extra_delta: float = 0.0) -> None:
        self._extra_delta = extra_delta
        grouped = _grouped(events)
        self._runs = None if grouped is None else tuple(sorted(grouped.items()))
        self._loss = None if self._runs is None else _composed(self._runs)

    def epsilon(self, delta: float) -> float:
        """Smallest epsilon at `delta`; infinite if an event is not private or the extra deltas
        alone exceed `delta`.
        """
        if self._loss is None or delta <= self._extra_delta:
            return math.inf
        return float(self._loss.get_epsilon_for_delta(delta - self._extra_delta))

    def delta(self, epsilons: Sequence[float] | np.ndarray) -> np.ndarray:
        """delta at each epsilon, extra deltas included, at most 1."""
        if self._runs is None:
            return np.ones(len(epsilons))
        return np.minimum(1.0, _deltas(self._runs, tuple(epsilons)) + self._extra_delta)

    def profile(self, deltas: Sequence[float]) -> tuple[tuple[float, float], ...]:
        """(delta, epsilon) pairs."""
        return tuple((delta, self.epsilon(delta)) for delta in deltas)

    def bound(self, *, fpr: float = 0.1) -> Bound:
        """Largest TPR at `fpr`, AUC and advantage that the whole profile allows."""
        alphas = np.unique(np.concatenate((np.linspace(0, 1, 101), [fpr])))
        deltas = self.delta(EPSILON_GRID)[:, None]
        growth = np.exp(EPSILON_GRID)[:, None]
        missed = np.maximum(
            0.0, np.maximum(1 - deltas - growth * alphas, (1 - deltas - alphas) / growth)
        ).max(axis=0)
        tprs = 1 - missed
        return Bound(
            fpr=fpr,
            tpr=float(tprs[np.searchsorted(alphas, fpr)]),
            # piecewise constant, on or above the concave bound: an upper bound of the AUC
            auc=float(np.minimum(1.0, (np.diff(alphas) * tprs[1:]).sum())),
            advantage=float(self.delta([0.0])[0]),
            roc=tuple(zip(alphas.tolist(), tprs.tolist(), strict=True)),
        )


def cross_check(events: Iterable[Event], *, delta: float, extra_delta: float = 0.0) -> float:
    """Epsilon by the second accountant: an upper bound made by other code on another principle."""
    grouped = _grouped(events)
    if grouped is None or delta <= extra_delta:
        return math.inf
    return _second(tuple(grouped.items()), delta - extra_delta) if grouped else 0.0


Runs = tuple[tuple[tuple[float, float], int], ...]  # ((noise multiplier, sampling rate), how often)


@lru_cache(maxsize=32)
def _second(runs: Runs, delta: float) -> float:
    """The second accountant's epsilon; asked for again and again where releases of equal plans are
    made.
    """
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = [(noise, rate, count) for (noise, rate), count in runs]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter(
            "ignore", UserWarning
        )  # about the grid of RDP orders that only bounds the PRV's domain
        try:
            return float(accountant.get_epsilon(delta, eps_error=_error(runs, delta=delta)))
        except (ArithmeticError, RuntimeError, ValueError):
            raise _beyond("a loss that the second accountant cannot put on its grid") from None


def _error(runs: Runs, *, delta: float) -> float:
    """CROSS_CHECK_ERROR, or what keeps the second accountant's grids, each of twice the loss over
    its mesh, to MOST_POINTS.
    """
    width = 2 * (_loss(runs) ** 2 / 2 + _loss(runs) * math.sqrt(2 * math.log(4000 / delta)) + 3)
    mesh = 1 / math.sqrt(sum(count for _, count in runs) * math.log(12_000 / delta) / 2)
    return max(CROSS_CHECK_ERROR, width / mesh / MAX_POINTS * max(1, len(runs) / 2))


def renyi_bound(events: Iterable[Event], *, delta: float, extra_delta: float = 0.0) -> float:
    """Epsilon by Renyi accounting (Mironov 2017; Mironov, Talwar and Zhang 2019): a looser upper
    bound, by another principle again.
    """
    from dp_accounting import dp_event
    from dp_accounting.rdp import RdpAccountant

    grouped = _grouped(events)
    if grouped is None or delta <= extra_delta:
        return math.inf
    accountant = RdpAccountant()
    for (noise, rate), count in grouped.items():
        one = dp_event.GaussianDpEvent(noise)
        accountant.compose(one if rate == 1.0 else dp_event.PoissonSampledDpEvent(rate, one), count)
    return float(accountant.get_epsilon(delta - extra_delta)) if grouped else 0.0


def solve_scale(
    events_at: Callable[[float], Iterable[Event]],
    *,
    epsilon: float,
    delta: float,
    extra_delta: float = 0.0,
) -> float:
    """Smallest scale of noise whose events stay within epsilon at delta: `events_at(scale)` lists
    them, epsilon falls with scale.

    It stays below epsilon by twice the second accountant's error, so that its upper bound, too, is
    within what was asked.

    Raises PlanError if no scale up to 10,000 does.
    """

    def too_much(scale: float) -> bool:
        try:
            return Accountant(events_at(scale), extra_delta=extra_delta).epsilon(delta) > target
        except BudgetError:
            return True

    target = epsilon - min(2 * CROSS_CHECK_ERROR, epsilon / 100)
    # near the classical Gaussian mechanism
    low = high = math.sqrt(2 * math.log(1.25 / delta)) / epsilon / 2
    while too_much(high):
        low, high = high, high * 1.5
        if high > 1e4:
            raise PlanError(
                "epsilon must be reachable with finite noise",
                found=f"epsilon {epsilon:g} at delta {delta:g}",
                remedy="Raise epsilon or delta.",
            )
    while low == high or not too_much(low):
        low, high = low / 1.5, low
    while high / low > 1.0005:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if too_much(middle) else (low, middle)
    return high


def _grouped(events: Iterable[Event]) -> Counter[tuple[float, float]] | None:
    """How often each (noise multiplier, sampling rate) ran; None if something ran without noise.
    Raises BudgetError, by closed forms alone.

    Gaussians on everybody are merged into one, exactly: their 1 / noise^2 add up (Dong, Roth and Su
    2022, corollary 3.3). Besides speed, this keeps Opacus's mesh sane: with several wide Gaussians
    side by side it returns a far too large epsilon.
    """
    grouped: Counter[tuple[float, float]] = Counter()
    weight = 0.0
    for event in events:
        if event.kind == "none" or event.noise_multiplier == 0:
            return None
        if event.sampling_rate == 1.0:
            weight += event.count / event.noise_multiplier**2
        else:
            grouped[event.noise_multiplier, event.sampling_rate] += event.count
    if weight:
        grouped[1 / math.sqrt(weight), 1.0] = 1
    if len(grouped) > MAX_KINDS or sum(grouped.values()) > MAX_RUNS:
        raise _beyond(f"{len(grouped)} kinds of mechanisms, {sum(grouped.values())} runs")
    loss = _loss(tuple(grouped.items()))
    if not loss <= MAX_LOSS:
        raise _beyond(f"a loss as of one sum with noise of {1 / loss:.2g} norms")
    return grouped


def _loss(runs: Runs) -> float:
    """Sensitivity over noise of the one Gaussian that all together are close to (central limit
    theorem, Bu et al. 2020).
    """
    return math.sqrt(
        sum(
            count * (noise**-2 if rate == 1.0 else rate**2 * math.expm1(min(noise**-2, 500.0)))
            for (noise, rate), count in runs
        )
    )


def _beyond(found: str) -> BudgetError:
    return BudgetError(
        "what is spent must be within what accountants compute: an epsilon of some hundreds at most",
        found=found,
        remedy="Nobody is protected beyond: ask for more noise, or see whether the ledger "
        "is as it was written.",
    )


@lru_cache(maxsize=8)
def _composed(runs: Runs) -> Any:
    from dp_accounting.pld import privacy_loss_distribution as pld

    interval = INTERVAL if _loss(runs) <= FINE_LOSS else 8 * INTERVAL
    total = pld.identity(value_discretization_interval=interval)
    for (noise, rate), count in runs:
        total = total.compose(_single(noise, rate, interval).self_compose(count))
    return total


@lru_cache(maxsize=32)
def _deltas(runs: Runs, epsilons: tuple[float, ...]) -> np.ndarray:
    """Of one composition at a grid; every release of an equal plan is asked for it."""
    return np.asarray(_composed(runs).get_delta_for_epsilon(list(epsilons)), dtype=float)


@lru_cache(maxsize=32)
def _single(noise: float, rate: float, interval: float) -> Any:
    """The loss of one run; a training asks for it at every block."""
    from dp_accounting.pld import privacy_loss_distribution as pld

    return pld.from_gaussian_mechanism(
        noise, sampling_prob=rate, value_discretization_interval=interval
    )
