"""`synthrec sample` with conditions: they hold in the files, the files say them, wrong ones end
with code 2 and leave nothing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from sklearn.base import clone

import synthrec
from synthrec import Synthesizer
from synthrec.cli.main import cli
from synthrec.data.schema import Schema
from synthrec.errors import ReleaseError


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture(scope="module")
def release(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release from the simulated log, whose numeric age stands beside the age bands."""
    log = tmp_path_factory.mktemp("sample") / "log"
    log.mkdir()
    for name in ("events.csv", "items.csv"):
        (log / name).write_bytes((simulated / name).read_bytes())
    users = pd.read_csv(simulated / "users.csv")
    users["age"] = users["user_id"] % 70 + 10
    users.to_csv(log / "users.csv", index=False)
    text = (simulated / "synthrec.toml").read_text(encoding="utf-8")
    (log / "synthrec.toml").write_text(
        text.replace(
            "[items]", 'age = { type = "numeric", min = 0, max = 100, bins = 10 }\n[items]'
        )
    )
    out = log.parent / "release"
    done = call(
        "fit",
        log / "events.csv",
        "--config",
        log / "synthrec.toml",
        "--epsilon",
        "8",
        "--delta",
        "1e-4",
        "--out",
        out,
        "--model",
        "moments",
        "--device",
        "cpu",
        "--quiet",
    )
    assert done.exit_code == 0, done.output
    return out


ASKED = (
    "--where",
    "gender=F",
    "--where",
    "age=18..35",
    "--where",
    "events=5..20",
    "--items",
    "genres=Comedy",
    "--items",
    "year=1960..",
    "--from",
    "2024-02-01",
    "--to",
    "2024-02-29",
)


def test_conditions_hold_in_the_files_and_the_files_say_them(release: Path, tmp_path: Path) -> None:
    result = call(
        "sample", release, "--users", "80", "--out", tmp_path / "part.parquet", "--quiet", *ASKED
    )
    assert result.exit_code == 0, result.output
    events, users = (
        pd.read_parquet(tmp_path / name) for name in ("part.parquet", "part.users.parquet")
    )
    items = (
        pd.read_csv(release.parent / "log" / "items.csv")
        .set_index("item_id")
        .loc[events["item_id"]]
    )
    assert (
        (users["gender"] == "F").all()
        and users["age"].between(18, 35).all()
        and users["age"].nunique() > 5
    )
    assert (
        events.groupby("user_id").size().between(5, 20).all() and events["user_id"].nunique() == 80
    )
    assert items["genres"].str.contains("Comedy").all() and (items["year"] >= 1960).all()
    moments = pd.to_datetime(events["timestamp"], unit="s")
    assert moments.min() >= pd.Timestamp("2024-02-01") and moments.max() < pd.Timestamp(
        "2024-03-01"
    )
    said = pq.read_schema(tmp_path / "part.parquet").metadata[b"synthrec.conditions"].decode()
    assert said == (
        "where gender=F; where age=18..35; where events=5..20; items genres=Comedy; items year=1960..; from 2024-02-01; "
        "to 2024-02-29"
    )


def test_a_csv_that_is_safe_for_spreadsheets_says_so_and_a_parquet_is_refused(
    release: Path, tmp_path: Path
) -> None:
    words = ("sample", release, "--users", "5", "--seed", "2", "--quiet", "--out")
    result = call(*words, tmp_path / "safe.csv", "--spreadsheet-safe")
    assert result.exit_code == 0 and "nothing else is changed" in result.stdout, result.output
    assert "apostrophe" in json.loads((tmp_path / "safe.csv.meta.json").read_text())["text"]
    assert call(*words, tmp_path / "plain.csv").exit_code == 0
    assert (tmp_path / "safe.csv").read_text() == (tmp_path / "plain.csv").read_text(), (
        "no text of this log is a formula"
    )
    refused = call(*words, tmp_path / "safe.parquet", "--spreadsheet-safe")
    assert refused.exit_code == 2 and "written as .csv" in refused.stderr


