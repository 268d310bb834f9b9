"""Pages of a release are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthrec.errors import DataError
from synthrec.folder import write_page


def test_a_page_that_cannot_be_written_leaves_the_old_one_whole_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write_page(tmp_path / "report.html", "old")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DataError, match="report.html: No space left"):
        write_page(page, "new")
    assert page.read_text(encoding="utf-8") == "old" and list(tmp_path.iterdir()) == [page]
