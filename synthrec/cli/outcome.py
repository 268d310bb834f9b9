"""What came out, on the terminal: where things are, three sentences from the records, a summary of
the audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthrec.audit.record import AuditRecord, Comparison
from synthrec.cli.terminal import plain, show, show_wrapped
from synthrec.conformance.record import TOPICS, Conformance
from synthrec.inspection.checks import ReleaseCheck
from synthrec.release import open_folder
from synthrec.report import sentences
from synthrec.report.record import ReleaseRecord, read_record
from synthrec.report.render import environment

MAX_WIDTH = 120  # of a line of the summary


def echo_outcome(folder: Path, audit: AuditRecord) -> int:
    """Where the synthetic log and the reports are, and what came out; returns the exit code."""
    release = read_record(folder / "share" / "release.json", kind=ReleaseRecord)
    share, private_folder = folder / "share", folder / "private"
    private = "" if release.source_public else "PRIVATE, measured on the real log: "
    claim, use, outcome = sentences.came_out(release, audit)
    show_wrapped(f"{private}{outcome}")
    show()
    synthetic = next(iter(sorted(share.glob("events.*"))), share)
    show(f"{'synthetic log':<16} {synthetic}")
    show(f"{'report for you':<16} {private_folder / 'report.internal.html'}")
    show(f"{'report to share':<16} {share / 'report.html'}")
    mechanism = open_folder(folder).mechanism()
    if mechanism is not None:
        show(
            f"{'mechanism':<16} {len(mechanism.checks) - len(mechanism.failed)} of {len(mechanism.checks)} checks passed"
        )
    show_wrapped(claim)
    show_wrapped(f"{private}{use}")
    return audit.exit_code if mechanism is None or mechanism.passed else 1


def echo_audit(audit: AuditRecord, *, verbose: bool) -> None:
    """The verdict, then a summary or every table. Measured on the real log, so it says PRIVATE."""
    show_wrapped(f"{audit.verdict.value}: {audit.reason}")
    more = "" if verbose else "; --verbose shows every figure"
    show(f"\nPRIVATE: measured on the real log ({audit.effort} audit{more})")
    if verbose:
        _echo("audit.txt.j2", audit=audit)
        return
    for words, told in sentences.in_short(audit).items():
        show(f"{words:<30}{told}"[:MAX_WIDTH])


def echo_comparison(record: Comparison, *, folder: Path) -> None:
    """Each verdict, what sets the candidates apart, then figure by figure what each has."""
    for name, audit in zip(record.names, record.audits, strict=True):
        show_wrapped(f"{name}: {audit.verdict.value}: {audit.reason}")
    show("\nPRIVATE: measured on the real log, all on the same people")
    show(f"{'page':<30}{folder / 'private' / 'report.audit.html'}")
    show()
    for each in record.differences:
        better = f"{each.better} is better" if each.better else "not told apart"
        show(
            f"{f'{each.one} less {each.other}'[:49]:<50}{each.measure:<29}"
            f"{sentences.number(each.difference.value):>7} ({sentences.interval(each.difference)}): {better}"
        )
    short = [sentences.in_short(audit) for audit in record.audits]
    for words in dict.fromkeys(word for found in short for word in found):
        show(f"\n{words}")
        for name, found in zip(record.names, short, strict=True):
            show(f"  {name[:27]:<28}{found.get(words, '-')}"[:MAX_WIDTH])


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
