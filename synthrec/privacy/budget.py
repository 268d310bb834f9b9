"""What a source's ledger adds up to: each account, all releases together, and what is left under
the owner's cap.

Guarantees: releases and trials compose as if one user were in every log that they were made from,
with all their events: monthly logs with overlapping users cost what the worst-case user pays. An
account that was charged and died counts like any other. Internal accounts are listed with their
epsilon and not added. The cap is judged at the smallest delta of plan and ledger, by whoever judges
it:
else a plan with a large delta would fit where everything together does not. Reads entries only,
never a log.

Is a ledger whole, and does it add up? For whoever must know without running anything on the log.

Guarantees: every line is looked at, also after a fault; each fault is named with its line and
quotes no value. Epsilon is computed anew from the entries, by two accountants, per account and over
all. A release whose excerpt is not in the ledger is a fault: the ledger was cut short or is
another's. Reads public files only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from synthrec.data.schema import Source
from synthrec.errors import BudgetError, PlanError
from synthrec.privacy.accounting import (
    CROSS_CHECK_ERROR,
    MAX_EPSILON,
    Accountant,
    cross_check,
    solve_scale,
)
from synthrec.privacy.event import Event, PublicRecord, gaussian
from synthrec.privacy.ledger import (
    Entry,
    Fault,
    Kind,
    Ledger,
    cut_short,
    events_of,
    extra_delta_of,
    read_lines,
    remembered,
    walk,
)
from synthrec.privacy.plan import LARGEST_EPSILON, Plan

MIN_LEFT = 0.01  # less is called nothing


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


class Spent(PublicRecord):
    """What counts against a cap, at `delta`, the smallest of all; `after`: together with a plan, if
    there is one.
    """

    cap: float
    delta: float
    epsilon: float
    after: float


class Balance(PublicRecord):
    """A ledger, added up at one delta. With a cap: what is `spent` of it, and `left`, the most that
    one further release may spend.
    """

    delta: float
    accounts: tuple[Account, ...]
    epsilon: float
    cross_check: float
    internal_epsilon: float
    spent: Spent | None
    left: float | None

    @property
    def counted(self) -> int:
        """Accounts that count against the cap."""
        return sum(account.kind != "internal" for account in self.accounts)


def balance_of(
    entries: Sequence[Entry], *, delta: float | None = None, cap: float | None = None
) -> Balance:
    """The balance at `delta`; without one each account at its own, and all together at the
    smallest.

    Raises PlanError if none is known, BudgetError for what no accountant computes.
    """
    smallest = smallest_delta(entries, delta)
    overall = delta or smallest
    counted = [entry for entry in entries if entry.kind != "internal"]
    internal = [entry for entry in entries if entry.kind == "internal"]
    accounts = dict.fromkeys((entry.release_id, entry.kind) for entry in entries)
    return Balance(
        delta=overall,
        epsilon=_epsilon(counted, delta=overall),
        cross_check=_second(counted, delta=overall),
        accounts=tuple(
            _account(
                [entry for entry in entries if (entry.release_id, entry.kind) == key],
                delta=delta,
                otherwise=overall,
            )
            for key in accounts
        ),
        internal_epsilon=_epsilon(internal, delta=overall),
        spent=None if cap is None else spent_under(cap, counted, delta=smallest),
        left=None if cap is None else left_under(cap, counted, delta=smallest),
    )


def smallest_delta(entries: Iterable[Entry], *more: float | None) -> float:
    """Of the ledger's plans and of `more`: where a cap is judged. Raises PlanError if none is
    known.
    """
    known = [delta for delta in (*(entry.delta for entry in entries), *more) if delta is not None]
    if not known:
        raise PlanError(
            "a delta must be known to compute epsilon",
            found="none in the ledger, whose entries an early version wrote",
            remedy="Say it with --delta, as the releases' records do.",
        )
    return min(known)


def cap_of(source: Source, plan: Plan) -> float:
    """The owner's cap; a plan without noise is for published sources, and there it has none."""
    return math.inf if source.public and not plan.is_private else source.epsilon_cap


