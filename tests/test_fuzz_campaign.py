"""Whatever is in the files that a command opens, it ends with 0, 1, 2 or 3, in seconds, and quotes
no cell of a log.

Every kind of file is spoilt by the mutator and given to the commands that open it, in this process.
The quick form has some hundred inputs, odd names among them; the slow one more than 25,000. What
the campaign found is kept below, one case each.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import tomllib
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthrec import pipeline
from synthrec.cli.main import cli
from synthrec.data.catalogue import Catalogue
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.errors import SynthrecError
from synthrec.privacy.ledger import Entry
from tests.data import small
from tests.data.test_neighbour_cells import CELLS
from tests.manifests import write_manifest
from tests.mutator import CHANGES, EDITS, VALUES, edited, replaced, toml

MARKS = ("zqx", "7070707")  # in cells of people, and nowhere else
LONGEST_SECONDS = 60.0  # of computing, for one input
LEDGER, CONFIG, SHARE = "small.ledger.jsonl", "synthrec.toml", "release/share/"
SPEND = ("--epsilon", "3", "--delta", "1e-3")


def marked_log() -> pd.DataFrame:
    """A log in which every cell that can carries a mark, and some rows that no schema admits."""
    frame = small.events(per_user=4).astype(str)
    frame["user_id"] = MARKS[0] + frame["user_id"]
    frame["comment"] = MARKS[0] + "note"
    odd = frame.head(6).copy()
    (
        odd.iloc[0, 2],
        odd.iloc[1, 3],
        odd.iloc[2, 1],
        odd.iloc[3, 2],
        odd.iloc[4, 3],
        odd.iloc[5, 1],
    ) = (*[MARKS[0]] * 3, *[MARKS[1]] * 3)
    return pd.concat([frame, odd], ignore_index=True)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with one file of each kind, a release among them; commands run in it."""
    folder, before = tmp_path_factory.mktemp("campaign"), Path.cwd()
    small.write_tables(folder)
    people = pd.read_csv(folder / "users.csv")
    people.assign(user_id=MARKS[0] + people["user_id"].astype(str)).to_csv(
        folder / "users.csv", index=False
    )
    (folder / CONFIG).write_text(small.CONFIG.replace("10.0", "20.0"))
    frame = marked_log()
    frame.to_csv(folder / "events.csv", index=False)
    (folder / "events.csv.gz").write_bytes(
        gzip.compress((folder / "events.csv").read_bytes(), mtime=0)
    )
    frame.to_parquet(folder / "events.parquet")
    frame.to_json(folder / "events.jsonl", orient="records", lines=True)
    (folder / "opt-outs.txt").write_text(
        "".join(f"{each}\n" for each in frame["user_id"].unique()[:4])
    )
    pipeline.fit(
        str(folder / "events.csv"),
        schema=Schema.load(folder / CONFIG),
        epsilon=8,
        delta=1e-3,
        out=folder / "release",
        model="moments",
        device="cpu",
        synthetic_users=20,
    )
    pipeline.report(folder / "release")
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)


def commands(log: str) -> tuple[tuple[str, ...], ...]:
    return (
        ("check", log, "--config", CONFIG),
        ("init", log, "--out", "new.toml"),
        ("init", log, "--out", "new.toml", "--values-are-public", "rating"),
    )


CHECK = ("check", "events.csv", "--config", CONFIG)
ON_RELEASES = (
    ("inspect", "release"),
    ("verify", "release"),
    ("report", "release", "--check"),
    ("explain", "release"),
    ("sample", "release", "--users", "5", "--out", "new.csv", "--quiet"),
)
ON_LEDGERS = (
    ("ledger", "show", LEDGER),
    ("ledger", "verify", LEDGER, "--config", CONFIG, "--release", "release"),
    ("plan", CONFIG, *SPEND, "--model", "marginals"),
)


@dataclass(frozen=True)
class Kind:
    """A file that is spoilt, which of the commands opens it, and how many inputs a campaign has of
    it.
    """

    file: str
    words: tuple[tuple[str, ...], ...]
    slow: int
    quick: int = 2
    change: Callable[[bytes, Any], bytes] = edited
    changes: st.SearchStrategy[Any] = field(default=EDITS)


