"""Small files that unpack to gigabytes: `verify` and `inspect` say so, and never take more than a
GiB and a half.

Each is verified in a process of its own whose data cannot grow beyond that.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthrec.data.files_io import bounded_batches
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from tests.conftest import REPOSITORY
from tests.manifests import write_manifest

MOST = 1536 << 20
COMMANDS = """
import os, resource, sys
from synthrec.cli.main import cli
import synthrec.inspection.checks, synthrec.model.artifact, opacus.accountants
held = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
for share in sys.argv[1:]:
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        resource.setrlimit(resource.RLIMIT_DATA, (held + MOST, held + MOST))
        sys.stdout = open(os.devnull, "w")
        cli(["verify", share])                      # which inspects as well
    _, status, used = os.wait4(child, 0)
    print(share.split("/")[-2], os.waitstatus_to_exitcode(status), used.ru_maxrss >> 10, round(used.ru_utime, 1))
"""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memory")
    simulate(users=200, items=20, seed=5).write(folder, events_per_user=20)
    from synthrec import pipeline

    pipeline.fit(
        str(folder / "events.csv"),
        schema=Schema.load(folder / "synthrec.toml"),
        epsilon=8,
        delta=1e-4,
        out=folder / "release",
        model="moments",
        device="cpu",
        synthetic_users=30,
    )
    pipeline.report(folder / "release")
    return folder / "release"


def written(share: Path, text: str, **options: object) -> None:
    """users.parquet with one text in all of its rows."""
    path, rows = share / "users.parquet", 65_536
    whole = pq.read_table(path)
    name = next(field.name for field in whole.schema if pa.types.is_string(field.type))
    columns = {
        field.name: whole[field.name].take(pa.array([0] * rows))
        for field in whole.schema
        if field.name != name
    }
    codes = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))
    columns = {
        field.name: codes if field.name == name else columns[field.name] for field in whole.schema
    }
    table = pa.table(columns).replace_schema_metadata(whole.schema.metadata)
    pq.write_table(table, path, compression="zstd", store_schema=False, **options)
    record = json.loads((share / "release.json").read_text(encoding="utf-8"))
    (share / "release.json").write_text(
        json.dumps(record | {"synthetic_users": rows}, indent=2) + "\n", encoding="utf-8"
    )


def put(name: str, text: str) -> Callable[[Path], object]:
    return lambda share: (share / name).write_text(text, encoding="utf-8")


def said(name: str, **fields: str) -> Callable[[Path], object]:
    """A file with other JSON texts in place of some fields."""

    def change(share: Path) -> None:
        words = json.loads((share / name).read_text(encoding="utf-8"))
        text = json.dumps(words | {field: f"@{field}@" for field in fields})
        for field, value in fields.items():
            text = text.replace(f'"@{field}@"', value)
        (share / name).write_text(text, encoding="utf-8")

    return change


def many(text: str, times: int) -> str:
    return f"[{','.join([text] * times)}]"


BOMBS: dict[str, Callable[[Path], object]] = {
    "one long text in all rows": lambda share: written(
        share, "a" * 150_000, dictionary_pagesize_limit=1 << 30
    ),
    "lists without end": lambda share: said("generator.json", catalogue=many("[]", 20_000_000))(
        share
    ),
    "lists": said("generator.json", features=many("[]", 1_900_000)),
    "objects": said("generator.json", features=many('{"a":1}', 1_900_000)),
    "wrong values": said("generator.json", features=many("{}", 250_000)),
    "a wide letter": said("generator.json", catalogue='"' + "\U0001f600" + "a" * 60_000_000 + '"'),
    "a record of nothing": said("release.json", mechanisms=many("{}", 32_000)),
    "a record of lists": said("release.json", mechanisms=many("[]", 5_000_000)),
    "checks": put("mechanism.json", '{"checks":' + many("{}", 32_000) + "}"),
    "short lines": put("ledger.jsonl", "x\n" * 8_000_000),
    "lines": put("ledger.jsonl", ("{}" + " " * 1_500 + "\n") * 10_000),
    "one line": put("ledger.jsonl", many("[]", 5_000_000)),
    "a page of tags": put("report.html", "<b>xy" * 1_600_000),
}


QUICK = ("one long text in all rows", "lists without end", "a record of nothing", "short lines")


@pytest.mark.parametrize(
    "names", [QUICK, pytest.param(tuple(BOMBS), marks=pytest.mark.slow)], ids=["quick", "all"]
)
def test_no_small_file_takes_more_than_a_gib_and_a_half(
    release: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        BOMBS[name](
            Path(shutil.copytree(release / "share", tmp_path / name.replace(" ", "_") / "share"))
        )
        write_manifest(tmp_path / name.replace(" ", "_") / "share")
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            COMMANDS.replace("MOST", str(MOST)),
            *map(str, sorted(tmp_path.glob("*/share"))),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=500,
    )
    lines = [line.split() for line in found.stdout.splitlines()]
    assert len(lines) == len(names), found.stderr
    assert [
        line for line in lines if line[1] not in ("0", "1", "2") or int(line[2]) << 20 > MOST
    ] == []


@pytest.mark.parametrize(
    "options",
    [
        {"column_encoding": {"text": "DELTA_BYTE_ARRAY"}, "use_dictionary": False},
        {"column_encoding": {"text": "DELTA_LENGTH_BYTE_ARRAY"}, "use_dictionary": False},
    ],
)
def test_an_encoding_that_makes_much_of_few_bytes_is_refused(
    tmp_path: Path, options: dict[str, object]
) -> None:
    pq.write_table(
        pa.table({"text": ["a" * 1_000] * 100}),
        tmp_path / "t.parquet",
        compression="zstd",
        **options,
    )
    with pytest.raises(ValueError, match="an encoding"):
        list(bounded_batches(tmp_path / "t.parquet"))


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}, {"data_page_version": "2.0"}])
def test_a_usual_table_is_read_as_it_was_written(
    tmp_path: Path, options: dict[str, object]
) -> None:
    table = pa.table(
        {
            "text": [f"t{place % 70_000}" if place % 3 else None for place in range(90_000)],
            "number": list(range(90_000)),
            "real": [place / 7 for place in range(90_000)],
        }
    )
    pq.write_table(
        table, tmp_path / "t.parquet", compression="zstd", row_group_size=50_000, **options
    )
    assert pa.Table.from_batches(bounded_batches(tmp_path / "t.parquet")).equals(table)


def test_pages_that_unpack_to_more_and_a_footer_without_end_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table({"text": ["a" * 3_000_000]}), path, compression="zstd", use_dictionary=False
    )
    assert path.stat().st_size < 20_000
    monkeypatch.setattr("synthrec.data.files_io.MAX_HELD", 2_000_000)
    with pytest.raises(ValueError, match="unpack to more"):
        list(bounded_batches(path))
    path.write_bytes(path.read_bytes()[:-8] + (1 << 30).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(ValueError, match="a footer"):
        list(bounded_batches(path))
