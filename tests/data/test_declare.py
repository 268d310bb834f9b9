"""`init`: names and file format alone make the proposal, unless the owner says that a column's
values are public.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthrec.data.catalogue import Catalogue
from synthrec.data.propose import first_meaning, meaning, propose
from synthrec.data.public_values import catalogue_type
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.errors import DataError, SchemaError
from tests.conftest import shared_data
from tests.data import small

MARK = "zqx"


def ratings(folder: Path, *, suffix: str = ".csv") -> Path:
    small.write_tables(folder)
    pd.read_csv(folder / "users.csv").assign(email=f"{MARK}@home", city=f"{MARK}town").to_csv(
        folder / "users.csv", index=False
    )
    frame = small.events().assign(event_type=f"{MARK}view", odd=MARK)
    if suffix == ".parquet":
        frame.assign(timestamp=pd.to_datetime(frame["timestamp"], unit="s")).to_parquet(
            folder / "ratings.parquet"
        )
    else:
        frame.to_csv(folder / f"ratings{suffix}", index=False)
    return folder / f"ratings{suffix}"


def filled(text: str, **answers: str) -> str:
    """The proposal with the owner's answers in place of the question marks."""
    lines = []
    for line in text.splitlines():
        key = line.split("=")[0].strip()
        lines.append(line.replace('"?"', answers[key]) if key in answers else line)
    return "\n".join(lines)


def test_no_value_of_the_log_or_the_user_table_is_looked_at_unasked(tmp_path: Path) -> None:
    text = propose(ratings(tmp_path), folder=tmp_path)
    assert MARK not in text
    said = tomllib.loads(text)
    assert said["columns"]["rating"] == {"type": "ordinal", "min": "?", "max": "?", "step": "?"}
    assert said["columns"]["timestamp"] == {
        "type": "datetime",
        "unit": "?",
        "zone": "UTC",
        "min": "?",
        "max": "?",
    }
    assert said["columns"]["item_id"] == {"role": "item", "catalogue": "items.csv"}
    assert said["columns"]["odd"] == {"drop": True}
    assert said["columns"]["event_type"] == {
        "type": "categorical",
        "values": "?",
        "outside": "drop",
    }
    assert said["users"] == {
        "table": "users.csv",
        "gender": {"type": "categorical", "values": "?"},
        "age": {"type": "numeric", "min": "?", "max": "?", "bins": 10},
        "city": {"type": "categorical", "values": "?"},
    }
    assert said["items"]["independent_of_log"] == "?" and said["source"]["population"] == "?"
    with pytest.raises(SchemaError, match="must be replaced by a public declaration"):
        Schema.parse(text)


