"""A path is itself: no pattern where a file or folder has that very name, and it names no column."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from synthrec.data.catalogue import Catalogue
from synthrec.data.files import find_files
from synthrec.data.reader import read_log
from synthrec.errors import DataError
from tests.data import small
from tests.data.small import config, events

WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "parquet": lambda frame, path: frame.to_parquet(path),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
}


def written(path: Path, frame: pd.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[path.suffix[1:]](frame, path)
    return path


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize(
    ("meant", "other"),
    [
        ("events[1].{}", "events1.{}"),
        ("~/2024*/a?/[b]{{,x}}/log.{}", "~/2024x/ax/b{{,x}}/log.{}"),
        ("back\\slash/it's.{}", "back/it's.{}"),
    ],
)
def test_a_file_is_read_and_no_other_whose_name_fits_its_name_as_a_pattern(
    form: str, meant: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / meant.format(form), events(users=7))
    written(tmp_path / other.format(form), events(users=3, seed=1))
    monkeypatch.chdir(tmp_path)
    for log in (path, meant.format(form)):
        assert len(small.people(small.read(log, tmp_path))) == 7


def test_a_folder_of_that_very_name_is_no_pattern_with_or_without_a_pattern_for_its_files(
    tmp_path: Path,
) -> None:
    for name, seed in (("2024*", 0), ("2024x", 1)):
        for part in ("a", "b"):
            written(tmp_path / name / f"{part}.csv", events(users=4, seed=seed))
    inside = (tmp_path / "2024*" / "a.csv", tmp_path / "2024*" / "b.csv")
    for log in (tmp_path / "2024*", tmp_path / "2024*" / "*.csv"):
        assert tuple(file.path for file in find_files(log)) == inside
    assert {file.path for file in find_files(tmp_path / "202[4]?" / "a.csv")} == {
        tmp_path / "2024*" / "a.csv",
        tmp_path / "2024x" / "a.csv",
    }


@pytest.mark.parametrize("path", ["x" * 300 + ".csv", "no/where/*.csv", "/*.nothing", "nul\0.csv"])
def test_a_path_that_leads_nowhere_is_our_message(path: str) -> None:
    with pytest.raises(DataError):
        find_files(path)


@pytest.mark.parametrize("form", WRITERS)
def test_a_folder_whose_name_assigns_a_value_replaces_no_column(form: str, tmp_path: Path) -> None:
    path = written(tmp_path / "user_id=77" / "rating=5" / f"log.{form}", events())
    expected = small.people(small.read(events(), tmp_path))
    assert (
        small.people(small.read(path, tmp_path))
        == small.people(small.read(path.parent, tmp_path))
        == expected
    )


def test_the_user_table_and_the_catalogue_are_the_files_that_are_named(tmp_path: Path) -> None:
    schema, catalogue = small.prepared(tmp_path / "plain")
    expected = small.people(small.read(events(), tmp_path / "plain"))
    for form in WRITERS:
        folder = tmp_path / form / "gender=F" / "item_id=3"
        for kind in ("users", "items"):
            table = pd.read_csv(tmp_path / "plain" / f"{kind}.csv")
            written(folder / f"{kind}[1].{form}", table)
            written(
                folder / f"{kind}1.{form}", table.iloc[:, ::-1].head(1).rename(columns=str.upper)
            )
        text = config(('"users.csv"', f'"users[1].{form}"'), ('"items.csv"', f'"items[1].{form}"'))
        schema = small.Schema.parse(text, folder=folder)
        catalogue = Catalogue.read(schema)
        assert catalogue.ids.to_pylist() == list(range(1, small.ITEMS + 1))
        assert (
            small.people(
                read_log(events(), schema, catalogue, spill=tmp_path / "s[1]", events_per_user=None)
            )
            == expected
        )
