"""What a sample is asked for: which users, which items, which part of the window. Words of the
command line, or of a call, matched against the schema and the public catalogue.

`name=a,b` names values, `name=1..5` a closed range of which one end may be left out. The name
`events` means the number of events. Of a numeric user attribute a range leaves a part of each bin.

Guarantees: reads public declarations, the public catalogue and the words only; a sample is
conditioned on what the release knows, never on the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa

from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import Datetime, ItemCategory, ItemNumber, ItemSet
from synthrec.data.domain import Attribute, Numeric, Ordinal
from synthrec.data.identifiers import number_of
from synthrec.data.schema import Schema
from synthrec.errors import ConditionError

SHOWN = 12  # known values that a message lists, at most

Words = Mapping[str, object] | Iterable[str]
Range = tuple[float, float]


def named(words: Words, option: str) -> dict[str, str]:
    """Each condition's name and text; a mapping may hold a value, a list of values or text."""
    if isinstance(words, str):
        words = [words]
    pairs = (
        [(str(name), _text(value)) for name, value in words.items()]
        if isinstance(words, Mapping)
        else [
            (name.strip(), text.strip())
            for name, _, text in (word.partition("=") for word in words)
        ]
    )
    for place, (name, text) in enumerate(pairs):
        if not name or not text:
            raise ConditionError(
                "a condition is written name=a,b or name=1..5",
                found=f"--{option} {name or text or 'without words'}",
                remedy=f"For example --{option} year=1990..1999.",
            )
        if name in [earlier for earlier, _ in pairs[:place]]:
            raise ConditionError(
                f"--{option} may name each attribute once",
                found=f"{name} twice",
                remedy="Write name=a,b for either.",
            )
    return dict(pairs)


def _text(value: object) -> str:
    return (
        ",".join(str(each) for each in value)
        if isinstance(value, Sequence) and not isinstance(value, str)
        else str(value)
    )


def number_range(text: str, *, name: str, single: bool = False) -> Range | None:
    """The ends of `1..5`, `1..` or `..5`, and where a `single` number will do of `3`; None if the
    text is neither.
    """
    if ".." not in text:
        value = number_of(text) if single else None
        return None if value is None else (value, value)
    ends = [end.strip() for end in text.split("..")]
    if len(ends) != 2 or not any(ends) or any(end and number_of(end) is None for end in ends):
        raise ConditionError(
            "a range is written 1..5, 1.. or ..5",
            found=f"{name}={text}",
            remedy="Correct that condition.",
        )
    low, high = float(ends[0] or -np.inf), float(ends[1] or np.inf)
    if low > high:
        raise ConditionError(
            "a range must not be empty",
            found=f"{name}={text}",
            remedy="Write the smaller number first.",
        )
    return low, high


def listed(names: Iterable[object]) -> str:
    """Names for a message, the first few if they are many."""
    every = [str(name) for name in names]
    return ", ".join(every[:SHOWN]) + (
        f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    )


FILTERS = (
    ItemSet,
    ItemNumber,
    ItemCategory,
)  # kinds of attributes that a release keeps, to filter by


def matching_items(
    schema: Schema, catalogue: Catalogue, rows: Mapping[str, str]
) -> np.ndarray | None:
    """Rows that all conditions leave."""
    if not rows:
        return None
    matching = np.logical_and.reduce(
        [_matching(schema, catalogue, name, text) for name, text in rows.items()]
    )
    if not matching.any():
        raise ConditionError(
            "--items must leave at least one item",
            found="none that matches all of "
            + ", ".join(f"{name}={text}" for name, text in rows.items()),
            remedy="Ask for more.",
        )
    return np.flatnonzero(matching)


def _matching(schema: Schema, catalogue: Catalogue, name: str, text: str) -> np.ndarray:
    """Which items match one condition.

    Shapes:
        -> bool[V].
    """
    declared = schema.item_attributes.get(name)
    if not isinstance(declared, FILTERS):
        known = [
            other for other, each in schema.item_attributes.items() if isinstance(each, FILTERS)
        ]
        raise ConditionError(
            "--items must name a set, a category or a number of the catalogue",
            found=name,
            remedy=f"Known: {listed(known) or 'none is declared'}.",
        )
    if name not in catalogue.attributes.column_names:
        raise ConditionError(
            "--items needs the catalogue's attributes in the release",
            found=f"a release that does not hold {name}",
            remedy="Make the release anew with this version.",
        )
    cells = catalogue.attributes[name].to_pylist()
    if isinstance(declared, ItemNumber):
        return _numbers_within(cells, name=name, text=text)
    separator = declared.separator if isinstance(declared, ItemSet) else None
    words = [
        {word.strip() for word in (str(cell).split(separator) if separator else [str(cell)])} - {""}
        if cell is not None
        else set()
        for cell in cells
    ]
    known = sorted(set().union(*words))
    wanted = {text} if text in known else {word.strip() for word in text.split(",")}
    if unknown := sorted(wanted - set(known)):
        raise ConditionError(
            f"--items {name} must name values of the catalogue",
            found=unknown[0],
            remedy=f"Known: {listed(known)}.",
        )
    return np.array([bool(wanted & each) for each in words])


