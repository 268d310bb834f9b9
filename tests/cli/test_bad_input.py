"""Bad input: exit code 2, one message, nothing written, nothing spent, no value of the log."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from synthrec.cli.main import cli

MARK = "zebra"


def tree(folder: Path) -> dict[str, bytes]:
    """Every file with its contents, except the source's secret key and a ledger without entries:
    neither holds anything.
    """
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def run(
    folder: Path,
    *,
    log: str = "events.csv",
    epsilon: str = "8",
    delta: str = "1e-4",
    out: str = "release",
    command: str = "fit",
) -> Result:
    words = [
        command,
        str(folder / log),
        "--config",
        str(folder / "synthrec.toml"),
        "--epsilon",
        epsilon,
        "--delta",
        delta,
    ]
    return CliRunner().invoke(
        cli,
        [*words, "--out", str(folder / out), "--device", "cpu", "--model", "moments", "--quiet"],
    )


def rewrite(
    folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame], name: str = "events.csv"
) -> None:
    change(pd.read_csv(folder / name)).to_csv(folder / name, index=False)


def configure(folder: Path, pattern: str, to: str) -> None:
    path = folder / "synthrec.toml"
    text, found = re.subn(pattern, to, path.read_text(), count=1)
    assert found, pattern
    path.write_text(text)


def corrupt_parquet(folder: Path) -> None:
    frame = pd.read_csv(folder / "events.csv")
    frame.to_parquet(folder / "events.parquet")
    body = (folder / "events.parquet").read_bytes()
    (folder / "events.parquet").write_bytes(body[: len(body) // 2])


def truncated_gz(folder: Path) -> None:
    body = gzip.compress((folder / "events.csv").read_bytes())
    (folder / "events.csv.gz").write_bytes(body[: len(body) // 2])


SPOILED: dict[str, tuple[Callable[[Path], object], dict[str, str], str]] = {
    "missing file": (lambda f: (f / "events.csv").unlink(), {}, ""),
    "empty file": (lambda f: (f / "events.csv").write_text(""), {}, ""),
    "header only": (
        lambda f: (f / "events.csv").write_text("user_id,item_id,rating,timestamp\n"),
        {},
        "",
    ),
    "binary file": (lambda f: (f / "events.csv").write_bytes(bytes(range(256)) * 40), {}, ""),
    "truncated gz": (truncated_gz, {"log": "events.csv.gz"}, ""),
    "corrupt parquet": (corrupt_parquet, {"log": "events.parquet"}, ""),
    "missing column": (lambda f: rewrite(f, lambda d: d.drop(columns="rating")), {}, "rating"),
    "wholly unparsable column": (
        lambda f: rewrite(f, lambda d: d.assign(rating=MARK)),
        {},
        "rating",
    ),
    "milliseconds for seconds": (
        lambda f: rewrite(f, lambda d: d.assign(timestamp=d["timestamp"] * 1000)),
        {},
        'unit = "ms"',
    ),
    "a declaration is missing": (
        lambda f: configure(f, r"population = \d+", 'population = "?"'),
        {},
        "population",
    ),
    "a configuration that is no TOML": (
        lambda f: (f / "synthrec.toml").write_text("[source\n"),
        {},
        "",
    ),
    "epsilon 0": (lambda f: None, {"epsilon": "0"}, "epsilon"),
    "negative epsilon": (lambda f: None, {"epsilon": "-1"}, "epsilon"),
    "epsilon is no number": (lambda f: None, {"epsilon": "nan"}, "epsilon"),
    "delta above 1/population": (lambda f: None, {"delta": "0.1"}, "delta"),
    "a plan that the declared population cannot bear": (
        lambda f: None,
        {"epsilon": "0.001"},
        "population",
    ),
    "delta 0": (lambda f: None, {"delta": "0"}, "delta"),
    "epsilon above the cap": (
        lambda f: configure(f, r"epsilon_cap = [\d.]+", "epsilon_cap = 0.5"),
        {},
        "cap",
    ),
    "the release folder exists": (lambda f: (f / "release").mkdir(), {}, "release"),
    "the release folder is a file": (lambda f: (f / "release").write_text("x"), {}, "release"),
    "the release's parent is a file": (lambda f: None, {"out": "events.csv/release"}, ""),
    "duplicate item ids": (
        lambda f: rewrite(f, lambda d: pd.concat([d, d.head(3)]), "items.csv"),
        {},
        "items.csv",
    ),
    "missing catalogue": (lambda f: (f / "items.csv").unlink(), {}, "items.csv"),
    "missing user table": (lambda f: (f / "users.csv").unlink(), {}, "users.csv"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_bad_input_is_one_message_and_leaves_nothing_behind(owned: Path, case: str) -> None:
    spoil, words, named = SPOILED[case]
    rewrite(owned, lambda frame: frame.assign(comment=MARK))
    spoil(owned)
    before = tree(owned)
    result = run(owned, **words)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("synthrec: ") and result.stderr.count("\n") == 1, result.stderr
    assert named in result.stderr
    assert MARK not in result.output
    assert tree(owned) == before, "nothing written and nothing spent"


def test_unlisted_columns_are_dropped_and_said_once(owned: Path) -> None:
    rewrite(owned, lambda frame: frame.assign(comment=MARK))
    words = [
        "fit",
        str(owned / "events.csv"),
        "--config",
        str(owned / "synthrec.toml"),
        "--epsilon",
        "8",
        "--delta",
        "1e-4",
    ]
    result = CliRunner().invoke(
        cli, [*words, "--out", str(owned / "release"), "--device", "cpu", "--model", "marginals"]
    )
    assert result.exit_code == 0, result.output
    assert result.stderr.count("comment") == 1 and MARK not in result.output


def test_rows_outside_the_declared_domain_are_dropped_without_a_word(owned: Path) -> None:
    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype({"rating": object, "user_id": object})
        frame.loc[frame.index[:5], "rating"] = 99
        frame.loc[frame.index[5:9], "user_id"] = None
        frame.loc[frame.index[9:12], "item_id"] = 10**9
        return pd.concat([frame, frame.tail(4)])

    rewrite(owned, spoil)
    result = run(owned)
    assert result.exit_code == 0 and result.stderr == "", result.output


def test_a_refused_release_leaves_no_folder_that_was_made_for_it(owned: Path) -> None:
    assert run(owned, log="absent.csv", out="new/place/release").exit_code == 2
    assert not (owned / "new").exists()


def test_an_empty_path_is_not_the_folder_that_one_stands_in(
    owned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(owned)
    words = [
        "fit",
        "",
        "--config",
        "synthrec.toml",
        "--epsilon",
        "8",
        "--delta",
        "1e-4",
        "--out",
        "release",
    ]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2 and "empty path" in result.stderr, result.output


def test_run_refuses_like_fit(owned: Path) -> None:
    assert run(owned, command="run", epsilon="0").exit_code == 2
    assert not (owned / "release").exists()