def spent_under(
    cap: float,
    spent: Sequence[Entry],
    *,
    delta: float,
    events: Iterable[Event] = (),
    extra_delta: float = 0.0,
) -> Spent:
    """What `spent` costs, alone and with a plan's `events` and `extra_delta`, at the smallest delta
    of both.
    """
    delta, extra = smallest_delta(spent, delta), extra_delta_of(tuple(spent)) + extra_delta
    return Spent(
        cap=cap,
        delta=delta,
        epsilon=_epsilon(spent, delta=delta),
        after=Accountant((*events_of(tuple(spent)), *events), extra_delta=extra).epsilon(delta),
    )


def left_under(cap: float, spent: Sequence[Entry], *, delta: float) -> float:
    """The epsilon of the largest single Gaussian that still fits: about what one further release
    may ask for, LARGEST_EPSILON at most.
    """
    cap, extra = min(cap, MAX_EPSILON), extra_delta_of(tuple(spent))
    if _epsilon(spent, delta=delta) > cap - MIN_LEFT or delta <= extra:
        return 0.0
    before = events_of(tuple(spent))
    try:
        scale = solve_scale(
            lambda noise: (*before, _one(noise)), epsilon=cap, delta=delta, extra_delta=extra
        )
    except PlanError:
        return 0.0
    return min(LARGEST_EPSILON, Accountant([_one(scale)]).epsilon(delta))


def require_budget(
    ledger: Ledger,
    *,
    source: str,
    events: Iterable[Event],
    delta: float,
    cap: float,
    extra_delta: float = 0.0,
) -> Spent:
    """What is spent, before and after.

    Raises BudgetError unless all of a source's releases, with `events` and `extra_delta` still to
    come, stay within its cap at the smallest delta of them all.
    """
    if ledger.entries and ledger.entries[0].source != source:
        raise BudgetError(
            "a ledger belongs to one source",
            found="another source's name in it",
            remedy="Correct [source] name or ledger.",
        )
    spent = () if math.isinf(cap) else ledger.counted()
    found = spent_under(cap, spent, delta=delta, events=events, extra_delta=extra_delta)
    if found.after > cap:
        smaller = (
            f" (the smallest of all releases; this one's is {delta:g})"
            if found.delta < delta
            else ""
        )
        raise BudgetError(
            f"all releases of a source together must stay within epsilon_cap = {cap:g}",
            found=f"{found.epsilon:.3g} spent at delta {found.delta:g}{smaller}, {found.after:.3g} after this one",
            remedy=f"About {left_under(cap, spent, delta=found.delta):.2g} is left. Lower epsilon, "
            "or raise the cap with the privacy officer.",
        )
    return found


def accountants_agree(first: float, second: float) -> bool:
    """Do two upper bounds of one epsilon lie within their stated errors of each other? The
    discretised losses' grow with epsilon.
    """
    return first == second or abs(first - second) <= 20 * CROSS_CHECK_ERROR + 0.01 * first


def _account(entries: Sequence[Entry], *, delta: float | None, otherwise: float) -> Account:
    last = entries[-1]
    own = delta or last.delta or otherwise
    return Account(
        release_id=last.release_id,
        kind=last.kind,
        first_day=entries[0].charged_utc,
        last_day=last.charged_utc,
        charged=sum(entry.event.count for entry in entries),
        planned=last.planned,
        delta=own,
        epsilon=_epsilon(entries, delta=own),
        cross_check=_second(entries, delta=own),
    )


def _epsilon(entries: Sequence[Entry], *, delta: float) -> float:
    return Accountant(
        events_of(tuple(entries)), extra_delta=extra_delta_of(tuple(entries))
    ).epsilon(delta)


def _second(entries: Sequence[Entry], *, delta: float) -> float:
    return cross_check(
        events_of(tuple(entries)), delta=delta, extra_delta=extra_delta_of(tuple(entries))
    )


def _one(noise: float) -> Event:
    return gaussian(noise_multiplier=noise, sampling_rate=1.0, count=1)


class LedgerCheck(PublicRecord):
    """What was found. `notes` are worth knowing and no fault."""

    entries: int
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    balance: Balance | None


