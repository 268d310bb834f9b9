from __future__ import annotations

import json
from pathlib import Path

import pytest

from synthrec.errors import ReleaseError
from synthrec.report.manifest import verify_manifest
from tests.manifests import write_manifest


@pytest.fixture
def share(tmp_path: Path) -> Path:
    folder = tmp_path / "share"
    (folder / "deep").mkdir(parents=True)
    (folder / "events.parquet").write_bytes(b"rows" * 100)
    (folder / "deep" / "release.json").write_text("{}")
    write_manifest(folder)
    return folder


def test_an_untouched_folder_verifies_and_lists_every_file(share: Path) -> None:
    assert [entry.path for entry in verify_manifest(share).files] == [
        "deep/release.json",
        "events.parquet",
    ]


def test_writing_the_manifest_twice_gives_the_same_bytes(share: Path) -> None:
    before = (share / "manifest.json").read_bytes()
    write_manifest(share)
    assert (share / "manifest.json").read_bytes() == before


def test_an_altered_file_is_named(share: Path) -> None:
    (share / "events.parquet").write_bytes(b"rowz" * 100)
    with pytest.raises(ReleaseError, match=r"events\.parquet must be .*altered"):
        verify_manifest(share)


def test_a_missing_file_is_named(share: Path) -> None:
    (share / "deep" / "release.json").unlink()
    with pytest.raises(ReleaseError, match=r"deep/release\.json must be .*missing"):
        verify_manifest(share)


def test_a_file_that_was_slipped_in_is_named(share: Path) -> None:
    (share / "more.csv").write_text("x")
    with pytest.raises(ReleaseError, match=r"more\.csv must be .*not in the manifest"):
        verify_manifest(share)


@pytest.mark.parametrize("text", ["", "{", '{"format_version": 99, "files": []}', "[1]"])
def test_a_file_that_is_no_manifest_is_refused(share: Path, text: str) -> None:
    (share / "manifest.json").write_text(text)
    with pytest.raises(ReleaseError, match="no manifest of this version"):
        verify_manifest(share)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no such file"):
        verify_manifest(tmp_path)


def test_a_link_that_leads_outside_does_not_stand_in_for_a_file(
    share: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "elsewhere"
    outside.write_bytes((share / "events.parquet").read_bytes())
    (share / "events.parquet").unlink()
    (share / "events.parquet").symlink_to(outside)
    with pytest.raises(ReleaseError, match=r"events\.parquet must be .*no regular file"):
        verify_manifest(share)


def test_a_path_in_the_manifest_that_leads_outside_is_missing_and_never_read(
    share: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("s")
    manifest = json.loads((share / "manifest.json").read_text())
    manifest["files"][0]["path"] = "../secret"
    (share / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ReleaseError, match=r"\.\./secret must be .*missing"):
        verify_manifest(share)