def test_equal_names_give_an_equal_proposal_whatever_the_values(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        small.write_tables(tmp_path / name, users=20 + seed)
        small.events(seed=seed, users=20 + seed).to_csv(tmp_path / name / "log.csv", index=False)
    assert propose(tmp_path / "a" / "log.csv", folder=tmp_path / "a") == propose(
        tmp_path / "b" / "log.csv", folder=tmp_path / "b"
    )


def test_a_column_named_as_public_is_filled_and_the_claim_recorded(tmp_path: Path) -> None:
    path = ratings(tmp_path)
    text = propose(
        path, values_are_public=("rating", "timestamp", "gender", "age"), folder=tmp_path
    )
    assert MARK not in text
    said = tomllib.loads(text)
    assert said["source"]["values_are_public"] == ["rating", "timestamp", "gender", "age"]
    assert said["columns"]["rating"] == {"type": "ordinal", "min": 1, "max": 5, "step": 1}
    assert said["columns"]["timestamp"]["unit"] == "s" and said["columns"]["timestamp"][
        "min"
    ].startswith("2024-01-0")
    assert said["users"]["gender"]["values"] == ["F", "M"] and said["users"]["age"] == {
        "type": "numeric",
        "min": 1,
        "max": 20,
        "bins": 10,
    }
    answers = {
        "population": "50",
        "independent_of_log": "true",
        "city": '["there"]',
        "event_type": f'["{MARK}view"]',
    }
    schema = Schema.parse(filled(text, **answers), folder=tmp_path)
    schema.require_served()
    schema.require_declared()
    assert schema.source.values_are_public == ("rating", "timestamp", "gender", "age")
    log = read_log(
        path, schema, Catalogue.read(schema), spill=tmp_path / "spill", events_per_user=None
    )
    assert small.people(log) and len(log.item) == 160


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["4.5", "4.50", "5"], [4.5, 5, 0.5]),
        (["4.5", "4.50", "4.500"], ["?"] * 3),
        (["1e308", "-1e308", "0"], ["?"] * 3),
        (["0", "1e-320", "5"], ["?"] * 3),
        (["1", "1.0000000001", "5"], ["?"] * 3),
        (["3", "nan", "é"], ["?"] * 3),
    ],
)
def test_a_public_rating_is_a_scale_or_a_question_however_its_numbers_are_written(
    cells: list[str], found: list[object], tmp_path: Path
) -> None:
    rows = "".join(f"u{cell},1,{cell},{cell}\n" for cell in cells)
    (path := tmp_path / "log.csv").write_text(
        f"user_id,item_id,rating,price\n{rows}", encoding="utf-8"
    )
    text = propose(path, values_are_public=("rating", "price"), folder=tmp_path)
    said = tomllib.loads(text)["columns"]["rating"]
    assert [said["min"], said["max"], said["step"]] == found


def test_a_physical_timestamp_needs_no_question_about_its_unit(tmp_path: Path) -> None:
    assert (
        tomllib.loads(propose(ratings(tmp_path, suffix=".parquet"), folder=tmp_path))["columns"][
            "timestamp"
        ]["unit"]
        == "iso"
    )
    text = propose(
        ratings(tmp_path / "p", suffix=".parquet"),
        values_are_public=("timestamp",),
        folder=tmp_path,
    )
    assert tomllib.loads(text)["columns"]["timestamp"]["min"].startswith("2024-01-0")


def test_a_column_that_does_not_exist_cannot_be_public(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no column sex"):
        propose(ratings(tmp_path), values_are_public=("sex",))


def test_columns_without_a_telling_name_are_asked_about(tmp_path: Path) -> None:
    said = tomllib.loads(propose(pd.DataFrame({"who": ["a"], "what it is": ["b"], "rating": [1]})))
    assert said["privacy"]["unit"] == "?" and said["columns"]["who"] == said["columns"][
        "what it is"
    ] == {"role": "?"}


def test_a_data_frame_and_a_public_item_list_need_no_catalogue() -> None:
    frame = small.events()
    assert tomllib.loads(propose(frame))["columns"]["item_id"] == {"role": "item", "catalogue": "?"}
    listed = tomllib.loads(propose(frame, values_are_public=("item_id", "rating")))["columns"]
    assert listed["item_id"]["values"] == sorted(frame["item_id"].unique().tolist())
    halves = propose(frame.assign(rating=frame["rating"] / 2), values_are_public=("rating",))
    assert tomllib.loads(halves)["columns"]["rating"] == {
        "type": "ordinal",
        "min": 0.5,
        "max": 2.5,
        "step": 0.5,
    }


def test_paths_are_relative_to_where_the_configuration_will_stand(tmp_path: Path) -> None:
    path = ratings(tmp_path / "data")
    said = tomllib.loads(propose(path, folder=tmp_path))
    assert (said["columns"]["item_id"]["catalogue"], said["users"]["table"]) == (
        "data/items.csv",
        "data/users.csv",
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("userId", "user"),
        ("USER ID", "user"),
        ("movieId", "item"),
        ("StockCode", "item"),
        ("Stars", "rating"),
        ("created_at", "time"),
        ("event-type", "event"),
        ("invoice", "group"),
        ("zip_code", "personal"),
        ("gender", None),
    ],
)
def test_names_are_read_without_case_and_punctuation(name: str, expected: str | None) -> None:
    assert meaning(name) == expected


