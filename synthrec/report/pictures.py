"""Which pictures the records allow: each by the name that the page asks for it."""

from __future__ import annotations

import math

from synthrec.audit.figure import Figure
from synthrec.audit.record import AuditRecord
from synthrec.audit.utility_record import AuditedUtility
from synthrec.report import words
from synthrec.report.plots import budget, curves, epsilon, fidelity, forest, ladder, panel, risks, roc, strip
from synthrec.report.record import ReleaseRecord


def pictures(release: ReleaseRecord, audit: AuditRecord | None) -> dict[str, str]:
    """Inline SVG by name."""
    membership = None if audit is None else audit.membership
    drawn = {"roc": roc.roc(release.bound, membership=membership),
             "attack": _attack_strip(release, None if membership is None else membership.strongest.auc)}
    if not release.not_private:
        drawn["epsilon"] = epsilon.axis(epsilon_rows(release, audit))
        drawn["budget"] = budget.budget(release)
        if sum(math.isfinite(value) for _, value in release.profile) > 1:
            drawn["profile"] = epsilon.profile(release)
    if membership is not None:
        drawn["forest"] = forest.forest(membership)
    if audit is not None and audit.disclosure is not None and audit.disclosure.risks:
        drawn["risks"] = risks.risks(audit.disclosure)
    return drawn if audit is None or audit.utility is None else drawn | _of_use(audit.utility)


def epsilon_rows(release: ReleaseRecord, audit: AuditRecord | None) -> list[tuple[str, float, str, str]]:
    """What stands on the epsilon axis: what it is, epsilon, its kind, a remark."""
    rows = [("claimed", release.epsilon, "claim", words.rounded_up(release.epsilon)),
            ("recomputed by the second accountant", release.epsilon_cross_check, "claim", words.rounded_up(release.epsilon_cross_check))]
    found = None if audit is None else audit.lower_bound
    if found is not None:
        rows += [("shown by the audit: at least", found.epsilon, "shown", f"{words.number(found.epsilon, digits=2)}, "
                  f"at delta {words.delta(found.delta)}, {words.percent(found.confidence)} confidence"),
                 ("the most this audit could have shown", found.ceiling, "reach", f"{words.number(found.ceiling, digits=2)}, "
                  f"{found.coined:,} people by a coin")]
    rows += [("all releases together", release.ledger_total, "budget", words.rounded_up(release.ledger_total)),
             ("the owner's cap", release.epsilon_cap, "budget", words.short(release.epsilon_cap))]
    return [row for row in rows if math.isfinite(row[1])]


def _of_use(use: AuditedUtility) -> dict[str, str]:
    drawn = {}
    if use.protocol is not None and len(use.protocol.ladder) > 1:
        drawn["ladder"] = ladder.ladder(use.protocol)
        gap = next((arm.gap_closed or arm.ranking_gap_closed for arm in use.protocol.ladder if arm.name == "synthrec"), None)
        if gap is not None:
            drawn["gap"] = _gap_strip(gap)
    if use.panel is not None and use.panel.rows:
        drawn["panel"] = panel.panel(use.panel)
    for place, curve in enumerate(use.curves):
        if curve.points:
            drawn[f"curve-{place}"] = curves.curve(curve, name=f"curve-{place}")
    if fidelity.comparable(use.fidelity):
        drawn["fidelity"] = fidelity.fidelity(use.fidelity)
    return drawn


def _attack_strip(release: ReleaseRecord, auc: Figure | None) -> str:
    title = "AUC on a scale from 0.5 (guessing) to 1, with the proved bound"
    marks = [(0.5, "0.5 guessing"), (min(release.bound.auc, 1.0), f"at most {words.rounded_up(release.bound.auc, digits=3)}")]
    low = 0.5 if auc is None else min(0.5, auc.low)
    return strip.scale_strip(low=low, high=1.0, marks=marks, figure=auc, name="attack", title=title)


def _gap_strip(gap: Figure) -> str:
    title = "Share of the gap closed, from 0 % (knows nothing) to 100 % (the real log)"
    marks = [(0.0, "0 % nothing"), (1.0, "real log 100 %")]
    return strip.scale_strip(low=min(0.0, gap.low), high=max(1.0, gap.high), marks=marks, figure=gap, name="gap", title=title)
