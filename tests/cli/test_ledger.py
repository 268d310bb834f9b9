from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from synthrec.cli.main import cli
from synthrec.data.schema import Schema
from synthrec.privacy.event import gaussian
from synthrec.privacy.ledger import Charge, Ledger


def written(path: Path) -> Path:
    account = Charge(source="movie ratings", release_id="r-1", kind="release")
    with Ledger.open(path) as ledger:
        ledger.charge(
            account.entry(
                mechanism="items", event=gaussian(noise_multiplier=2.5, sampling_rate=1.0, count=1)
            )
        )
        for _ in range(3):
            ledger.charge(
                account.entry(
                    mechanism="game",
                    event=gaussian(noise_multiplier=6.0, sampling_rate=0.1, count=10),
                )
            )
    return path


def test_ledger_show_prints_every_mechanism_that_saw_the_log(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["ledger", "show", str(written(tmp_path / "l.jsonl"))])
    assert result.exit_code == 0
    assert (
        "r-1" in result.output
        and "items" in result.output
        and "game" in result.output
        and "30 x" in result.output
    )


def test_a_broken_or_missing_ledger_is_one_message(tmp_path: Path) -> None:
    path = written(tmp_path / "l.jsonl")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    result = CliRunner().invoke(cli, ["ledger", "show", str(path)])
    assert result.exit_code == 2 and "unbroken chain" in result.stderr
    assert CliRunner().invoke(cli, ["ledger", "show", str(tmp_path / "none")]).exit_code == 2


def planned(path: Path) -> Path:
    account = Charge(
        source="movie ratings", release_id="r-1", kind="release", planned=31, delta=1e-5
    )
    with Ledger.open(path) as ledger:
        ledger.charge(
            account.entry(
                mechanism="items", event=gaussian(noise_multiplier=2.5, sampling_rate=1.0, count=1)
            )
        )
        ledger.charge(
            account.entry(
                mechanism="game", event=gaussian(noise_multiplier=6.0, sampling_rate=0.1, count=10)
            )
        )
    return path


def test_ledger_show_says_what_is_left_and_which_attempt_died(owned: Path) -> None:
    config = owned / "synthrec.toml"
    path = planned(owned / "l.jsonl")
    result = CliRunner().invoke(cli, ["ledger", "show", str(path), "--config", str(config)])
    assert result.exit_code == 0, result.output
    assert (
        "CHARGED 11 OF 31" in result.output and "is left for one further release" in result.output
    )
    without = CliRunner().invoke(cli, ["ledger", "show", str(path)])
    assert without.exit_code == 0 and "name it with --config" in without.output


def test_ledger_verify_exits_0_for_a_whole_ledger_and_1_for_one_cut_short(tmp_path: Path) -> None:
    path = planned(tmp_path / "l.jsonl")
    result = CliRunner().invoke(cli, ["ledger", "verify", str(path)])
    assert result.exit_code == 0 and "2 entries: whole" in result.output, result.output
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    result = CliRunner().invoke(cli, ["ledger", "verify", str(path)])
    assert result.exit_code == 1 and "FAULT" in result.output and "line 1" in result.output
    assert CliRunner().invoke(cli, ["ledger", "verify", str(tmp_path / "none")]).exit_code == 2


def test_plan_refuses_what_fit_would_and_else_says_what_of_the_cap_is_spent(owned: Path) -> None:
    config = owned / "synthrec.toml"
    asked = ["plan", str(config), "--epsilon", "4", "--delta", "1e-4", "--model", "marginals"]
    before = CliRunner().invoke(cli, asked)
    assert before.exit_code == 0 and "0 is spent, 4 after this one" in before.output, before.output
    schema = Schema.load(config)
    account = Charge(
        source=schema.source.name, release_id="r-1", kind="release", planned=1, delta=1e-6
    )
    with Ledger.open(schema.ledger_path) as ledger:
        ledger.charge(
            account.entry(
                mechanism="items", event=gaussian(noise_multiplier=0.3, sampling_rate=1.0, count=1)
            )
        )
    after = CliRunner().invoke(cli, asked)
    assert after.exit_code == 2 and "delta 1e-06 (the smallest of all releases" in after.stderr, (
        after.output
    )
