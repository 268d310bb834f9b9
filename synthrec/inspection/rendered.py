"""`synthrec report --check`: does each page and text still follow from the records, and do the
records from what they rest on?

Guarantees: nothing is written. Pages and texts are rendered anew and compared byte for byte, and no
page has markup that no report has; hashes are those of the manifest; epsilon is computed anew from
the excerpt of the ledger; the verdict is drawn anew from the audit's own figures by its own policy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from synthrec.audit.record import AuditRecord, Policy
from synthrec.audit.verdict import conclude
from synthrec.errors import ReleaseError, SynthrecError
from synthrec.inspection.generator import words_of
from synthrec.inspection.page import foreign
from synthrec.inspection.recipient import ReleaseCheck, claim_checks
from synthrec.inspection.record import excerpt_of, record_of
from synthrec.release import Folder
from synthrec.report.croissant import CROISSANT, croissant
from synthrec.report.edition import Edition, missing_parts
from synthrec.report.manifest import MANIFEST, verify_manifest
from synthrec.report.record import ReleaseRecord, read_record
from synthrec.report.render import render
from synthrec.report.texts import shared_texts
from synthrec.storage import read_bounded

MAX_PAGE_BYTES = 1 << 26
INTERNAL, PUBLIC = "report.internal.html", "report.html"
SLACK = 1e-6


def check_report(folder: Folder) -> tuple[ReleaseCheck, ...]:
    """All checks. Raises ReleaseError for records that cannot be read."""
    release, mechanism = folder.record(), folder.mechanism()
    audit = read_record(folder.audit_path, kind=AuditRecord) if folder.audit_path.exists() else None
    words, _, _ = words_of(folder.share)
    record, _ = record_of(folder.share, words=words)
    entries, wrong, _ = excerpt_of(folder.share, record=record, words=words)
    broken = [part.problem for part in wrong if part.problem is not None]
    missing = missing_parts(release)
    checks = [
        _hashes(folder.share),
        ReleaseCheck(
            "ledger.jsonl",
            broken[0] if broken else f"{len(entries)} entries as they must be",
            not broken,
        ),
        *claim_checks(release, entries),
        ReleaseCheck(
            "claim",
            f"not said: {', '.join(missing)}" if missing else "complete",
            not missing or release.not_private,
        ),
    ]
    checks += [
        _same(folder.share / name, partial(str, text))
        for name, text in shared_texts(release, mechanism).items()
    ]
    if (described := croissant(folder.share, release)) is not None:
        checks.append(_same(folder.share / CROISSANT, partial(str, described)))
    page = partial(render, release, audit, mechanism=mechanism)
    checks.append(_same(folder.share / PUBLIC, partial(page, edition=Edition.PUBLIC)))
    if folder.private.is_dir():
        checks.append(_same(folder.private / INTERNAL, partial(page, edition=Edition.INTERNAL)))
    return (*checks, *(() if audit is None else audit_checks(release, audit)))


def audit_checks(release: ReleaseRecord, audit: AuditRecord) -> tuple[ReleaseCheck, ...]:
    """Is the audit one of this release, and does its verdict follow from its own figures?"""
    of_it = audit.release_id == release.release_id and (
        audit.epsilon is None or abs(audit.epsilon - release.epsilon) <= SLACK
    )
    found = [
        ReleaseCheck(
            "audit: of this release",
            "release and epsilon are the same" if of_it else "another release or epsilon",
            of_it,
        )
    ]
    try:
        policy = Policy.model_validate(audit.policy)
    except ValidationError:
        return (
            *found,
            ReleaseCheck("audit: verdict", "a policy of another version: not drawn anew", False),
        )
    try:
        verdict, reason = conclude(
            audit.membership,
            lower_bound=audit.lower_bound,
            disclosure=audit.disclosure,
            policy=policy,
        )
    except (ArithmeticError, ValueError):
        return (
            *found,
            ReleaseCheck("audit: verdict", "figures that no audit has: not drawn anew", False),
        )
    follows = (verdict, reason) == (audit.verdict, audit.reason)
    said = (
        f"PRIVATE: {verdict.value} follows from the figures"
        if follows
        else "does not follow from the figures"
    )
    return (*found, ReleaseCheck("audit: verdict", said, follows))


def _hashes(share: Path) -> ReleaseCheck:
    try:
        return ReleaseCheck(MANIFEST, f"{len(verify_manifest(share).files)} files as listed", True)
    except ReleaseError as error:
        return ReleaseCheck(MANIFEST, str(error), False)


def _same(path: Path, rendered: Callable[[], str]) -> ReleaseCheck:
    try:
        text = rendered()
        same = read_bounded(path, most=MAX_PAGE_BYTES) == text.encode()
    except (SynthrecError, OSError):
        return ReleaseCheck(path.name, "missing, or not readable; run `synthrec report`", False)
    if not same:
        return ReleaseCheck(
            path.name, "no longer what the records render to; run `synthrec report`", False
        )
    wrong = foreign(text) if path.suffix == ".html" else None
    return ReleaseCheck(path.name, wrong or "follows from the records", wrong is None)
