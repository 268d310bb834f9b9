"""One self-contained page from the records, with the pictures that they allow: no script, nothing
loaded from outside, the same bytes for the same records.

Guarantees: an edition is made from what `edition.seen` lets through and from nothing else, so what
it must not show is absent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape
from pydantic import BaseModel

from synthrec.audit.record import (
    Arm,
    AttackBound,
    AuditedUtility,
    AuditRecord,
    Difference,
    Figure,
    Verdict,
)
from synthrec.conformance.record import TOPICS, Conformance
from synthrec.report import sentences
from synthrec.report.edition import Edition, missing_parts, seen
from synthrec.report.plots import privacy, style, utility
from synthrec.report.record import ReleaseRecord
from synthrec.report.requirements import answered

MAX_DRAWN = 1e9  # of a number on an axis: beyond any real one, far below what overflows on its way
MIN_DRAWN_DELTA = 1e-300  # of a delta on a logarithmic one
NOT_DRAWN = (
    "Not drawn: a number in the record that no axis can show. The figures stand in the table."
)


Drawing = tuple[Any, ...]  # name, plot, what it is of; drawn where the first of that is


def pictures(release: ReleaseRecord, audit: AuditRecord | None) -> dict[str, str]:
    """Inline SVG by name, or a sentence in its place."""
    membership = None if audit is None else audit.membership
    auc = None if membership is None else membership.strongest.auc
    drawings: list[Drawing] = [
        ("roc", privacy.roc, release.bound, membership),
        ("attack", _attack_strip, release.bound, auc),
    ]
    if not release.not_private:
        profile = [(x, y) for x, y in release.profile if x >= MIN_DRAWN_DELTA and math.isfinite(y)]
        several = len(profile) > 1 and release.delta >= MIN_DRAWN_DELTA
        drawings += [
            ("epsilon", privacy.axis, epsilon_rows(release, audit)),
            ("budget", privacy.budget, privacy.rows_of(release), release.epsilon_cap),
            ("profile", privacy.profile, several and profile, (release.delta, release.epsilon)),
        ]
    return _drawn(drawings + ([] if audit is None else _of_audit(audit)))


def _drawn(drawings: list[Drawing]) -> dict[str, str]:
    return {
        name: plot(*shown) if _fits(shown) else NOT_DRAWN
        for name, plot, *shown in drawings
        if shown[0]
    }


def _fits(shown: object) -> bool:
    if isinstance(shown, float):
        return abs(shown) <= MAX_DRAWN
    if isinstance(shown, BaseModel):
        return all(map(_fits, shown.__dict__.values()))
    return all(map(_fits, shown)) if isinstance(shown, tuple | list) else True


def epsilon_rows(
    release: ReleaseRecord, audit: AuditRecord | None
) -> list[tuple[str, float, str, str]]:
    """What stands on the epsilon axis: what it is, epsilon, its kind, a remark."""
    up, second = sentences.rounded_up, "recomputed by the second accountant"
    rows = [
        ("claimed", release.epsilon, "claim", up(release.epsilon)),
        (second, release.epsilon_cross_check, "claim", up(release.epsilon_cross_check)),
    ]
    if audit is not None and (lower := audit.lower_bound) is not None:
        shown = (
            f"{sentences.number(lower.epsilon, digits=2)}, at delta {sentences.delta(lower.delta)}, "
            f"{sentences.percent(lower.confidence)} confidence"
        )
        reach = f"{sentences.number(lower.ceiling, digits=2)}, {lower.coined:,} people by a coin"
        rows += [
            ("shown by the audit: at least", lower.epsilon, "shown", shown),
            ("the most this audit could have shown", lower.ceiling, "reach", reach),
        ]
    rows += [
        ("all releases together", release.ledger_total, "budget", up(release.ledger_total)),
        ("the owner's cap", release.epsilon_cap, "budget", sentences.short(release.epsilon_cap)),
    ]
    return [row for row in rows if math.isfinite(row[1])]


def _of_audit(audit: AuditRecord) -> list[Drawing]:
    disclosure, use = audit.disclosure, audit.utility
    return [
        ("forest", privacy.forest, audit.membership),
        ("risks", privacy.risks, disclosure and disclosure.risks),
        *([] if use is None else _of_use(use)),
    ]


def _of_use(use: AuditedUtility) -> list[Drawing]:
    protocol, panel = use.protocol, use.panel
    arms = () if protocol is None else protocol.ladder
    gaps = [arm.gap_closed or arm.ranking_gap_closed for arm in arms if arm.name == "synthrec"]
    curves = [curve for curve in use.curves if curve.points]
    return [
        ("ladder", utility.ladder, len(arms) > 1 and protocol),
        *(("gap", _gap_strip, gap) for gap in gaps),
        ("panel", utility.panel, panel and panel.rows),
        *((f"curve-{n}", utility.curve, curve, f"curve-{n}") for n, curve in enumerate(curves)),
        ("fidelity", utility.fidelity, [each for each in use.fidelity if each.halves]),
    ]


def _attack_strip(bound: AttackBound, auc: Figure | None) -> str:
    most = f"at most {sentences.rounded_up(bound.auc, digits=3)}"
    return style.scale_strip(
        low=0.5 if auc is None else min(0.5, auc.low),
        high=1.0,
        marks=[(0.5, "0.5 guessing"), (min(bound.auc, 1.0), most)],
        figure=auc,
        name="attack",
        title="AUC on a scale from 0.5 (guessing) to 1, with the proved bound",
    )


def _gap_strip(gap: Figure) -> str:
    return style.scale_strip(
        low=min(0.0, gap.low),
        high=max(1.0, gap.high),
        marks=[(0.0, "0 % nothing"), (1.0, "real log 100 %")],
        figure=gap,
        name="gap",
        title="Share of the gap closed, from 0 % (knows nothing) to 100 % (the real log)",
    )


SHAPES = {
    Verdict.NO_LEAK_FOUND.value: "good",
    Verdict.INCONCLUSIVE.value: "unsure",
    Verdict.NOT_RUN.value: "none",
}


def render(
    release: ReleaseRecord,
    audit: AuditRecord | None,
    *,
    edition: Edition,
    mechanism: Conformance | None = None,
) -> str:
    """The report as one HTML page."""
    shown = seen(release, audit, mechanism, edition=edition)
    release, audit = shown.release, shown.audit
    arms = _arms(audit)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            release=release,
            audit=audit,
            audit_shown=shown.audit_shown,
            mechanism=shown.mechanism,
            topics=TOPICS,
            edition=edition.value,
            missing=missing_parts(release),
            verdict=sentences.verdict(audit) if shown.audit_shown else None,
            shapes=SHAPES,
            mine=arms.get("synthrec"),
            pictures=pictures(release, audit),
            requirements=answered(release, audit, shown.mechanism),
            say=sentences,
        )
    )


def _arms(audit: AuditRecord | None) -> dict[str, Arm]:
    protocol = None if audit is None or audit.utility is None else audit.utility.protocol
    return {} if protocol is None else {arm.name: arm for arm in protocol.ladder}


def render_audits(
    names: Sequence[str], audits: Sequence[AuditRecord], differences: Sequence[Difference] = ()
) -> str:
    """The page of an audit of tables, or of several on the same people side by side: private."""
    short = [sentences.in_short(audit) for audit in audits]
    words = dict.fromkeys(word for found in short for word in found)
    return (
        environment()
        .get_template("audit.html.j2")
        .render(
            names=names,
            audits=audits,
            rows=[(word, [found.get(word, "–") for found in short]) for word in words],
            differences=differences,
            audit_shown=True,
            shapes=SHAPES,
            mine=_arms(audits[0]).get("synthrec"),
            pictures=_drawn(_of_audit(audits[0])),
            say=sentences,
        )
    )


def _template(name: str) -> str:
    return files("synthrec.report").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """Templates of the package, with the numbers' ways of being written."""
    made = Environment(
        loader=FunctionLoader(_template),
        undefined=StrictUndefined,
        autoescape=select_autoescape(disabled_extensions=("txt.j2", "md.j2"), default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    written = ("number", "short", "delta", "percent", "interval", "plain", "wrapped")
    made.filters.update({name: getattr(sentences, name) for name in written})
    made.filters.update(up=sentences.rounded_up, whole="{:,}".format)
    return made
