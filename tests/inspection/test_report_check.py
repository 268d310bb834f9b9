"""`synthrec report --check`: everything follows from the records, and each saboteur is seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from markupsafe import Markup

from synthrec.audit.record import AuditRecord
from synthrec.audit.verdict import conclude, policy
from synthrec.cli.main import cli
from synthrec.data.simulator import simulate
from synthrec.report.record import ReleaseRecord, read_record, write_record
from tests.manifests import write_manifest
from tests.report.records import audit, brief, lower_bound, membership


def call(*words: str | Path) -> tuple[int, str]:
    said = CliRunner().invoke(cli, [str(word) for word in words])
    return said.exit_code, said.output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with an audit that is made up, but concludes as its figures do."""
    folder = tmp_path_factory.mktemp("rendered")
    simulate(users=300, items=60, seed=5).write(folder, events_per_user=30)
    code, said = call(
        "fit",
        folder / "events.csv",
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
        "--quiet",
    )
    assert code == 0, said
    record = read_record(folder / "release" / "share" / "release.json", kind=ReleaseRecord)
    verdict, reason = conclude(
        membership(), lower_bound=lower_bound(), disclosure=None, policy=policy()
    )
    found = brief(
        audit(),
        release_id=record.release_id,
        epsilon=record.epsilon,
        disclosure=None,
        policy=policy().numbers(),
        verdict=verdict,
        reason=reason,
    )
    write_record(found, path=folder / "release" / "private" / "audit.json")
    assert call("report", folder / "release")[0] == 0
    return folder / "release"


@pytest.fixture
def release(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "release"))


def test_a_fresh_report_follows_from_its_records_and_rendering_it_again_changes_no_byte(
    release: Path,
) -> None:
    before = {path.name: path.read_bytes() for path in (release / "share").iterdir()}
    code, said = call("report", release, "--check")
    assert code == 0 and "FAIL" not in said, said
    for name in (
        "manifest.json",
        "epsilon (PLD)",
        "claim",
        "statement.txt",
        "report.html",
        "report.internal.html",
        "audit: verdict",
    ):
        assert name in said
    assert call("report", release)[0] == 0
    assert {path.name: path.read_bytes() for path in (release / "share").iterdir()} == before


def test_markup_that_the_records_themselves_render_to_is_seen(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "synthrec.report.plots.privacy.svg", lambda *_, **__: Markup("<script>run()</script>")
    )
    assert call("report", release)[0] == 0
    code, said = call("report", release, "--check")
    assert (
        code == 1 and sum("a tag that no report has" in line for line in said.splitlines()) == 2
    ), said


def test_one_edition_can_be_rendered_alone(release: Path) -> None:
    (release / "private" / "report.internal.html").unlink()
    code, said = call("report", release, "--edition", "public")
    assert (
        code == 0
        and not (release / "private" / "report.internal.html").exists()
        and "data_card.md" in said
    )
    assert call("report", release, "--check")[0] == 1
    assert call("report", release, "--edition", "internal")[0] == 0
    assert call("report", release, "--check")[0] == 0


def a_sentence(release: Path) -> None:
    page = release / "share" / "report.html"
    page.write_text(
        page.read_text(encoding="utf-8").replace(
            "at most a factor of", "at most a small factor of"
        ),
        encoding="utf-8",
    )


def a_smaller_epsilon_in_the_statement(release: Path) -> None:
    path = release / "share" / "statement.txt"
    path.write_text(
        path.read_text(encoding="utf-8").replace("(8.00, ", "(1.00, ").replace("(7.9", "(1.9"),
        encoding="utf-8",
    )


def a_smaller_epsilon_in_the_record(release: Path) -> None:
    path = release / "share" / "release.json"
    record = read_record(path, kind=ReleaseRecord)
    write_record(record.model_copy(update={"epsilon": 1.0}), path=path)
    call("report", release)


def a_kinder_verdict(release: Path) -> None:
    path = release / "private" / "audit.json"
    record = read_record(path, kind=AuditRecord)
    assert record.membership is not None
    write_record(record.model_copy(update={"reason": "Nothing was found."}), path=path)
    call("report", release)


