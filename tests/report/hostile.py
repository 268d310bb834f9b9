"""Every place of a record that the schemas know, and the same record with something hostile at each
of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from pydantic import BaseModel

Path = tuple[str | int, ...]
# closes attribute, element, comment, title and style, then runs by three ways
HOSTILE = (
    "\"'>--></title></style></text></svg><script>document.title='HIT'</script><img src=x onerror=document.title='HIT'>"
    "<svg onload=document.title='HIT'>{{ 7 * 7 }}\x1b"
)


def schema_of(name: str) -> dict[str, Any]:
    """The published JSON Schema of a record."""
    found: dict[str, Any] = json.loads(
        files("synthrec.report.schemas").joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    )
    return found


def places(
    value: Any, schema: dict[str, Any], root: dict[str, Any], at: Path = (), named: str = ""
) -> Iterator[tuple[Path, str, str]]:
    """(where, kind, name in the schema) of each leaf, kinds "text", "word" (one of a list),
    "number"; keys of mappings are "key".
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from places(value, root["$defs"][name], root, at, name)
    elif "anyOf" in schema:
        kinds = {
            "null": value is None,
            "string": isinstance(value, str),
            "integer": isinstance(value, int),
            "number": isinstance(value, float | int),
            "array": isinstance(value, list),
        }
        fitting = [
            each
            for each in schema["anyOf"]
            if kinds.get(each.get("type", ""), isinstance(value, dict))
        ]
        yield from places(value, fitting[0], root, at, named)
    elif "enum" in schema or "const" in schema:
        yield at, "word", named
    elif schema.get("type") == "object" and "properties" in schema:
        for key, below in schema["properties"].items():
            yield from places(value[key], below, root, (*at, key), f"{named}.{key}")
    elif schema.get("type") == "object":
        for key, each in value.items():
            yield (*at, key), "key", named
            yield from places(
                each, schema["additionalProperties"], root, (*at, key), f"{named}{{}}"
            )
    elif schema.get("type") == "array":
        for place, each in enumerate(value):
            below = schema["prefixItems"][place] if "prefixItems" in schema else schema["items"]
            yield from places(each, below, root, (*at, place), f"{named}[]")
    elif schema.get("type") != "null":
        yield at, "text" if schema["type"] == "string" else "number", named


def texts_named(
    schema: dict[str, Any],
    root: dict[str, Any],
    named: str = "",
    seen: frozenset[str] = frozenset(),
) -> set[str]:
    """The names of all free texts that the schema allows, by the schema alone."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return (
            set() if name in seen else texts_named(root["$defs"][name], root, name, seen | {name})
        )
    parts = [*schema.get("anyOf", ()), *schema.get("prefixItems", ())]
    found = {
        name
        for part in parts
        for name in texts_named(part, root, named if "anyOf" in schema else f"{named}[]", seen)
    }
    if "enum" in schema or "const" in schema:
        return found
    for key, below in schema.get("properties", {}).items():
        found |= texts_named(below, root, f"{named}.{key}", seen)
    for word, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(word), dict):
            found |= texts_named(schema[word], root, f"{named}{mark}", seen)
    return found | ({named} if schema.get("type") == "string" else set())


def with_value(document: Any, at: Path, value: Any) -> Any:
    """A copy in which one place holds something else."""
    copied = json.loads(json.dumps(document))
    place = copied
    for step in at[:-1]:
        place = place[step]
    place[at[-1]] = value
    return copied


def spoilt(record: BaseModel, name: str, *, keep: frozenset[str] = frozenset()) -> Any:
    """The record's JSON with every text and key hostile, but for the texts by the names in `keep`;
    equal texts stay equal.
    """
    schema, document = schema_of(name), json.loads(record.model_dump_json())
    found = list(places(document, schema, schema))
    for at, kind, named in reversed(found):  # keys after what is below them
        place = document
        for step in at[:-1]:
            place = place[step]
        if kind == "text" and named not in keep:
            place[at[-1]] += HOSTILE
        elif kind == "key" and named not in keep:
            place[f"{at[-1]}{HOSTILE}"] = place.pop(at[-1])
    return document
