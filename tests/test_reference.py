"""docs/reference.md lists every word of the configuration and every option, with their defaults."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import click
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from synthrec.cli.main import cli
from synthrec.data import columns, domain, schema
from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "reference.md"
HEADINGS: dict[str, type[BaseModel]] = {
    "[source]: which log this is": schema.Source,
    "[privacy]: who is protected": schema.Privacy,
    'role = "user"': columns.User,
    'role = "unit"': columns.Unit,
    'role = "item"': columns.Item,
    'type = "ordinal"': domain.Ordinal,
    'type = "datetime"': columns.Datetime,
    'type = "categorical" (of an event)': columns.EventCategory,
    'type = "numeric" (of an event)': columns.EventNumber,
    'type = "id"': columns.Identifier,
    'type = "text" (of an event)': columns.Text,
    "drop = true": columns.Dropped,
    "[users]: one row for each user": schema.Users,
    'type = "categorical" (of a user)': domain.Categorical,
    'type = "ordinal" (of a user)': domain.Ordinal,
    'type = "numeric" (of a user)': domain.Numeric,
    "[items]: what the catalogue says": schema.Items,
    'type = "set"': columns.ItemSet,
    'type = "numeric" (of an item)': columns.ItemNumber,
    'type = "categorical" (of an item)': columns.ItemCategory,
    'type = "text" (of an item)': columns.Text,
    'type = "embedding"': columns.Embedding,
    "[events]: how events may repeat": schema.Events,
}


def default(word: str, field: FieldInfo, *, heading: str) -> str:
    """A field's default as the page writes it; the word that tells the record must be written."""
    value = field.get_default(call_default_factory=True)
    if field.is_required() or heading.startswith(f"{word} = "):
        return "needed"
    if value in (None, (), {}):
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def tables() -> dict[str, dict[str, str]]:
    """Heading -> word -> default, as the page has them."""
    found: dict[str, dict[str, str]] = {}
    for section in re.split(r"^#{3,4} ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|", body, flags=re.MULTILINE)
        found[heading] = {word: written.replace("\\|", "|") for word, _, written in rows}
    return found


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_reference_lists_every_word_with_its_default(heading: str) -> None:
    fields = {
        word: field
        for word, field in HEADINGS[heading].model_fields.items()
        if word not in ("name", "attributes") or heading.startswith("[source]")
    }
    written = tables()[heading]
    assert written == {
        word: default(word, field, heading=heading) for word, field in fields.items()
    }


def test_every_record_of_the_configuration_has_a_heading() -> None:
    records = {
        each
        for module in (columns, domain, schema)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, domain.Declared)
    }
    apart = {domain.Declared, domain.NamedColumn, domain.PayableColumn, schema.Schema}
    assert records - apart == set(HEADINGS.values())


def generator() -> ModuleType:
    """docs/reference.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("reference", PAGE.with_suffix(".py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_has_every_command_and_option_as_help_says_them() -> None:
    made = generator()
    assert made.inside(PAGE.read_text(encoding="utf-8")) == made.block(), (
        "run `python docs/reference.py`"
    )
    for words, command in made.commands(cli, "synthrec"):
        section = made.block().partition(f"### {words}\n")[2].partition("\n### ")[0]
        options = [each for each in command.params if isinstance(each, click.Option)]
        assert all(name in section for each in options for name in each.opts), words