def in_json(content: bytes, changes: Any) -> bytes:
    return json.dumps(replaced(json.loads(content), changes)).encode()


def in_toml(content: bytes, changes: Any) -> bytes:
    said = replaced(tomllib.loads(content.decode()), changes)
    return (
        toml(said)[1:-1].encode()
        if not isinstance(said, dict)
        else "".join(
            f"{json.dumps(key, ensure_ascii=False)} = {toml(value)}\n"
            for key, value in said.items()
        ).encode(errors="replace")
    )


def entries(content: bytes, changes: Any) -> list[Any]:
    said = replaced([json.loads(line) for line in content.splitlines()], changes)
    return said if isinstance(said, list) else [said]


def in_json_lines(content: bytes, changes: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in entries(content, changes))


def in_ledger(content: bytes, changes: Any) -> bytes:
    """Values in a ledger whose chain is whole again afterwards, where the entries still are some."""
    lines, previous = [], "0" * 64
    for said in entries(content, changes):
        try:
            entry = Entry.model_validate_json(json.dumps(said))
            said = json.loads(
                entry.sealed(previous=previous, charged_utc=entry.charged_utc).model_dump_json()
            )
            previous = said["hash"]
        except ValueError:
            pass
        lines.append(json.dumps(said))
    return "".join(f"{line}\n" for line in lines).encode()


def by_values(
    file: str,
    words: tuple[tuple[str, ...], ...],
    change: Callable[[bytes, Any], bytes],
    *,
    slow: int,
) -> Kind:
    return Kind(file, words, slow=slow, change=change, changes=CHANGES)


KINDS = {
    "CSV": Kind("events.csv", commands("events.csv"), slow=3_000, quick=8),
    "CSV, packed": Kind("events.csv.gz", commands("events.csv.gz"), slow=500),
    "Parquet": Kind("events.parquet", commands("events.parquet"), slow=3_000, quick=6),
    "JSON lines": Kind("events.jsonl", commands("events.jsonl"), slow=2_500, quick=6),
    "JSON lines, by values": by_values(
        "events.jsonl", commands("events.jsonl"), in_json_lines, slow=1_000
    ),
    "user table": Kind("users.csv", (CHECK,), slow=500),
    "catalogue": Kind(
        "items.csv", (CHECK, ("plan", CONFIG, *SPEND, "--model", "marginals")), slow=500
    ),
    "opt-outs": Kind("opt-outs.txt", ((*CHECK, "--exclude-users", "opt-outs.txt"),), slow=500),
    "configuration": Kind(
        CONFIG,
        (
            CHECK,
            ("plan", CONFIG, *SPEND, "--model", "moments"),
            ("ledger", "verify", LEDGER, "--config", CONFIG),
        ),
        slow=3_000,
        quick=6,
    ),
    "configuration, by values": by_values(
        CONFIG, (CHECK, ("plan", CONFIG, *SPEND)), in_toml, slow=2_000
    ),
    "ledger": Kind(LEDGER, ON_LEDGERS, slow=1_000, quick=1),
    "ledger, by values": by_values(LEDGER, ON_LEDGERS, in_ledger, slow=1_000),
    "head": Kind(f"{LEDGER}.head", ON_LEDGERS, slow=200, quick=1),
    "log of fit": Kind(
        "events.csv",
        (
            (
                "fit",
                "events.csv",
                "--config",
                CONFIG,
                *SPEND,
                "--out",
                "new",
                "--model",
                "marginals",
                "--device",
                "cpu",
                "--quiet",
            ),
        ),
        slow=50,
        quick=1,
    ),
    **{
        f"release: {name}": Kind(SHARE + name, ON_RELEASES, slow=600)
        for name in (
            "manifest.json",
            "release.json",
            "generator.json",
            "generator.safetensors",
            "ledger.jsonl",
            "events.parquet",
            "users.parquet",
        )
    },
    **{
        f"release: {name}, by values": by_values(SHARE + name, ON_RELEASES, in_json, slow=800)
        for name in ("release.json", "generator.json")
    },
    "release: ledger.jsonl, by values": by_values(
        SHARE + "ledger.jsonl", ON_RELEASES, in_ledger, slow=300
    ),
    **{
        f"private: {name}": Kind(
            f"release/private/{name}", (("inspect", "release"),), slow=200, quick=1
        )
        for name in ("origin.json", "bounded/log.json", "bounded/offsets.npy", "bounded/item.npy")
    },
}


