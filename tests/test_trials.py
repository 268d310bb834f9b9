"""A trial is for its owner alone: charged and counted like a release, said in the next release's
record, and nobody's to pass on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from synthrec.cli.main import cli
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.errors import PlanError
from synthrec.model.recipe import plan_release
from synthrec.privacy.ledger import Ledger
from synthrec.synthesizer import Synthesizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    simulate(users=200, items=20, seed=5).write(tmp_path, events_per_user=20)
    config = tmp_path / "synthrec.toml"
    lines = [
        "epsilon_cap = 6.0" if line.startswith("epsilon_cap") else line
        for line in config.read_text(encoding="utf-8").splitlines()
    ]
    config.write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def fit(folder: Path, out: str, *more: str, epsilon: float = 4.0) -> Result:
    words = (
        "fit",
        folder / "events.csv",
        "--config",
        folder / "synthrec.toml",
        "--epsilon",
        epsilon,
        "--delta",
        "1e-4",
        "--model",
        "marginals",
        "--device",
        "cpu",
        "--quiet",
        "--out",
        folder / out,
        *more,
    )
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_a_trial_counts_and_the_next_release_says_so(folder: Path) -> None:
    assert fit(folder, "trial", "--kind", "trial", epsilon=2.0).exit_code == 0
    schema = Schema.load(folder / "synthrec.toml")
    assert {entry.kind for entry in Ledger.read(schema.ledger_path).entries} == {"trial"}
    assert fit(folder, "release", epsilon=2.0).exit_code == 0
    first, second = (Synthesizer.load(folder / name).record for name in ("trial", "release"))
    assert (second.trials, second.releases_before, second.try_number) == (1, 1, 2)
    assert second.ledger_total > second.epsilon and first.epsilon == second.epsilon
    shown = CliRunner().invoke(
        cli, ["ledger", "show", str(schema.ledger_path), "--config", str(folder / "synthrec.toml")]
    )
    assert "trial" in shown.output and "all 2 releases and trials" in shown.output


def is_refused_after_a_trial(folder: Path) -> bool:
    assert fit(folder, "trial", "--kind", "trial").exit_code == 0
    return fit(folder, "release").exit_code == 2


def test_a_trial_leaves_less_under_the_cap(folder: Path) -> None:
    assert is_refused_after_a_trial(folder)


def test_a_ledger_that_counts_releases_alone_is_caught(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def releases(self: Ledger) -> Any:
        return tuple(entry for entry in self.entries if entry.kind == "release")

    honest = Ledger.of_release
    monkeypatch.setattr(Ledger, "counted", releases)
    monkeypatch.setattr(
        Ledger,
        "of_release",
        lambda self, release_id: (
            tuple(entry for entry in self.entries if entry.release_id == release_id)
            or honest(self, release_id)
        ),
    )
    assert not is_refused_after_a_trial(folder)


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_trial_passes_for_no_release(command: str, folder: Path) -> None:
    assert fit(folder, "trial", "--kind", "trial").exit_code == 0
    said = CliRunner().invoke(cli, [command, str(folder / "trial")])
    assert said.exit_code == 1 and "an entry of a trial" in said.output


def test_no_fit_is_internal_which_would_escape_the_cap(folder: Path) -> None:
    schema = Schema.load(folder / "synthrec.toml")
    synthesizer = Synthesizer(
        schema, plan_release(schema, epsilon=4.0, delta=1e-4, model="marginals")
    )
    with pytest.raises(PlanError, match="release or trial"):
        synthesizer.fit(str(folder / "events.csv"), kind="internal")  # type: ignore[arg-type]
    assert (
        not schema.ledger_path.exists() and fit(folder, "out", "--kind", "internal").exit_code == 2
    )
