"""What came out, on the terminal: where things are, three sentences from the records, a summary of
the audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthrec.audit.record import AuditRecord
from synthrec.cli.terminal import plain, show, show_wrapped
from synthrec.conformance.record import TOPICS, Conformance
from synthrec.inspection.checks import ReleaseCheck
from synthrec.release import open_folder
from synthrec.report import sentences
from synthrec.report.record import ReleaseRecord, read_record
from synthrec.report.render import environment


def echo_outcome(folder: Path, audit: AuditRecord) -> int:
    """Where the synthetic log and the reports are, and what came out; returns the exit code."""
    release = read_record(folder / "share" / "release.json", kind=ReleaseRecord)
    share, private = folder / "share", folder / "private"
    synthetic = next(iter(sorted(share.glob("events.*"))), share)
    show(f"{'synthetic log':<16} {synthetic}")
    show(f"{'report for you':<16} {private / 'report.internal.html'}")
    show(f"{'report to share':<16} {share / 'report.html'}")
    mechanism = open_folder(folder).mechanism()
    if mechanism is not None:
        show(
            f"{'mechanism':<16} {len(mechanism.checks) - len(mechanism.failed)} of {len(mechanism.checks)} checks passed"
        )
    claim, *measured = sentences.came_out(release, audit)
    show_wrapped(claim)
    if measured and not release.source_public:
        show("\nPRIVATE, measured on the real log:")
    for sentence in measured:
        show_wrapped(sentence)
    return audit.verdict.exit_code if mechanism is None or mechanism.passed else 1


def echo_audit(audit: AuditRecord) -> None:
    """A summary of the audit. Measured on the real log, so it says PRIVATE."""
    _echo("audit.txt.j2", audit=audit)


def echo_checks(checks: Sequence[ReleaseCheck]) -> int:
    """A line a check of a release; returns the exit code."""
    for check in checks:
        show(f"{'ok  ' if check.passed else 'FAIL'}  {check.name:<24} {check.found}")
    return 0 if all(check.passed for check in checks) else 1


def echo_conformance(record: Conformance) -> None:
    """One line a check: what was asked, what came out, and the range in which an honest mechanism
    keeps it.
    """
    _echo("mechanism.txt.j2", record=record, topics=TOPICS)


def _echo(template: str, **words: Any) -> None:
    """The lines of a template; a record's texts make none of their own."""
    lines = environment().overlay(finalize=lambda value: plain(str(value))).get_template(template)
    for line in lines.render(words).removesuffix("\n").split("\n"):
        show(line)
