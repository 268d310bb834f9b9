"""The words that a sample is asked for, against a schema and a catalogue: what they mean, and how
wrong ones are refused.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthrec.data.catalogue import Catalogue
from synthrec.data.domain import Numeric
from synthrec.data.filters import EVERYTHING, Narrowed, Scope, bin_ends
from synthrec.data.schema import Schema
from synthrec.errors import ConditionError

CONFIG = """
[source]
name = "small"
population = 100
ledger = "l.jsonl"
epsilon_cap = 9.0
[privacy]
events_per_user = 50
unit = "u"
[columns]
u = { role = "user" }
i = { role = "item", catalogue = "items.csv" }
t = { type = "datetime", unit = "s", zone = "Europe/Berlin", min = "2024-01-01", max = "2024-12-31" }
[users]
table = "users.csv"
gender = { type = "categorical", values = ["F", "M"] }
town   = { type = "categorical", values = ["Halle, Saale", "Aachen", "1..2"] }
code   = { type = "categorical", values = [1, 18, 25, 35] }
level  = { type = "ordinal", min = 0.5, max = 3, step = 0.5 }
age    = { type = "numeric", min = 0, max = 100, bins = 10 }
height = { type = "numeric", min = 1.0, max = 2.2, bins = 6 }
[items]
independent_of_log = true
genres = { type = "set", separator = "|" }
maker  = { type = "categorical" }
year   = { type = "numeric" }
title  = { type = "text" }
"""
ITEMS = """i,genres,maker,year,title
10,Comedy|Drama,"Smith, Sons",1990,One
11,Comedy,Jones,1995,Two
12,War,Jones,2001,Three
13,,,,Four
"""


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> tuple[Schema, Catalogue]:
    folder: Path = tmp_path_factory.mktemp("public")
    (folder / "items.csv").write_text(ITEMS, encoding="utf-8")
    schema = Schema.parse(CONFIG, folder=folder)
    return schema, Catalogue.read(schema)


Public = tuple[Schema, Catalogue]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("gender=F", [1, 0, 0]),
        ("gender=F,M", [1, 1, 0]),
        (" gender = M ", [0, 1, 0]),
        ("town=Halle, Saale", [1, 0, 0, 0]),
        ("town=1..2", [0, 0, 1, 0]),
        ("code=18..30", [0, 1, 1, 0, 0]),
        ("code=..18", [1, 1, 0, 0, 0]),
        ("level=1", [0, 1, 0, 0, 0, 0, 0]),
        ("level=0.5,3.0", [1, 0, 0, 0, 0, 1, 0]),
        ("level=1..2", [0, 1, 1, 1, 0, 0, 0]),
        ("age=18..35", [0, 0.2, 1, 0.6, 0, 0, 0, 0, 0, 0, 0]),
        ("age=95..", [0] * 9 + [6 / 11, 0]),
        ("age=40", [0] * 4 + [0.1] + [0] * 6),
        ("height=1.1..1.3", [0.5, 0.5, 0, 0, 0, 0, 0]),
    ],
)
def test_a_condition_on_users_gives_each_code_the_part_that_is_asked_for(
    words: str, parts: list[float], public: Public
) -> None:
    scope = Scope.parse(*public, where=[words])
    name, text = (part.strip() for part in words.split("="))
    assert scope.where[name] == pytest.approx(np.array(parts, dtype=np.float64))
    assert scope.said == (f"where {name}={text}",)


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (["genres=Comedy"], [0, 1]),
        (["genres=Drama,War"], [0, 2]),
        (["year=1990..1999"], [0, 1]),
        (["year=2001"], [2]),
        (["year=..1995", "genres=Drama"], [0]),
        (["maker=Smith, Sons"], [0]),
        (["maker=Jones", "genres=Comedy"], [1]),
    ],
)
def test_conditions_on_items_leave_the_rows_for_which_all_hold(
    words: list[str], rows: list[int], public: Public
) -> None:
    found = Scope.parse(*public, items=words).items
    assert found is not None and found.tolist() == rows


@pytest.mark.parametrize(
    ("words", "events"),
    [
        ("events=20..40", (20, 40)),
        ("events=7", (7, 7)),
        ("events=..9", (1, 9)),
        ("events=49..900", (49, 50)),
        ("events=2.5..3.5", (3, 3)),
    ],
)
def test_activity_is_conditioned_by_the_word_events(
    words: str, events: tuple[int, int], public: Public
) -> None:
    scope = Scope.parse(*public, where=[words])
    assert scope.events == events and not scope.where


def test_days_count_whole_in_the_columns_own_zone(public: Public) -> None:
    one = Scope.parse(*public, start="2024-02-01", end="2024-02-01").window
    assert (
        one is not None and one[1] - one[0] == 86_400 - 1 and one[0] == 1_706_742_000
    )  # midnight in Berlin
    assert Scope.parse(*public, start=date(2024, 2, 1), end=date(2024, 2, 1)).window == one
    assert Scope.parse(*public, end="2024-01-01T12:00:00").window == (
        public[0].time.min_seconds,
        public[0].time.min_seconds + 43_200,
    )  # type: ignore[union-attr]


def test_python_may_say_it_with_a_mapping_of_values_and_lists(public: Public) -> None:
    one = Scope.parse(
        *public,
        where={"gender": "F", "age": "18..35", "level": [1, 1.5]},
        items={"genres": ["War", "Drama"], "year": 2001},
    )
    two = Scope.parse(
        *public,
        where=["gender=F", "age=18..35", "level=1,1.5"],
        items=["genres=War,Drama", "year=2001"],
    )
    assert one.said == two.said and all(
        np.array_equal(one.where[name], two.where[name]) for name in two.where
    )
    assert (
        one.items is not None
        and two.items is not None
        and one.items.tolist() == two.items.tolist() == [2]
    )
    assert Scope.parse(*public) == EVERYTHING


@pytest.mark.parametrize(
    ("asked", "rule", "found", "remedy"),
    [
        ({"where": ["gender"]}, "name=a,b", "gender", "--where"),
        ({"where": ["=F"]}, "name=a,b", "F", "--where"),
        ({"items": ["year="]}, "name=a,b", "year", "--items"),
        ({"where": "gender=F,M,X"}, "declared values", "X", "F, M"),
        (
            {"where": ["sex=F"]},
            "user attribute",
            "sex",
            "gender, town, code, level, age, height, events",
        ),
        ({"where": ["gender=F", "gender=M"]}, "once", "twice", "a,b"),
        ({"where": ["age=35..18"]}, "empty", "35..18", "smaller"),
        ({"where": ["age=1..2..3"]}, "range is written", "1..2..3", "Correct"),
        ({"where": ["age=.."]}, "range is written", "..", "Correct"),
        ({"where": ["age=young"]}, "range", "young", "age=0..100"),
        ({"where": ["age=nan..5"]}, "range is written", "nan", "Correct"),
        ({"where": ["age=200..300"]}, "some declared value", "200..300", "[90, 100]"),
        ({"where": ["height=1.7"]}, "range", "1.7", "height="),
        ({"where": ["code=40..50"]}, "some declared value", "40..50", "35"),
        ({"where": ["level=0.7"]}, "declared values", "0.7", "0.5"),
        ({"where": ["events=0"]}, "1 to 50", "0", "within"),
        ({"where": ["events=51.."]}, "1 to 50", "51..", "within"),
        ({"where": ["events=few"]}, "number or a range", "few", "20..100"),
        ({"where": ["events=3.2..3.8"]}, "1 to 50", "3.2", "within"),
        ({"where": ["events=2..5"], "items": ["year=2001"]}, "possible", "1 items", "fewer"),
        ({"items": ["colour=red"]}, "set, a category or a number", "colour", "genres, maker, year"),
        ({"items": ["title=One"]}, "set, a category", "title", "genres"),
        ({"items": ["genres=Comedy,Love"]}, "catalogue", "Love", "Comedy, Drama, War"),
        ({"items": ["year=old"]}, "range or numbers", "old", "1990..1999"),
        ({"items": ["genres=War", "year=1990"]}, "at least one", "none", "more"),
        (
            {"start": "2023-12-31"},
            "declared window",
            "2023-12-31",
            "2024-01-01 to 2024-12-31, Europe/Berlin",
        ),
        ({"start": "2024-05-02", "end": "2024-05-01"}, "in this order", "2024-05-02 to", "window"),
        ({"end": "soon"}, "dates", "soon", "1998-01-31"),
    ],
)
def test_a_wrong_condition_is_refused_with_rule_finding_and_remedy(
    asked: dict[str, object], rule: str, found: str, remedy: str, public: Public
) -> None:
    with pytest.raises(ConditionError) as caught:
        Scope.parse(*public, **asked)  # type: ignore[arg-type]
    assert (
        rule in caught.value.rule and found in caught.value.found and remedy in caught.value.remedy
    ), str(caught.value)


def test_a_window_is_refused_where_no_time_is_declared_and_items_where_the_release_has_no_attributes(
    public: Public,
) -> None:
    schema, catalogue = public
    timeless = Schema.parse(
        "\n".join(line for line in CONFIG.splitlines() if not line.startswith("t = ")),
        folder=schema.folder,
    )
    with pytest.raises(ConditionError, match="time column"):
        Scope.parse(timeless, catalogue, start="2024-02-01")
    with pytest.raises(ConditionError, match="anew"):
        Scope.parse(
            schema, Catalogue(ids=catalogue.ids, attributes=pa.table({})), items=["year=1990"]
        )


@settings(max_examples=60, deadline=None)
@given(
    whole=st.booleans(),
    low=st.floats(-5, 105),
    width=st.floats(0, 60),
    bins=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_numbers_of_a_narrowed_attribute_lie_within_it_and_its_parts_are_exact(
    whole: bool, low: float, width: float, bins: int, seed: int
) -> None:
    numeric = Numeric(name="x", min=0 if whole else 0.0, max=100 if whole else 100.0, bins=bins)
    narrowed, rng = Narrowed(numeric, low, low + width), np.random.default_rng(seed)
    parts = narrowed.parts()
    first, last = bin_ends(numeric)
    if whole:
        assert parts == pytest.approx(
            [
                np.mean([low <= value <= low + width for value in range(int(a), int(b) + 1)])
                for a, b in zip(first, last, strict=True)
            ]
        )
    assert ((parts >= 0) & (parts <= 1)).all()
    if parts.sum() > 1e-9:
        codes = np.append(rng.choice(bins, 200, p=parts / parts.sum()), bins)
        values = narrowed.decode(codes, rng)
        assert values[-1].as_py() is None
        drawn = np.array(values.to_pylist()[:-1], dtype=np.float64)
        assert ((drawn >= low) & (drawn <= low + width)).all()
        assert (
            numeric.encode(pa.array(drawn)) == codes[:-1]
        ).mean() > 0.98  # a float may fall on the edge of its bin
