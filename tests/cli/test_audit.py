"""`synthrec audit` on any tool's tables, and on a second run of a release that kept nobody back."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from synthrec.audit.attacks import controls
from synthrec.audit.record import AuditRecord, Comparison, Verdict
from synthrec.cli.main import cli
from synthrec.cli.outcome import echo_audit
from synthrec.privacy.ledger import Ledger
from synthrec.report.record import ReleaseRecord, read_record
from tests.cli.test_chain import MARK, fit_words, marked
from tests.report import records

KEY = b"a key for tests, of thirty-two b"


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture(scope="module")
def tables(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A marked log cut into members and holdout users, and two synthetic logs: copies of members,
    and other people.
    """
    log = marked(simulated, tmp_path_factory.mktemp("tables") / "log")
    events = pd.read_csv(log / "events.csv")
    users = events["user_id"].unique()
    order = np.random.default_rng(3).permutation(users)
    parts = {"members": order[:130], "holdout": order[130:230], "others": order[230:]}
    for name, some in parts.items():
        events[events["user_id"].isin(some)].to_csv(log / f"{name}.csv", index=False)
    events[events["user_id"].isin(parts["members"])].sample(frac=1.0, random_state=0).to_csv(
        log / "copies.csv", index=False
    )
    return log


def words(log: Path, synthetic: str, out: Path, *more: str) -> tuple[str | Path, ...]:
    """An audit that draws the same reference users each time: by its policy one in twenty audits of
    innocent logs raises an alarm.
    """
    (out / "private").mkdir(mode=0o700, parents=True, exist_ok=True)
    (out / "private" / "roles.key").write_bytes(KEY)
    return (
        "audit",
        "--config",
        log / "synthrec.toml",
        "--synthetic",
        log / synthetic,
        "--members",
        log / "members.csv",
        "--holdout",
        log / "holdout.csv",
        "--out",
        out,
        "--quiet",
        *more,
    )


def record(out: Path) -> AuditRecord:
    return read_record(out / "private" / "audit.json", kind=AuditRecord)


def test_copies_of_members_are_a_leak_whoever_made_them_and_refute_the_claim_made_for_them(
    tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "synthrec.audit.verdict.groups_differ", lambda *_, **__: False
    )  # by policy one in twenty of any audits
    result = call(*words(tables, "copies.csv", tmp_path / "plain"))
    assert result.exit_code == 1 and record(tmp_path / "plain").verdict is Verdict.LEAK_DETECTED, (
        result.output
    )
    claimed = call(
        *words(tables, "copies.csv", tmp_path / "claimed", "--epsilon", "0.5", "--delta", "1e-4")
    )
    assert (
        claimed.exit_code == 1 and record(tmp_path / "claimed").verdict is Verdict.CLAIM_REFUTED
    ), claimed.output
    assert MARK not in result.output + claimed.output
    assert (
        record(tmp_path / "claimed").split.coined_in == 0
        and record(tmp_path / "claimed").lower_bound is None
    )  # nobody said fair coins


def test_people_who_are_in_neither_part_are_no_leak(tables: Path, tmp_path: Path) -> None:
    result = call(
        *words(
            tables,
            "others.csv",
            tmp_path / "out",
            "--epsilon",
            "3",
            "--delta",
            "1e-4",
            "--fair-coins",
        )
    )
    found = record(tmp_path / "out")
    assert found.verdict in (Verdict.NO_LEAK_FOUND, Verdict.INCONCLUSIVE) and result.exit_code in (
        0,
        3,
    ), result.output
    assert found.subject == "tables" and found.epsilon == 3 and found.release_id is None
    assert found.split.reference > 0 and found.split.test > 0
    assert (
        0 < found.split.coined_in < found.split.trained
    )  # as many are left out, by the same draw, as holdout users play other parts
    if "groups differ" in found.reason:  # of groups dealt by chance, one audit in twenty
        assert found.lower_bound is None
    else:
        assert found.lower_bound is not None and found.lower_bound.claimed == 3
    assert (tmp_path / "out" / "private").stat().st_mode & 0o077 == 0
    first, rest = result.stdout.strip().split("\n\n", 1)
    assert first.startswith(found.verdict.value) and rest.startswith("PRIVATE")
    assert len(rest.splitlines()) <= 20 and "strongest attack" in rest
    page = (tmp_path / "out" / "private" / "report.audit.html").read_text()
    assert found.verdict.value in page and 'id="risks"' in page and "PRIVATE" in page
    assert MARK not in page + result.stdout


