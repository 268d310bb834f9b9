"""What the owner declares about a log: the records that `synthrec.toml` is read into, and the way
from its text to them.

Everything here is public. Nothing is learned from the log: domain, window, K, unit and population
stand in the file before the log is opened.

Guarantees: reads the configuration only. Errors name the place in the file and quote names and
rules, never values.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Annotated, Any

from pydantic import (
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)

from synthrec.data.columns import (
    Coded,
    Column,
    Datetime,
    Dropped,
    EventCategory,
    EventNumber,
    Identifier,
    Item,
    ItemAttribute,
    Mark,
    Text,
    Unit,
    User,
)
from synthrec.data.domain import (
    Attribute,
    Categorical,
    Declared,
    Ordinal,
    PayableColumn,
    UserAttribute,
)
from synthrec.errors import SchemaError

MAX_USERS = 10**11  # more than people
Named = Annotated[StrictStr, Field(min_length=1)]


class Source(Declared):
    """Which log this is, and the ledger that all its releases share."""

    name: Named
    population: Annotated[StrictInt, Field(ge=2, le=MAX_USERS)]
    public: StrictBool = False
    ledger: Annotated[Named, Field(pattern=r"^[^\x00]*$")]
    epsilon_cap: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    values_are_public: tuple[StrictStr, ...] = ()
    chosen_with_sight: tuple[
        Named, ...
    ] = ()  # choices of the owner's that were made after looking at the log, a sentence each
    raw_data_seen_by: tuple[Named, ...] = ()  # who has seen the log besides whoever runs this


class Privacy(Declared):
    """Who is protected, and how many of their events may count."""

    events_per_user: Annotated[StrictInt, Field(ge=1, le=100_000)]
    unit: Named


class Users(Declared):
    """A table with one row per user."""

    table: StrictStr | None = None
    attributes: dict[str, UserAttribute] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _table_with_attributes(self) -> Users:
        if self.attributes and self.table is None:
            raise ValueError('table = "FILE" is needed where user attributes are declared')
        return self


class Items(Declared):
    """Which columns of the catalogue describe an item; None: the owner has not said whether they
    owe nothing to the log.
    """

    independent_of_log: StrictBool | None = None
    attributes: dict[str, ItemAttribute] = Field(default_factory=dict)


class Events(Declared):
    """How events may repeat."""

    repeats: StrictBool = False


class Schema(Declared):
    """A whole declaration. `folder` is where relative paths start; it is not part of what is
    written down.
    """

    source: Source
    privacy: Privacy
    columns: dict[str, Column]
    users: Users = Users()
    items: Items = Items()
    events: Events = Events()
    folder: Path = Field(default=Path("."), exclude=True, repr=False)

    @field_validator("columns")
    @classmethod
    def _one_of_each_role(cls, columns: dict[str, Any]) -> dict[str, Any]:
        for kind, word in ((User, "user"), (Item, "item")):
            if sum(isinstance(column, kind) for column in columns.values()) != 1:
                raise ValueError(
                    f'exactly one column must have role = "{word}"; others can have drop = true'
                )
        return columns

    @model_validator(mode="after")
    def _unit_is_a_column(self) -> Schema:
        units = {name for name, column in self.columns.items() if isinstance(column, Unit)}
        if units - {self.privacy.unit} or self.privacy.unit not in units | {self.user}:
            raise ValueError(
                f'privacy.unit must be the user column, "{self.user}", or the one column with role = "unit"'
            )
        if self.user in self.users.attributes or self.item in self.items.attributes:
            raise ValueError("the id column of a table is no attribute of it")
        return self

    @classmethod
    def load(cls, path: Path | str) -> Schema:
        """Read a TOML file; relative paths in it start from its folder."""
        return cls.parse(read_toml(Path(path)), folder=Path(path).parent)

    @classmethod
    def parse(cls, text: str | dict[str, Any], *, folder: Path | str = Path(".")) -> Schema:
        """Read TOML text, or the nested dict that it stands for. Raises SchemaError, which names
        the place.
        """
        words = parse_toml(text) if isinstance(text, str) else text
        require_no_questions(words)
        with schema_errors():
            schema = cls.model_validate({**reshape(words), "folder": Path(folder)})
        schema._require_unsettled()
        return schema

    @property
    def user(self) -> str:
        """Name of the user column."""
        return next(name for name, column in self.columns.items() if isinstance(column, User))

    @property
    def item(self) -> str:
        """Name of the item column."""
        return next(name for name, column in self.columns.items() if isinstance(column, Item))

    @property
    def item_column(self) -> Item:
        """The item column's declaration."""
        return next(column for column in self.columns.values() if isinstance(column, Item))

    @property
    def rating(self) -> Ordinal | None:
        """The ordinal column, if there is one."""
        return next(
            (column for column in self.columns.values() if isinstance(column, Ordinal)), None
        )

    @property
    def time(self) -> Datetime | None:
        """The datetime column, if there is one."""
        return next(
            (column for column in self.columns.values() if isinstance(column, Datetime)), None
        )

    @property
    def marks(self) -> dict[str, Mark]:
        """What events say besides who, what, when and how liked, in the file's order."""
        return {
            name: column
            for name, column in self.columns.items()
            if isinstance(column, (EventCategory, EventNumber, Identifier))
            or (isinstance(column, Ordinal) and column != self.rating)
        }

    @property
    def kind(self) -> EventCategory | None:
        """The event's type: the first categorical column that belongs to nothing else."""
        return next(
            (
                column
                for column in self.marks.values()
                if isinstance(column, EventCategory) and column.of is None
            ),
            None,
        )

    @property
    def basket(self) -> Identifier | None:
        """The column that groups events, if there is one."""
        return next(
            (column for column in self.marks.values() if isinstance(column, Identifier)), None
        )

    @property
    def details(self) -> dict[str, Coded]:
        """Marks that each event has for itself, but for its type."""
        return {
            name: column
            for name, column in self.marks.items()
            if not isinstance(column, Identifier)
            and column != self.kind
            and getattr(column, "of", None) is None
        }

    def marks_of(self, whom: str) -> dict[str, EventCategory | EventNumber]:
        """Marks that belong to the "item" or to the "user"."""
        return {
            name: column
            for name, column in self.marks.items()
            if isinstance(column, (EventCategory, EventNumber)) and column.of == whom
        }

    @property
    def several(self) -> bool:
        """May a user and an item have several events together?"""
        return self.repeats or self.kind is not None

    @property
    def kept_columns(self) -> tuple[str, ...]:
        """Columns that are read and written again, in the file's order."""
        return tuple(
            name for name, column in self.columns.items() if not isinstance(column, Dropped)
        )

    @property
    def user_attributes(self) -> dict[str, Attribute]:
        """Declared columns of the user table."""
        return self.users.attributes

    @property
    def item_attributes(self) -> dict[str, ItemAttribute]:
        """Declared columns of the catalogue."""
        return self.items.attributes

    @property
    def repeats(self) -> bool:
        """May one user do the same thing to the same item twice?"""
        return self.events.repeats

    @property
    def ledger_path(self) -> Path:
        """The source's ledger."""
        return self.folder / self.source.ledger

    @property
    def catalogue_path(self) -> Path | None:
        """The catalogue file."""
        return (
            None if self.item_column.catalogue is None else self.folder / self.item_column.catalogue
        )

    @property
    def users_path(self) -> Path | None:
        """The user table."""
        return None if self.users.table is None else self.folder / self.users.table

    @property
    def paths(self) -> dict[str, str | None]:
        """The files that it names, as written."""
        return {
            "ledger": self.source.ledger,
            "catalogue": self.item_column.catalogue,
            "table": self.users.table,
        }

    def with_paths(self, paths: Mapping[str, str | None]) -> Schema:
        """The same with other paths of its files."""
        item = self.item_column.model_copy(update={"catalogue": paths["catalogue"]})
        return self.model_copy(
            update={
                "source": self.source.model_copy(update={"ledger": paths["ledger"]}),
                "columns": {**self.columns, self.item: item},
                "users": self.users.model_copy(update={"table": paths["table"]}),
            }
        )

    def shared(self) -> Schema:
        """What of it may leave: without dropped columns, whose very names may be private and which
        nothing was made from, and of files no more than their names.
        """
        gone = {name for name, column in self.columns.items() if isinstance(column, Dropped)}
        public = tuple(name for name in self.source.values_are_public if name not in gone)
        listed = self.model_copy(
            update={
                "source": self.source.model_copy(update={"values_are_public": public}),
                "columns": {name: self.columns[name] for name in self.kept_columns},
            }
        )
        return listed.with_paths(
            {word: path and PureWindowsPath(path).name for word, path in self.paths.items()}
        )

    def require_declared(self) -> None:
        """Raise SchemaError unless the owner vouches for the item attributes. (`parse` has refused
        every "?".)
        """
        if self.items.attributes and self.items.independent_of_log is not True:
            raise SchemaError(
                "[items] independent_of_log must be true for item attributes to be used",
                found="no such word" if self.items.independent_of_log is None else "false",
                remedy="Say true if no attribute was computed from this log (popularity, mean rating, embeddings), "
                "else remove such attributes.",
            )

    def require_served(self) -> None:
        """Raise SchemaError that names everything declared which this version does not serve."""
        refused = [
            f'[columns] {name}: type = "{column.type}" for events'
            for name, column in self.columns.items()
            if isinstance(column, Text)
        ]
        for kind, word in ((Identifier, "id"), (Datetime, "datetime")):
            extra = [name for name, column in self.columns.items() if isinstance(column, kind)][1:]
            refused += [f"[columns] {name}: a second {word} column" for name in extra]
        refused += [
            f"[columns] {name}: follows on another column than the event's type"
            for name, column in self.marks.items()
            if isinstance(column, EventCategory) and column.follows and column != self.kind
        ]
        refused += [
            f'[users] {name}: outside = "drop"'
            for name, attribute in self.user_attributes.items()
            if isinstance(attribute, Categorical) and attribute.outside == "drop"
        ]
        if self.item_column.paid and self.item_attributes:
            refused.append(
                f"[items] {', '.join(self.item_attributes)}: attributes of items without a catalogue"
            )
        known = () if self.kind is None else self.kind.labels
        refused += [
            f"[columns] {name}: negative for what is no type of event, or on a number of an item or user"
            for name, column in self.marks.items()
            if isinstance(column, EventNumber)
            and (
                not set(column.negative) <= set(known)
                or (column.negative and column.of is not None)
            )
        ]
        if refused:
            raise SchemaError(
                "the configuration may use only what this version serves",
                found=f"not served by this version: {'; '.join(refused)}",
                remedy="Set drop = true for such columns, or give the declaration in another form.",
            )

    def _require_unsettled(self) -> None:
        """What "dp" buys is never written by hand: then it would be declared, not paid for."""
        both = [
            name
            for name, column in (*self.columns.items(), *self.user_attributes.items())
            if isinstance(column, PayableColumn) and column.paid and not column.is_open
        ]
        if both:
            raise SchemaError(
                'a column is declared by values or bounds, or by "dp", not both',
                found=f"both for {', '.join(both)}",
                remedy='Remove the values (or min and max), or the word "dp".',
            )


