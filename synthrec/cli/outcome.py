"""What came out, on the terminal: where things are, three sentences from the records, a summary of the audit."""

from __future__ import annotations

from pathlib import Path

import click

from synthrec.audit.record import AuditRecord
from synthrec.conformance.record import TOPICS, Conformance
from synthrec.folder import open_folder
from synthrec.report import sentences
from synthrec.report.record import ReleaseRecord, read_record


def echo_outcome(folder: Path, audit: AuditRecord) -> int:
    """Where the synthetic log and the reports are, and what came out; returns the exit code."""
    release = read_record(folder / "share" / "release.json", kind=ReleaseRecord)
    for words, place in (
        ("synthetic log", next(iter(sorted((folder / "share").glob("events.*"))), folder / "share")),
        ("report for you", folder / "private" / "report.internal.html"),
        ("report to share", folder / "share" / "report.html"),
    ):
        click.echo(f"{words:<16} {place}")
    mechanism = open_folder(folder).mechanism()
    if mechanism is not None:
        click.echo(f"{'mechanism':<16} {len(mechanism.checks) - len(mechanism.failed)} of {len(mechanism.checks)} checks passed")
    claim, *measured = sentences.came_out(release, audit)
    click.echo(f"\n{click.wrap_text(claim, width=100)}")
    if measured and not release.source_public:
        click.echo("\nPRIVATE, measured on the real log:")
    for sentence in measured:
        click.echo(f"\n{click.wrap_text(sentence, width=100)}")
    return audit.verdict.exit_code if mechanism is None or mechanism.passed else 1


def echo_audit(audit: AuditRecord) -> None:
    """A summary table of the audit. Measured on the real log, so each block says PRIVATE."""
    click.echo("PRIVATE: measured on the real log")
    if audit.membership is not None:
        attack, control, bound = audit.membership.attack, audit.membership.control, audit.membership.bound
        click.echo(f"\n{'membership':<28}{'AUC':>8}  {'interval':<16}{'hits at ' + sentences.percent(attack.fpr):>12}")
        for words, found in ((attack.name, attack), ("control: planted leak", control)):
            hits = sentences.percent(found.tpr.value, digits=1)
            click.echo(f"{words:<28}{found.auc.value:>8.3f}  {sentences.interval(found.auc):<16}{hits:>12}")
        most = f"{sentences.rounded_up(100 * bound.tpr, digits=1)} %"
        click.echo(f"{'any attacker, at most':<28}{sentences.rounded_up(bound.auc, digits=3):>8}  {'proved':<16}{most:>12}")
    if audit.utility is not None:
        click.echo(f"\n{'utility':<28}{'RMSE':>8}{'gap closed':>12}{'NDCG@10':>9}{'gap closed':>12}  realism")
        for arm in audit.utility.ladder:
            failed = [limit.name for limit in arm.realism if not limit.passed]
            realism = "" if not arm.realism else f"fails {', '.join(failed)}" if failed else "within limits"
            cells = (
                f"{arm.rmse.value:.3f}" if arm.rmse else "-",
                sentences.percent(arm.gap_closed.value) if arm.gap_closed else "-",
                f"{arm.ndcg.value:.3f}" if arm.ndcg else "-",
                sentences.percent(arm.ranking_gap_closed.value) if arm.ranking_gap_closed else "-",
            )
            click.echo(f"{arm.label[:27]:<28}{cells[0]:>8}{cells[1]:>12}{cells[2]:>9}{cells[3]:>12}  {realism}")
    if audit.behaviour:
        click.echo(f"\n{'typed events':<66}{'distance':>9}{'real halves':>13}")
        for each in audit.behaviour:
            click.echo(f"{each.name[:65]:<66}{each.distance:>9.3f}{each.halves:>13.3f}")
    click.echo(f"\n{audit.verdict.value}: {audit.reason}")


def echo_conformance(record: Conformance) -> None:
    """One line a check: what was asked, what came out, and the range in which an honest mechanism keeps it."""
    click.echo(f"{record.subject}, model {record.model}, epsilon {record.epsilon:g} at delta {record.delta:g}")
    for topic in TOPICS:
        checks = [check for check in record.checks if check.topic == topic]
        if not checks:
            click.echo(f"\n{topic}: not asked, for this plan trains nothing")
            continue
        click.echo(f"\n{topic:<48}{'found':>10}  allowed")
        for check in checks:
            mark = " " if check.passed else "!"
            click.echo(f"{mark} {check.name[:45]:<46}{check.found:>10}  {check.allowed}"
                       f"{'' if check.passed else f'   FAILED: {check.asked}'}")
    passed = len(record.checks) - len(record.failed)
    click.echo(f"\n{passed} of {len(record.checks)} checks passed in {record.seconds:.0f} s, on a simulated log: nobody is in this table.")