class TooLong(BaseException):
    """An input that takes more than its seconds."""


def out_of_time(*_: object) -> None:
    raise TooLong


def complaint(words: tuple[str, ...]) -> str | None:
    """What is wrong with how a command ends: nothing, most of the time."""
    before = signal.signal(signal.SIGVTALRM, out_of_time)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_SECONDS)
    try:
        result = CliRunner().invoke(cli, words)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    said = result.output + "".join(
        path.read_text(errors="replace")
        for path in (Path("new.toml"),)
        if path.exists() and len(words) == 4
    )
    lines = [line for line in said.splitlines() if any(mark in line for mark in MARKS)]
    for path in Path().glob("new*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if result.exit_code not in (0, 1, 2, 3):
        return f"{words[0]} ends with {result.exit_code}: {result.output[-300:]}"
    if "Traceback" in said or lines:
        return f"{words[0]} says a cell: {lines[:1]}"
    return None


def campaign(ground: Path, kind: Kind, cases: int, *, quick: bool) -> dict[str, object]:
    """What was found, by its words: the smallest change that shows it."""
    path, found = ground / kind.file, dict[str, Any]()
    kept = {
        each: each.read_bytes()
        for each in {path, ground / SHARE / "manifest.json", *ground.glob(f"{LEDGER}*")}
    }

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=quick,
        suppress_health_check=list(HealthCheck),
    )
    @given(change=kind.changes, words=st.sampled_from(kind.words), listed=st.booleans())
    def attempt(change: Any, words: tuple[str, ...], listed: bool) -> None:
        path.write_bytes(kind.change(kept[path], change))
        if listed and "share" in kind.file and "manifest" not in kind.file:
            write_manifest(ground / SHARE)
        said = complaint(words)
        if said is not None and (
            said not in found or len(repr(change)) < len(repr(found[said][0]))
        ):
            found[said] = change, words, listed
        for each, content in kept.items():
            each.write_bytes(content)

    attempt()
    return found


@pytest.mark.parametrize("name", KINDS)
def test_no_spoilt_file_ends_a_command_in_another_way_or_gives_a_cell_away(
    ground: Path, name: str
) -> None:
    assert campaign(ground, KINDS[name], KINDS[name].quick, quick=True) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_none_does_in_a_campaign_of_many_thousands(ground: Path, name: str) -> None:
    assert campaign(ground, KINDS[name], KINDS[name].slow, quick=False) == {}


CELL = st.one_of(
    VALUES,
    st.sampled_from(CELLS),
    st.sampled_from(MARKS),
    st.sampled_from([f"{MARKS[0]}1", "1", "3", str(small.START)]),
)
COLUMN = st.lists(CELL, min_size=4, max_size=4)
FRAMES = st.tuples(
    st.dictionaries(
        st.one_of(
            st.sampled_from(["user_id", "item_id", "rating", "timestamp"]),
            st.text(max_size=3),
            st.integers(),
            st.none(),
        ),
        COLUMN,
        max_size=3,
    ),
    st.integers(0, 4),
    st.sampled_from("paj"),
)


def framed(folder: Path, columns: dict[Any, list[Any]], twice: int, library: str) -> object:
    """The marked log with some columns of odd cells among it, in one of three libraries where that
    can hold it.
    """
    frame = marked_log().astype(object)
    for name, cells in columns.items():
        frame[name] = pd.Series(len(frame) // 4 * cells + cells[: len(frame) % 4], dtype=object)
    if not twice:
        frame = pd.concat([frame, frame[["rating"]]], axis=1)
    if library == "p":
        return frame
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        return table if library == "a" else pl.from_arrow(table)
    except Exception:  # noqa: BLE001 -- what the other library cannot hold is no input of ours
        return frame


def frames(ground: Path, cases: int, *, quick: bool) -> dict[str, object]:
    schema, found = Schema.load(ground / CONFIG), dict[str, object]()
    catalogue = Catalogue.read(schema)

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=quick,
        suppress_health_check=list(HealthCheck),
    )
    @given(said=FRAMES)
    def attempt(said: tuple[dict[Any, list[Any]], int, str]) -> None:
        try:
            read_log(
                framed(ground, *said), schema, catalogue, spill=ground / "spill", events_per_user=5
            )
        except SynthrecError as error:
            if any(mark in "".join(traceback.format_exception(error)) for mark in MARKS):
                found[f"says a cell: {error}"] = said
        except Exception as error:  # noqa: BLE001 -- what the campaign looks for
            place = traceback.extract_tb(error.__traceback__)[-1]
            found[f"{type(error).__name__} in {place.filename}:{place.lineno}"] = said

    attempt()
    return found