def test_somebody_who_is_member_and_holdout_user_is_refused_and_not_named(
    tables: Path, tmp_path: Path
) -> None:
    both = pd.concat(
        [pd.read_csv(tables / "holdout.csv"), pd.read_csv(tables / "members.csv").tail(1)]
    )
    both.to_csv(tables / "both.csv", index=False)
    for option in ("--holdout", "--reference"):
        result = call(
            *words(tables, "others.csv", tmp_path / "out", option, str(tables / "both.csv"))
        )
        assert (
            result.exit_code == 2
            and "different people" in result.stderr
            and MARK not in result.output
        ), result.output


def test_a_configuration_with_open_columns_is_refused(tables: Path, tmp_path: Path) -> None:
    text = (tables / "synthrec.toml").read_text()
    open_items = "\n".join(
        'item_id = { role = "item", vocabulary = "dp" }' if line.startswith("item_id") else line
        for line in text.split("[items]")[0].splitlines()
    )
    (tables / "open.toml").write_text(open_items)
    result = call(
        *words(tables, "others.csv", tmp_path / "out", "--config", str(tables / "open.toml"))
    )
    assert result.exit_code == 2 and "every domain declared" in result.stderr, result.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--epsilon", "3"), "an epsilon and a delta"),
        (("--epsilon", "-1", "--delta", "1e-4"), "finite epsilon"),
        (("--epsilon", "nan", "--delta", "1e-4"), "finite epsilon"),
    ],
)
def test_half_a_claim_and_no_number_are_refused(
    change: tuple[str, ...], said: str, tables: Path, tmp_path: Path
) -> None:
    result = call(*words(tables, "others.csv", tmp_path / "out", *change))
    assert result.exit_code == 2 and said in result.output and MARK not in result.output


def test_what_to_audit_must_be_said_in_one_way(tables: Path, tmp_path: Path) -> None:
    assert (
        "--holdout"
        in call(
            "audit", "--config", tables / "synthrec.toml", "--synthetic", tables / "others.csv"
        ).output
    )
    for wrong in (
        ("audit",),
        ("audit", tmp_path),
        ("audit", tmp_path, "--log", "x", "--synthetic", "y"),
        words(tables, "others.csv", tmp_path / "out", "--sacrifice"),
    ):
        assert call(*wrong).exit_code == 2


def test_a_synthetic_log_of_real_ids_other_items_and_broken_rows_is_audited_or_refused_without_a_cell(
    tables: Path, tmp_path: Path
) -> None:
    odd = pd.read_csv(tables / "others.csv", dtype=str)
    real = pd.read_csv(tables / "members.csv")["user_id"].unique()
    odd["user_id"] = real[pd.factorize(odd["user_id"])[0]]  # as peers do that have a user column
    odd.loc[::3, "item_id"] = f"{MARK}-item"
    odd.loc[1::5, "rating"] = "zebra stripes"
    pd.concat([odd, odd.head(50)]).iloc[:, ::-1].to_csv(tables / "odd.csv", index=False)
    result = call(*words(tables, "odd.csv", tmp_path / "out"))
    assert result.exit_code in (0, 1, 3) and MARK not in result.output, result.output
    pd.DataFrame({"user_id": [f"{MARK}-1"], "nothing": [1]}).to_csv(
        tables / "bare.csv", index=False
    )
    result = call(*words(tables, "bare.csv", tmp_path / "other"))
    assert result.exit_code == 2 and MARK not in result.output


def test_a_release_that_kept_nobody_back_is_attacked_through_a_second_run_that_is_charged_once(
    simulated: Path, tmp_path: Path
) -> None:
    log = marked(simulated, tmp_path / "log")
    release = tmp_path / "release"
    assert call(*fit_words(log, release)).exit_code == 0
    before = Ledger.read(log / "ledger.jsonl").entries if (log / "ledger.jsonl").exists() else None
    assert (
        call(
            "sample", release, "--users", "300", "--out", release / "share" / "events.parquet"
        ).exit_code
        == 0
    )
    plain = call("audit", release, "--log", log / "events.csv", "--quiet")
    assert plain.exit_code == 3 and "--sacrifice" in plain.output
    result = call("audit", release, "--log", log / "events.csv", "--sacrifice", "--quiet")
    found = record(release)
    assert (
        result.exit_code == found.verdict.exit_code
        and found.subject == "second run"
        and found.split.coined_in > 0
    ), result.output
    listed = read_record(release / "share" / "release.json", kind=ReleaseRecord)
    assert listed.internal.count == 1 and MARK not in result.output
    synthetic = (release / "private" / "sacrifice" / "synthetic" / "item.npy").read_bytes()
    again = call("audit", release, "--log", log / "events.csv", "--sacrifice", "--quiet")
    assert (release / "private" / "sacrifice" / "synthetic" / "item.npy").read_bytes() == synthetic
    assert again.exit_code == record(release).verdict.exit_code
    assert read_record(release / "share" / "release.json", kind=ReleaseRecord).internal.count == 1
    assert before is None or len(before) > 0
    pd.read_csv(log / "events.csv").iloc[3000:].to_csv(log / "other.csv", index=False)
    other = call("audit", release, "--log", log / "other.csv", "--sacrifice", "--quiet")
    assert other.exit_code == 2 and "another log" in other.stderr


