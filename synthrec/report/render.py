"""One self-contained page from the records, with the pictures that they allow: no script, nothing
loaded from outside, the same bytes for the same records.

Guarantees: an edition is made from what `edition.seen` lets through and from nothing else, so what
it must not show is absent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
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
from synthrec.report.plots import attacks, privacy, style, utility
from synthrec.report.record import ReleaseRecord
from synthrec.report.requirements import answered

MAX_DRAWN = 1e9  # of a number on an axis: beyond any real one, far below what overflows on its way
MIN_DRAWN_DELTA = 1e-300  # of a delta on a logarithmic one
NOT_DRAWN = (
    "Not drawn: a number in the record that no axis can show. The figures stand in the table."
)


def pictures(release: ReleaseRecord, audit: AuditRecord | None) -> dict[str, str]:
    """Inline SVG by name, or a sentence in its place."""
    membership, bound = None if audit is None else audit.membership, release.bound
    auc = None if membership is None else membership.strongest.auc
    drawn = {
        "roc": _drawn(attacks.roc, bound, membership=membership),
        "attack": _drawn(_attack_strip, bound, auc=auc),
    }
    if not release.not_private:
        if rows := epsilon_rows(release, audit):
            drawn["epsilon"] = _drawn(privacy.axis, rows)
        drawn["budget"] = _drawn(privacy.budget, privacy.rows_of(release), cap=release.epsilon_cap)
        profile = [(x, y) for x, y in release.profile if x >= MIN_DRAWN_DELTA and math.isfinite(y)]
        if len(profile) > 1 and release.delta >= MIN_DRAWN_DELTA:
            claimed = (release.delta, release.epsilon)
            drawn["profile"] = _drawn(privacy.profile, profile, claimed=claimed)
    return drawn if audit is None else drawn | _of_audit(audit)


def _of_audit(audit: AuditRecord) -> dict[str, str]:
    drawn = {} if audit.utility is None else _of_use(audit.utility)
    if audit.membership is not None:
        drawn["forest"] = _drawn(attacks.forest, audit.membership)
    if audit.disclosure is not None and audit.disclosure.risks:
        drawn["risks"] = _drawn(attacks.risks, audit.disclosure)
    return drawn


def _drawn(plot: Callable[..., str], shown: Any, **more: Any) -> str:
    return plot(shown, **more) if _fits((shown, *more.values())) else NOT_DRAWN


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
    rows = [
        ("claimed", release.epsilon, "claim", sentences.rounded_up(release.epsilon)),
        (
            "recomputed by the second accountant",
            release.epsilon_cross_check,
            "claim",
            sentences.rounded_up(release.epsilon_cross_check),
        ),
    ]
    found = None if audit is None else audit.lower_bound
    if found is not None:
        rows += [
            (
                "shown by the audit: at least",
                found.epsilon,
                "shown",
                f"{sentences.number(found.epsilon, digits=2)}, "
                f"at delta {sentences.delta(found.delta)}, {sentences.percent(found.confidence)} confidence",
            ),
            (
                "the most this audit could have shown",
                found.ceiling,
                "reach",
                f"{sentences.number(found.ceiling, digits=2)}, {found.coined:,} people by a coin",
            ),
        ]
    rows += [
        (
            "all releases together",
            release.ledger_total,
            "budget",
            sentences.rounded_up(release.ledger_total),
        ),
        ("the owner's cap", release.epsilon_cap, "budget", sentences.short(release.epsilon_cap)),
    ]
    return [row for row in rows if math.isfinite(row[1])]


def _of_use(use: AuditedUtility) -> dict[str, str]:
    drawn = {}
    if use.protocol is not None and len(use.protocol.ladder) > 1:
        drawn["ladder"] = _drawn(utility.ladder, use.protocol)
    for arm in () if use.protocol is None else use.protocol.ladder:
        if arm.name == "synthrec" and (gap := arm.gap_closed or arm.ranking_gap_closed):
            drawn["gap"] = _drawn(_gap_strip, gap)
    if use.panel is not None and use.panel.rows:
        drawn["panel"] = _drawn(utility.panel, use.panel.rows)
    for place, curve in enumerate(curve for curve in use.curves if curve.points):
        drawn[f"curve-{place}"] = _drawn(utility.curve, curve, name=f"curve-{place}")
    if compared := utility.comparable(use.fidelity):
        drawn["fidelity"] = _drawn(utility.fidelity, compared)
    return drawn


def _attack_strip(bound: AttackBound, *, auc: Figure | None) -> str:
    title = "AUC on a scale from 0.5 (guessing) to 1, with the proved bound"
    marks = [
        (0.5, "0.5 guessing"),
        (min(bound.auc, 1.0), f"at most {sentences.rounded_up(bound.auc, digits=3)}"),
    ]
    low = 0.5 if auc is None else min(0.5, auc.low)
    return style.scale_strip(low=low, high=1.0, marks=marks, figure=auc, name="attack", title=title)


def _gap_strip(gap: Figure) -> str:
    title = "Share of the gap closed, from 0 % (knows nothing) to 100 % (the real log)"
    marks = [(0.0, "0 % nothing"), (1.0, "real log 100 %")]
    return style.scale_strip(
        low=min(0.0, gap.low),
        high=max(1.0, gap.high),
        marks=marks,
        figure=gap,
        name="gap",
        title=title,
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
            labels={name: arm.label for name, arm in arms.items()},
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
            pictures=_of_audit(audits[0]),
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
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "number": sentences.number,
        "short": sentences.short,
        "up": sentences.rounded_up,
        "delta": sentences.delta,
        "percent": sentences.percent,
        "interval": sentences.interval,
        "whole": "{:,}".format,
    }
    made.filters.update(filters)
    return made
