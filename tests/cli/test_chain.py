"""The chain as an operator runs it, on a simulated log whose user ids carry a mark that must turn
up nowhere.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from synthrec.audit.record import AuditRecord
from synthrec.cli.main import cli
from synthrec.report.manifest import verify_manifest
from synthrec.report.record import ReleaseRecord, read_record

MARK = "zebra"
BUDGET = ("--epsilon", "8", "--delta", "1e-4")
SHARED = {
    "mechanism.json",
    "events.parquet",
    "users.parquet",
    "generator.safetensors",
    "generator.json",
    "ledger.jsonl",
    "release.json",
    "report.html",
    "statement.txt",
    "data_card.md",
    "deployment.json",
    "croissant.json",
    "manifest.json",
}


@dataclass(frozen=True)
class Chain:
    """A log's folder, the release made from it, and what `synthrec run` said."""

    log: Path
    release: Path
    said: Result


def marked(simulated: Path, folder: Path) -> Path:
    """A copy of the simulated log whose user ids are text that can be searched for."""
    shutil.copytree(simulated, folder)
    for name in ("events.csv", "users.csv"):
        frame = pd.read_csv(folder / name)
        frame["user_id"] = f"{MARK}-" + frame["user_id"].astype(str)
        frame.to_csv(folder / name, index=False)
    return folder


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def fit_words(log: Path, out: Path, *more: str) -> tuple[str | Path, ...]:
    return (
        "fit",
        log / "events.csv",
        "--config",
        log / "synthrec.toml",
        *BUDGET,
        "--out",
        out,
        "--model",
        "moments",
        "--device",
        "cpu",
        *more,
    )


