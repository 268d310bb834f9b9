"""A game that went wrong is set aside by a rule that sees the generator alone; a healthy one is
kept.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from synthrec import pipeline
from synthrec.data.schema import Schema
from synthrec.errors import DataError
from synthrec.model.artifact import Artifact
from synthrec.model.generator import Generator
from synthrec.model.train import anchored, check_collapse, failure_reason
from synthrec.progress import Progress
from tests.data import small as tables
from tests.model.small import make_log, make_plan, prepared, quick, trained


class RecordingProgress(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        return trained(make_log(), tmp_path_factory.mktemp("watched"))[0]


def anchor_of(artifact: Artifact) -> Generator:
    return anchored(artifact.estimates, rng=np.random.default_rng(0))


def changed(generator: Generator, change: Callable[[Generator], None]) -> Generator:
    other = copy.deepcopy(generator)
    with torch.no_grad():
        change(other)
    return other


def not_a_number(generator: Generator) -> None:
    generator.residual[-1].weight[0, 0] = float("nan")


def huge(generator: Generator) -> None:
    generator.residual[-1].bias += 1e30


def shifted(generator: Generator) -> None:
    generator.residual[-1].bias += (
        0.6 * torch.linalg.matrix_norm(generator.factor) / len(generator.scale) ** 0.5
    )


def everybody_alike(generator: Generator) -> None:
    generator.factor *= 0.1


def everybody_extreme(generator: Generator) -> None:
    generator.factor *= 1.6


def one_direction(generator: Generator) -> None:
    """The same whole variance, all of it along one taste."""
    whole = torch.linalg.matrix_norm(generator.factor)
    generator.factor *= 0
    generator.factor[0, 0] = whole


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (not_a_number, "weights are not finite"),
        (huge, "drifted|not finite"),
        (shifted, "drifted"),
        (everybody_alike, "vary 0.01"),
        (everybody_extreme, "vary 2.6"),
        (one_direction, "of the directions"),
    ],
)
def test_a_generator_made_to_diverge_or_collapse_is_set_aside(
    change: Callable[[Generator], None], said: str, artifact: Artifact
) -> None:
    anchor, heard = anchor_of(artifact), RecordingProgress()
    anchor.factor.copy_(
        torch.eye(len(anchor.factor)) / 4
    )  # noise on so small a log may leave it one direction
    found = check_collapse(
        changed(anchor, change),
        anchor=anchor,
        estimates=artifact.estimates,
        rng=np.random.default_rng(1),
        progress=heard,
    )
    assert (
        found.generator is anchor
        and found.game.startswith("set aside: ")
        and "set aside" in heard.lines[0]
    )
    assert any(part in found.game for part in said.split("|")), found.game


def test_a_healthy_game_is_kept_and_nothing_is_said(artifact: Artifact) -> None:
    anchor, heard = anchor_of(artifact), RecordingProgress()
    found = check_collapse(
        artifact.generator,
        anchor=anchor,
        estimates=artifact.estimates,
        rng=np.random.default_rng(1),
        progress=heard,
    )
    assert found.generator is artifact.generator and found.game == "kept" and heard.lines == []
    assert (
        failure_reason(
            anchor, anchor=anchor, estimates=artifact.estimates, rng=np.random.default_rng(1)
        )
        is None
    )


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_training_that_diverges_ends_with_the_anchor_and_says_so_in_the_release(
    rate: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    plan = make_plan(prepared(tmp_path)[0])
    assert plan.training is not None
    plan = plan.model_copy(
        update={"training": plan.training.model_copy(update={"generator_rate": rate})}
    )
    found, _ = trained(make_log(), tmp_path, plan=plan)
    assert found.game is not None and found.game.startswith("set aside: ")
    assert all(bool(torch.isfinite(weight).all()) for weight in found.generator.parameters())
    assert (
        found.generator.residual[-1].weight.abs().max() == 0
    )  # as anchored: the game taught nothing
    found.save(tmp_path)
    assert Artifact.load(tmp_path).game == found.game


def test_a_catalogue_of_one_item_is_refused_before_anything_is_charged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    schema = Schema.parse(
        tables.config(("population = 50", "population = 500")), folder=tables.write_tables(tmp_path)
    )
    lines = (tmp_path / "items.csv").read_text().splitlines(keepends=True)
    (tmp_path / "items.csv").write_text("".join(lines[:2]))
    with pytest.raises(DataError, match="at least two items"):
        pipeline.fit(
            tables.events(),
            schema=schema,
            epsilon=8,
            delta=1e-4,
            out=tmp_path / "release",
            device="cpu",
            synthetic_users=5,
        )
    assert not schema.ledger_path.exists()
