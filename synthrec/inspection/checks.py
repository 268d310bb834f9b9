"""What passes and what does not, a line each: of a release as a recipient can check it without the
log (`synthrec verify`), and of its pages and texts beside the records (`synthrec report --check`).

Guarantees: nothing is written. A recipient's checks need share/ alone: hashes, the ledger excerpt,
epsilon computed anew by two accountants, contents; no file of it takes more than a GiB, nor
accounting more than some seconds. Of a report, pages and texts are rendered anew and compared byte
for byte, no page has markup that no report has, and the verdict is drawn anew from the audit's own
figures by its own policy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from synthrec.audit.record import AuditRecord, Policy
from synthrec.audit.verdict import conclude
from synthrec.errors import BudgetError, ReleaseError, SynthrecError
from synthrec.inspection.findings import InspectedPart
from synthrec.inspection.generator import words_of
from synthrec.inspection.mechanism import MECHANISM
from synthrec.inspection.page import PAGE, foreign
from synthrec.inspection.record import EXCERPT, excerpt_of, record_of
from synthrec.inspection.share import inspect_share
from synthrec.privacy.accounting import CROSS_CHECK_ERROR, Accountant, cross_check
from synthrec.privacy.ledger import Entry, events_of, extra_delta_of
from synthrec.release import Folder
from synthrec.report.croissant import CROISSANT, croissant
from synthrec.report.edition import Edition, missing_parts
from synthrec.report.manifest import MANIFEST, verify_manifest
from synthrec.report.record import ReleaseRecord, read_record
from synthrec.report.render import render
from synthrec.report.texts import shared_texts
from synthrec.storage import read_bounded

DIGITS = 1e-6  # relative, of epsilon: other machines round otherwise
SLACK = 1e-6  # of the epsilon that an audit names
MAX_PAGE_BYTES = 1 << 26
INTERNAL = "report.internal.html"


@dataclass(frozen=True)
class ReleaseCheck:
    """One thing checked."""

    name: str
    found: str
    passed: bool


def verify_share(share: Path) -> tuple[ReleaseCheck, ...]:
    """All checks of share/, in the order in which a recipient cares. Raises ReleaseError for what
    is no release.
    """
    inspection = inspect_share(share)
    wrong, count = inspection.problems, len(inspection.parts)
    says = (
        f"{len(wrong)} of {count} parts are not as they must be: {wrong[0].file}, {wrong[0].name}: {wrong[0].problem}"
        if wrong
        else f"{count} parts, each public, paid, post-processing or synthetic"
    )
    contents = ReleaseCheck("contents", says, inspection.passed)
    hashes, lines, code = map(inspection.of, (MANIFEST, EXCERPT, MECHANISM))
    if inspection.entries is None:
        return (_as_must_be(MANIFEST, hashes), contents)
    record, suite = inspection.record, inspection.mechanism
    passed = 0 if suite is None else len(suite.checks) - len(suite.failed)
    says = f"{passed} of {passed} checks of the code passed, as its owner says"
    return (
        _as_must_be(MANIFEST, hashes),
        _as_must_be(EXCERPT, lines),
        *(() if record is None else claim_checks(record, inspection.entries)),
        *([_as_must_be(MECHANISM, code, fine=says)] if code else ()),
        contents,
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
        odd = "entries that no accountant of this version computes"
        return (ReleaseCheck("epsilon", odd, False),)
    profile = all(_same(claimed, accountant.epsilon(delta)) for delta, claimed in record.profile)
    checks = [
        _compared("epsilon (PLD)", record.epsilon, accountant.epsilon(record.delta)),
        _compared("epsilon (PRV)", record.epsilon_cross_check, second),
        ReleaseCheck("profile", f"{len(record.profile)} deltas", profile),
    ]
    if record.releases_before == 0:
        checks.append(_compared("bound on attacks (AUC)", record.bound.auc, accountant.bound().auc))
    return tuple(checks)


def check_report(folder: Folder) -> tuple[ReleaseCheck, ...]:
    """All checks of pages and texts, and of what their records rest on. Raises ReleaseError for
    records that cannot be read.
    """
    release, mechanism = folder.record(), folder.mechanism()
    audit = read_record(folder.audit_path, kind=AuditRecord) if folder.audit_path.exists() else None
    words, _, _ = words_of(folder.share)
    record, _ = record_of(folder.share, words=words)
    entries, lines, _ = excerpt_of(folder.share, record=record, words=words)
    missing = missing_parts(release)
    claim = f"not said: {', '.join(missing)}" if missing else "complete"
    page = partial(render, release, audit, mechanism=mechanism)
    rendered = {
        folder.share / name: partial(str, text)
        for name, text in shared_texts(release, mechanism).items()
    } | {folder.share / PAGE: partial(page, edition=Edition.PUBLIC)}
    if (described := croissant(folder.share, release)) is not None:
        rendered[folder.share / CROISSANT] = partial(str, described)
    if folder.private.is_dir():
        rendered[folder.private / INTERNAL] = partial(page, edition=Edition.INTERNAL)
    return (
        _hashes(folder.share),
        _as_must_be(EXCERPT, lines, fine=f"{len(entries)} entries as they must be"),
        *claim_checks(release, entries),
        ReleaseCheck("claim", claim, not missing or release.not_private),
        *(_follows(path, text) for path, text in rendered.items()),
        *(() if audit is None else audit_checks(release, audit)),
    )


def audit_checks(release: ReleaseRecord, audit: AuditRecord) -> tuple[ReleaseCheck, ...]:
    """Is the audit one of this release, and does its verdict follow from its own figures?"""
    of_it = audit.release_id == release.release_id and (
        audit.epsilon is None or abs(audit.epsilon - release.epsilon) <= SLACK
    )
    same = "release and epsilon are the same" if of_it else "another release or epsilon"
    follows, outcome = False, "does not follow from the figures"
    try:
        policy = Policy.model_validate(audit.policy)
        drawn = conclude(
            audit.membership,
            lower_bound=audit.lower_bound,
            disclosure=audit.disclosure,
            policy=policy,
        )
        if drawn == (audit.verdict, audit.reason):
            follows, outcome = True, f"PRIVATE: {audit.verdict.value} follows from the figures"
    except ValidationError:
        outcome = "a policy of another version: not drawn anew"
    except (ArithmeticError, ValueError):
        outcome = "figures that no audit has: not drawn anew"
    return (
        ReleaseCheck("audit: of this release", same, of_it),
        ReleaseCheck("audit: verdict", outcome, follows),
    )


def _hashes(share: Path) -> ReleaseCheck:
    try:
        return ReleaseCheck(MANIFEST, f"{len(verify_manifest(share).files)} files as listed", True)
    except ReleaseError as error:
        return ReleaseCheck(MANIFEST, str(error), False)


def _follows(path: Path, rendered: Callable[[], str]) -> ReleaseCheck:
    try:
        text = rendered()
        same = read_bounded(path, most=MAX_PAGE_BYTES) == text.encode()
    except (SynthrecError, OSError):
        return ReleaseCheck(path.name, "missing, or not readable; run `synthrec report`", False)
    wrong = foreign(text) if path.suffix == ".html" else None
    if not same:
        wrong = "no longer what the records render to; run `synthrec report`"
    return ReleaseCheck(path.name, wrong or "follows from the records", wrong is None)


def _compared(name: str, claimed: float, computed: float) -> ReleaseCheck:
    return ReleaseCheck(
        name, f"claimed {claimed:.6g}, computed {computed:.6g}", _same(claimed, computed)
    )


def _same(claimed: float, computed: float) -> bool:
    """A claim may be higher than what is computed by the accountants' error, never lower."""
    if math.isinf(computed) or math.isinf(claimed):
        return claimed == computed
    slack = DIGITS * max(1.0, computed)
    return computed - slack <= claimed <= computed + 2 * CROSS_CHECK_ERROR + slack


def _as_must_be(name: str, parts: Sequence[InspectedPart], *, fine: str = "") -> ReleaseCheck:
    wrong = next((part.problem for part in parts if part.problem is not None), None)
    fine = fine or f"{len(parts)} lines as they must be"
    return ReleaseCheck(name, wrong or fine, wrong is None)
