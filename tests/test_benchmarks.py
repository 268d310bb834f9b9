"""The benchmark's harness runs end to end, pairs what belongs together, and the documents say what
the results give.
"""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import arms, cells, figures, hashes, logs, peers, protocol, results, tables
from benchmarks.__main__ import pending, plan_cells, report
from synthrec.audit.scores import RatingErrors
from synthrec.audit.utility import Ladder, score_ladder
from synthrec.conformance.answers import CHARGE, QUICK, NullLedger
from synthrec.model import calibration
from synthrec.model.train import Means
from synthrec.privacy.accounting import Accountant
from synthrec.privacy.session import Session

LOG = "simulated-250"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, a small world, short post-processing."""
    for module in (logs, cells):
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(logs, "TEST_USERS", 60)
    monkeypatch.setattr(logs, "ITEMS", 80)
    monkeypatch.setattr(calibration, "ROUNDS", 2)
    monkeypatch.setattr(arms, "Means", partial(Means, effort=QUICK))
    return tmp_path


@pytest.fixture
def split(small: Path) -> logs.Split:
    return logs.load(LOG, seed=0)


def test_readme_tables_and_ablation_page_say_what_the_results_give() -> None:
    assert tables.inside(tables.SUMMARY.read_text(encoding="utf-8")) == tables.summary_block()
    assert tables.inside(tables.PAGE.read_text(encoding="utf-8")) == tables.page_block()
    assert tables.inside(tables.ABLATION.read_text(encoding="utf-8")) == tables.ablation_block()
    kept = json.loads(peers.RESULTS.read_text(encoding="utf-8"))
    assert tables.inside(peers.PAGE.read_text(encoding="utf-8")) == peers.table(kept)


def test_rewriting_the_documents_changes_their_blocks_only(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n", encoding="utf-8")
    tables.rewrite(summary=page, page=page, ablation=page)
    assert tables.outside(page.read_text(encoding="utf-8")) == ("before\n", "\nafter\n")
    assert tables.inside(page.read_text(encoding="utf-8")) == tables.ablation_block()


def test_the_harness_runs_end_to_end_and_skips_what_it_has(small: Path) -> None:
    asked = plan_cells(
        [LOG], [0], [8.0], ["bias-only", "synthrec", "game-off", "critic-without-data"]
    )
    assert pending(asked, data=small) == asked
    for cell in asked:
        cells.run(cell)
    assert pending(asked, data=small) == []
    report([LOG], [8.0], [0], list(arms.ARMS), data=small, folder=small / "results")
    found = results.read(LOG, 8.0, folder=small / "results")
    assert found is not None
    assert set(found["arms"]) == {
        "nothing",
        "popularity",
        "real",
        "bias-only",
        "synthrec",
        "game-off",
        "critic-without-data",
    }
    assert set(found["differences"]) == {"bias-only", "game-off", "critic-without-data"}
    ours = found["arms"]["synthrec"]
    assert set(ours["runs"]["0"]) == set(results.ABOUT_A_RUN) and len(ours["realism"]["0"]) == 6
    for arm, pair in found["differences"].items():
        for name in ("rmse", "ndcg"):
            assert pair[name]["value"] == pytest.approx(
                ours[name]["value"] - found["arms"][arm][name]["value"], abs=2e-5
            )
    assert (
        "per_user" not in json.dumps(found)
        and results.place(LOG, 8.0, folder=small / "results").stat().st_size < 20_000
    )


def test_a_fresh_clone_does_not_run_what_the_results_hold(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "recorded", lambda cell, **_: cell.arm == "moments")
    assert pending(plan_cells([LOG], [0], [8.0], ["moments"]), data=small) == []
    both = plan_cells([LOG], [0], [8.0], ["moments", "synthrec"])
    assert pending(both, data=small) == both, "a difference needs the figures per user of both arms"


def test_a_cell_that_another_process_runs_is_left_to_it(small: Path) -> None:
    cell = cells.Cell(LOG, 0, 8.0, "synthrec")
    with cells.claimed(cell) as mine:
        assert mine
        with cells.claimed(cell) as again:
            assert not again
    with cells.claimed(cell) as mine:
        assert mine


def test_every_arm_spends_the_same_epsilon(split: logs.Split) -> None:
    for name in arms.ARMS:
        plan = arms.plan_arm(name, schema=split.schema, epsilon=3.0, delta=split.delta)
        assert 2.9 < Accountant(plan.events()).epsilon(split.delta) <= 3.0, name


def test_game_off_asks_all_but_what_is_played(split: logs.Split) -> None:
    whole, off = (
        arms.plan_arm(name, schema=split.schema, epsilon=3.0, delta=split.delta)
        for name in ("synthrec", "game-off")
    )
    assert off.training is None and whole.training is not None
    assert {plan.name for plan in whole.measurements} - {
        plan.name for plan in off.measurements
    } <= set(arms.PLAYED)
    assert off.measurement("items").noise_multiplier < whole.measurement("items").noise_multiplier


def test_the_critics_of_the_ablation_meet_nobody_and_are_charged_and_noised_all_the_same(
    split: logs.Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, int] = {}

    def count(name: str, users: Any) -> None:
        asked[name] = sum(block.users for block in users.blocks())

    monkeypatch.setattr(
        Session, "noisy_sum", lambda self, name, users, vectors, **_: count(name, users)
    )
    monkeypatch.setattr(
        Session, "critic_batches", lambda self, users, vectors: count("game", users)
    )
    plan = arms.plan_arm("synthrec", schema=split.schema, epsilon=3.0, delta=split.delta)
    session = arms.NobodyForTheCritics(plan, ledger=NullLedger(), charge=CHARGE)
    for name in ("items", *arms.PLAYED):
        session.noisy_sum(name, split.bounded, None, size=2)
    session.critic_batches(split.bounded, None)
    assert asked == {
        "items": split.bounded.users,
        "game": 0,
        **dict.fromkeys(arms.PLAYED, 0),
    }


def test_users_come_in_an_order_that_no_shuffling_moves(split: logs.Split) -> None:
    users = split.test.users
    shuffled = split.test.select(np.random.default_rng(0).permutation(users))
    again = logs.in_lasting_order(shuffled)
    assert not np.array_equal(shuffled.item, split.test.item)
    assert np.array_equal(again.item, split.test.item) and np.array_equal(
        again.rating, split.test.rating
    )  # type: ignore[arg-type]


def test_arms_scored_apart_agree_with_the_audits_ladder(split: logs.Split) -> None:
    synthetic = split.train.select(np.arange(40))
    questions = protocol.Questions.of(split, seed=4)
    apart = questions.ladder_ends() | {"one": questions.score(synthetic, name="one")}
    from synthrec.audit.utility import ArmInput

    ladder: Ladder = score_ladder(
        train=split.train,
        test=split.test,
        arms={"one": ArmInput(log=synthetic, label="", epsilon=None, ledger_kind=None)},
        items=split.catalogue.size,
        scale=split.scale,
        events_per_user=split.events_per_user,
        rng=np.random.default_rng(4),
    )
    seed = figures.Seed(arms=apart, weights=questions.weights)
    for name, statistic in figures.statistics(apart["one"]).items():
        if name != "bias_rmse":
            mean, figure = figures.mean_over([seed], statistic), getattr(ladder, name)("one")
            assert (mean.value, mean.low, mean.high) == pytest.approx(
                (figure.value, figure.low, figure.high), rel=1e-5
            )
    difference, expected = (
        figures.mean_over([seed], figures.differences(apart["real"], apart["one"])["rmse"]),
        ladder.rmse_difference("real", other="one"),
    )
    assert expected is not None and (difference.low, difference.high) == pytest.approx(
        (expected.low, expected.high), rel=1e-4
    )
    assert apart["one"].realism == ladder.arms["one"].realism


def test_a_mean_over_seeds_has_the_spread_of_its_parts() -> None:
    rng = np.random.default_rng(0)

    def seed(shift: float) -> figures.Seed:
        squared = rng.chisquare(1, 400) + shift
        errors = RatingErrors(
            events=np.ones(400), squared=squared, absolute=squared, bias_squared=squared
        )
        weights = rng.multinomial(400, np.full(400, 1 / 400), 500).astype(np.float32)
        from synthrec.audit.utility import ArmScores

        return figures.Seed(
            arms={"one": ArmScores(name="one", label="", errors=errors)}, weights=weights
        )

    seeds = [seed(0.0), seed(1.0), seed(2.0)]
    statistic = figures.statistics(seeds[0].arms["one"])["rmse"]
    alone = [figures.mean_over([each], statistic) for each in seeds]
    together = figures.mean_over(seeds, statistic)
    assert together.value == pytest.approx(np.mean([each.value for each in alone]))
    assert together.high - together.low < min(each.high - each.low for each in alone)
    assert all(one < two for one, two in pairwise(together.by_seed))


def test_the_key_of_a_cell_moves_with_code_and_not_with_words(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hashes.bare('"""One."""\nx = 1  # why') == hashes.bare('"""Two."""\nx = 1')
    assert hashes.bare("x = 1") != hashes.bare("x = 2")
    one, other = cells.Cell(LOG, 0, 8.0, "synthrec"), cells.Cell(LOG, 0, 3.0, "synthrec")
    assert one.key() != other.key()
    before = one.key()
    monkeypatch.setattr(cells, "code_hash", lambda *_, **__: "other code")
    assert one.key() != before


def test_a_row_with_one_broken_limit_is_struck_out() -> None:
    limits = {"activity": {"distance": 0.2, "limit": 0.1, "binding": True}}
    figures_ = {
        "gap_closed": {"value": 0.5, "low": 0.4, "high": 0.6, "by_seed": [0.5, 0.5, 0.5]},
        "realism": {"0": limits},
    }
    assert tables._gap(figures_, "gap_closed") == "~~50% ± 0~~"
    limits["activity"]["distance"] = 0.05
    assert tables._gap(figures_, "gap_closed") == "50% ± 0"
    assert [
        protocol.binding("popularity (total variation)", epsilon=epsilon) for epsilon in (8.0, 3.0)
    ] == [True, False]
    assert protocol.binding("activity (total variation)", epsilon=1.0)
