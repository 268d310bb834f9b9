from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from synthrec.cli.main import cli


def test_init_writes_a_proposal_and_says_what_it_waits_for(owned: Path) -> None:
    out = owned / "proposed.toml"
    result = CliRunner().invoke(cli, ["init", str(owned / "events.csv"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert '"?"' in out.read_text()
    assert (
        "wait for your word" in result.output
        and "population" in result.output
        and "synthrec plan" in result.output
    )


def test_init_never_writes_over_a_file(owned: Path) -> None:
    before = (owned / "synthrec.toml").read_bytes()
    result = CliRunner().invoke(
        cli, ["init", str(owned / "events.csv"), "--out", str(owned / "synthrec.toml")]
    )
    assert result.exit_code == 2 and "must not exist yet" in result.stderr
    assert (owned / "synthrec.toml").read_bytes() == before
    assert not list(owned.glob("*.part")) and not list(owned.glob(".*.part"))


@pytest.mark.parametrize("content", [None, "", "user_id,item_id\n", "\x00\x01\x02"])
def test_init_refuses_what_is_no_log_and_writes_nothing(
    tmp_path: Path, content: str | None
) -> None:
    log, out = tmp_path / "log.csv", tmp_path / "synthrec.toml"
    if content is not None:
        log.write_text(content)
    result = CliRunner().invoke(cli, ["init", str(log), "--out", str(out)])
    if content == "user_id,item_id\n":  # names alone are enough for a proposal, or a clean refusal
        assert result.exit_code in (0, 2)
    else:
        assert result.exit_code == 2 and not out.exists(), result.output


def test_values_are_filled_in_only_for_columns_declared_public(owned: Path) -> None:
    silent, told = owned / "a.toml", owned / "b.toml"
    log = str(owned / "events.csv")
    assert CliRunner().invoke(cli, ["init", log, "--out", str(silent)]).exit_code == 0
    assert (
        CliRunner()
        .invoke(cli, ["init", log, "--out", str(told), "--values-are-public", "rating"])
        .exit_code
        == 0
    )

    def rating(path: Path) -> str:
        return next(line for line in path.read_text().splitlines() if line.startswith("rating"))

    assert '"?"' in rating(silent) and '"?"' not in rating(told)
    assert "values_are_public" in told.read_text()


def test_a_column_that_the_log_does_not_have_is_refused(owned: Path) -> None:
    out = owned / "new.toml"
    result = CliRunner().invoke(
        cli, ["init", str(owned / "events.csv"), "--out", str(out), "--values-are-public", "colour"]
    )
    assert result.exit_code == 2 and not out.exists()
