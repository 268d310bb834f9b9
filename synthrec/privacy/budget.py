"""What a source's ledger adds up to (each account, all releases together, and what is left under
the owner's cap), and whether it is whole, for whoever must know without running anything on the
log.

Guarantees: releases and trials compose as if one user were in every log that they were made from,
with all their events: monthly logs with overlapping users cost what the worst-case user pays. An
account that was charged and died counts like any other. Internal accounts are listed with their
epsilon and not added. The cap is judged at the smallest delta of plan and ledger, by whoever judges
it: else a plan with a large delta would fit where everything together does not. A check looks at
every line, also after a fault, names each fault with its line and quotes no value; epsilon is
computed anew by two accountants, per account and over all. A release whose excerpt is not in the
ledger is a fault: the ledger was cut short or is another's. Reads public files only, never a log.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
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
    Head,
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


class Summed(PublicRecord):
    """What some entries add up to at `delta`, by both accountants."""

    delta: float
    epsilon: float
    cross_check: float


class Account(Summed):
    """All entries of one training. `planned` is None where nobody said it."""

    release_id: str
    kind: Kind
    first_day: str
    charged: int
    planned: int | None

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


class Balance(Summed):
    """A ledger, added up at one delta. With a cap: what is `spent` of it, and `left`, the most that
    one further release may spend.
    """

    accounts: tuple[Account, ...]
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
    accounts: dict[tuple[str, Kind], list[Entry]] = {}
    for entry in entries:
        accounts.setdefault((entry.release_id, entry.kind), []).append(entry)
    return Balance(
        **_summed(counted, delta=overall),
        accounts=tuple(
            Account(
                **_summed(own, delta=delta or own[-1].delta or overall),
                release_id=own[-1].release_id,
                kind=own[-1].kind,
                first_day=own[0].charged_utc,
                charged=sum(entry.event.count for entry in own),
                planned=own[-1].planned,
            )
            for own in accounts.values()
        ),
        internal_epsilon=epsilon_of(internal, delta=overall),
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
            found="none in the ledger",
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
    delta, extra = smallest_delta(spent, delta), extra_delta_of(spent) + extra_delta
    return Spent(
        cap=cap,
        delta=delta,
        epsilon=epsilon_of(spent, delta=delta),
        after=Accountant((*events_of(spent), *events), extra_delta=extra).epsilon(delta),
    )


def left_under(cap: float, spent: Sequence[Entry], *, delta: float) -> float:
    """The epsilon of the largest single Gaussian that still fits: about what one further release
    may ask for, LARGEST_EPSILON at most.
    """
    cap, extra = min(cap, MAX_EPSILON), extra_delta_of(spent)
    if epsilon_of(spent, delta=delta) <= cap - MIN_LEFT and delta > extra:
        before = events_of(spent)
        with suppress(PlanError):
            scale = solve_scale(
                lambda noise: (*before, _one(noise)), epsilon=cap, delta=delta, extra_delta=extra
            )
            return min(LARGEST_EPSILON, Accountant([_one(scale)]).epsilon(delta))
    return 0.0


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
    total = spent_under(cap, spent, delta=delta, events=events, extra_delta=extra_delta)
    if total.after > cap:
        smaller = (
            f" (the smallest of all releases; this one's is {delta:g})"
            if total.delta < delta
            else ""
        )
        raise BudgetError(
            f"all releases of a source together must stay within epsilon_cap = {cap:g}",
            found=f"{total.epsilon:.3g} spent at delta {total.delta:g}{smaller}, {total.after:.3g} after this one",
            remedy=f"About {left_under(cap, spent, delta=total.delta):.2g} is left. Lower epsilon, "
            "or raise the cap with the privacy officer.",
        )
    return total


def accountants_agree(first: float, second: float) -> bool:
    """Do two upper bounds of one epsilon lie within their stated errors of each other? The
    discretised losses' grow with epsilon.
    """
    return first == second or abs(first - second) <= 20 * CROSS_CHECK_ERROR + 0.01 * first


def epsilon_of(entries: Sequence[Entry], *, delta: float) -> float:
    """What entries add up to."""
    return Accountant(events_of(entries), extra_delta=extra_delta_of(entries)).epsilon(delta)


def _summed(entries: Sequence[Entry], *, delta: float) -> dict[str, float]:
    second = cross_check(events_of(entries), delta=delta, extra_delta=extra_delta_of(entries))
    return {"delta": delta, "epsilon": epsilon_of(entries, delta=delta), "cross_check": second}


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
    head: Head | None = None
    try:
        head = remembered(path)
        if head is None:
            notes.append(
                f"no {path.name}.head: that the last lines are missing would not be noticed; the next entry makes one"
            )
    except BudgetError as error:
        faults.append(f"{error.rule}: {error.found}")
    lines = list(walk(read_lines(path)))
    entries = [line for line in lines if isinstance(line, Entry)]
    broken = [line for line in lines if isinstance(line, Fault)]
    if not broken and (short := cut_short(entries, head)) is not None:
        broken = [short]
    faults += [f"{path.name}, line {fault.line}: {fault.found}. {fault.remedy}" for fault in broken]
    faults += _sources(entries, source=source)
    for excerpt in excerpts:
        faults += _missing(excerpt, entries=entries)
    balance = None
    try:
        balance = balance_of(entries, delta=delta, cap=cap)
        faults += _sums(balance)
    except (PlanError, BudgetError) as error:
        (notes if isinstance(error, PlanError) else faults).append(
            f"epsilon was not computed: {error.found}. {error.remedy}"
        )
    return LedgerCheck(
        entries=len(entries), faults=tuple(faults), notes=tuple(notes), balance=balance
    )


def _sources(entries: Sequence[Entry], *, source: str | None) -> list[str]:
    if source is not None and any(entry.source != source for entry in entries):
        return [
            "the ledger is of another source than the configuration names. Correct [source] name or ledger."
        ]
    for number, entry in enumerate(entries, start=1):
        if entry.source != entries[0].source:
            return [
                f"entry {number} is of another source than the first: a ledger belongs to one source."
            ]
    return []


def _missing(excerpt: Path, *, entries: Sequence[Entry]) -> list[str]:
    """The entries of a release that the source's ledger does not hold."""
    known = {entry.hash for entry in entries}
    try:
        lines = read_lines(excerpt)
    except BudgetError as error:
        return [f"{excerpt.name} of a release cannot be read: {error.found}."]
    held = [line for line in walk(lines) if isinstance(line, Entry)]
    if len(held) != len(lines) or not held:
        return [f"{excerpt.name} of a release is not a ledger excerpt, or was altered."]
    gone = sum(entry.hash not in known or entry.hash != entry.digest() for entry in held)
    if not gone:
        return []
    return [
        f"{gone} of {len(held)} entries of release {held[0].release_id} are not in the ledger: it was cut short, or is another's. "
        "Bring back the ledger as it was last written."
    ]


def _sums(balance: Balance) -> list[str]:
    sums: list[tuple[str, Summed]] = [(own.release_id, own) for own in balance.accounts]
    faults = [
        f"the accountants disagree on {name}: {summed.epsilon:.4g} and {summed.cross_check:.4g}"
        for name, summed in (*sums, ("all releases together", balance))
        if not accountants_agree(summed.epsilon, summed.cross_check)
    ]
    spent = balance.spent
    if spent is not None and spent.epsilon > spent.cap:
        faults.append(
            f"all releases together spent epsilon {spent.epsilon:.4g} at delta {spent.delta:g}, beyond the cap of {spent.cap:g}"
        )
    return faults
