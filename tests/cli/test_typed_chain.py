"""The chain on a log without ratings: purchases and cancellations in baskets, with prices of items
and countries of users.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from synthrec.audit.record import AuditRecord
from synthrec.cli.main import cli
from synthrec.report.record import read_record
from tests.data.typed import CONFIG, shop, write_items

MARK = "zebra-"


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_items(tmp_path_factory.mktemp("shop"))
    shop(person=MARK).to_csv(folder / "log.csv", index=False)
    (folder / "synthrec.toml").write_text(
        CONFIG.replace('{ role = "user" }', '{ role = "user", type = "text" }'), encoding="utf-8"
    )
    said = call(
        "run",
        folder / "log.csv",
        "--config",
        folder / "synthrec.toml",
        "--epsilon",
        "8",
        "--delta",
        "1e-4",
        "--out",
        folder / "release",
        "--model",
        "moments",
        "--device",
        "cpu",
        "--no-mechanism",
    )
    assert (
        said.exit_code in (0, 1, 3) and (folder / "release" / "share" / "report.html").exists()
    ), said.output
    return folder / "release"


def test_check_and_plan_take_the_configuration(release: Path) -> None:
    folder = release.parent
    plan = call("plan", folder / "synthrec.toml", "--epsilon", "8", "--delta", "1e-4")
    assert plan.exit_code == 0 and "marks" in plan.output and "habits" in plan.output
    check = call("check", folder / "log.csv", "--config", folder / "synthrec.toml")
    assert check.exit_code == 0, check.output
    assert "PRIVATE" in check.output and "rating " not in check.output


def test_the_synthetic_log_has_the_inputs_columns_and_nobody_in_it(release: Path) -> None:
    table = pq.read_table(release / "share" / "events.parquet")
    assert table.column_names == [*shop(users=1).columns]
    frame = table.to_pandas()
    assert frame["user_id"].nunique() == 600 and set(frame["action"]) <= {"buy", "cancel"}
    assert not any(MARK.encode() in path.read_bytes() for path in (release / "share").iterdir())


def test_the_audit_scores_by_ranking_attacks_and_compares_typed_events(release: Path) -> None:
    record = read_record(release / "private" / "audit.json", kind=AuditRecord)
    assert record.membership is not None and record.utility is not None
    assert (
        all(arm.rmse is None for arm in record.utility.protocol.ladder)
        and record.utility.protocol.ladder[-1].ndcg is not None
    )
    assert {each.name for each in record.utility.fidelity} >= {"cancel after buy", "country"}
    internal = (release / "private" / "report.internal.html").read_text(encoding="utf-8")
    assert "cancel after buy" in internal and "cancel after buy" not in (
        release / "share" / "report.html"
    ).read_text(encoding="utf-8")


def test_a_sample_as_csv_is_drawn_from_the_shared_half_alone(release: Path, tmp_path: Path) -> None:
    said = call("sample", release, "--users", "20", "--out", tmp_path / "more.csv", "--seed", "1")
    assert said.exit_code == 0, said.output
    assert (tmp_path / "more.csv").read_text(encoding="utf-8").splitlines()[0] == '"' + '","'.join(
        shop(users=1).columns
    ) + '"'