def _numbers_within(cells: list[float | None], *, name: str, text: str) -> np.ndarray:
    numbers = np.array([np.nan if cell is None else float(cell) for cell in cells])
    if (limits := number_range(text, name=name)) is not None:
        return np.asarray((numbers >= limits[0]) & (numbers <= limits[1]))
    wanted = [number_of(word) for word in text.split(",")]
    if None in wanted:
        raise ConditionError(
            f"--items {name} must be a range or numbers",
            found=text,
            remedy=f"Write for example {name}=1990..1999.",
        )
    return np.isin(numbers, np.array(wanted, dtype=np.float64))


@dataclass(frozen=True)
class Narrowed:
    """A numeric attribute whose users lie between `low` and `high`, both included."""

    numeric: Numeric
    low: float
    high: float

    @property
    def size(self) -> int:
        """Number of bins, as declared."""
        return self.numeric.size

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """What of each bin lies within, first and last value; first above last where nothing does.

        Shapes:
            -> float64[size] twice.
        """
        first, last = bin_ends(self.numeric)
        low, high = (
            (np.ceil(self.low), np.floor(self.high))
            if self.numeric.whole
            else (self.low, self.high)
        )
        return np.maximum(first, low), np.minimum(last, high)

    def parts(self) -> np.ndarray:
        """Which part of each bin lies within, values in a bin being alike.

        Shapes:
            -> float64[size].
        """
        (first, last), (low, high) = bin_ends(self.numeric), self.ends()
        more = 1.0 if self.numeric.whole else 0.0
        return np.asarray(np.maximum(high - low + more, 0.0) / (last - first + more))

    def decode(self, codes: np.ndarray, rng: np.random.Generator) -> pa.Array:
        """A uniform value of each bin's part; `size` becomes null."""
        first, last = self.ends()
        missing = codes == self.size
        at = np.where(missing, np.argmax(last >= first), codes).astype(np.int64)
        if self.numeric.whole:
            return pa.array(
                rng.integers(first[at].astype(np.int64), last[at].astype(np.int64), endpoint=True),
                mask=missing,
            )
        return pa.array(
            np.minimum(first[at] + rng.random(len(at)) * (last[at] - first[at]), last[at]),
            mask=missing,
        )


def bin_ends(numeric: Numeric) -> tuple[np.ndarray, np.ndarray]:
    """First and last value of each bin; of whole numbers both belong to it.

    Shapes:
        -> float64[size] twice.
    """
    low, high = numeric.edges[:-1], numeric.edges[1:]
    if not numeric.whole:
        return low, high
    first, last = np.ceil(low), np.ceil(high) - 1
    last[-1] = high[-1]
    return first, last


ACTIVITY = "events"


@dataclass(frozen=True)
class Scope:
    """A sample's conditions; without any, everything.

    Shapes:
        where name -> float64[size + 1]: which part of each code's users is asked for ("other":
        none); items int64[...]: rows of the catalogue that match; events: from and to, both
        included; window: first and last second.
    """

    where: Mapping[str, np.ndarray] = field(default_factory=dict)
    limits: Mapping[str, Range] = field(default_factory=dict)
    events: tuple[int, int] | None = None
    items: np.ndarray | None = None
    window: tuple[int, int] | None = None
    said: tuple[str, ...] = ()

    @classmethod
    def parse(
        cls,
        schema: Schema,
        catalogue: Catalogue,
        *,
        where: Words = (),
        items: Words = (),
        start: str | date | None = None,
        end: str | date | None = None,
    ) -> Scope:
        """Read the words. Raises ConditionError, which names the rule and what is known."""
        users, rows = named(where, "where"), named(items, "items")
        shares = {
            name: _users(schema, name, text) for name, text in users.items() if name != ACTIVITY
        }
        item_rows = matching_items(schema, catalogue, rows)
        said = [
            *(f"where {name}={text}" for name, text in users.items()),
            *(f"items {name}={text}" for name, text in rows.items()),
            *(
                f"{word} {moment}"
                for word, moment in (("from", start), ("to", end))
                if moment is not None
            ),
        ]
        return cls(
            where={name: part for name, (part, _) in shares.items()},
            limits={name: limit for name, (_, limit) in shares.items() if limit is not None},
            events=_events(schema, users[ACTIVITY], items=item_rows) if ACTIVITY in users else None,
            items=item_rows,
            window=_window(schema, start, end),
            said=tuple(said),
        )

    def narrowed(self, schema: Schema) -> Schema:
        """The schema to write the sample with: numbers are drawn within what was asked for."""
        attributes = {
            name: Narrowed(attribute, *self.limits[name])
            if isinstance(attribute, Numeric) and name in self.limits
            else attribute
            for name, attribute in schema.user_attributes.items()
        }
        return schema.model_copy(
            update={"users": schema.users.model_copy(update={"attributes": attributes})}
        )


