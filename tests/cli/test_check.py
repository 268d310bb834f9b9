from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from synthrec.cli.main import cli


def check(folder: Path, *more: str) -> Result:
    return CliRunner().invoke(
        cli,
        [
            "check",
            str(folder / "events.csv"),
            "--config",
            str(folder / "synthrec.toml"),
            "--quiet",
            *more,
        ],
    )


def test_every_line_of_the_diagnostics_is_marked_private_and_nothing_is_left_on_disk(
    owned: Path,
) -> None:
    before = {path for path in owned.rglob("*") if path.is_file()}
    result = check(owned)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines and all(line.startswith("PRIVATE") for line in lines)
    assert {path for path in owned.rglob("*") if path.is_file()} == before


def test_check_spends_nothing(owned: Path) -> None:
    check(owned)
    assert not list(owned.glob("*.ledger.jsonl"))


def test_opt_outs_are_counted_out(owned: Path) -> None:
    users = [line.split(",")[0] for line in (owned / "users.csv").read_text().splitlines()[1:]]
    (owned / "out.txt").write_text("\n".join(users[:100]) + "\n")
    with_all, without = (
        check(owned).stdout,
        check(owned, "--exclude-users", str(owned / "out.txt")).stdout,
    )
    assert "users 300" in with_all and "users 200" in without


def test_a_missing_log_or_configuration_is_one_message(owned: Path) -> None:
    (owned / "events.csv").unlink()
    result = check(owned)
    assert result.exit_code == 2 and result.stderr.startswith("synthrec: ")
    (owned / "synthrec.toml").unlink()
    assert check(owned).exit_code == 2
