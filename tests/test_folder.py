"""Pages of a release are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from synthrec.errors import DataError
from synthrec.release import write_page
from synthrec.report.record import write_record
from tests.report.records import conformance


def test_a_page_that_cannot_be_written_leaves_the_old_one_whole_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = write_page(tmp_path / "report.html", "old")

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DataError, match="report.html: No space left"):
        write_page(page, "new")
    assert page.read_text(encoding="utf-8") == "old" and list(tmp_path.iterdir()) == [page]


def test_no_page_and_no_record_is_written_through_a_link_that_somebody_left(tmp_path: Path) -> None:
    """A folder from elsewhere may hold links by the names of our half files."""
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    place = tmp_path / "release"
    place.mkdir()
    for name in (".report.html.part", ".audit.json.part"):
        (place / name).symlink_to(victim)
    write_page(place / "report.html", "page")
    write_record(conformance(), path=place / "audit.json")
    assert victim.read_text(encoding="utf-8") == "mine"
    assert sorted(path.name for path in place.iterdir() if not path.is_symlink()) == [
        "audit.json",
        "report.html",
    ]
