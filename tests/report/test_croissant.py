"""Croissant metadata: from public records and footers alone, valid by MLCommons' own checker."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthrec.errors import ReleaseError
from synthrec.inspection.page import texts_of
from synthrec.report.croissant import CROISSANT, croissant
from synthrec.report.manifest import joining, verify_manifest
from tests.report.records import release

EVENTS = pa.table(
    {
        "user_id": [9, 9],
        "item id, <odd>": ["a", "b"],
        "rating": [4, 5],
        "price": [0.5, 1.0],
        "when": pa.array([0, 1], pa.timestamp("s")),
    }
)


def shared(folder: Path, *, users: bool = True) -> Path:
    """A share/ that holds tables alone."""
    folder.mkdir()
    with joining(folder) as place:
        pq.write_table(EVENTS, place / "events.parquet")
        if users:
            table = pa.table({"user_id": [9], "gender": ["F"]})
            pq.write_table(table, place / "users.parquet")
    return folder


def test_the_tables_are_described_with_hashes_types_and_row_counts(tmp_path: Path) -> None:
    share = shared(tmp_path / "share")
    said = json.loads(croissant(share, release()) or "")
    hashes = {file.path: file.sha256 for file in verify_manifest(share).files}
    assert {file["@id"]: file["sha256"] for file in said["distribution"]} == hashes
    events, users = said["recordSet"]
    assert "2 rows" in events["description"] and "1 rows" in users["description"]
    assert [field["dataType"] for field in events["field"]] == [
        "cr:Int64",
        "sc:Text",
        "cr:Int64",
        "cr:Float64",
        "sc:DateTime",
    ]
    assert said["conformsTo"][0].endswith("croissant/1.1")


@pytest.mark.parametrize("users", [True, False])
def test_mlcommons_own_checker_accepts_it_and_reads_the_rows(tmp_path: Path, users: bool) -> None:
    mlc = pytest.importorskip("mlcroissant")
    share = shared(tmp_path / "share", users=users)
    (share / CROISSANT).write_text(croissant(share, release()) or "", encoding="utf-8")
    dataset = mlc.Dataset(jsonld=str(share / CROISSANT))
    assert not dataset.metadata.ctx.issues.errors
    rows = list(dataset.records("events"))
    assert len(rows) == 2 and rows[0]["events/rating"] == 4


def test_without_a_log_nothing_is_said_and_another_file_is_no_table(tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    with joining(share) as place:
        (place / "ledger.jsonl").write_text("", encoding="utf-8")
    assert croissant(share, release()) is None
    with joining(share) as place:
        (place / "events.parquet").write_bytes(b"no table")
    with pytest.raises(ReleaseError, match="events.parquet must be a table"):
        croissant(share, release())


def test_inspect_finds_a_word_that_the_records_do_not_say(tmp_path: Path) -> None:
    share = shared(tmp_path / "share")
    text = croissant(share, release()) or ""
    for said, wrong in ((text, False), (text.replace("2 rows", "3 rows"), True)):
        (share / CROISSANT).write_text(said, encoding="utf-8")
        (part,) = [
            part
            for part in texts_of(share, record=release(), mechanism=None)
            if part.file == CROISSANT
        ]
        assert (part.problem is not None) is wrong
