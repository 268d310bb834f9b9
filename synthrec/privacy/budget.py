"""What a source's ledger adds up to: each account, all releases together, and what is left under the owner's cap.

Guarantees: releases and trials compose as if one user were in every log that they were made from, with all their events: monthly logs
with overlapping users cost what the worst-case user pays. An account that was charged and died counts like any other. Internal
accounts are listed with their epsilon and not added. Reads entries only, never a log.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from synthrec.errors import BudgetError, PlanError
from synthrec.privacy.accounting import CROSS_CHECK_ERROR, Accountant, cross_check, solve_scale
from synthrec.privacy.chain import Entry, Kind
from synthrec.privacy.event import Event, PublicRecord, gaussian
from synthrec.privacy.ledger import Ledger, events_of, extra_delta_of

LEAST_LEFT = 0.01       # less is called nothing


class Account(PublicRecord):
    """All entries of one training. `planned` is None where an early version wrote them."""

    release_id: str
    kind: Kind
    first_day: str
    last_day: str
    charged: int
    planned: int | None
    delta: float
    epsilon: float
    cross_check: float

    @property
    def died(self) -> bool:
        """Was less charged than planned? Then it died, or still runs."""
        return self.planned is not None and self.charged < self.planned


class Balance(PublicRecord):
    """A ledger, added up at one delta. `left`: the most that one further release may spend under the cap, None without a cap."""

    delta: float
    accounts: tuple[Account, ...]
    epsilon: float
    cross_check: float
    internal_epsilon: float
    cap: float | None
    left: float | None

    @property
    def counted(self) -> int:
        """Accounts that count against the cap."""
        return sum(account.kind != "internal" for account in self.accounts)

    @property
    def beyond_cap(self) -> bool:
        """Is more spent than the owner allows?"""
        return self.cap is not None and self.epsilon > self.cap


def balance_of(entries: Sequence[Entry], *, delta: float | None = None, cap: float | None = None) -> Balance:
    """The balance at `delta`; without one each account at its own, and all together at the smallest. Raises PlanError if none is known."""
    overall = delta if delta is not None else min((entry.delta for entry in entries if entry.delta is not None), default=None)
    if overall is None:
        raise PlanError("a delta must be known to compute epsilon", found="none in the ledger, whose entries an early version wrote",
                        remedy="Say it with --delta, as the releases' records do.")
    counted = [entry for entry in entries if entry.kind != "internal"]
    internal = [entry for entry in entries if entry.kind == "internal"]
    accounts = dict.fromkeys((entry.release_id, entry.kind) for entry in entries)
    return Balance(
        delta=overall, epsilon=_epsilon(counted, delta=overall), cross_check=_second(counted, delta=overall),
        accounts=tuple(_account([entry for entry in entries if (entry.release_id, entry.kind) == key], delta=delta, otherwise=overall)
                       for key in accounts),
        internal_epsilon=_epsilon(internal, delta=overall), cap=cap, left=None if cap is None else left_under(cap, counted, delta=overall))


def left_under(cap: float, spent: Sequence[Entry], *, delta: float) -> float:
    """The epsilon of the largest single Gaussian that still fits: about what one further release may ask for. Infinite noise is 0."""
    extra = extra_delta_of(tuple(spent))
    if _epsilon(spent, delta=delta) > cap - LEAST_LEFT or delta <= extra or math.isinf(cap):
        return math.inf if math.isinf(cap) and _epsilon(spent, delta=delta) < cap else 0.0
    before = events_of(tuple(spent))
    try:
        scale = solve_scale(lambda noise: (*before, _one(noise)), epsilon=cap, delta=delta, extra_delta=extra)
    except PlanError:
        return 0.0
    return Accountant([_one(scale)]).epsilon(delta)


def require_budget(ledger: Ledger, *, source: str, events: Iterable[Event], delta: float, cap: float, extra_delta: float = 0.0) -> None:
    """Raise BudgetError unless all of a source's releases, with `events` and `extra_delta` still to come, stay within its cap."""
    if ledger.entries and ledger.entries[0].source != source:
        raise BudgetError("a ledger belongs to one source", found="another source's name in it",
                          remedy="Correct [source] name or ledger.")
    spent = ledger.counted()
    after = Accountant((*events_of(spent), *events), extra_delta=extra_delta_of(spent) + extra_delta).epsilon(delta)
    if after > cap:
        raise BudgetError(
            f"all releases of a source together must stay within epsilon_cap = {cap:g}",
            found=f"{_epsilon(spent, delta=delta):.3g} spent at delta {delta:g}, {after:.3g} after this one",
            remedy=f"About {left_under(cap, spent, delta=delta):.2g} is left. Lower epsilon, or raise the cap with the privacy officer.")


def accountants_agree(first: float, second: float) -> bool:
    """Do two upper bounds of one epsilon lie within their stated errors of each other? The discretised losses' grow with epsilon."""
    return first == second or abs(first - second) <= 20 * CROSS_CHECK_ERROR + 0.01 * first


def _account(entries: Sequence[Entry], *, delta: float | None, otherwise: float) -> Account:
    last = entries[-1]
    own = delta or last.delta or otherwise
    return Account(
        release_id=last.release_id, kind=last.kind, first_day=entries[0].charged_utc, last_day=last.charged_utc,
        charged=sum(entry.event.count for entry in entries), planned=last.planned, delta=own,
        epsilon=_epsilon(entries, delta=own), cross_check=_second(entries, delta=own))


def _epsilon(entries: Sequence[Entry], *, delta: float) -> float:
    return Accountant(events_of(tuple(entries)), extra_delta=extra_delta_of(tuple(entries))).epsilon(delta)


def _second(entries: Sequence[Entry], *, delta: float) -> float:
    return cross_check(events_of(tuple(entries)), delta=delta, extra_delta=extra_delta_of(tuple(entries)))


def _one(noise: float) -> Event:
    return gaussian(noise_multiplier=noise, sampling_rate=1.0, count=1)
