"""`index.html`: the reference releases beside each other, from their records alone, in the reports' own style."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from privacy_reports.pictures import compared
from synthrec.audit.record import AuditRecord
from synthrec.audit.utility_record import Arm
from synthrec.conformance.record import Conformance
from synthrec.report import sentences, words
from synthrec.report.record import ReleaseRecord
from synthrec.report.render import SHAPES

Records = tuple[ReleaseRecord, AuditRecord, Conformance]


def index(found: Mapping[str, Records]) -> str:
    """One row a release, each leading to its report."""
    environment = Environment(loader=FunctionLoader(_template), undefined=StrictUndefined, autoescape=True, trim_blocks=True,
                              lstrip_blocks=True)
    environment.filters.update({"number": words.number, "up": words.rounded_up, "delta": words.delta, "percent": words.percent,
                                "interval": words.interval, "whole": "{:,}".format})
    css = files("synthrec.report").joinpath("templates", "report.css").read_text(encoding="utf-8")
    rows = [{"name": name, "release": release, "audit": audit, "mechanism": mechanism, "mine": mine_of(audit)}
            for name, (release, audit, mechanism) in found.items()]
    return environment.get_template("index.html.j2").render(rows=rows, css=Markup(css), say=sentences, shapes=SHAPES,
                                                            picture=Markup(compared(found)) if found else None)


def mine_of(audit: AuditRecord) -> Arm | None:
    """The release's row of the ladder."""
    protocol = None if audit.utility is None else audit.utility.protocol
    return None if protocol is None else next((arm for arm in protocol.ladder if arm.name == "synthrec"), None)


def _template(name: str) -> str:
    if name == "index.html.j2":
        return files("privacy_reports").joinpath(name).read_text(encoding="utf-8")
    return files("synthrec.report").joinpath("templates", name).read_text(encoding="utf-8")
