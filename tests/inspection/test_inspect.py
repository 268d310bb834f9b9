"""Saboteurs: each thing that must not be in share/ is planted, the manifest is written anew, and
inspect must name it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from synthrec.auditing import collect
from synthrec.cli.main import cli
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.errors import ReleaseError
from synthrec.inspection.checks import verify_share
from synthrec.inspection.private import compare_with_private
from synthrec.inspection.share import inspect_share
from synthrec.progress import Progress
from synthrec.release import open_folder
from tests.manifests import write_manifest


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspected")
    simulate(users=300, items=60, seed=5).write(folder, events_per_user=30)
    config = folder / "synthrec.toml"
    config.write_text(
        config.read_text(encoding="utf-8").replace("public = true", "public = false"),
        encoding="utf-8",
    )
    words = [
        "run",
        folder / "events.csv",
        "--config",
        config,
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
    ]
    said = CliRunner().invoke(cli, [str(word) for word in words])
    assert said.exit_code in (0, 1, 3), said.output
    return folder / "release"


@pytest.fixture
def release(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "release"))


def call(*words: str | Path) -> tuple[int, str]:
    said = CliRunner().invoke(cli, [str(word) for word in words])
    return said.exit_code, said.output


def test_a_clean_release_passes_inspect_and_verify_and_every_origin_is_named(release: Path) -> None:
    code, said = call("inspect", release)
    assert code == 0, said
    for word in (
        "estimates.activity",
        "paid by activity",
        "post-processing of",
        "synthetic",
        "PRIVATE",
    ):
        assert word in said
    shutil.rmtree(release / "private")
    code, said = call("verify", release / "share")
    assert code == 0 and "epsilon (PRV)" in said and "mechanism.json" in said, said


def extra_file(share: Path) -> None:
    (share / "optimizer.pt").write_bytes(b"state")


def hidden_folder(share: Path) -> None:
    (share / ".rows").mkdir()


def a_link(share: Path) -> None:
    (share / "report.html").unlink()
    (share / "report.html").symlink_to("/etc/hostname")


def optimizer_state(share: Path) -> None:
    arrays = load_file(share / "generator.safetensors")
    save_file(arrays | {"optimizer.exp_avg": np.zeros(3)}, share / "generator.safetensors")


def tensor_metadata(share: Path) -> None:
    save_file(
        load_file(share / "generator.safetensors"),
        share / "generator.safetensors",
        metadata={"rng": "1234"},
    )


def another_shape(share: Path) -> None:
    arrays = load_file(share / "generator.safetensors")
    save_file(
        arrays | {"estimates.activity": np.full(200, 1 / 200)}, share / "generator.safetensors"
    )


def counts_for_shares(share: Path) -> None:
    arrays = load_file(share / "generator.safetensors")
    save_file(
        arrays | {"estimates.activity": np.rint(arrays["estimates.activity"] * 207)},
        share / "generator.safetensors",
    )


def spare_tensor_bytes(share: Path) -> None:
    path = share / "generator.safetensors"
    path.write_bytes(path.read_bytes() + b"user-4711")


def words_changed(share: Path, name: str, change: Callable[[dict], object], *, indent: int) -> None:  # type: ignore[type-arg]
    said = json.loads((share / name).read_text(encoding="utf-8"))
    change(said)
    (share / name).write_text(
        json.dumps(said, indent=indent) + ("\n" if indent == 2 else ""), encoding="utf-8"
    )


def id_in_words(share: Path) -> None:
    words_changed(share, "generator.json", lambda said: said.update(users=["4711"]), indent=1)


def count_in_words(share: Path) -> None:
    words_changed(
        share, "generator.json", lambda said: said["schema"]["source"].update(rows=20711), indent=1
    )


def checks_changed(share: Path, **changes: object) -> None:
    words_changed(share, "mechanism.json", lambda said: said["checks"][0].update(changes), indent=2)


def id_in_checks(share: Path) -> None:
    checks_changed(share, name="without a user: 4711")


def words_in_checks(share: Path) -> None:
    checks_changed(share, asked="released things that differ for Ada")


def a_measurement_of_no_plan(share: Path) -> None:
    checks_changed(share, topic="noise", name="taxes", asked="scale of 850 draws, in planned noise")


def a_failed_check(share: Path) -> None:
    checks_changed(share, statistic=3.0, passed=False)


def a_check_that_only_says_so(share: Path) -> None:
    checks_changed(share, statistic=3.0)


def a_check_twice(share: Path) -> None:
    words_changed(
        share, "mechanism.json", lambda said: said["checks"].append(said["checks"][0]), indent=2
    )


def checks_of_another_plan(share: Path) -> None:
    words_changed(share, "mechanism.json", lambda said: said.update(epsilon=1.0), indent=2)


def id_as_subject(share: Path) -> None:
    words_changed(share, "mechanism.json", lambda said: said.update(subject="user 4711"), indent=2)


def dropped_column(share: Path) -> None:
    words_changed(
        share,
        "generator.json",
        lambda said: said["schema"]["columns"].update(diagnosis_4711={"drop": True}),
        indent=1,
    )


def spare_words(share: Path) -> None:
    (share / "generator.json").write_text(
        (share / "generator.json").read_text(encoding="utf-8") + " " * 7, encoding="utf-8"
    )


def count_in_record(share: Path) -> None:
    words_changed(share, "release.json", lambda said: said.update(users=207), indent=2)


def count_in_training(share: Path) -> None:
    words_changed(share, "release.json", lambda said: said["training"].update(users=207), indent=2)


def count_as_command(share: Path) -> None:
    words_changed(
        share, "release.json", lambda said: said["commands"].append("wc -l: 20711"), indent=2
    )


def count_as_trials(share: Path) -> None:
    words_changed(share, "release.json", lambda said: said.update(trials=20711), indent=2)


def count_as_distance(share: Path) -> None:
    words_changed(
        share,
        "release.json",
        lambda said: said["faithful"][0].update(distance=0.0207110943),
        indent=2,
    )


def id_as_measurement(share: Path) -> None:
    words_changed(
        share,
        "release.json",
        lambda said: said["faithful"][0].update(name="zebra-7 was here"),
        indent=2,
    )


def no_format_version(share: Path) -> None:
    words_changed(share, "release.json", lambda said: said.pop("format_version"), indent=2)


def altered_entry(share: Path) -> None:
    path = share / "ledger.jsonl"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"count":1', '"count":2', 1), encoding="utf-8"
    )


def entry_left_out(share: Path) -> None:
    path = share / "ledger.jsonl"
    path.write_text(
        "".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8"
    )


def rewritten(share: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    table = pq.read_table(share / name)
    changed = change(table)
    pq.write_table(changed, share / name, compression="zstd")


def real_user(share: Path) -> None:
    rewritten(
        share,
        "events.parquet",
        lambda table: table.set_column(
            0, "user_id", pa.array([17, *table["user_id"].to_pylist()[1:]])
        ),
    )


def real_user_among_users(share: Path) -> None:
    rewritten(
        share,
        "users.parquet",
        lambda table: table.set_column(
            0, "user_id", pa.array([17, *table["user_id"].to_pylist()[1:]])
        ),
    )


def planted_row(share: Path) -> None:
    rewritten(share, "events.parquet", lambda table: pa.concat_tables([table, table.slice(5, 1)]))


def unknown_item(share: Path) -> None:
    rewritten(
        share,
        "events.parquet",
        lambda table: table.set_column(
            1, "item_id", pa.array([5, *table["item_id"].to_pylist()[1:]])
        ),
    )


def another_column(share: Path) -> None:
    rewritten(
        share, "events.parquet", lambda table: table.append_column("real_id", table["item_id"])
    )


def table_metadata(share: Path) -> None:
    rewritten(
        share,
        "events.parquet",
        lambda table: table.replace_schema_metadata({**table.schema.metadata, b"pandas": b"{}"}),
    )


def no_version_of_table(share: Path) -> None:
    rewritten(
        share,
        "users.parquet",
        lambda table: table.replace_schema_metadata(
            {
                name: text
                for name, text in table.schema.metadata.items()
                if name != b"synthrec.format_version"
            }
        ),
    )


def spare_table_bytes(share: Path) -> None:
    content = (share / "users.parquet").read_bytes()
    length = int.from_bytes(content[-8:-4], "little") + 8
    (share / "users.parquet").write_bytes(content[:-length] + b"user 4711" + content[-length:])


def page_with(share: Path, text: str) -> None:
    path = share / "report.html"
    path.write_text(
        path.read_text(encoding="utf-8").replace("</main>", text + "</main>"), encoding="utf-8"
    )


def script(share: Path) -> None:
    page_with(share, "<script>1</script>")


def outside_picture(share: Path) -> None:
    page_with(share, '<img src="https://example.org/x.png">')


def handler(share: Path) -> None:
    page_with(share, '<p onclick="x()">a</p>')


def outside_style(share: Path) -> None:
    page_with(share, "<style>p {background: url(https://example.org/x)}</style>")


def count_on_page(share: Path) -> None:
    page_with(share, "<p>20711 events</p>")


def comment(share: Path) -> None:
    page_with(share, "<!-- 4711 -->")


IN_CHECKS = [
    id_in_checks,
    words_in_checks,
    a_measurement_of_no_plan,
    a_failed_check,
    a_check_that_only_says_so,
    a_check_twice,
    checks_of_another_plan,
    id_as_subject,
]
PLANTED = [
    dropped_column,
    extra_file,
    hidden_folder,
    a_link,
    optimizer_state,
    tensor_metadata,
    another_shape,
    counts_for_shares,
    spare_tensor_bytes,
    id_in_words,
    count_in_words,
    spare_words,
    count_in_record,
    count_in_training,
    count_as_command,
    count_as_trials,
    count_as_distance,
    id_as_measurement,
    no_format_version,
    altered_entry,
    entry_left_out,
    real_user,
    real_user_among_users,
    planted_row,
    unknown_item,
    another_column,
    table_metadata,
    no_version_of_table,
    spare_table_bytes,
    script,
    outside_picture,
    handler,
    outside_style,
    count_on_page,
    comment,
    *IN_CHECKS,
]


@pytest.mark.parametrize("saboteur", PLANTED, ids=lambda saboteur: saboteur.__name__)
def test_what_is_planted_is_found_even_under_a_new_manifest(
    release: Path, saboteur: Callable[[Path], None]
) -> None:
    saboteur(release / "share")
    if saboteur not in (a_link, hidden_folder):
        write_manifest(release / "share")
    found = inspect_share(release / "share")
    assert not found.passed
    assert saboteur not in IN_CHECKS or any(
        part.file == "mechanism.json" for part in found.problems
    ), "not by the page alone"
    assert not any("4711" in f"{part.name}{part.problem}" for part in found.parts)
    assert not all(check.passed for check in verify_share(release / "share"))
    assert call("inspect", release, "--brief")[0] == 1


def test_a_claim_below_the_ledger_is_refuted(release: Path) -> None:
    words_changed(
        release / "share",
        "release.json",
        lambda said: said.update(epsilon=said["epsilon"] - 0.1),
        indent=2,
    )
    write_manifest(release / "share")
    assert "epsilon (PLD)" in [
        check.name for check in verify_share(release / "share") if not check.passed
    ]


def test_private_bytes_are_found_wherever_a_shared_file_is_cut(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is never held whole: a key that lies across two pieces is seen all the same."""
    folder = open_folder(release)
    key = folder.roles_key.read_bytes()
    for piece in (1 << 24, 1_000):
        monkeypatch.setattr("synthrec.inspection.private.PIECE", piece)
        (folder.share / "report.html").write_bytes(b"x" * 990 + key + b"x" * 2_000)
        assert compare_with_private(folder)[0].file == "report.html"
    (folder.share / "report.html").unlink()
    (folder.share / "report.html").symlink_to(folder.roles_key)
    with pytest.raises(ReleaseError):
        compare_with_private(folder)


