"""The configuration is read whole or refused with the place and the rule; what is not served is
named.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.errors import SchemaError
from tests.data.small import CONFIG, config

WHOLE_GRAMMAR = """
[source]
name = "movie ratings 2025"
population = 6000
public = false
ledger = "movie-ratings.ledger.jsonl"
epsilon_cap = 10.0
[privacy]
events_per_user = 200
unit = "person"
[columns]
user_id   = { role = "user" }
person    = { role = "unit" }
item_id   = { role = "item", vocabulary = "dp" }
rating    = { type = "ordinal", min = 1, max = 5, step = 1 }
timestamp = { type = "datetime", unit = "s", zone = "UTC", bounds = "dp" }
event_type = { type = "categorical", values = ["view", "cart", "buy"], outside = "drop" }
price     = { type = "numeric", min = 0, max = 100, bins = 20 }
cost      = { type = "numeric", bounds = "dp" }
basket    = { type = "id", groups = "events" }
comment   = { drop = true }
[users]
table = "users.csv"
gender = { type = "categorical", values = ["F", "M"] }
age    = { type = "numeric", min = 0, max = 100, bins = 10 }
happy  = { type = "ordinal", min = 0, max = 1, step = 0.5 }
[items]
independent_of_log = true
genres = { type = "set", separator = "|" }
year   = { type = "numeric" }
title  = { type = "text" }
vector = { type = "embedding" }
[events]
repeats = true
"""


def test_the_whole_grammar_is_read_and_what_is_not_served_is_named_at_once() -> None:
    schema = Schema.parse(WHOLE_GRAMMAR)
    schema.require_declared()
    with pytest.raises(SchemaError) as caught:
        schema.require_served()
    for name in ("genres", "year"):
        assert name in caught.value.found
    for name in (
        "item_id",
        "timestamp",
        "cost",
        "user_id",
        "person",
        "rating",
        "event_type",
        "price",
        "basket",
        "repeats",
        "comment",
        "gender",
        "age",
        "happy",
    ):
        assert f"{name}:" not in caught.value.found


@pytest.mark.parametrize("text", [CONFIG, WHOLE_GRAMMAR])
def test_a_schema_survives_json(text: str) -> None:
    schema = Schema.parse(text, folder="somewhere/private")
    written = schema.model_dump_json()
    assert Schema.model_validate_json(written).model_dump() == schema.model_dump()
    assert "somewhere" not in written
    assert list(Schema.model_validate_json(written).columns) == list(schema.columns)


def test_the_public_face_of_a_schema() -> None:
    schema = Schema.parse(CONFIG, folder="/there")
    schema.require_served()
    schema.require_declared()
    assert (schema.user, schema.item, schema.privacy.unit, schema.repeats) == (
        "user_id",
        "item_id",
        "user_id",
        False,
    )
    assert (
        schema.rating is not None
        and schema.rating.name == "rating"
        and schema.rating.levels.tolist() == [1, 2, 3, 4, 5]
    )
    assert schema.time is not None and (schema.time.min_seconds, schema.time.max_seconds) == (
        1_704_067_200,
        1_735_689_599,
    )
    assert (
        schema.ledger_path == Path("/there/small.ledger.jsonl")
        and schema.source.ledger == "small.ledger.jsonl"
    )
    assert {name: attribute.size for name, attribute in schema.user_attributes.items()} == {
        "gender": 2,
        "age": 10,
    }
    assert schema.user_attributes["age"].labels[-1] == "[90, 100]"
    assert list(schema.item_attributes) == ["genres", "year", "title"]


def test_a_window_is_in_its_zone_and_may_name_seconds() -> None:
    time = Schema.parse(
        config(
            (
                'zone = "UTC", min = "2024-01-01", max = "2024-12-31"',
                'zone = "Europe/Madrid", min = 2024-01-01, max = "2024-06-30T12:00:00"',
            )
        )
    ).time
    assert time is not None
    assert time.min_seconds == 1_704_067_200 - 3_600
    assert (
        time.max_seconds == 1_719_741_600
    )  # noon of Madrid's summer is 10:00 UTC, and that very second


@pytest.mark.parametrize(
    ("old", "new", "place", "rule"),
    [
        ("step = 1", "step = 0", "[columns] rating", "step must be above 0"),
        ("step = 1", "step = 3", "[columns] rating", "whole number of steps"),
        ("max = 5", "max = nan", "[columns] rating, max", "finite"),
        ("max = 5", "max = true", "[columns] rating, max", "must be a number"),
        ("max = 5", "max = 5000", "[columns] rating", "at most 1000 levels"),
        ("min = 1, ", "", "[columns] rating, min", "required"),
        ('type = "ordinal"', 'type = "stars"', "[columns] rating", 'type = "ordinal"'),
        ('unit = "s"', 'unit = "hours"', "[columns] timestamp, unit", "'ms'"),
        ('zone = "UTC"', 'zone = "../etc/passwd"', "[columns] timestamp", "IANA"),
        ('zone = "UTC"', 'zone = "Mars"', "[columns] timestamp", "IANA"),
        ('"2024-12-31"', '"31.12.2024"', "[columns] timestamp", "dates such as"),
        ('"2024-12-31"', '"2023-12-31"', "[columns] timestamp", "max must not lie before min"),
        (
            ', min = "2024-01-01", max = "2024-12-31"',
            "",
            "[columns] timestamp",
            "min and max are needed",
        ),
        (', catalogue = "items.csv"', "", "[columns] item_id", "exactly one of"),
        ('catalogue = "items.csv"', "values = []", "[columns] item_id", "must not be empty"),
        ('role = "user"', 'role = "usr"', "[columns] user_id", "a column needs role"),
        ('{ role = "user" }', '"user"', "[columns] user_id", "declared as"),
        (
            'role = "user"',
            'role = "item", values = [1]',
            "[columns]",
            'exactly one column must have role = "user"',
        ),
        ('unit = "user_id"', 'unit = "rating"', "[file]", "privacy.unit must be the user column"),
        ("population = 50", "population = 1", "[source] population", "greater than or equal to 2"),
        ("population = 50", "population = 50.5", "[source] population", "whole number"),
        ("population = 50\n", "", "[source] population", "required"),
        ("epsilon_cap = 10.0", "epsilon_cap = 0", "[source] epsilon_cap", "greater than 0"),
        ("epsilon_cap = 10.0", "epsilon_cap = inf", "[source] epsilon_cap", "finite"),
        (
            "events_per_user = 5",
            "events_per_user = 0",
            "[privacy] events_per_user",
            "greater than or equal to 1",
        ),
        ("[users]", "[people]", "[people]", "no such word"),
        ('table = "users.csv"\n', "", "[users]", 'table = "FILE" is needed'),
        ('["F", "M"]', '["F", "F"]', "[users] gender", "distinct"),
        ('["F", "M"]', "[]", "[users] gender", "at least 1"),
        ("bins = 10", "bins = 101", "[users] age", "bins must be at most"),
        ("max = 100", "max = 0", "[users] age", "max must be above min"),
        ("gender = {", "user_id = {", "[file]", "no attribute of it"),
        ("title  = {", "item_id = {", "[file]", "no attribute of it"),
        ('type = "set"', 'type = "bag"', "[items] genres", "'embedding'"),
        (
            "independent_of_log = true",
            'independent_of_log = "yes"',
            "[items] independent_of_log",
            "true or false",
        ),
    ],
)
def test_each_rule_names_the_place_in_the_file(old: str, new: str, place: str, rule: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.parse(config((old, new)))
    assert place in caught.value.found
    assert rule.lower() in str(caught.value).lower()
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_item_attributes_need_the_owners_word() -> None:
    word = "independent_of_log = true"
    for said, found in (
        ((word, ""), "no such word"),
        ((word, "independent_of_log = false"), "false"),
    ):
        with pytest.raises(SchemaError, match=found):
            Schema.parse(config(said)).require_declared()


def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("[source\n")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "deep.toml").write_text("a = " + "[" * 5_000 + "]" * 5_000)
    for name, found in (
        ("broken.toml", "line 1"),
        ("bytes.toml", "other bytes"),
        ("deep.toml", "nesting"),
        ("none.toml", "No such file"),
        (".", "directory"),
    ):
        with pytest.raises(SchemaError, match=found):
            Schema.load(tmp_path / name)
    (tmp_path / "good.toml").write_text(CONFIG)
    assert Schema.load(tmp_path / "good.toml").folder == tmp_path


def test_the_simulators_configuration_is_complete(tmp_path: Path) -> None:
    schema = Schema.load(simulate(users=30, items=40, seed=1).write(tmp_path))
    schema.require_declared()
    schema.require_served()


@settings(max_examples=60)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "source",
                        "columns",
                        "users",
                        "items",
                        "privacy",
                        "events",
                        "role",
                        "type",
                        "user_id",
                        "name",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=15,
    )
)
def test_whatever_a_file_holds_the_error_is_ours(said: object) -> None:
    with pytest.raises(SchemaError):
        Schema.parse(said if isinstance(said, dict) else {"source": said})
