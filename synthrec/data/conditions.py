"""What a sample is asked for: which users, which items, which part of the window. Words of the command line, matched against the schema.

`name=a,b` names values, `name=1..5` a closed range of which one end may be left out. The name `events` means the number of events.

Guarantees: reads public declarations and the public catalogue only; a sample is conditioned on what the release knows, never on the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import Datetime
from synthrec.data.condition_words import Range, Words, listed, named, number, number_range
from synthrec.data.domain import Attribute, Numeric, Ordinal
from synthrec.data.item_filter import matching_items
from synthrec.data.narrowed import Narrowed
from synthrec.data.schema import Schema
from synthrec.errors import ConditionError

ACTIVITY = "events"


@dataclass(frozen=True)
class Scope:
    """A sample's conditions; without any, everything.

    Shapes:
        where name -> float64[size + 1]: which part of each code's users is asked for ("other": none); items int64[...]: rows of the
        catalogue that match; events: from and to, both included; window: first and last second.
    """

    where: Mapping[str, np.ndarray] = field(default_factory=dict)
    limits: Mapping[str, Range] = field(default_factory=dict)
    events: tuple[int, int] | None = None
    items: np.ndarray | None = None
    window: tuple[int, int] | None = None
    said: tuple[str, ...] = ()

    @classmethod
    def parse(cls, schema: Schema, catalogue: Catalogue, *, where: Words = (), items: Words = (), start: str | date | None = None,
              end: str | date | None = None) -> Scope:
        """Read the words. Raises ConditionError, which names the rule and what is known."""
        users, rows = named(where, "where"), named(items, "items")
        asked = {name: _users(schema, name, text) for name, text in users.items() if name != ACTIVITY}
        found = matching_items(schema, catalogue, rows)
        said = [*(f"where {name}={text}" for name, text in users.items()), *(f"items {name}={text}" for name, text in rows.items()),
                *(f"{word} {moment}" for word, moment in (("from", start), ("to", end)) if moment is not None)]
        return cls(where={name: part for name, (part, _) in asked.items()},
                   limits={name: limit for name, (_, limit) in asked.items() if limit is not None},
                   events=_events(schema, users[ACTIVITY], items=found) if ACTIVITY in users else None,
                   items=found, window=_window(schema, start, end), said=tuple(said))

    def narrowed(self, schema: Schema) -> Schema:
        """The schema to write the sample with: numbers are drawn within what was asked for."""
        attributes = {name: Narrowed(attribute, *self.limits[name]) if isinstance(attribute, Numeric) and name in self.limits else attribute
                      for name, attribute in schema.user_attributes.items()}
        return schema.model_copy(update={"users": schema.users.model_copy(update={"attributes": attributes})})


EVERYTHING = Scope()


def _users(schema: Schema, name: str, text: str) -> tuple[np.ndarray, Range | None]:
    """Part of each code that is asked for, and the limits of a number."""
    attribute = schema.user_attributes.get(name)
    if attribute is None:
        raise ConditionError("--where must name a declared user attribute, or events", found=name,
                             remedy=f"Known: {listed([*schema.user_attributes, ACTIVITY])}.")
    limits = _limits(attribute, text) if isinstance(attribute, Numeric) else None
    parts = Narrowed(attribute, *limits).parts() if isinstance(attribute, Numeric) and limits else _codes(attribute, text)
    if not parts.any():
        raise ConditionError(f"--where {name} must leave some declared value", found=f"{text}, which holds none",
                             remedy=f"Known: {listed(attribute.labels)}.")
    return np.append(parts, 0.0).astype(np.float64), limits


def _limits(attribute: Numeric, text: str) -> Range:
    if (found := number_range(text, name=attribute.name)) is not None:
        return found
    value = number(text)
    if value is None or not attribute.whole:
        raise ConditionError(f"--where {attribute.name} must be a range, for it is a number", found=text,
                             remedy=f"Write {attribute.name}={attribute.min}..{attribute.max}, or a part of it.")
    return value, value


def _codes(attribute: Attribute, text: str) -> np.ndarray:
    """Which declared values are meant.

    Shapes:
        -> bool[size].
    """
    labels = attribute.labels
    values = [number(label) for label in labels]
    if text not in labels and None not in values and (ends := number_range(text, name=attribute.name)) is not None:
        return np.array([value is not None and ends[0] <= value <= ends[1] for value in values])
    asked = [text] if text in labels else [word.strip() for word in text.split(",")]
    if isinstance(attribute, Ordinal):
        asked = [word if (value := number(word)) is None else f"{value:g}" for word in asked]
    if unknown := [word for word in asked if word not in labels]:
        raise ConditionError(f"--where {attribute.name} must name declared values", found=unknown[0], remedy=f"Known: {listed(labels)}.")
    return np.isin(labels, asked)


def _events(schema: Schema, text: str, *, items: np.ndarray | None) -> tuple[int, int]:
    most = schema.privacy.events_per_user
    value = number(text)
    found = number_range(text, name=ACTIVITY) or (None if value is None else (value, value))
    if found is None:
        raise ConditionError("--where events must be a number or a range", found=text, remedy="Write for example events=20..100.")
    low, high = int(np.ceil(max(found[0], 1))) if found[0] <= most else most + 1, int(np.floor(min(max(found[1], 0), most)))
    if low > high:
        raise ConditionError(f"--where events must leave a number from 1 to {most}, the most that one user counts", found=text,
                             remedy="Choose a range within.")
    if items is not None and not schema.repeats and len(items) < low:
        raise ConditionError("--where events must be possible with the items that --items leaves", found=f"{text} of {len(items)} items",
                             remedy="Ask for fewer events or more items.")
    return low, high


def _window(schema: Schema, start: str | date | None, end: str | date | None) -> tuple[int, int] | None:
    """First and last second; a day without a time of day counts whole, as in the schema."""
    if start is None and end is None:
        return None
    column = schema.time
    if column is None:
        raise ConditionError("--from and --to need a time column", found="none declared", remedy="Leave them out.")
    first = column.min_seconds if start is None else _moment(column, start).min_seconds
    last = column.max_seconds if end is None else _moment(column, end).max_seconds
    if not column.min_seconds <= first <= last <= column.max_seconds:
        raise ConditionError("--from and --to must lie in the declared window, in this order",
                             found=f"{start or column.min} to {end or column.max}",
                             remedy=f"The window is {column.min} to {column.max}, {column.zone}.")
    return first, last


def _moment(column: Datetime, moment: str | date) -> Datetime:
    """A column whose window is that moment alone: what its words mean is decided in one place."""
    said = moment if isinstance(moment, str) else moment.isoformat()
    try:
        return Datetime(name=column.name, unit=column.unit, zone=column.zone, min=said, max=said)
    except ValueError:
        raise ConditionError("--from and --to must be dates, or dates with a time of day", found=said,
                             remedy="Write for example 1998-01-31 or 1998-01-31T12:00:00.") from None