QUESTION = "?"
MAX_TOML_BYTES = 4_000_000
_SETTINGS = {
    "users": ("table",),
    "items": ("independent_of_log",),
}  # what in these sections is no column
_ANSWERS = {
    "population": "a whole number such as 50000",
    "unit": 'the name of the user column, or of a time "s", "ms", "us", "ns" or "iso"',
    "role": '"user" or "item"',
    "catalogue": '"FILE", a public table of all items (or values = [...] or vocabulary = "dp" in its place)',
    "values": '[...], all values that it may take (or vocabulary = "dp" in its place)',
    "min": "the least that there can be",
    "max": "the most that there can be",
    "step": "the distance of two levels, such as 1 or 0.5",
    "independent_of_log": "true if no item attribute was computed from this log, else false",
}
_COMPLAINTS = {
    "extra_forbidden": "no such word",
    "missing": "is required",
    "int_type": "must be a whole number without quotes",
    "float_type": "must be a number without quotes",
    "bool_type": "must be true or false without quotes",
    "string_type": "must be text in quotes",
}


def read_toml(path: Path) -> str:
    """The text of a TOML file. Raises SchemaError if it cannot be read."""
    try:
        if path.stat().st_size > MAX_TOML_BYTES:
            raise SchemaError(
                "a configuration is a small text file",
                found="one of several megabytes",
                remedy="Give the path of a synthrec.toml.",
            )
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SchemaError(
            "the configuration must be a readable file",
            found=f"{path}: {error.strerror}",
            remedy="Make one with `synthrec init LOG --out synthrec.toml`.",
        ) from None
    except UnicodeDecodeError:
        raise SchemaError(
            "the configuration must be UTF-8 text", found="other bytes", remedy="Save it as UTF-8."
        ) from None


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML text. Raises SchemaError with the parser's line and column."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(
            "the configuration must be valid TOML",
            found=str(error),
            remedy="Correct that line (or give the configuration, if this was the log).",
        ) from None
    except (RecursionError, ValueError):
        raise SchemaError(
            "the configuration must be valid TOML",
            found="nesting without end, or a number of thousands of digits",
            remedy="Write it anew.",
        ) from None