def test_a_copied_person_and_private_bytes_are_found_with_private_at_hand(release: Path) -> None:
    folder = open_folder(release)
    bounded = EventLog.open(folder.bounded)
    (folder.share / "report.html").write_bytes(np.asarray(bounded.time)[:200].tobytes())
    assert compare_with_private(folder)[0].problem is not None
    table = pq.read_table(folder.events).to_pandas()
    ids = pq.read_table(folder.events)["user_id"].to_pylist()
    first = int(np.flatnonzero(bounded.activity >= 5)[0])
    rows = slice(int(bounded.offsets[first]), int(bounded.offsets[first + 1]))
    catalogue = json.loads(
        json.loads((folder.share / "generator.json").read_text(encoding="utf-8"))["catalogue"]
    )["ids"]
    copied = table[:0].assign().reindex(range(rows.stop - rows.start))
    copied["user_id"], copied["item_id"] = ids[0], np.array(catalogue)[bounded.item[rows]]
    copied["rating"], copied["timestamp"] = (
        np.asarray(bounded.rating[rows], dtype=np.int64),
        np.asarray(bounded.time[rows]),
    )
    pq.write_table(
        pa.Table.from_pandas(copied.astype("int64"), preserve_index=False), folder.events
    )
    assert compare_with_private(folder)[1].problem is not None