@pytest.mark.parametrize("out", ["a" * 300 + ".csv", "file/a.csv", "file"])
def test_a_place_that_cannot_be_written_is_one_message(
    out: str, release: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    result = call("sample", release, "--users", "5", "--quiet", "--out", tmp_path / out)
    assert (
        result.exit_code == 2
        and "; found " in result.stderr
        and len(result.stderr.splitlines()) == 1
    )


@pytest.mark.parametrize("out", ["a" * 300, "a" * 250, "file/a"])
def test_a_release_that_cannot_be_made_there_is_one_message_and_charges_nothing(
    out: str, release: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    log = release.parent / "log"
    before = {path.name: path.read_bytes() for path in log.iterdir()}
    result = call(
        "fit",
        log / "events.csv",
        "--config",
        log / "synthrec.toml",
        "--epsilon",
        "1",
        "--delta",
        "1e-4",
        "--quiet",
        "--model",
        "moments",
        "--out",
        tmp_path / out,
    )
    assert (
        result.exit_code == 2
        and "the output folder" in result.stderr
        and len(result.stderr.splitlines()) == 1
    ), result.stderr
    assert {path.name: path.read_bytes() for path in log.iterdir()} == before


def test_a_log_does_not_join_a_release_whose_private_half_is_a_link(
    release: Path, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(release, tmp_path / "release"))
    other = Path(shutil.move(copied / "private", tmp_path / "other"))
    (other / "audit.json").write_text("mine")
    (copied / "private").symlink_to(other)
    result = call(
        "sample", copied, "--users", "5", "--quiet", "--out", copied / "share" / "events.parquet"
    )
    assert result.exit_code == 2 and "found a link" in result.stderr
    assert (other / "audit.json").read_text() == "mine" and not (
        copied / "share" / "events.parquet"
    ).exists()


def test_a_csv_says_its_conditions_beside_it_and_a_whole_sample_says_none(
    release: Path, tmp_path: Path
) -> None:
    assert (
        call(
            "sample", release, "--users", "5", "--out", tmp_path / "a.csv", "--where", "gender=M"
        ).exit_code
        == 0
    )
    assert json.loads((tmp_path / "a.csv.meta.json").read_text())["conditions"] == "where gender=M"
    assert call("sample", release, "--users", "5", "--out", tmp_path / "b.csv").exit_code == 0
    assert "conditions" not in json.loads((tmp_path / "b.csv.meta.json").read_text())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--where", "sex=F"), "Known: gender"),
        (("--where", "gender=X"), "found X"),
        (("--where", "age=35..18"), "found age=35..18"),
        (("--items", "genres=Love"), "found Love"),
        (("--items", "title=It"), "Known: genres, year"),
        (("--items", "year=1800"), "at least one item"),
        (("--from", "2023-01-01"), "declared window"),
        (("--where", "gender"), "name=a,b"),
        (("--where", "age=0..4"), "noise alone makes"),
    ],
)
def test_a_condition_that_cannot_be_met_ends_with_code_2_and_leaves_no_file(
    words: tuple[str, str], told: str, release: Path, tmp_path: Path
) -> None:
    result = call("sample", release, "--users", "5", "--out", tmp_path / "x.parquet", *words)
    assert result.exit_code == 2 and told in result.stderr and "; found " in result.stderr, (
        result.output
    )
    assert not list(tmp_path.iterdir())


def test_a_part_never_takes_the_place_of_the_releases_own_log(release: Path) -> None:
    result = call(
        "sample",
        release,
        "--users",
        "5",
        "--out",
        release / "share" / "events.parquet",
        "--where",
        "gender=F",
    )
    assert result.exit_code == 2 and "a sample of a part" in result.stderr
    assert not (release / "share" / "events.parquet").exists()


def test_help_shows_an_example_that_parses() -> None:
    text = call("sample", "--help").output
    assert "--where gender=F --where age=18..35" in text and "--items genres=Comedy" in text


def test_python_samples_the_same_users_as_the_command(release: Path, tmp_path: Path) -> None:
    assert (
        call(
            "sample",
            release,
            "--users",
            "30",
            "--seed",
            "4",
            "--out",
            tmp_path / "a.parquet",
            *ASKED,
        ).exit_code
        == 0
    )
    part = Synthesizer.load(release).sample(
        users=30,
        seed=4,
        where={"gender": "F", "age": "18..35", "events": "5..20"},
        items={"genres": "Comedy", "year": "1960.."},
        start="2024-02-01",
        end="2024-02-29",
    )
    assert part.users is not None
    assert part.events.equals(pd.read_parquet(tmp_path / "a.parquet")) and part.users.equals(
        pd.read_parquet(tmp_path / "a.users.parquet")
    )
    assert Schema.load(release.parent / "log" / "synthrec.toml").user_attributes.keys() == {
        "gender",
        "age_band",
        "region",
        "age",
    }


def test_recbole_gets_typed_atomic_files_of_events_users_and_items(
    release: Path, tmp_path: Path
) -> None:
    done = call("sample", release, "--users", "40", "--out", tmp_path / "ml", "--format", "recbole")
    assert done.exit_code == 0, done.output
    events, users, items = (
        pd.read_csv(tmp_path / f"ml.{kind}", sep="\t") for kind in ("inter", "user", "item")
    )
    names = ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]
    assert list(events.columns) == names
    assert {"gender:token", "age:float"} <= set(users.columns) and len(users) == 40
    assert "genres:token_seq" in items.columns and items["genres:token_seq"].str.contains(" ").any()
    assert set(events["item_id:token"]) <= set(items["item_id:token"])
    assert json.loads((tmp_path / "ml.inter.meta.json").read_text())["format_version"] == "1"
    again = call("sample", release, "--users", "40", "--out", tmp_path / "ml.inter")
    assert again.exit_code == 2 and "must not exist yet" in again.stderr


def test_read_gives_frames_with_the_declared_types(release: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(release, tmp_path / "release")
    with pytest.raises(ReleaseError, match="must hold a synthetic log"):
        synthrec.read(copy)
    assert (
        call("sample", copy, "--users", "30", "--out", copy / "share/events.parquet").exit_code == 0
    )
    found = synthrec.read(copy / "share")
    assert str(found.events["timestamp"].dtype) == "datetime64[ns, UTC]"
    assert found.users is not None and len(found.users) == 30
    assert list(found.users["gender"].cat.categories) == ["F", "M"]


def test_a_synthesizer_is_cloned_by_scikit_learn(release: Path) -> None:
    loaded = Synthesizer.load(release)
    cloned = clone(loaded)
    assert cloned.plan == loaded.plan and cloned.get_params()["schema"] == loaded.schema
    with pytest.raises(ReleaseError, match="trained generator"):
        cloned.sample(users=1)
    with pytest.raises(ReleaseError, match="trained generator"):
        loaded.set_params(plan=cloned.plan).sample(users=1)
