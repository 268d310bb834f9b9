"""`index.html`: the reference releases beside each other, from their records alone, in the reports'
own style.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from jinja2 import FunctionLoader

from privacy_reports.pictures import compared
from synthrec.audit.record import Arm, AuditRecord
from synthrec.conformance.record import Conformance
from synthrec.report import sentences
from synthrec.report.record import ReleaseRecord
from synthrec.report.render import SHAPES, environment

Records = tuple[ReleaseRecord, AuditRecord, Conformance]


def index(found: Mapping[str, Records]) -> str:
    """One row a release, each leading to its report."""
    rows = [
        {
            "name": name,
            "release": release,
            "audit": audit,
            "mechanism": mechanism,
            "mine": mine_of(audit),
        }
        for name, (release, audit, mechanism) in found.items()
    ]
    page = environment().overlay(loader=FunctionLoader(_template)).get_template("index.html.j2")
    return page.render(
        rows=rows, say=sentences, shapes=SHAPES, picture=compared(found) if found else None
    )


def mine_of(audit: AuditRecord) -> Arm | None:
    """The release's row of the ladder."""
    protocol = None if audit.utility is None else audit.utility.protocol
    return (
        None
        if protocol is None
        else next((arm for arm in protocol.ladder if arm.name == "synthrec"), None)
    )


def _template(name: str) -> str:
    if name == "index.html.j2":
        return files("privacy_reports").joinpath(name).read_text(encoding="utf-8")
    return files("synthrec.report").joinpath("templates", name).read_text(encoding="utf-8")
