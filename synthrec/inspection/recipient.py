"""What a recipient can check without the log: hashes, the ledger excerpt, epsilon computed anew by
two accountants, contents.

Guarantees: needs share/ alone; no file of it takes more than a GiB, nor accounting more than some
seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from synthrec.errors import BudgetError
from synthrec.inspection.findings import Inspection
from synthrec.inspection.generator import words_of
from synthrec.inspection.mechanism import MECHANISM, mechanism_of
from synthrec.inspection.record import excerpt_of, record_of
from synthrec.inspection.share import files_of, inspect_share
from synthrec.model.format import Words
from synthrec.privacy.accounting import CROSS_CHECK_ERROR, Accountant, cross_check
from synthrec.privacy.ledger import Entry, events_of, extra_delta_of
from synthrec.report.manifest import MANIFEST
from synthrec.report.record import ReleaseRecord

DIGITS = 1e-6  # relative: other machines round otherwise


@dataclass(frozen=True)
class ReleaseCheck:
    """One thing checked."""

    name: str
    found: str
    passed: bool


def verify_share(share: Path) -> tuple[ReleaseCheck, ...]:
    """All checks, in the order in which a recipient cares. Raises ReleaseError for what is no
    release.
    """
    inspection = inspect_share(share)
    hashes = _of(inspection, {MANIFEST})
    if any(part.problem for part in files_of(share)):
        return (hashes, ReleaseCheck("contents", _problems(inspection), False))
    words, _, _ = words_of(share)
    record, _ = record_of(share, words=words)
    entries, _, _ = excerpt_of(share, record=record, words=words)
    claim = () if record is None else claim_checks(record, entries)
    return (
        hashes,
        _of(inspection, {"ledger.jsonl"}),
        *claim,
        *_mechanism(share, words=words),
        ReleaseCheck("contents", _problems(inspection), inspection.passed),
    )


def claim_checks(record: ReleaseRecord, entries: tuple[Entry, ...]) -> tuple[ReleaseCheck, ...]:
    """Epsilon by two accountants, the profile and the bound, computed anew from the excerpt."""
    events, extra = events_of(entries), extra_delta_of(entries)
    try:
        accountant = Accountant(events, extra_delta=extra)
        second = cross_check(events, delta=record.delta, extra_delta=extra)
    except BudgetError:
        events = ()
    if not events:
        return (
            ReleaseCheck("epsilon", "entries that no accountant of this version computes", False),
        )
    profile = all(_same(claimed, accountant.epsilon(delta)) for delta, claimed in record.profile)
    checks = [
        _compared("epsilon (PLD)", claimed=record.epsilon, found=accountant.epsilon(record.delta)),
        _compared("epsilon (PRV)", claimed=record.epsilon_cross_check, found=second),
        ReleaseCheck("profile", f"{len(record.profile)} deltas", profile),
    ]
    if record.releases_before == 0:
        checks.append(
            _compared(
                "bound on attacks (AUC)", claimed=record.bound.auc, found=accountant.bound().auc
            )
        )
    return tuple(checks)


def _mechanism(share: Path, *, words: Words | None) -> tuple[ReleaseCheck, ...]:
    record, parts = mechanism_of(share, words=words)
    if not parts:
        return ()
    wrong = [part.problem for part in parts if part.problem is not None]
    count = 0 if record is None else len(record.checks) - len(record.failed)
    return (
        ReleaseCheck(
            MECHANISM,
            wrong[0]
            if wrong
            else f"{count} of {count} checks of the code passed, as its owner says",
            not wrong,
        ),
    )


def _compared(name: str, *, claimed: float, found: float) -> ReleaseCheck:
    return ReleaseCheck(name, f"claimed {claimed:.6g}, computed {found:.6g}", _same(claimed, found))


def _same(claimed: float, found: float) -> bool:
    """A claim may be higher than what is computed by the accountants' error, never lower."""
    if math.isinf(found) or math.isinf(claimed):
        return claimed == found
    slack = DIGITS * max(1.0, found)
    return found - slack <= claimed <= found + 2 * CROSS_CHECK_ERROR + slack


def _of(inspection: Inspection, files: set[str]) -> ReleaseCheck:
    parts = [part for part in inspection.parts if part.file in files]
    wrong = [part.problem for part in parts if part.problem is not None]
    name = " and ".join(sorted(files))
    return ReleaseCheck(
        name,
        wrong[0] if wrong else f"{len(parts)} lines as they must be",
        not wrong and bool(parts),
    )


def _problems(inspection: Inspection) -> str:
    wrong = inspection.problems
    return (
        f"{len(wrong)} of {len(inspection.parts)} parts are not as they must be: {wrong[0].file}, {wrong[0].name}: {wrong[0].problem}"
        if wrong
        else f"{len(inspection.parts)} parts, each public, paid, post-processing or synthetic"
    )
