from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from synthrec import pipeline
from synthrec.cli import demo as demo_module
from synthrec.cli.main import cli


def demo(*words: str) -> Result:
    return CliRunner().invoke(cli, ["demo", *words])


def check_outcome(result: Result, folder: Path) -> None:
    assert result.exit_code in (0, 1, 3), result.output
    lines = [line for line in result.stdout.splitlines() if line]
    for words, file in (
        ("synthetic log", "share/events.parquet"),
        ("report for you", "private/report.internal.html"),
    ):
        line = next(line for line in lines if line.startswith(words))
        assert (
            line.endswith(f"{folder.name}/release/{file}") and (folder / "release" / file).exists()
        )
    said = " ".join(result.stdout.split())
    assert said.count(" films from ") + said.count(" films in ") == 5 and "Five of them" in said
    assert (folder / "utility.svg").exists() and "utility.svg" in said
    assert (
        result.stdout.count(" user") >= 2 and "differential privacy for each user" in result.stdout
    )
    assert lines[-1].strip().startswith("synthrec init")


def test_demo_runs_the_whole_chain_with_the_gan_and_says_what_came_out_and_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_module, "ITEMS", 60)
    result = demo("--out", str(tmp_path / "tried"), "--users", "300", "--quiet")
    check_outcome(result, tmp_path / "tried")
    inspected = CliRunner().invoke(cli, ["inspect", str(tmp_path / "tried" / "release"), "--brief"])
    assert inspected.exit_code == 0, inspected.output


def test_demo_checks_the_mechanism_when_it_is_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def run(*_: Any, mechanism: bool, **__: Any) -> None:
        asked.append(mechanism)
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", run)
    for place, words in enumerate(([], ["--mechanism"])):
        demo("--out", str(tmp_path / f"tried{place}"), "--users", "200", *words)
    assert asked == [False, True]


def test_demo_does_not_touch_a_folder_that_exists(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    result = demo("--out", str(tmp_path / "mine"))
    assert result.exit_code == 2 and "must not exist yet" in result.stderr
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.slow
def test_the_demo_of_the_readme_takes_less_than_three_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.chdir(tmp_path)
    begun = time.perf_counter()
    check_outcome(demo("--quiet"), tmp_path / "synthrec-demo")
    assert time.perf_counter() - begun < 180
