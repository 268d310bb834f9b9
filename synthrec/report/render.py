"""One self-contained page from two records: no script, nothing loaded from outside, the same bytes for the same records.

Guarantees: the public edition takes from the release record, which is public or paid for, and from the audit only where the source
itself is declared public (rule 14). Everything else about the audit is not hidden but absent: the page is the same without it.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from synthrec.audit.figure import Figure
from synthrec.audit.record import AuditRecord
from synthrec.conformance.record import TOPICS, Conformance
from synthrec.report import plots, sentences
from synthrec.report.record import ReleaseRecord


class Edition(StrEnum):
    """Who the page is for."""

    INTERNAL = "internal"           # the operator and the privacy officer: everything
    PUBLIC = "public"               # whoever gets the release


def render(release: ReleaseRecord, audit: AuditRecord | None, *, edition: Edition, mechanism: Conformance | None = None) -> str:
    """The report as one HTML page."""
    shown = edition is Edition.INTERNAL or release.source_public
    audit = audit if shown else None
    protocol = None if audit is None or audit.utility is None else audit.utility.protocol
    arms = {arm.name: arm for arm in protocol.ladder} if protocol is not None else {}
    page = _environment().get_template("report.html.j2")
    return page.render(
        release=release,
        audit=audit,
        audit_shown=shown,
        mechanism=mechanism,
        topics=TOPICS,
        edition=edition.value,
        verdict=sentences.verdict(audit) if shown else None,
        mine=arms.get("synthrec"),
        rival=arms.get("moments"),
        pictures=_pictures(release, audit),
        say=sentences,
        css=Markup(_template("report.css")),
    )


def _pictures(release: ReleaseRecord, audit: AuditRecord | None) -> dict[str, Markup]:
    membership = audit.membership if audit is not None else None
    utility = audit.utility.protocol if audit is not None and audit.utility is not None else None
    drawn = {
        "roc": plots.roc(release.bound, membership=membership),
        "attack": _attack_strip(release, membership.strongest.auc if membership is not None else None),
    }
    if not release.not_private and len(release.profile) > 1:
        drawn["profile"] = plots.profile(release)
    if utility is not None and len(utility.ladder) > 1:
        drawn["ladder"] = plots.ladder(utility)
        gap = next((arm.gap_closed or arm.ranking_gap_closed for arm in utility.ladder if arm.name == "synthrec"), None)
        if gap is not None:
            drawn["gap"] = _gap_strip(gap)
    return {name: Markup(svg) for name, svg in drawn.items()}


def _attack_strip(release: ReleaseRecord, auc: Figure | None) -> str:
    title = "AUC on a scale from 0.5 (guessing) to 1, with the proved bound"
    marks = [(0.5, "0.5 guessing"), (min(release.bound.auc, 1.0), f"at most {sentences.rounded_up(release.bound.auc, digits=3)}")]
    low = 0.5 if auc is None else min(0.5, auc.low)
    return plots.scale_strip(low=low, high=1.0, marks=marks, figure=auc, name="attack", title=title)


def _gap_strip(gap: Figure) -> str:
    title = "Share of the gap closed, from 0 % (knows nothing) to 100 % (the real log)"
    marks = [(0.0, "0 % nothing"), (1.0, "real log 100 %")]
    return plots.scale_strip(low=min(0.0, gap.low), high=max(1.0, gap.high), marks=marks, figure=gap, name="gap", title=title)


def _template(name: str) -> str:
    return files("synthrec.report").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_template), undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Any] = {
        "number": sentences.number,
        "short": sentences.short,
        "up": sentences.rounded_up,
        "delta": sentences.delta,
        "percent": sentences.percent,
        "interval": sentences.interval,
    }
    environment.filters.update(filters)
    return environment