def require_no_questions(words: dict[str, Any]) -> None:
    """Raise SchemaError that lists, all at once, every place where a declaration is still missing."""
    missing = [
        _place(path) + (f" = {_ANSWERS[path[-1]]}" if path[-1] in _ANSWERS else "")
        for path in _questions(words, ())
    ]
    if missing:
        raise SchemaError(
            'every "?" must be replaced by a public declaration before the log is used',
            found=f"{len(missing)} missing: {'; '.join(missing)}",
            remedy="Write what is known without looking into the log, or drop = true for a column to be left out.",
        )


def reshape(words: dict[str, Any]) -> dict[str, Any]:
    """Turn tables of columns into what the records expect: each column knows its name."""
    shaped = dict(words)
    if isinstance(columns := words.get("columns"), dict):
        shaped["columns"] = _named(columns, "columns")
    for section, settings in _SETTINGS.items():
        if isinstance(table := words.get(section), dict):
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
        complaints = {  # one for each place: of a number's two kinds, the wider one
            _place(_plain(complaint["loc"])): _COMPLAINTS.get(
                complaint["type"], complaint["msg"].removeprefix("Value error, ")
            )
            for complaint in error.errors(
                include_url=False, include_context=False, include_input=False
            )
        }
        raise SchemaError(
            "the configuration must follow the schema's grammar",
            found="; ".join(f"{place}: {rule}" for place, rule in complaints.items()),
            remedy="Correct these places; docs/reference.md lists every word.",
        ) from None


def _named(columns: dict[str, Any], section: str) -> dict[str, Any]:
    for name, column in columns.items():
        if not isinstance(column, dict) or "name" in column:
            raise SchemaError(
                "a column is declared as NAME = { role = ... } or { type = ... }",
                found=f"[{section}] {name} in another form",
                remedy="Correct that line.",
            )
    return {name: {**column, "name": name} for name, column in columns.items()}


def _questions(words: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if words == QUESTION:
        yield path
    elif isinstance(words, dict):
        for word, inner in words.items():
            yield from _questions(inner, (*path, str(word)))
    elif isinstance(words, list) and QUESTION in words:
        yield path


def _plain(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """A place without pydantic's own tags: section, column, word."""
    section, *rest = [str(part) for part in loc if not isinstance(part, int)] or ["file"]
    attribute = section in _SETTINGS and rest[:1] == ["attributes"]
    rest = rest[1:] if attribute else rest
    tagged = (attribute or section == "columns") and len(rest) > 1
    return (section, rest[0], *rest[2:3]) if tagged else (section, *rest)


def _place(path: tuple[str, ...]) -> str:
    section, *rest = path
    return f"[{section}] {', '.join(rest)}".rstrip()
