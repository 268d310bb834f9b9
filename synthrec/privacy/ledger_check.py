"""Is a ledger whole, and does it add up? For whoever must know without running anything on the log.

Guarantees: every line is looked at, also after a fault; each fault is named with its line and quotes no value. Epsilon is computed anew
from the entries, by two accountants, per account and over all. A release whose excerpt is not in the ledger is a fault: the ledger was
cut short or is another's. Reads public files only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthrec.errors import BudgetError, PlanError
from synthrec.privacy.budget import Balance, accountants_agree, balance_of
from synthrec.privacy.chain import Entry, Fault, walk
from synthrec.privacy.event import PublicRecord
from synthrec.privacy.head import cut_short, remembered
from synthrec.privacy.ledger import read_lines


class LedgerCheck(PublicRecord):
    """What was found. `notes` are worth knowing and no fault."""

    entries: int
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    balance: Balance | None


def check_ledger(path: Path, *, delta: float | None = None, cap: float | None = None, source: str | None = None,
                 excerpts: Sequence[Path] = ()) -> LedgerCheck:
    """Chain, versions, kinds, head, source, excerpts of releases, both accountants, cap. Raises BudgetError if there is no such file."""
    faults: list[str] = []
    notes: list[str] = []
    try:
        head = remembered(path)
        if head is None:
            notes.append(f"no {path.name}.head: that the last lines are missing would not be noticed; the next entry makes one")
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
    return LedgerCheck(entries=len(entries), faults=(*faults, *_sums(balance)), notes=tuple(notes), balance=balance)


def _said(name: str, fault: Fault) -> str:
    return f"{name}, line {fault.line}: {fault.found}. {fault.remedy}"


def _sources(entries: Sequence[Entry], *, source: str | None) -> list[str]:
    if source is not None and any(entry.source != source for entry in entries):
        return ["the ledger is of another source than the configuration names. Correct [source] name or ledger."]
    first = next((place for place, entry in enumerate(entries, start=1) if entry.source != entries[0].source), None)
    return [] if first is None else [f"entry {first} is of another source than the first: a ledger belongs to one source."]


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
    return [f"{gone} of {len(held)} entries of release {held[0].release_id} are not in the ledger: it was cut short, or is another's. "
            "Bring back the ledger as it was last written."] if gone else []


def _balance(entries: Sequence[Entry], *, delta: float | None, cap: float | None, notes: list[str],
             faults: list[str]) -> Balance | None:
    try:
        return balance_of(entries, delta=delta, cap=cap)
    except (PlanError, BudgetError) as error:
        (notes if isinstance(error, PlanError) else faults).append(f"epsilon was not computed: {error.found}. {error.remedy}")
        return None


def _sums(balance: Balance | None) -> list[str]:
    if balance is None:
        return []
    faults = [f"the accountants disagree on {account.release_id}: {account.epsilon:.4g} and {account.cross_check:.4g}"
              for account in balance.accounts if not accountants_agree(account.epsilon, account.cross_check)]
    if not accountants_agree(balance.epsilon, balance.cross_check):
        faults.append(f"the accountants disagree on all releases together: {balance.epsilon:.4g} and {balance.cross_check:.4g}")
    if balance.spent is not None and balance.spent.epsilon > balance.spent.cap:
        spent = balance.spent
        faults.append(f"all releases together spent epsilon {spent.epsilon:.4g} at delta {spent.delta:g}, beyond the cap of {spent.cap:g}")
    return faults
