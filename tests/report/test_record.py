from __future__ import annotations

import math
from pathlib import Path

import pytest

from synthrec.audit.record import AuditRecord
from synthrec.errors import ReleaseError
from synthrec.report.record import ReleaseRecord, read_record, write_record
from tests.report.records import audit, release


def test_a_release_record_comes_back_from_its_file_unchanged(tmp_path: Path) -> None:
    path = write_record(release(), path=tmp_path / "release.json")
    assert read_record(path, kind=ReleaseRecord) == release()


def test_an_audit_record_comes_back_from_its_file_unchanged(tmp_path: Path) -> None:
    path = write_record(audit(), path=tmp_path / "audit.json")
    assert read_record(path, kind=AuditRecord) == audit()


def test_an_infinite_epsilon_survives_the_file(tmp_path: Path) -> None:
    record = release(epsilon=math.inf, epsilon_cross_check=math.inf, not_private=True)
    assert (
        read_record(
            write_record(record, path=tmp_path / "release.json"), kind=ReleaseRecord
        ).epsilon
        == math.inf
    )


def test_equal_records_make_byte_identical_files(tmp_path: Path) -> None:
    one, two = (
        write_record(release(), path=tmp_path / name).read_bytes() for name in ("a.json", "b.json")
    )
    assert one == two


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        release().epsilon = 1.0


def test_a_missing_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ReleaseError, match=r"release\.json must hold a ReleaseRecord; found no such file"
    ):
        read_record(tmp_path / "release.json", kind=ReleaseRecord)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"secret-mark": 1}',
        '{"epsilon": "secret-mark"}',
        "\x00\x01",
        '{"format_version": 2}',
    ],
)
def test_a_record_that_is_none_is_refused_without_quoting_its_values(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "release.json"
    path.write_text(text)
    with pytest.raises(ReleaseError) as caught:
        read_record(path, kind=ReleaseRecord)
    assert '"secret-mark"' not in str(caught.value)


def test_a_record_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="must be writable"):
        write_record(release(), path=tmp_path / "absent" / "release.json")
    assert list(tmp_path.iterdir()) == []
