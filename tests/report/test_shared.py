"""Statement, data card, deployment and schemas: from the public records alone, the same bytes for
the same records.
"""

from __future__ import annotations

import json
import math
from importlib.resources import files
from typing import Any

import pytest

from synthrec.report.schemas import RECORDS, schema_texts
from synthrec.report.texts import CARD, DEPLOYMENT, STATEMENT, shared_texts
from tests.report.records import audit, conformance, release


def test_equal_records_give_equal_texts() -> None:
    assert shared_texts(release(), conformance()) == shared_texts(release(), conformance())


def test_the_statement_says_all_parts_of_the_claim_in_plain_sentences() -> None:
    said = " ".join(shared_texts(release(), conformance())[STATEMENT].split())
    for part in (
        "(7.98, 1e-4)-differentially private",
        "add or remove one user",
        "100 events",
        "0.1 divided by the population of 1,000",
        "For any one person",
        "Poisson sampling",
        "try number 1",
        "18 of 18 passed",
        "400 x noise 6.4",
        "Whoever ran synthrec",
    ):
        assert part in said, part
    assert "<" not in said


def test_without_a_complete_claim_no_file_makes_one() -> None:
    for record in (
        release(sampler=""),
        release(not_private=True, epsilon=math.inf, epsilon_cross_check=math.inf),
    ):
        texts = shared_texts(record, None)
        for name in (STATEMENT, CARD):
            assert (
                "-differentially private" not in texts[name]
                and "For any one person" not in texts[name]
            )
        assert json.loads(texts[DEPLOYMENT])["privacy_loss"]["epsilon"] is None


def test_the_card_tells_a_receiver_the_columns_how_to_load_them_and_what_for_not() -> None:
    card = shared_texts(release(), None)[CARD]
    for part in (
        "| `rating` | rating | 1 to 5 by 1 |",
        "## users.parquet",
        "pd.read_parquet",
        "What not to use it for",
        "Terms",
    ):
        assert part in card, part


def test_a_name_with_markup_stays_a_name() -> None:
    card = shared_texts(release(source_name="a|b`c<script>"), None)[CARD]
    assert "<script>" not in card and "# a/b'c(script)" in card


def test_the_published_schemas_are_those_of_the_records() -> None:
    folder = files("synthrec.report.schemas")
    published = {
        path.name: path.read_text(encoding="utf-8")
        for path in folder.iterdir()
        if path.name.endswith(".json")
    }
    assert published == schema_texts(), "run `python -m synthrec.report.schemas`"
    assert set(RECORDS) == {"release", "audit", "mechanism", "manifest", "deployment"}


@pytest.mark.parametrize("name", ["release", "audit", "mechanism", "deployment"])
def test_a_record_fits_its_schema(name: str) -> None:
    records = {
        "release": release().model_dump_json(),
        "audit": audit().model_dump_json(),
        "mechanism": conformance().model_dump_json(),
        "deployment": shared_texts(release(), conformance())[DEPLOYMENT],
    }
    schema = json.loads(schema_texts()[f"{name}.schema.json"])
    _fits(json.loads(records[name]), schema, definitions=schema.get("$defs", {}))


def _fits(value: Any, schema: dict[str, Any], *, definitions: dict[str, Any]) -> None:
    """As much of JSON Schema as our records use: names, required ones, lists, alternatives."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]]
    if "anyOf" in schema:
        assert any(_does(value, each, definitions=definitions) for each in schema["anyOf"])
        return
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "number": (int, float, str),
        "integer": int,
        "boolean": bool,
        "null": type(None),
    }
    if "type" in schema:
        assert isinstance(value, kinds[schema["type"]]), (value, schema["type"])
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema.get("required", ())) <= set(value) <= set(schema["properties"])
        for key, inner in value.items():
            _fits(inner, schema["properties"][key], definitions=definitions)
    if isinstance(value, list) and "items" in schema:
        for inner in value:
            _fits(inner, schema["items"], definitions=definitions)


def _does(value: Any, schema: dict[str, Any], *, definitions: dict[str, Any]) -> bool:
    try:
        _fits(value, schema, definitions=definitions)
    except AssertionError:
        return False
    return True
