"""A plan is simulated on people who never lived: nothing is read or spent, and what it says follows
from its figures.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from synthrec import simulate_plan as module
from synthrec.cli.main import cli
from synthrec.data.catalogue import Catalogue
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.inspection.page import foreign
from synthrec.model.recipe import plan_release
from synthrec.report.plan_page import SimulatedLevel, SimulatedPlan, plan_page


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A declaration and its catalogue, without the log."""
    folder = tmp_path_factory.mktemp("declared")
    path = simulate(users=300, items=60, seed=1).write(folder, events_per_user=40)
    for name in ("events.csv", "users.csv"):
        (folder / name).unlink()
    return path


def simulated(*gaps: tuple[float, float | None], population: int = 943) -> SimulatedPlan:
    return SimulatedPlan(
        source_name="a log <b>",
        population=population,
        simulated_users=min(population, 6_000),
        items=100,
        events_per_user=50,
        typical_events=25,
        open_columns=False,
        delta=1e-5,
        levels=tuple(
            SimulatedLevel(epsilon=epsilon, reach=0.5, ratings=gap, ranking=gap, seconds=1.0)
            for epsilon, gap in gaps
        ),
    )


def test_a_simulation_makes_a_table_and_a_page_and_opens_neither_log_nor_ledger(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EPSILONS", (8.0, math.inf))
    monkeypatch.setattr(module, "TEST_USERS", 60)
    monkeypatch.setattr(module, "MAX_USERS", 150)
    before = sorted(path.name for path in config.parent.iterdir())
    page, more = tmp_path / "plan.html", ("--model", "marginals", "--quiet")
    words = ["plan", str(config), "--simulate", "--delta", "1e-4", "--page", str(page), *more]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in config.parent.iterdir()) == before
    assert list(tmp_path.iterdir()) == [page]
    said = " ".join(done.output.split())
    assert "no noise" in said and "This is a simulation" in said and "With 300 people" in said
    assert "Instead of 300 people 150 were simulated" in said
    text = page.read_text(encoding="utf-8")
    assert foreign(text) is None and "<script" not in text and "Content-Security-Policy" in text


def test_a_killed_simulation_goes_on_where_it_was(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema, made = Schema.load(config), list[float]()
    monkeypatch.setattr(module, "EPSILONS", (1.0, 8.0, math.inf))

    def level(self: object, plan: module.Plan, **_: object) -> SimulatedLevel:
        made.append(plan.epsilon)
        if len(made) == 2:
            raise KeyboardInterrupt
        return SimulatedLevel(epsilon=plan.epsilon, reach=None, ratings=0.5, seconds=1.0)

    monkeypatch.setattr(module._Ready, "level", level)
    asked = {
        "delta": 1e-4,
        "model": "marginals",
        "parts": tmp_path / "parts",
        "progress": module.Progress(),
    }
    with pytest.raises(KeyboardInterrupt):
        module.simulate_plan(schema, **asked)  # type: ignore[arg-type]
    found = module.simulate_plan(schema, **asked)  # type: ignore[arg-type]
    assert [each.epsilon for each in found.levels] == list(module.EPSILONS)
    assert made == [1.0, 8.0, 8.0, math.inf]


def test_fewer_people_get_noise_that_is_as_large_beside_their_sums(config: Path) -> None:
    schema = Schema.load(config)
    source = schema.source.model_copy(update={"population": 60_000})
    many = schema.model_copy(update={"source": source})
    plan = plan_release(many, epsilon=1.0, delta=1e-6)
    fewer = module.for_fewer(plan, 6_000)
    for name in ("items", "activity"):
        ratio = fewer.measurement(name).noise_std / plan.measurement(name).noise_std
        assert ratio == pytest.approx(0.1)


def test_the_people_are_of_the_declared_shape(config: Path) -> None:
    schema, rng = Schema.load(config), np.random.default_rng(0)
    world = module.World.of(schema, Catalogue.read(schema), rng=rng)
    log = world.people(400, rng=rng)
    assert log.users == 400 and 10 < log.activity.mean() < 30
    assert set(np.unique(log.rating)) == {1, 2, 3, 4, 5}
    assert set(log.attributes) == set(schema.user_attributes)
    for user in range(20):
        items = log.item[log.offsets[user] : log.offsets[user + 1]]
        assert len(set(items.tolist())) == len(items)


@pytest.mark.parametrize(
    ("gaps", "said"),
    [
        ((0.0, 0.1, 0.5, 0.7, 0.9), "With 943 people, nothing below epsilon 3 is worth having."),
        ((0.6, 0.7, 0.8, 0.88, 0.9), "epsilon 0.5 is worth having already. Of what is reached"),
        ((0.6, 0.7, 0.8, 0.88, 0.9), "epsilon 1 costs 20 points"),
        ((None, None, 0.1, 0.2, 0.9), "no epsilon up to 8 is worth having"),
        ((None, None, 0.1, 0.2, -0.1), "even without noise"),
    ],
)
def test_the_plain_sentence_follows_from_the_figures(
    gaps: tuple[float | None, ...], said: str
) -> None:
    plan = simulated(*zip(module.EPSILONS, gaps, strict=True))
    assert said in plan.sentences()[0]
    page = plan_page(plan)
    assert foreign(page) is None and "a log &lt;b&gt;" in page


def test_without_epsilon_a_plan_is_not_made(config: Path) -> None:
    done = CliRunner().invoke(cli, ["plan", str(config), "--delta", "1e-4"])
    assert done.exit_code == 2 and "--epsilon" in done.output
