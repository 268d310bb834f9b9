"""From TOML text to what the schema's records accept, with errors that name the place in the file.

Guarantees: reads the configuration only. Messages quote names and rules, never values.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from synthrec.errors import SchemaError

QUESTION = "?"
LARGEST_BYTES = 4_000_000
_SETTINGS = {"users": ("table",), "items": ("independent_of_log",)}     # what in these sections is no column


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file. Raises SchemaError if it cannot be read."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise SchemaError("a configuration is a small text file", found="one of several megabytes",
                              remedy="Give the path of a synthrec.toml.")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SchemaError("the configuration must be a readable file", found=f"{path}: {error.strerror}",
                          remedy="Make one with `synthrec init LOG --out synthrec.toml`.") from None
    except UnicodeDecodeError:
        raise SchemaError("the configuration must be UTF-8 text", found="other bytes",
                          remedy="Save it as UTF-8.") from None
    return parse_toml(text)


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML text. Raises SchemaError with the parser's line and column."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SchemaError("the configuration must be valid TOML", found=str(error),
                          remedy="Correct that line.") from None
    except (RecursionError, ValueError):
        raise SchemaError("the configuration must be valid TOML", found="nesting without end, or a number of thousands of digits",
                          remedy="Write it anew.") from None


def require_no_questions(said: dict[str, Any]) -> None:
    """Raise SchemaError that lists, all at once, every place where a declaration is still missing."""
    missing = [_place(path) for path in _questions(said, ())]
    if missing:
        raise SchemaError(
            'every "?" must be replaced by a public declaration before the log is used',
            found=f"{len(missing)} missing: {'; '.join(missing)}",
            remedy="Write what is known without looking into the log; the comments in the file say what each one means.",
        )


def reshape(said: dict[str, Any]) -> dict[str, Any]:
    """Turn tables of columns into what the records expect: each column knows its name."""
    shaped = dict(said)
    if isinstance(columns := said.get("columns"), dict):
        shaped["columns"] = _named(columns, "columns")
    for section, settings in _SETTINGS.items():
        if isinstance(table := said.get(section), dict):
            rest = {name: column for name, column in table.items() if name not in settings}
            shaped[section] = {word: table[word] for word in settings if word in table}
            shaped[section]["attributes"] = _named(rest, section)
    return shaped


@contextmanager
def schema_errors() -> Iterator[None]:
    """Turn pydantic's complaints into one SchemaError that lists places and rules."""
    try:
        yield
    except ValidationError as error:
        found = [f"{_place(_plain(complaint['loc']))}: {complaint['msg'].removeprefix('Value error, ')}"
                 for complaint in error.errors(include_url=False, include_context=False, include_input=False)]
        raise SchemaError("the configuration must follow the schema's grammar", found="; ".join(found),
                          remedy="Correct these places; `synthrec init` writes a commented example.") from None


def _named(columns: dict[str, Any], section: str) -> dict[str, Any]:
    for name, column in columns.items():
        if not isinstance(column, dict) or "name" in column:
            raise SchemaError('a column is declared as NAME = { role = ... } or { type = ... }',
                              found=f"[{section}] {name} in another form", remedy="Correct that line.")
    return {name: {**column, "name": name} for name, column in columns.items()}


def _questions(said: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if said == QUESTION:
        yield path
    elif isinstance(said, dict):
        for word, inner in said.items():
            yield from _questions(inner, (*path, str(word)))
    elif isinstance(said, list) and QUESTION in said:
        yield path


def _plain(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """A place without pydantic's own tags: section, column, word."""
    section, *rest = [str(part) for part in loc if not isinstance(part, int)] or ["file"]
    if section in _SETTINGS and rest[:1] == ["attributes"]:
        rest = rest[1:]
        tagged = True
    else:
        tagged = section == "columns"
    if tagged and len(rest) > 1:
        rest = [rest[0], *rest[2:3]]
    return (section, *rest)


def _place(path: tuple[str, ...]) -> str:
    section, *rest = path
    return f"[{section}] {', '.join(rest)}".rstrip()