EVERYTHING = Scope()


def _users(schema: Schema, name: str, text: str) -> tuple[np.ndarray, Range | None]:
    """Part of each code that is asked for, and the limits of a number."""
    attribute = schema.user_attributes.get(name)
    if attribute is None:
        raise ConditionError(
            "--where must name a declared user attribute, or events",
            found=name,
            remedy=f"Known: {listed([*schema.user_attributes, ACTIVITY])}.",
        )
    limits = _limits(attribute, text) if isinstance(attribute, Numeric) else None
    parts = (
        Narrowed(attribute, *limits).parts()
        if isinstance(attribute, Numeric) and limits
        else _codes(attribute, text)
    )
    if not parts.any():
        raise ConditionError(
            f"--where {name} must leave some declared value",
            found=f"{text}, which holds none",
            remedy=f"Known: {listed(attribute.labels)}.",
        )
    return np.append(parts, 0.0).astype(np.float64), limits


def _limits(attribute: Numeric, text: str) -> Range:
    limits = number_range(text, name=attribute.name, single=attribute.whole)
    if limits is None:
        raise ConditionError(
            f"--where {attribute.name} must be a range, for it is a number",
            found=text,
            remedy=f"Write {attribute.name}={attribute.min}..{attribute.max}, or a part of it.",
        )
    return limits


def _codes(attribute: Attribute, text: str) -> np.ndarray:
    """Which declared values are meant.

    Shapes:
        -> bool[size].
    """
    labels = attribute.labels
    values = [number_of(label) for label in labels]
    if (
        text not in labels
        and None not in values
        and (ends := number_range(text, name=attribute.name)) is not None
    ):
        return np.array([value is not None and ends[0] <= value <= ends[1] for value in values])
    wanted = [text] if text in labels else [word.strip() for word in text.split(",")]
    if isinstance(attribute, Ordinal):
        wanted = [word if (value := number_of(word)) is None else f"{value:g}" for word in wanted]
    if unknown := [word for word in wanted if word not in labels]:
        raise ConditionError(
            f"--where {attribute.name} must name declared values",
            found=unknown[0],
            remedy=f"Known: {listed(labels)}.",
        )
    return np.isin(labels, wanted)


def _events(schema: Schema, text: str, *, items: np.ndarray | None) -> tuple[int, int]:
    most = schema.privacy.events_per_user
    limits = number_range(text, name=ACTIVITY, single=True)
    if limits is None:
        raise ConditionError(
            "--where events must be a number or a range",
            found=text,
            remedy="Write for example events=20..100.",
        )
    low = int(np.ceil(max(limits[0], 1))) if limits[0] <= most else most + 1
    high = int(np.floor(min(max(limits[1], 0), most)))
    if low > high:
        raise ConditionError(
            f"--where events must leave a number from 1 to {most}, the most that one user counts",
            found=text,
            remedy="Choose a range within.",
        )
    if items is not None and not schema.repeats and len(items) < low:
        raise ConditionError(
            "--where events must be possible with the items that --items leaves",
            found=f"{text} of {len(items)} items",
            remedy="Ask for fewer events or more items.",
        )
    return low, high


def _window(
    schema: Schema, start: str | date | None, end: str | date | None
) -> tuple[int, int] | None:
    """First and last second; a day without a time of day counts whole, as in the schema."""
    if start is None and end is None:
        return None
    column = schema.time
    if column is None:
        raise ConditionError(
            "--from and --to need a time column", found="none declared", remedy="Leave them out."
        )
    first = column.min_seconds if start is None else _moment(column, start).min_seconds
    last = column.max_seconds if end is None else _moment(column, end).max_seconds
    if not column.min_seconds <= first <= last <= column.max_seconds:
        raise ConditionError(
            "--from and --to must lie in the declared window, in this order",
            found=f"{start or column.min} to {end or column.max}",
            remedy=f"The window is {column.min} to {column.max}, {column.zone}.",
        )
    return first, last


def _moment(column: Datetime, moment: str | date) -> Datetime:
    """A column whose window is that moment alone: what its words mean is decided in one place."""
    text = moment if isinstance(moment, str) else moment.isoformat()
    try:
        return Datetime(name=column.name, unit=column.unit, zone=column.zone, min=text, max=text)
    except ValueError:
        raise ConditionError(
            "--from and --to must be dates, or dates with a time of day",
            found=text,
            remedy="Write for example 1998-01-31 or 1998-01-31T12:00:00.",
        ) from None
