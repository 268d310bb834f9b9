"""Parts of an audit are taken up again for the same audit only, and what is there is whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from synthrec.audit.cache import Kept
from synthrec.audit.record import Figure
from synthrec.errors import ReleaseError

KEY = ("release", "r-1", "quick")


def made(value: float, calls: list[float]) -> Figure:
    calls.append(value)
    return Figure(value=value, low=float("-inf"), high=1.0, n=3, method="made up")


def test_a_finished_part_is_not_made_again_and_is_the_same(tmp_path: Path) -> None:
    calls: list[float] = []
    first = Kept.of(tmp_path / "parts", key=KEY).part("one", Figure, lambda: made(0.5, calls))
    again = Kept.of(tmp_path / "parts", key=KEY).part("one", Figure, lambda: made(0.7, calls))
    assert again == first and calls == [0.5]
    assert (tmp_path / "parts").stat().st_mode & 0o077 == 0 or (
        tmp_path / "parts"
    ).iterdir().__next__().stat().st_mode & 0o077 == 0


def test_another_audit_takes_nothing_up_and_removes_what_is_there(tmp_path: Path) -> None:
    calls: list[float] = []
    Kept.of(tmp_path / "parts", key=KEY).part("one", Figure, lambda: made(0.5, calls))
    other = Kept.of(tmp_path / "parts", key=(*KEY[:2], "full"))
    assert list((tmp_path / "parts").iterdir()) == []
    assert other.part("one", Figure, lambda: made(0.7, calls)).value == 0.7


def test_nothing_is_a_part_too_and_an_altered_part_is_made_anew(tmp_path: Path) -> None:
    kept = Kept.of(tmp_path / "parts", key=KEY)
    assert kept.part("none", Figure | None, lambda: None) is None
    assert kept.part("none", Figure | None, lambda: pytest.fail("made again")) is None
    calls: list[float] = []
    odd = Figure(value=float("nan"), low=float("-inf"), high=float("inf"), n=0, method="made up")
    kept.part("odd", Figure | None, lambda: odd)
    assert repr(kept.part("odd", Figure | None, lambda: pytest.fail("made again"))) == repr(odd)
    kept.part("one", Figure, lambda: made(0.5, calls))
    (kept.folder / "one.json").write_text("{}")
    assert kept.part("one", Figure, lambda: made(0.6, calls)).value == 0.6


def test_a_full_disk_is_said_and_leaves_no_half_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept.of(tmp_path / "parts", key=KEY)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ReleaseError, match="No space"):
        kept.part("one", Figure, lambda: made(0.5, []))
    assert not (kept.folder / "one.json").exists()


def test_nothing_is_removed_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "papers").mkdir(parents=True)
    (tmp_path / "parts").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ReleaseError, match="a link"):
        Kept.of(tmp_path / "parts", key=KEY)
    assert (tmp_path / "elsewhere" / "papers").is_dir()