def check_ledger(
    path: Path,
    *,
    delta: float | None = None,
    cap: float | None = None,
    source: str | None = None,
    excerpts: Sequence[Path] = (),
) -> LedgerCheck:
    """Chain, versions, kinds, head, source, excerpts of releases, both accountants, cap. Raises
    BudgetError if there is no such file.
    """
    faults: list[str] = []
    notes: list[str] = []
    try:
        head = remembered(path)
        if head is None:
            notes.append(
                f"no {path.name}.head: that the last lines are missing would not be noticed; the next entry makes one"
            )
    except BudgetError as error:
        head = None
        faults.append(f"{error.rule}: {error.found}")
    lines = list(walk(read_lines(path)))
    entries = [each for each in lines if isinstance(each, Entry)]
    broken = [each for each in lines if isinstance(each, Fault)]
    faults += [_said(path.name, each) for each in broken]
    if not broken and (short := cut_short(entries, head)) is not None:
        faults.append(_said(path.name, short))
    faults += _sources(entries, source=source)
    faults += [fault for excerpt in excerpts for fault in _missing(excerpt, entries=entries)]
    balance = _balance(entries, delta=delta, cap=cap, notes=notes, faults=faults)
    return LedgerCheck(
        entries=len(entries), faults=(*faults, *_sums(balance)), notes=tuple(notes), balance=balance
    )


def _said(name: str, fault: Fault) -> str:
    return f"{name}, line {fault.line}: {fault.found}. {fault.remedy}"


def _sources(entries: Sequence[Entry], *, source: str | None) -> list[str]:
    if source is not None and any(entry.source != source for entry in entries):
        return [
            "the ledger is of another source than the configuration names. Correct [source] name or ledger."
        ]
    first = next(
        (
            place
            for place, entry in enumerate(entries, start=1)
            if entry.source != entries[0].source
        ),
        None,
    )
    return (
        []
        if first is None
        else [f"entry {first} is of another source than the first: a ledger belongs to one source."]
    )


def _missing(excerpt: Path, *, entries: Sequence[Entry]) -> list[str]:
    """The entries of a release that the source's ledger does not hold."""
    known = {entry.hash for entry in entries}
    try:
        lines = read_lines(excerpt)
    except BudgetError as error:
        return [f"{excerpt.name} of a release cannot be read: {error.found}."]
    held = [each for each in walk(lines) if isinstance(each, Entry)]
    gone = sum(entry.hash not in known or entry.hash != entry.digest() for entry in held)
    if len(held) != len(lines) or not held:
        return [f"{excerpt.name} of a release is not a ledger excerpt, or was altered."]
    return (
        [
            f"{gone} of {len(held)} entries of release {held[0].release_id} are not in the ledger: it was cut short, or is another's. "
            "Bring back the ledger as it was last written."
        ]
        if gone
        else []
    )


def _balance(
    entries: Sequence[Entry],
    *,
    delta: float | None,
    cap: float | None,
    notes: list[str],
    faults: list[str],
) -> Balance | None:
    try:
        return balance_of(entries, delta=delta, cap=cap)
    except (PlanError, BudgetError) as error:
        (notes if isinstance(error, PlanError) else faults).append(
            f"epsilon was not computed: {error.found}. {error.remedy}"
        )
        return None


def _sums(balance: Balance | None) -> list[str]:
    if balance is None:
        return []
    faults = [
        f"the accountants disagree on {account.release_id}: {account.epsilon:.4g} and {account.cross_check:.4g}"
        for account in balance.accounts
        if not accountants_agree(account.epsilon, account.cross_check)
    ]
    if not accountants_agree(balance.epsilon, balance.cross_check):
        faults.append(
            f"the accountants disagree on all releases together: {balance.epsilon:.4g} and {balance.cross_check:.4g}"
        )
    if balance.spent is not None and balance.spent.epsilon > balance.spent.cap:
        spent = balance.spent
        faults.append(
            f"all releases together spent epsilon {spent.epsilon:.4g} at delta {spent.delta:g}, beyond the cap of {spent.cap:g}"
        )
    return faults