def test_the_more_telling_of_two_names_wins() -> None:
    assert first_meaning(["reviewer", "user_id"], "user") == "user_id"
    assert first_meaning(["x"], "user") is None


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1990", "1991", None], "numeric"),
        (["Drama|War", "Drama", "War|Comedy", "Comedy"] * 20, "set"),
        (["red", "blue"] * 20, "categorical"),
        ([f"A film about number {place} and more" for place in range(40)], "text"),
        ([None, " "], "drop"),
    ],
)
def test_the_catalogue_is_public_and_may_be_read(cells: list[str | None], expected: str) -> None:
    assert expected in catalogue_type(cells)


def test_the_real_ratings_need_five_answers(tmp_path: Path) -> None:
    path = shared_data("ml-100k.csv.gz")
    text = propose(
        path,
        values_are_public=("rating", "timestamp", "gender", "age", "occupation"),
        folder=tmp_path,
    )
    with pytest.raises(
        SchemaError, match=r"2 missing: \[source\] population = .*; \[items\] independent_of_log"
    ):
        Schema.parse(text)
    said = tomllib.loads(text)
    assert said["items"]["class"] == {"type": "set", "separator": " "} and said["items"][
        "release_year"
    ] == {"type": "numeric"}
    assert (
        len(said["users"]["occupation"]["values"]) == 20 + np.int64(0)
        and "zip_code" not in said["users"]
    )


def headerless(folder: Path, rows: list[str]) -> Path:
    path = folder / "log.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "rows",
    [
        [f"{MARK},Inception,view", f"{MARK},Alien,view"],  # a user who comes again
        [f"{MARK},Inception,view", "bob,Alien,view"],  # a type that does
        [f"{MARK}@home.org,Inception,view"],
        [f"{MARK},2024-01-03,view"],
        [f"{MARK},12:30,view"],
        [f"{MARK}123456,a,b"],
        [f"{MARK},https://a.b/c,d"],
        [f"{MARK},3f2504e0-4f89-11d3-9a0c-0305e82c3301,d"],
        [f"{MARK},It was good. I liked it,d"],
        [f"u12,{MARK},b"],
        [f"{MARK};Inception;view", f"{MARK};Alien;view"],
    ],
)
def test_a_first_line_that_is_a_row_is_refused_and_not_quoted(
    tmp_path: Path, rows: list[str]
) -> None:
    with pytest.raises(DataError, match="must hold column names") as refused:
        propose(headerless(tmp_path, rows), folder=tmp_path)
    assert not any(
        cell in str(refused.value)
        for row in rows
        for cell in row.replace(";", ",").split(",")
        if len(cell) > 2
    )


@pytest.mark.parametrize("name", ["Rating", "", " "])
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_columns_that_the_database_cannot_tell_apart_are_refused_unquoted(
    form: str, name: str, tmp_path: Path
) -> None:
    path, frame = tmp_path / f"log.{form}", small.events().assign(**{name: MARK})
    if form == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False) if form == "csv" else frame.to_parquet(path)
    with pytest.raises(DataError, match="names") as caught:
        propose(path, values_are_public=("rating",), folder=tmp_path)
    assert MARK not in str(caught.value)


def test_a_user_table_whose_first_line_is_a_row_is_refused_too(tmp_path: Path) -> None:
    log = headerless(tmp_path, ["user_id,item_id", "1,2"])
    (tmp_path / "users.csv").write_text(f"1,F,{MARK}\n2,F,other\n", encoding="utf-8")
    with pytest.raises(DataError, match="users"):
        propose(log, folder=tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        "user_id,item_id,rating,timestamp",
        "userId,movieId,x1,price_2023",
        "InvoiceNo,StockCode,Unit Price",
        "user,item,event.type,col_12",
    ],
)
def test_names_are_taken_for_names_also_where_the_header_stands_twice(
    tmp_path: Path, header: str
) -> None:
    rows = [header, ",".join("7" * len(header.split(","))), header]
    assert tomllib.loads(propose(headerless(tmp_path, rows), folder=tmp_path))["columns"]
