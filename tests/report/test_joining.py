"""Files join a release all at once: whatever moment the process dies at, the next command finds all
of before or all of after.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from synthrec.errors import ReleaseError
from synthrec.report import manifest
from synthrec.report.manifest import JOINING, joining, settle, verify_manifest
from tests.manifests import write_manifest

OLD, NEW = (
    {"a.html": b"old", "b.json": b"old", "c": b"stays"},
    {"a.html": b"new", "b.json": b"new", "c": b"stays", "d": b"new"},
)


@pytest.fixture
def share(tmp_path: Path) -> Path:
    for name, content in OLD.items():
        (tmp_path / name).write_bytes(content)
    write_manifest(tmp_path)
    return tmp_path


def join(share: Path) -> None:
    with joining(share) as place:
        for name in NEW:
            if name != "c":
                (place / name).write_bytes(NEW[name])


def held(share: Path) -> dict[str, bytes]:
    settle(share)
    verify_manifest(share)
    return {
        path.name: path.read_bytes() for path in share.iterdir() if path.name != manifest.MANIFEST
    }


class Died(BaseException):
    """Stands for a kill: nothing of ours may run afterwards."""


def test_what_joins_is_listed_and_what_stays_still_is(share: Path) -> None:
    join(share)
    assert held(share) == NEW


def die_at(place: int, patch: pytest.MonkeyPatch) -> None:
    """The place-th of all renames, fsyncs and folders made is the last thing that happens."""
    calls = iter(range(place + 1))

    def dying(honest: Any) -> Any:
        def call(*words: Any, **named: Any) -> Any:
            if next(calls, None) in (None, place):
                raise Died
            return honest(*words, **named)

        return call

    for name in ("replace", "fsync", "mkdir"):
        patch.setattr(os, name, dying(getattr(os, name)))
    patch.setattr(manifest.shutil, "rmtree", lambda *_, **__: None)  # the dead clean nothing up


def test_at_whatever_moment_it_dies_there_is_all_of_before_or_all_of_after(
    share: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = []
    for place in range(60):
        copy = Path(shutil.copytree(share, tmp_path_factory.mktemp("copy") / "share"))
        with pytest.MonkeyPatch.context() as patch:
            die_at(place, patch)
            try:
                join(copy)
            except Died:
                died = True
            else:
                died = False
        found.append(held(copy))
        assert not (copy / JOINING).exists()
        if not died:
            break
    assert (
        not died
        and len(found) > 6
        and all(each in (OLD, NEW) for each in found)
        and OLD in found
        and NEW in found[:-1]
    )


def test_a_failed_rename_is_told_as_ours_and_the_next_command_finishes_it(
    share: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = os.replace

    def full(source: Any, target: Any) -> None:
        if Path(target) == share / "b.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        honest(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ReleaseError, match="No space left"):
        join(share)
    monkeypatch.undo()
    assert held(share) == NEW


def test_nobody_settles_what_another_process_is_still_at(share: Path) -> None:
    with joining(share) as place:
        (place / "a.html").write_bytes(b"new")
        with pytest.raises(ReleaseError, match="one process at a time"):
            settle(share)
    assert held(share)["a.html"] == b"new"


def test_a_half_joining_is_seen_by_whoever_only_reads(share: Path) -> None:
    (share / JOINING).mkdir()
    (share / JOINING / "a.html").write_bytes(b"new")
    with pytest.raises(ReleaseError, match="not in the manifest"):
        verify_manifest(share)
    assert held(share) == OLD