def test_a_release_on_a_read_only_disk_is_inspected(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = os.mkdir

    def read_only(path: Any, *words: Any, **options: Any) -> None:
        if Path(path).is_relative_to(release):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        honest(path, *words, **options)

    monkeypatch.setattr(os, "mkdir", read_only)
    code, said = call("inspect", release, "--brief")
    assert code == 0 and "PRIVATE" in said, said


def test_purge_removes_private_and_nothing_else_and_refuses_what_is_no_release(
    release: Path, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in (release / "share").iterdir()}
    left = [
        release.parent / f".release.partial-{name}"
        for name in ("999999999", str(os.getpid()), f"{os.getpid()}-2")
    ]
    for place in left:
        place.mkdir()
    assert call("purge", release)[0] == 1 and (release / "private").is_dir(), "it asks"
    code, said = call("purge", release, "--yes")
    assert code == 0 and "No audit" in said, said
    assert not (release / "private").exists() and not any(place.exists() for place in left)
    assert {path.name: path.read_bytes() for path in (release / "share").iterdir()} == before
    assert call("purge", release, "--yes")[0] == 2
    (tmp_path / "other" / "private").mkdir(parents=True)
    assert (
        call("purge", tmp_path / "other", "--yes")[0] == 2
        and (tmp_path / "other" / "private").is_dir()
    )


@pytest.mark.parametrize("kind", ["text", "integer"])
def test_a_release_of_typed_events_passes(tmp_path: Path, kind: str) -> None:
    from tests.data.typed import CONFIG, shop, write_items

    write_items(tmp_path)
    shop(users=150).to_csv(tmp_path / "log.csv", index=False)
    text = CONFIG.replace('{ role = "user" }', f'{{ role = "user", type = "{kind}" }}').replace(
        'format = "text"', f'format = "{kind}"'
    )
    (tmp_path / "synthrec.toml").write_text(text, encoding="utf-8")
    words = [
        "run",
        tmp_path / "log.csv",
        "--config",
        tmp_path / "synthrec.toml",
        "--epsilon",
        "8",
        "--delta",
        "1e-4",
        "--out",
        tmp_path / "release",
        "--model",
        "marginals",
        "--device",
        "cpu",
        "--quiet",
        "--no-mechanism",  # with one: tests/test_poisoned.py
    ]
    assert call(*words)[0] in (0, 1, 3)
    code, said = call("inspect", tmp_path / "release", "--brief")
    assert code == 0, said


def test_a_release_with_a_game_and_pairs_passes_and_they_are_named_as_paying(
    tmp_path: Path,
) -> None:
    simulate(users=300, items=40, seed=5).write(tmp_path, events_per_user=20)
    config = tmp_path / "synthrec.toml"
    config.write_text(
        config.read_text(encoding="utf-8").replace("population = 300", "population = 9000"),
        encoding="utf-8",
    )
    words = [
        "fit",
        tmp_path / "events.csv",
        "--config",
        config,
        "--epsilon",
        "20",
        "--delta",
        "1e-5",
        "--out",
        tmp_path / "release",
        "--device",
        "cpu",
        "--quiet",
    ]
    code, said = call(*words)
    assert code == 0, said
    code, said = call("inspect", tmp_path / "release")
    assert code == 0 and "paid by game" in said and "pairs" in said, said
    assert call("verify", tmp_path / "release")[0] == 0


def shared_with_a_dropped_column(folder: Path) -> tuple[int, bool]:
    """Exit code of `inspect`, and whether the name of a dropped column stands in any shared file."""
    simulate(users=200, items=20, seed=5).write(folder, events_per_user=20)
    config = folder / "synthrec.toml"
    text = config.read_text(encoding="utf-8")
    text = text.replace("[columns]", "[columns]\nhiv_status = { drop = true }", 1)
    config.write_text(
        text.replace("[privacy]", 'values_are_public = ["hiv_status", "rating"]\n[privacy]', 1),
        encoding="utf-8",
    )
    words = [
        "fit",
        folder / "events.csv",
        "--config",
        config,
        "--epsilon",
        "8",
        "--delta",
        "1e-4",
        "--out",
        folder / "release",
        "--model",
        "marginals",
        "--device",
        "cpu",
        "--quiet",
    ]
    assert call(*words)[0] == 0 and call("report", folder / "release")[0] == 0
    named = any(
        b"hiv_status" in path.read_bytes() for path in (folder / "release" / "share").iterdir()
    )
    return call("inspect", folder / "release", "--brief")[0], named


def test_the_name_of_a_dropped_column_is_in_no_shared_file(tmp_path: Path) -> None:
    assert shared_with_a_dropped_column(tmp_path) == (0, False)


def test_a_schema_that_is_shared_as_it_is_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Schema, "shared", lambda self: self)
    assert shared_with_a_dropped_column(tmp_path)[1]


