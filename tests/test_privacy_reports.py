"""The published reports: figures of public logs only, and pages that follow from the records beside
them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from privacy_reports.cells import AUDIT, CELLS, RECORDS, Cell
from privacy_reports.index import index
from synthrec.inspection.checks import audit_checks, claim_checks
from synthrec.privacy.ledger import Entry
from synthrec.report.edition import Edition
from synthrec.report.render import render
from synthrec.report.texts import shared_texts
from tests.conftest import REPOSITORY
from tests.report.records import audit, conformance, release

FOLDER = REPOSITORY / "privacy_reports"
CODE = {
    "__init__.py",
    "__main__.py",
    "cells.py",
    "index.py",
    "pictures.py",
    "index.html.j2",
    "index.html",
}
MADE = [cell for cell in CELLS if cell.is_made]


def test_nothing_is_published_but_records_pages_and_texts() -> None:
    texts = {"report.html", "statement.txt", "data_card.md", "deployment.json", AUDIT, *RECORDS}
    for path in FOLDER.rglob("*"):
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        inside = path.relative_to(FOLDER).parts
        below = (
            len(inside) == 2 and inside[0] in {cell.name for cell in CELLS} and inside[1] in texts
        )
        assert below or (len(inside) == 1 and inside[0] in CODE), path.name


@pytest.mark.parametrize("cell", MADE, ids=[cell.name for cell in MADE])
def test_published_pages_follow_from_the_records_beside_them(cell: Cell) -> None:
    record, found, mechanism = cell.records()
    assert record.source_public and found.release_id == record.release_id and not record.not_private
    pages = {
        "report.html": render(record, found, mechanism=mechanism, edition=Edition.PUBLIC),
        **shared_texts(record, mechanism),
    }
    for name, text in pages.items():
        assert Path(cell.folder / name).read_text(encoding="utf-8") == text, (
            f"run `make reports`: {cell.name}/{name}"
        )
        assert len(text) < 1_500_000


def test_the_index_compares_what_is_published() -> None:
    found = {cell.name: cell.records() for cell in MADE}
    page = index(found)
    assert (FOLDER / "index.html").read_text(encoding="utf-8") == page
    for name in found:
        assert f'href="{name}/report.html"' in page


def test_a_release_that_fails_a_limit_is_struck_out_in_the_index() -> None:
    page = index({"one": (release(), audit(), conformance(failing=True))})
    assert "65 %" in page and "1 fail" in page and "NO LEAK FOUND" in page


@pytest.mark.parametrize("cell", MADE, ids=[cell.name for cell in MADE])
def test_epsilon_and_verdict_of_a_published_report_can_be_drawn_anew_from_what_is_published(
    cell: Cell,
) -> None:
    record, found, _ = cell.records()
    entries = tuple(
        Entry.model_validate_json(line)
        for line in (cell.folder / "ledger.jsonl").read_bytes().splitlines()
    )
    assert all(entry.hash == entry.digest() for entry in entries)
    assert [
        check.name
        for check in (*audit_checks(record, found), *claim_checks(record, entries))
        if not check.passed
    ] == []