@pytest.fixture(scope="module")
def chain(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    log = marked(simulated, tmp_path_factory.mktemp("chain") / "log")
    release = log.parent / "release"
    said = call(
        "run",
        log / "events.csv",
        "--config",
        log / "synthrec.toml",
        *BUDGET,
        "--out",
        release,
        "--model",
        "moments",
        "--device",
        "cpu",
    )
    assert said.exit_code in (0, 1, 3), said.output
    yield Chain(log, release, said)


@pytest.fixture
def spoiled(chain: Chain, tmp_path: Path) -> Path:
    return Path(shutil.copytree(chain.release, tmp_path / "release"))


def test_run_leaves_exactly_the_shared_files_of_the_contract_and_a_manifest_that_holds(
    chain: Chain,
) -> None:
    assert {path.name for path in (chain.release / "share").iterdir()} == SHARED
    verify_manifest(chain.release / "share")


def test_the_private_half_is_closed_to_others_and_holds_the_audit_and_the_internal_report(
    chain: Chain,
) -> None:
    private = chain.release / "private"
    assert private.stat().st_mode & 0o077 == 0
    assert {"audit.json", "report.internal.html"} <= {path.name for path in private.iterdir()}


def test_run_says_where_things_are_and_what_came_out_and_ends_with_the_code_of_the_verdict(
    chain: Chain,
) -> None:
    record = read_record(chain.release / "private" / "audit.json", kind=AuditRecord)
    assert chain.said.exit_code == record.verdict.exit_code
    for part in (
        "share/events.parquet",
        "report.internal.html",
        record.verdict.value,
        "differential privacy for each user",
    ):
        assert part in chain.said.stdout, part


def test_no_user_id_of_the_log_is_printed_or_shared(chain: Chain) -> None:
    assert MARK not in chain.said.output
    for path in (chain.release / "share").iterdir():
        assert MARK.encode() not in path.read_bytes(), path.name
    for name in ("events.parquet", "users.parquet"):
        assert MARK not in pq.read_table(chain.release / "share" / name).to_pandas().to_csv()


def test_the_synthetic_log_has_the_columns_of_the_input_in_its_order(chain: Chain) -> None:
    real = pd.read_csv(chain.log / "events.csv", nrows=5)
    assert pq.read_schema(chain.release / "share" / "events.parquet").names == list(real.columns)


def test_the_record_states_the_claim_that_was_asked_for(chain: Chain) -> None:
    record = read_record(chain.release / "share" / "release.json", kind=ReleaseRecord)
    assert (
        record.epsilon <= 8.0
        and record.delta == 1e-4
        and record.model == "moments"
        and not record.not_private
    )
    assert sum(record.budget_share.values()) == pytest.approx(1.0)
    assert {mechanism.name for mechanism in record.mechanisms} == set(record.budget_share)


def test_equal_seeds_draw_equal_users_from_the_shared_half_alone(
    spoiled: Path, tmp_path: Path
) -> None:
    shutil.rmtree(spoiled / "private")
    outs = [tmp_path / name for name in ("a.parquet", "b.parquet", "c.parquet")]
    for out, seed in zip(outs, (7, 7, 8), strict=True):
        assert call("sample", spoiled, "--users", "40", "--out", out, "--seed", seed).exit_code == 0
    one, two, other = (pq.read_table(out) for out in outs)
    assert one.equals(two) and not one.equals(other)


def test_a_sample_can_be_csv_and_never_replaces_a_file(chain: Chain, tmp_path: Path) -> None:
    out = tmp_path / "events.csv"
    assert call("sample", chain.release, "--users", "20", "--out", out).exit_code == 0
    before = out.read_bytes()
    again = call("sample", chain.release, "--users", "20", "--out", out)
    assert again.exit_code == 2 and out.read_bytes() == before


def test_the_audit_can_be_run_again_and_prints_a_table_marked_private(
    spoiled: Path, chain: Chain
) -> None:
    result = call("audit", spoiled, "--log", chain.log / "events.csv", "--quiet")
    record = read_record(spoiled / "private" / "audit.json", kind=AuditRecord)
    assert result.exit_code == record.verdict.exit_code
    assert (
        "PRIVATE" in result.stdout
        and "any attacker, at most" in result.stdout
        and record.verdict.value in result.stdout
    )
    assert MARK not in result.output


def test_an_audit_with_another_log_of_as_many_users_is_refused(
    spoiled: Path, chain: Chain, tmp_path: Path
) -> None:
    before = (spoiled / "private" / "audit.json").read_bytes()
    events = pd.read_csv(chain.log / "events.csv")
    events["item_id"] = events["item_id"].sample(frac=1, random_state=1).to_numpy()
    events.to_csv(tmp_path / "other.csv", index=False)
    result = call("audit", spoiled, "--log", tmp_path / "other.csv", "--quiet")
    assert result.exit_code == 2 and "another log" in result.stderr, result.output
    assert (spoiled / "private" / "audit.json").read_bytes() == before


def test_a_second_log_in_the_shared_half_is_refused_and_the_release_stays_whole(
    spoiled: Path,
) -> None:
    result = call("sample", spoiled, "--users", "5", "--out", spoiled / "share" / "more.csv")
    assert result.exit_code == 2 and "events.parquet" in result.stderr, result.output
    verify_manifest(spoiled / "share")


def test_report_renders_both_pages_again_to_the_same_bytes(spoiled: Path) -> None:
    public, internal = (
        spoiled / "share" / "report.html",
        spoiled / "private" / "report.internal.html",
    )
    before = public.read_bytes(), internal.read_bytes()
    internal.unlink()
    result = call("report", spoiled)
    assert result.exit_code == 0, result.output
    assert (public.read_bytes(), internal.read_bytes()) == before
    verify_manifest(spoiled / "share")


def test_the_ledger_names_the_release_and_its_mechanisms(chain: Chain) -> None:
    record = read_record(chain.release / "share" / "release.json", kind=ReleaseRecord)
    ledger = next(chain.log.glob("*.ledger.jsonl"))
    text = call("ledger", "show", ledger).stdout
    assert record.release_id in text and all(
        mechanism.name in text for mechanism in record.mechanisms
    )


@pytest.mark.parametrize("name", ["generator.safetensors", "generator.json", "release.json"])
def test_a_release_with_a_file_missing_or_altered_is_refused(
    spoiled: Path, tmp_path: Path, name: str
) -> None:
    path = spoiled / "share" / name
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    for change in (lambda: path.write_bytes(bytes(body)), path.unlink):
        change()
        result = call("sample", spoiled, "--users", "5", "--out", tmp_path / "out.parquet")
        assert result.exit_code == 2 and name in result.stderr, result.output
        assert not (tmp_path / "out.parquet").exists()


def test_what_fit_prints_holds_no_count_or_value_of_the_log(
    simulated: Path, tmp_path: Path
) -> None:
    log = marked(simulated, tmp_path / "log")
    events = pd.read_csv(log / "events.csv")
    dropped = events[events["user_id"].isin(events["user_id"].unique()[:7])]
    events.drop(dropped.index).to_csv(log / "events.csv", index=False)
    result = call(*fit_words(log, tmp_path / "release"))
    assert result.exit_code == 0, result.output
    left = events.drop(dropped.index)
    for secret in (MARK, str(left["user_id"].nunique()), str(len(left)), f"{len(left):,}"):
        assert secret not in result.output.replace(str(tmp_path), ""), secret


def test_plan_touches_no_data_and_says_what_the_budget_buys(
    simulated: Path, tmp_path: Path
) -> None:
    shutil.copytree(simulated, tmp_path / "log")
    (tmp_path / "log" / "events.csv").unlink()
    (tmp_path / "log" / "users.csv").unlink()
    result = call("plan", tmp_path / "log" / "synthrec.toml", *BUDGET)
    assert result.exit_code == 0, result.output
    for word in ("items", "activity", "attacker", "noise", "feasible", "2 cores"):
        assert word in result.output.lower(), word
    assert not list((tmp_path / "log").glob("*.ledger.jsonl"))
