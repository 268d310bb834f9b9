"""What came out, on the terminal: where things are, three sentences from the records, a summary of
the audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthrec.audit.record import AuditedUtility, AuditRecord, Membership
from synthrec.cli.terminal import show, show_wrapped
from synthrec.conformance.record import TOPICS, Conformance
from synthrec.inspection.recipient import ReleaseCheck
from synthrec.release import open_folder
from synthrec.report import sentences
from synthrec.report.record import ReleaseRecord, read_record


def echo_outcome(folder: Path, audit: AuditRecord) -> int:
    """Where the synthetic log and the reports are, and what came out; returns the exit code."""
    release = read_record(folder / "share" / "release.json", kind=ReleaseRecord)
    for words, place in (
        (
            "synthetic log",
            next(iter(sorted((folder / "share").glob("events.*"))), folder / "share"),
        ),
        ("report for you", folder / "private" / "report.internal.html"),
        ("report to share", folder / "share" / "report.html"),
    ):
        show(f"{words:<16} {place}")
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
    return audit.exit_code if mechanism is None or mechanism.passed else 1


def echo_audit(audit: AuditRecord) -> None:
    """A summary of the audit. Measured on the real log, so it says PRIVATE."""
    show(f"PRIVATE: measured on the real log ({audit.effort} audit)")
    if audit.membership is not None:
        _attacks(audit.membership)
    if audit.lower_bound is not None:
        found = audit.lower_bound
        claimed = (
            "" if found.claimed is None else f"; claimed {sentences.rounded_up(found.claimed)}"
        )
        words = f"lower bound on epsilon at delta {sentences.delta(found.delta)}"
        show(
            f"\n{words:<42}{found.epsilon:>8.2f}  {found.confidence:.0%} confidence; {found.coined:,} "
            f"coined users could show {found.ceiling:.2f} at most{claimed}"
        )
    if audit.disclosure is not None:
        show(f"\n{'disclosure':<42}{'members':>8}{'outside':>9}{'risk':>8}  interval")
        for risk in audit.disclosure.risks:
            show(
                f"{f'{risk.name}, {risk.setting}'[:41]:<42}{sentences.percent(risk.attack.value, digits=1):>8}"
                f"{sentences.percent(risk.control.value, digits=1):>9}{sentences.percent(risk.risk.value, digits=1):>8}  "
                f"{sentences.interval(risk.risk, digits=1, as_percent=True)}"
            )
    if audit.utility is not None:
        _use(audit.utility)
    show(f"\n{audit.verdict.value}: {audit.reason}")


def _attacks(membership: Membership) -> None:
    attacks, bound = membership.attacks, membership.bound
    show(
        f"\n{'membership attacks':<42}{'AUC':>8}  {'interval':<16}{'hits at ' + sentences.percent(attacks[0].fpr):>12}"
    )
    for words, found in [
        *((each.name, each) for each in attacks),
        *((f"blind: {each.name}", each) for each in membership.controls.blind),
    ]:
        hits = sentences.percent(found.tpr.value, digits=1)
        show(
            f"{words[:41]:<42}{found.auc.value:>8.3f}  {sentences.interval(found.auc):<16}{hits:>12}"
        )
    if bound is not None:
        most = f"{sentences.rounded_up(100 * bound.tpr, digits=1)} %"
        show(
            f"{'any attacker, at most':<42}{sentences.rounded_up(bound.auc, digits=3):>8}  {'proved':<16}{most:>12}"
        )
    for leak in membership.controls.leaks:
        show(
            f"{f'planted: {leak.share:.0%} of synthetic users':<42}{leak.auc:>8.3f}  found in {leak.found.value:.0%} "
            f"of {leak.draws} draws"
        )


def _use(use: AuditedUtility) -> None:
    if use.protocol is not None:
        show(
            f"\n{'utility':<42}{'RMSE':>8}{'gap closed':>12}{'NDCG@10':>9}{'gap closed':>12}  realism"
        )
        for arm in use.protocol.ladder:
            failed = [limit.name for limit in arm.realism if not limit.passed]
            realism = (
                ""
                if not arm.realism
                else f"fails {', '.join(failed)}"
                if failed
                else "within limits"
            )
            cells = (
                f"{arm.rmse.value:.3f}" if arm.rmse else "-",
                sentences.percent(arm.gap_closed.value) if arm.gap_closed else "-",
                f"{arm.ndcg.value:.3f}" if arm.ndcg else "-",
                sentences.percent(arm.ranking_gap_closed.value) if arm.ranking_gap_closed else "-",
            )
            show(
                f"{arm.label[:41]:<42}{cells[0]:>8}{cells[1]:>12}{cells[2]:>9}{cells[3]:>12}  {realism}"
            )
        for each in use.protocol.against:
            words = "better than" if each.beats else "not shown to be better than"
            show(
                f"{each.measure}: {words} {each.rival} (difference {sentences.interval(each.difference, digits=4)})"
            )
    if use.panel is not None:
        show(f"\n{'recommenders, NDCG@10':<42}{'real log':>10}{'synthetic':>11}{'receiver':>10}")
        for row in use.panel.rows:
            show(
                f"{row.name[:41]:<42}{row.real.value:>10.3f}{row.synthetic.value:>11.3f}{row.receiver.value:>10.3f}"
            )
        for agreement in use.panel.agreements:
            show(
                f"order on {agreement.scored_on}: Kendall's tau {agreement.tau.value:.2f} "
                f"({sentences.interval(agreement.tau, digits=2)})"
            )
    for curve in use.curves:
        show(f"\n{curve.name} ({curve.points[0].measure}) over {curve.size_means}")
        for name in dict.fromkeys(point.arm for point in curve.points):
            points = "  ".join(
                f"{point.size}: {point.figure.value:.3f}"
                for point in curve.points
                if point.arm == name
            )
            show(f"{name[:41]:<42}{points}")
    if use.fidelity:
        show(f"\n{'fidelity':<62}{'distance':>9}{'real halves':>13}{'floor':>9}")
        for likeness in use.fidelity:
            halves, floor = (
                "-" if found is None else f"{found:.3f}"
                for found in (likeness.halves, likeness.floor)
            )
            show(
                f"{f'{likeness.topic}: {likeness.name}'[:61]:<62}{likeness.distance:>9.3f}{halves:>13}{floor:>9}"
            )


def echo_checks(checks: Sequence[ReleaseCheck]) -> int:
    """A line a check of a release; returns the exit code."""
    for check in checks:
        show(f"{'ok  ' if check.passed else 'FAIL'}  {check.name:<24} {check.found}")
    return 0 if all(check.passed for check in checks) else 1


def echo_conformance(record: Conformance) -> None:
    """One line a check: what was asked, what came out, and the range in which an honest mechanism
    keeps it.
    """
    show(
        f"{record.subject}, model {record.model}, epsilon {record.epsilon:g} at delta {record.delta:g}"
    )
    for topic in TOPICS:
        checks = [check for check in record.checks if check.topic == topic]
        if not checks:
            show(f"\n{topic}: not asked, for this plan trains nothing")
            continue
        show(f"\n{topic:<48}{'found':>10}  allowed")
        for check in checks:
            mark = " " if check.passed else "!"
            show(
                f"{mark} {check.name[:45]:<46}{check.found:>10}  {check.allowed}"
                f"{'' if check.passed else f'   FAILED: {check.asked}'}"
            )
    passed = len(record.checks) - len(record.failed)
    show(
        f"\n{passed} of {len(record.checks)} checks passed in {record.seconds:.0f} s, on a simulated log: nobody is in this table."
    )
