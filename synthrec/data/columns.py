"""What a column of the log or of the catalogue is declared to be: one frozen record per kind.

All of this is public: the owner's words, read before the log is. Hours of the local week follow
from a declared window: the zone's offset is looked up once for each UTC hour of it, so daylight
saving is honoured to the hour.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import (
    Discriminator,
    Field,
    StrictInt,
    StrictStr,
    Tag,
    field_validator,
    model_validator,
)

from synthrec.data.domain import Categorical, NamedColumn, Number, Numeric, Ordinal, PayableColumn

FIRST_YEAR, LAST_YEAR = 1678, 2261
UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


class User(NamedColumn):
    """Who did it. `type = "text"` makes synthetic ids text, else they are whole numbers."""

    role: Literal["user"] = "user"
    type: Literal["text", "integer"] = "integer"


class Unit(NamedColumn):
    """The person behind several accounts."""

    role: Literal["unit"] = "unit"
    type: Literal["text", "integer"] = "integer"


class Item(PayableColumn):
    """To what: an item of a public catalogue file, of a list, or of a vocabulary that is paid for:
    then `values` are what it bought.
    """

    role: Literal["item"] = "item"
    catalogue: StrictStr | None = None
    values: Annotated[tuple[StrictStr | StrictInt, ...], Field(fail_fast=True)] | None = None
    vocabulary: Literal["dp"] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Item:
        if (self.catalogue is not None) + (self.values is not None or self.paid) != 1:
            raise ValueError(
                'exactly one of catalogue = "FILE", values = [...] and vocabulary = "dp" is needed'
            )
        if self.values is not None and not self.values:
            raise ValueError("values must not be empty")
        return self


class Datetime(PayableColumn):
    """When, within a declared window. `unit = "iso"` is a native timestamp or ISO 8601 text; the
    others count from 1970.
    """

    type: Literal["datetime"] = "datetime"
    unit: Literal["s", "ms", "us", "ns", "iso"]
    zone: StrictStr = "UTC"
    min: StrictStr | None = None
    max: StrictStr | None = None
    bounds: Literal["dp"] | None = None
    outside: Literal["drop"] = "drop"

    @field_validator("min", "max", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return value.isoformat() if hasattr(value, "isoformat") else value

    @model_validator(mode="after")
    def _window(self) -> Datetime:
        try:
            ZoneInfo(self.zone)
        except (ValueError, KeyError, OSError):
            raise ValueError('zone must be an IANA name such as "UTC" or "Europe/Madrid"') from None
        if (self.min is None) != (self.max is None) or (self.min is None and not self.paid):
            raise ValueError('min and max are needed (or bounds = "dp")')
        if self.min is not None and self.max_seconds < self.min_seconds:
            raise ValueError("max must not lie before min")
        return self

    @property
    def min_seconds(self) -> int:
        """First second of the window, since 1970-01-01 UTC."""
        return self._seconds(self.min)[0]

    @property
    def max_seconds(self) -> int:
        """Last second of the window; a `max` without a time of day means the whole day."""
        return self._seconds(self.max)[1]

    def _seconds(self, text: str | None) -> tuple[int, int]:
        assert text is not None, "settle open bounds first"
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(
                'min and max must be dates such as "1997-09-01" or "1997-09-01T12:00:00"'
            ) from None
        if not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise ValueError(
                f"min and max must lie between the years {FIRST_YEAR} and {LAST_YEAR}, which nanoseconds since 1970 can tell"
            )
        day = len(text) == len("1997-09-01")
        zone = moment.tzinfo or ZoneInfo(self.zone)
        first = moment.replace(tzinfo=zone)
        past = (
            (moment + timedelta(days=1)).replace(tzinfo=zone)
            if day
            else first + timedelta(seconds=1)
        )
        start = datetime(1970, 1, 1, tzinfo=UTC)
        return (first - start) // timedelta(seconds=1), (past - start) // timedelta(seconds=1) - 1


class EventCategory(Categorical):
    """One of several values of an event; the first such column that belongs to nothing else is the
    event's type.

    `of = "user"`: all events of a user have the same. `follows = { cancel = "purchase" }`: an event
    with the first value comes only after one with the second, by the same user on the same item.
    """

    of: Literal["user"] | None = None
    follows: dict[StrictStr, StrictStr] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> EventCategory:
        if set(self.follows) & set(self.follows.values()) or not {
            *self.follows,
            *self.follows.values(),
        } <= set(self.labels):
            raise ValueError(
                "follows names values of the column, and no value that itself follows another"
            )
        return self


class EventNumber(Numeric):
    """A number of an event, such as a quantity. `of = "item"`: all events of an item have the same
    (a price); `of = "user"`: of a user.

    `negative = ["cancel"]`: events of these types hold minus the number, and `min` and `max` speak
    of the number.
    """

    of: Literal["item", "user"] | None = None
    outside: Literal["drop", "other"] = "drop"
    negative: tuple[StrictStr, ...] = ()


class Identifier(NamedColumn):
    """A basket, session or invoice: the events of one user that share an id share their time.
    Synthetic ids are of their own space.
    """

    type: Literal["id"] = "id"
    groups: Literal["events"] = "events"
    format: Literal["text", "integer"] = "integer"


class Text(NamedColumn):
    """Free text: in the catalogue a source of features."""

    type: Literal["text"] = "text"


class Dropped(NamedColumn):
    """A column that the owner leaves out on purpose."""

    drop: Literal[True] = True


class ItemSet(NamedColumn):
    """Several words in one cell of the catalogue, for example genres."""

    type: Literal["set"] = "set"
    separator: Annotated[StrictStr, Field(min_length=1)] = "|"


class ItemNumber(NamedColumn):
    """A number of the catalogue, for example a year or a price."""

    type: Literal["numeric"] = "numeric"
    min: Number | None = None
    max: Number | None = None


class ItemCategory(NamedColumn):
    """One of several values; without `values` those that the catalogue holds."""

    type: Literal["categorical"] = "categorical"
    values: tuple[StrictStr | StrictInt, ...] | None = None


class Embedding(NamedColumn):
    """A vector per item, made without this log."""

    type: Literal["embedding"] = "embedding"


def _kind(column: Any) -> str | None:
    """Which record describes a column, from the words its declaration uses."""

    def said(word: str) -> Any:
        return column.get(word) if isinstance(column, dict) else getattr(column, word, None)

    if said("drop"):
        return "drop"
    if (role := said("role")) in ("user", "unit", "item"):
        return str(role)
    kind = said("type") if role is None else None
    known = kind in ("ordinal", "datetime", "categorical", "numeric", "id", "text")
    return str(kind) if known else None


Column = Annotated[
    Annotated[User, Tag("user")]
    | Annotated[Unit, Tag("unit")]
    | Annotated[Item, Tag("item")]
    | Annotated[Ordinal, Tag("ordinal")]
    | Annotated[Datetime, Tag("datetime")]
    | Annotated[EventCategory, Tag("categorical")]
    | Annotated[EventNumber, Tag("numeric")]
    | Annotated[Identifier, Tag("id")]
    | Annotated[Text, Tag("text")]
    | Annotated[Dropped, Tag("drop")],
    Discriminator(
        _kind,
        custom_error_type="column_kind",
        custom_error_message='a column needs role = "user", "item" or "unit", or type = "ordinal", "datetime", "categorical", '
        '"numeric", "id" or "text", or drop = true',
    ),
]
Coded = (
    EventCategory | EventNumber | Ordinal
)  # what an event says besides who, what, when and how liked: a code each
Mark = EventCategory | EventNumber | Ordinal | Identifier
ItemAttribute = Annotated[
    ItemSet | ItemNumber | ItemCategory | Text | Embedding, Field(discriminator="type")
]


HOURS = 168
HOUR, DAY = 3_600, 86_400
SESSION_GAP_SECONDS = 1800  # a session ends where nothing happens for longer


def hour_of_week(seconds: np.ndarray, *, column: Datetime) -> np.ndarray:
    """Hour from Monday 0:00 in the column's zone; a second outside the window takes the offset at
    its nearer end.

    Shapes:
        int64[...] -> int64[...] in 0..167.
    """
    seconds = np.asarray(seconds, dtype=np.int64)
    first, last = column.min_seconds // DAY, column.max_seconds // DAY
    offsets = _hourly_offsets(column.zone, first, last)
    local = seconds + offsets[np.clip(seconds // HOUR - first * 24, 0, len(offsets) - 1)]
    return np.asarray((local // HOUR + 3 * 24) % HOURS)  # 1970-01-01 was a Thursday


@lru_cache(maxsize=8)
def _hourly_offsets(zone: str, first_day: int, last_day: int) -> np.ndarray:
    """Seconds that the zone is ahead of UTC, for each UTC hour of the days."""
    days = np.array(
        [_offset(day * DAY, zone) for day in range(first_day, last_day + 2)], dtype=np.int64
    )
    hours = np.repeat(days[:-1], 24)
    for changes in np.flatnonzero(days[1:] != days[:-1]):
        hours[changes * 24 : changes * 24 + 24] = [
            _offset((first_day + int(changes)) * DAY + hour * HOUR, zone) for hour in range(24)
        ]
    return hours


def _offset(second: int, zone: str) -> int:
    offset = datetime.fromtimestamp(second, tz=UTC).astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())