def test_no_frame_fails_but_with_an_error_of_ours(ground: Path) -> None:
    assert frames(ground, 6, quick=True) == {}


@pytest.mark.slow
def test_none_does_in_two_thousand(ground: Path) -> None:
    assert frames(ground, 2_000, quick=False) == {}


@pytest.mark.parametrize("name", ["offsets", "item"])
def test_inspect_of_a_release_whose_bounded_log_is_damaged_is_one_message(
    ground: Path, name: str
) -> None:
    path = ground / f"release/private/bounded/{name}.npy"
    whole = path.read_bytes()
    path.write_bytes(b"1e999" + whole)
    try:
        result = CliRunner().invoke(cli, ("inspect", "release"))
    finally:
        path.write_bytes(whole)
    assert (
        result.exit_code == 2
        and "a bounded log must be the folder that synthrec wrote" in result.stderr
    )


@pytest.mark.parametrize(
    "wrong", [{"population": 10**30}, {"events_per_user": 10**9}, {"epsilon": -1.0}]
)
def test_verify_mechanism_does_not_run_a_plan_with_numbers_that_none_has(
    ground: Path, wrong: dict[str, Any]
) -> None:
    changed = ground / "changed"
    shutil.copytree(ground / "release", changed)
    words = json.loads((changed / "share/generator.json").read_text())
    words["plan"].update(wrong)
    (changed / "share/generator.json").write_text(json.dumps(words))
    write_manifest(changed / "share")
    result = CliRunner().invoke(cli, ("verify", "--mechanism", "changed", "--quiet"))
    shutil.rmtree(changed)
    assert result.exit_code == 2, result.output


@pytest.mark.parametrize(
    "words",
    [
        ("init", "events.csv", "--out", "L.toml"),
        ("explain", "release", "--out", "L.svg"),
        ("sample", "release", "--users", "5", "--out", "L.csv"),
        ("check", "L.csv", "--config", CONFIG),
        ("check", "events.csv", "--config", "L/L.toml"),
        ("check", "events.csv", "--config", "L.toml"),
        ("check", "events.csv", "--config", CONFIG, "--exclude-users", "L"),
        ("plan", "L.toml", *SPEND),
        ("ledger", "show", "L"),
        ("ledger", "verify", "L"),
        ("inspect", "L"),
        ("verify", "L"),
        ("report", "L"),
        ("report", "L", "--check"),
        ("explain", "L"),
        ("explain", "release", "--catalogue", "L.csv"),
        ("purge", "L", "--yes"),
        ("verify", "--mechanism", "--config", "L.toml"),
        ("audit", "L", "--config", CONFIG),
    ],
)
@pytest.mark.parametrize("name", ["a" * 300, "\udcff"], ids=["300 letters", "not UTF-8"])
def test_an_odd_file_name_is_no_reason_to_end_in_another_way(
    ground: Path, words: tuple[str, ...], name: str
) -> None:
    shutil.copy(ground / "events.csv", ground / "\udcff.csv")
    try:
        assert (
            complaint(
                tuple(word.replace("L", name) if word.startswith("L") else word for word in words)
            )
            is None
        )
    finally:
        (ground / "\udcff.csv").unlink()


def test_a_ledger_with_a_name_that_no_file_can_have_is_refused_by_the_configuration(
    ground: Path,
) -> None:
    (ground / "odd.toml").write_text((ground / CONFIG).read_text().replace(LEDGER, r"a\u0000b"))
    result = CliRunner().invoke(cli, ("check", "events.csv", "--config", "odd.toml"))
    (ground / "odd.toml").unlink()
    assert result.exit_code == 2 and "[source] ledger" in result.stderr