def a_line_less_in_the_ledger(release: Path) -> None:
    path = release / "share" / "ledger.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def an_audit_of_another_release(release: Path) -> None:
    path = release / "private" / "audit.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**said, "release_id": "0" * 12}), encoding="utf-8")
    call("report", release)


def an_incomplete_claim(release: Path) -> None:
    path = release / "share" / "release.json"
    write_record(
        read_record(path, kind=ReleaseRecord).model_copy(update={"sampler": ""}), path=path
    )
    call("report", release)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (a_sentence, "report.html"),
        (a_smaller_epsilon_in_the_statement, "statement.txt"),
        (a_smaller_epsilon_in_the_record, "epsilon (PLD)"),
        (a_kinder_verdict, "audit: verdict"),
        (a_line_less_in_the_ledger, "ledger.jsonl"),
        (an_audit_of_another_release, "audit: of this"),
        (an_incomplete_claim, "claim"),
    ],
)
def test_what_no_longer_follows_is_named_with_exit_code_1(
    release: Path, spoil: Callable[[Path], None], named: str
) -> None:
    spoil(release)
    write_manifest(release / "share")  # the hashes are those of the spoilt files
    code, said = call("report", release, "--check")
    assert code == 1, said
    assert any(line.startswith("FAIL") and named in line for line in said.splitlines()), said


def test_a_file_that_is_not_as_the_manifest_says_is_seen(release: Path) -> None:
    a_sentence(release)
    code, said = call("report", release, "--check")
    assert code == 1 and any(
        line.startswith("FAIL") and "manifest.json" in line for line in said.splitlines()
    ), said


def test_a_text_that_the_records_do_not_render_to_fails_inspect_and_verify(release: Path) -> None:
    a_smaller_epsilon_in_the_statement(release)
    write_manifest(release / "share")
    code, said = call("inspect", release, "--brief")
    assert code == 1 and "statement.txt" in said
    assert call("verify", release / "share")[0] == 1


def test_a_new_synthetic_log_is_not_shown_with_the_audit_of_the_one_before(release: Path) -> None:
    private = release / "private"
    assert "audited" not in (private / "report.internal.html").read_text(encoding="utf-8")
    assert (
        call(
            "sample",
            release,
            "--users",
            "40",
            "--out",
            release / "share" / "events.parquet",
            "--quiet",
        )[0]
        == 0
    )
    assert not (private / "audit.json").exists() and not (private / "report.internal.html").exists()
    assert (
        private / "audit.earlier.json"
    ).exists()  # kept for whoever wants it; no page is made of it
    assert call("report", release)[0] == 0
    assert "This release was not audited" in (private / "report.internal.html").read_text(
        encoding="utf-8"
    )
    assert call("report", release, "--check")[0] == 0


def test_no_page_is_made_of_an_audit_of_another_release(release: Path) -> None:
    an_audit_of_another_release(release)
    code, said = call("report", release)
    assert code == 2 and "an audit of another one" in said


def test_an_audit_whose_headline_is_none_of_its_attacks_is_refused(release: Path) -> None:
    path = release / "private" / "audit.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    said["membership"]["headline"] = "hearsay"
    path.write_text(json.dumps(said), encoding="utf-8")
    for words in (("report", release), ("report", release, "--check")):
        code, text = call(*words)
        assert code == 2 and "hearsay" not in text


def test_a_verdict_on_the_terminal_says_that_it_is_private(release: Path) -> None:
    _, said = call("report", release, "--check")
    assert any(
        line.startswith("ok") and "PRIVATE: " in line
        for line in said.splitlines()
        if "audit: verdict" in line
    )


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("policy", "confidence"), "NaN"),
        (("policy", "confidence"), 1.0),
        (("membership", "attacks", 0, "fpr"), "Infinity"),
        (("membership", "attacks", 0, "auc", "low"), "NaN"),
        (("lower_bound", "claimed"), "NaN"),
    ],
)
def test_figures_that_no_audit_has_are_no_bug_of_ours(
    where: tuple[str | int, ...], value: object, release: Path
) -> None:
    path = release / "private" / "audit.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    place = said
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    path.write_text(json.dumps(said), encoding="utf-8")
    assert call("report", release)[0] in (0, 2)
    code, text = call("report", release, "--check")
    assert code == 1 and "audit: verdict" in text, text
