"""Columns whose domain the owner leaves open: declared `vocabulary = "dp"` or `bounds = "dp"`,
filled in by paid looks at the log.

A schema in a file says the words alone; a settled one, as a release carries it, has the words and
what they bought. Everything here is public but `KeySets`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import scipy.sparse as sp

from synthrec.data.columns import Datetime, Item
from synthrec.data.domain import MAX_VALUES, Categorical, Numeric
from synthrec.data.schema import Schema
from synthrec.errors import DataError

FIRST_YEAR, END_YEAR = 1970, 2100
OCTAVES = range(-20, 40)  # of the grid for numbers, each cut in four; beyond, nothing is looked for
WIDEST = float(2**40)


@dataclass(frozen=True, repr=False, eq=False)
class KeySets:
    """Which values each user holds; a private holder, for `privacy.opening` alone.

    Shapes:
        keys[M]; blocks of [users, M], one row per user, an entry for each value held.
    """

    keys: Sequence[str]
    blocks: Iterable[sp.csr_matrix]

    def __repr__(self) -> str:
        return "KeySets(private)"


@dataclass(frozen=True)
class PaidColumn:
    """One column that says "dp", settled or not."""

    section: Literal["columns", "users"]
    column: Item | Datetime | Categorical | Numeric

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name

    @property
    def bounded(self) -> bool:
        """Are bounds asked for, and not a list of values?"""
        return isinstance(self.column, (Datetime, Numeric))

    @property
    def label(self) -> str:
        """The name of its measurement."""
        return f"{'bounds' if self.bounded else 'vocabulary'} of {self.name}{' (users)' if self.section == 'users' else ''}"

    @property
    def is_open(self) -> bool:
        """Is it yet to be settled?"""
        return self.column.is_open

    def grid(self) -> np.ndarray:
        """Edges of the public grid on which bounds are looked for; of times, seconds since 1970.

        Shapes:
            -> float64[bins + 1], ascending.
        """
        if isinstance(self.column, Datetime):
            return np.array(
                [_second(month, self.column.zone) for month in _months()], dtype=np.float64
            )
        up = np.array(
            [part * 2.0**octave for octave in OCTAVES for part in (1.0, 1.25, 1.5, 1.75)] + [WIDEST]
        )
        return np.concatenate((-up[::-1], [0.0], up))

    def bounds(self, *, first: int, last: int) -> dict[str, Any]:
        """The words that bins `first` to `last` of the grid stand for."""
        if isinstance(self.column, Datetime):
            months = _months()
            return {
                "min": months[first].isoformat(),
                "max": (months[last + 1] - timedelta(days=1)).isoformat(),
            }
        assert isinstance(self.column, Numeric)
        low, high = (float(edge) for edge in self.grid()[[first, last + 1]])
        if (places := self.column.decimals) is None:
            return {"min": low, "max": high}
        step = 10.0**-places
        lowest, highest = int(np.ceil(low / step - 1e-6)), int(np.ceil(high / step - 1e-6)) - 1
        highest = max(
            highest, lowest + self.column.bins
        )  # a step a bin, for `bins` is part of the plan and stays
        if places == 0:
            return {"min": lowest, "max": highest}
        return {"min": round(lowest * step, places), "max": round(highest * step, places)}


def paid_columns(schema: Schema) -> tuple[PaidColumn, ...]:
    """Columns that say "dp", those of events first."""
    sections: tuple[tuple[Literal["columns", "users"], Mapping[str, Any]], ...] = (
        ("columns", schema.columns),
        ("users", schema.user_attributes),
    )
    return tuple(
        PaidColumn(section, column)
        for section, columns in sections
        for column in columns.values()
        if isinstance(column, (Item, Datetime, Categorical, Numeric)) and column.paid
    )


def is_open(schema: Schema) -> bool:
    """Is anything left to settle?"""
    return any(column.is_open for column in paid_columns(schema))


def filled(schema: Schema, column: PaidColumn, words: dict[str, Any]) -> Schema:
    """The schema with one column settled."""
    settled = type(column.column).model_validate({**column.column.model_dump(), **words})
    if column.section == "columns":
        return schema.model_copy(update={"columns": {**schema.columns, column.name: settled}})
    attributes = {**schema.user_attributes, column.name: settled}
    return schema.model_copy(
        update={"users": schema.users.model_copy(update={"attributes": attributes})}
    )


def reopened(schema: Schema) -> Schema:
    """The schema as the owner wrote it: what was paid for is open again."""
    for column in paid_columns(schema):
        nothing: dict[str, Any] = (
            {"min": None, "max": None}
            if column.bounded
            else {"values": None if isinstance(column.column, Item) else ()}
        )
        schema = filled(schema, column, nothing)
    return schema


def widened(schema: Schema) -> Schema:
    """The schema for a first look: open bounds as wide as their grid. Open vocabularies stay open:
    `reader` lets every value pass.
    """
    for column in paid_columns(schema):
        if column.is_open and isinstance(column.column, Datetime):
            schema = filled(
                schema, column, {"min": f"{FIRST_YEAR}-01-01", "max": f"{END_YEAR - 1}-12-31"}
            )
        elif column.is_open and isinstance(column.column, Numeric):
            schema = filled(
                schema,
                column,
                {"min": -WIDEST, "max": WIDEST, "bins": 1, "scale": "linear", "decimals": None},
            )
    return schema


def vocabulary(
    column: PaidColumn, keys: Sequence[str], *, weights: np.ndarray, whole: bool
) -> dict[str, Any]:
    """The words that released values stand for; numbers in their order. Raises DataError if too few
    are left to go on.
    """
    least = 2 if isinstance(column.column, Item) else 1
    if len(keys) < least:
        raise DataError(
            f"{column.name} must have at least {least} values that enough users hold",
            found="fewer, after noise",
            remedy="What was charged stays charged. Declare catalogue or values, raise epsilon, or leave the column out.",
        )
    if not isinstance(column.column, Item) and len(keys) > MAX_VALUES:
        keys = [keys[place] for place in np.sort(np.argsort(-weights)[:MAX_VALUES])]
    return {"values": tuple(sorted(int(key) for key in keys)) if whole else tuple(keys)}


def _months() -> list[date]:
    return [
        date(year, month, 1) for year in range(FIRST_YEAR, END_YEAR) for month in range(1, 13)
    ] + [date(END_YEAR, 1, 1)]


def _second(day: date, zone: str) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp()
