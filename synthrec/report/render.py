"""One self-contained page from the records: no script, nothing loaded from outside, the same bytes for the same records.

Guarantees: an edition is made from what `edition.seen` lets through and from nothing else, so what it must not show is absent.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from synthrec.audit.record import AuditRecord, Verdict
from synthrec.conformance.record import TOPICS, Conformance
from synthrec.report import sentences, words
from synthrec.report.claim_parts import missing_parts
from synthrec.report.edition import Edition, seen
from synthrec.report.pictures import pictures
from synthrec.report.record import ReleaseRecord
from synthrec.report.requirements import answered

__all__ = ["Edition", "render"]

SHAPES = {Verdict.NO_LEAK_FOUND.value: "good", Verdict.INCONCLUSIVE.value: "unsure", Verdict.NOT_RUN.value: "none"}


def render(release: ReleaseRecord, audit: AuditRecord | None, *, edition: Edition, mechanism: Conformance | None = None) -> str:
    """The report as one HTML page."""
    shown = seen(release, audit, mechanism, edition=edition)
    release, audit = shown.release, shown.audit
    protocol = None if audit is None or audit.utility is None else audit.utility.protocol
    arms = {arm.name: arm for arm in protocol.ladder} if protocol is not None else {}
    return environment().get_template("report.html.j2").render(
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


def _template(name: str) -> str:
    return files("synthrec.report").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """Templates of the package, with the numbers' ways of being written."""
    made = Environment(loader=FunctionLoader(_template), undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    filters: dict[str, Any] = {
        "number": words.number, "short": words.short, "up": words.rounded_up, "delta": words.delta, "percent": words.percent,
        "interval": words.interval, "whole": "{:,}".format,
    }
    made.filters.update(filters)
    return made