def test_an_audit_that_died_goes_on_where_it_was(
    tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthrec import auditing

    asked: list[str] = []
    honest = auditing._attacked

    def counted(*given: object, **options: object) -> object:
        asked.append("attacks")
        return honest(*given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(auditing, "_attacked", counted)
    monkeypatch.setattr(
        auditing, "measure_utility", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    assert call(*words(tables, "others.csv", tmp_path / "out")).exit_code != 0
    monkeypatch.undo()
    monkeypatch.setattr(auditing, "_attacked", counted)
    assert call(*words(tables, "others.csv", tmp_path / "out")).exit_code in (0, 3)
    assert asked == ["attacks"]
    assert not (tmp_path / "out" / "private" / "audit-parts").exists()
    assert (
        json.loads((tmp_path / "out" / "private" / "audit.json").read_text())["subject"] == "tables"
    )
    shutil.rmtree(tmp_path / "out")


def compare_words(log: Path, out: Path, *more: str | Path) -> tuple[str | Path, ...]:
    base = words(log, "others.csv", out)
    kept = base[: base.index("--synthetic")] + base[base.index("--synthetic") + 2 :]
    return ("audit", "--compare", *more, *kept[1:])


def test_several_logs_are_compared_on_the_same_people_and_the_worst_decides(
    tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cheap = replace(controls.WORKLOADS["quick"], draws=1, resamples=20)
    monkeypatch.setitem(controls.WORKLOADS, "quick", cheap)
    monkeypatch.setattr("synthrec.audit.verdict.groups_differ", lambda *_, **__: False)
    monkeypatch.setattr("synthrec.comparing.measure_fidelity", lambda *_, **__: ())
    logs = (tables / "others.csv", tables / "copies.csv")
    result = call(*compare_words(tables, tmp_path / "out", *logs))
    private = tmp_path / "out" / "private"
    found = Comparison.model_validate_json((private / "comparison.json").read_text())
    assert found.names == ("others.csv", "copies.csv")
    assert found.audits[1].verdict is Verdict.LEAK_DETECTED
    assert result.exit_code == found.exit_code == 1, result.output
    blind = [audit.membership.controls.blind for audit in found.audits if audit.membership]
    assert blind[0] == blind[1]  # the same people by the same draws
    attacked, error, ranking = found.differences
    assert attacked.better == "others.csv" and attacked.difference.high < 0
    # whoever has nothing held out that can be a hit is in no ranking
    assert 0 < ranking.difference.n <= error.difference.n
    page = (private / "report.audit.html").read_text()
    assert "PRIVATE" in page and "others.csv less copies.csv" in page and "<script" not in page
    assert MARK not in result.output + page
    assert (private / "report.audit.html").stat().st_mode & 0o077 == 0


def test_what_is_compared_must_be_several_logs_of_the_same_people(
    tables: Path, tmp_path: Path
) -> None:
    one, out = tables / "others.csv", tmp_path / "out"
    for wrong, said in (
        (compare_words(tables, out, one), "two or more"),
        ((*compare_words(tables, out, one, one), "--epsilon", "3"), "--epsilon does not go"),
        (compare_words(tables, out, one, one)[:4], "--config"),
        (("audit", one, one, "--log", one), "--compare"),
        (("audit", "--compare", one, one, "--log", one, "--out", out), "same people back"),
    ):
        result = call(*wrong)
        assert result.exit_code == 2 and said in result.stderr, result.output


def test_the_verdict_comes_first_then_at_most_twenty_lines_and_every_figure_if_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = records.audit()
    assert record.membership is not None and record.disclosure is not None
    printed = []
    for verbose in (False, True):
        echo_audit(record, verbose=verbose)
        printed.append(capsys.readouterr().out.strip())
        assert printed[-1].startswith(record.verdict.value) and "PRIVATE" in printed[-1]
    short, whole = (text.split("PRIVATE", 1)[1] for text in printed)
    assert len(short.splitlines()) <= 20 < len(whole.splitlines())
    assert record.membership.headline in short
    for name in [attack.name for attack in record.membership.attacks]:
        assert name[:41] in whole


def test_columns_that_nobody_declared_cannot_be_known_or_secret(
    tables: Path, tmp_path: Path
) -> None:
    result = call(*words(tables, "others.csv", tmp_path / "out", "--known", "height"))
    assert result.exit_code == 2 and "height" in result.stderr and "rating" in result.stderr