@pytest.mark.parametrize("sabotaged", [False, True])
def test_where_the_owners_files_lie_is_in_no_shared_file_and_the_audit_still_finds_them(
    sabotaged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, config = tmp_path / "zqxowner", tmp_path / "elsewhere" / "synthrec.toml"
    simulate(users=200, items=20, seed=5).write(folder, events_per_user=20)
    assert call("init", folder / "events.csv", "--out", tmp_path / "init.toml")[0] == 0
    assert "zqxowner/" in (tmp_path / "init.toml").read_text(
        encoding="utf-8"
    )  # such paths are what a configuration holds
    config.parent.mkdir()
    text = (folder / "synthrec.toml").read_text(encoding="utf-8")
    for word in ("catalogue", "table"):
        text = re.sub(rf'{word} = "', rf'{word} = "{folder}/', text)
    config.write_text(text.replace('ledger = "', 'ledger = "../zqxowner/'), encoding="utf-8")
    if sabotaged:
        monkeypatch.setattr(Schema, "with_paths", lambda self, paths: self)
    words = [
        "fit",
        folder / "events.csv",
        "--config",
        config,
        "--epsilon",
        "8",
        "--delta",
        "1e-4",
        "--out",
        tmp_path / "release",
        "--model",
        "marginals",
        "--device",
        "cpu",
        "--quiet",
    ]
    assert (
        call(*words)[0] == 0
        and call(
            "sample",
            tmp_path / "release",
            "--users",
            "50",
            "--out",
            tmp_path / "release" / "share" / "events.parquet",
        )[0]
        == 0
    )
    assert call("report", tmp_path / "release")[0] == 0
    named = [
        path.name
        for path in (tmp_path / "release" / "share").iterdir()
        if b"zqxowner" in path.read_bytes()
    ]
    if sabotaged:
        assert {
            "generator.json",
            "release.json",
            "statement.txt",
            "data_card.md",
            "report.html",
        } & set(named)
        return
    assert named == [] and call("inspect", tmp_path / "release", "--brief")[0] == 0
    evidence = collect(
        open_folder(tmp_path / "release"), log=str(folder / "events.csv"), progress=Progress()
    )
    assert (
        evidence.schema.ledger_path.resolve() == next(folder.glob("*.jsonl"))
        and evidence.schema.paths == Schema.load(config).paths
    )
