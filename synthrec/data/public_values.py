"""What a column holds, for `init`: the owner has named it with `--values-are-public`, or it is in
the public catalogue.

Guarantees: nothing here is called for any other column; the claim is written into the configuration
that results.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from synthrec.data.columns import UNITS_PER_SECOND
from synthrec.data.domain import MAX_LEVELS
from synthrec.data.identifiers import number_of

SEPARATORS = ("|", ";", ",", " ")
MAX_WORDS = 200  # distinct words in a column that is a set of words
MAX_CATEGORIES = 100
MOSTLY = 0.95  # of the cells that must be numbers: a few say "unknown"
_ENDING_SECONDS = (
    4_102_444_800  # the year 2100: above it, a number counts something smaller than seconds
)


@dataclass(frozen=True)
class PublicColumn:
    """Distinct values in order (None: more than the limit), and the range of those that are numbers
    or texts.
    """

    values: tuple[str, ...] | None
    low: float | None
    high: float | None
    first: str | None
    last: str | None

    @property
    def numbers(self) -> tuple[float, ...] | None:
        """The distinct values as numbers, if all of them are."""
        if self.values is None:
            return None
        numbers = {number_of(value) for value in self.values}
        known = tuple(sorted(number for number in numbers if number is not None))
        return known if known and None not in numbers else None


def grid(column: PublicColumn) -> tuple[float, float, float] | None:
    """min, max and step of the coarsest even grid that holds every value; None if there is no small
    one.
    """
    values = column.numbers
    if values is None or len(values) < 2:
        return None
    step = min(right - left for left, right in zip(values, values[1:], strict=False))
    if values[-1] - values[0] >= MAX_LEVELS * step or not round(
        step, 9
    ):  # also where both are infinite
        return None
    places = [(value - values[0]) / step for value in values]
    even = all(abs(place - round(place)) < 1e-6 for place in places)
    return (values[0], values[-1], round(step, 9)) if even else None


def window(column: PublicColumn) -> tuple[str, str, str] | None:
    """unit, first and last day of a time column; None if it does not look like one."""
    if column.low is not None and column.high is not None and column.low > 0:
        unit = next(
            (
                unit
                for unit, per_second in UNITS_PER_SECOND.items()
                if column.high < _ENDING_SECONDS * per_second
            ),
            None,
        )
        if unit is None:
            return None
        return (
            unit,
            _day(column.low / UNITS_PER_SECOND[unit]),
            _day(column.high / UNITS_PER_SECOND[unit]),
        )
    if column.first is not None and column.last is not None:
        try:
            first, last = (
                datetime.fromisoformat(value).date().isoformat()
                for value in (column.first, column.last)
            )
        except ValueError:
            return None
        return "iso", first, last
    return None


def catalogue_type(cells: list[str | None]) -> str:
    """A TOML declaration for a column of the public catalogue, from what it holds."""
    known = [cell.strip() for cell in cells if cell is not None and cell.strip()]
    if not known:
        return "{ drop = true }"
    if sum(number_of(cell) is not None for cell in known) > MOSTLY * len(known):
        return '{ type = "numeric" }'
    distinct = set(known)
    for separator in SEPARATORS:
        words = Counter(word.strip() for cell in known for word in cell.split(separator))
        several = sum(separator in cell for cell in known) / len(known)
        if (
            several > 0.2
            and len(words) <= min(MAX_WORDS, max(3, len(distinct) / 2))
            and len(words) < len(known) / 4
        ):
            return f'{{ type = "set", separator = "{separator}" }}'
    return (
        '{ type = "categorical" }'
        if len(distinct) <= min(MAX_CATEGORIES, len(known) / 2)
        else '{ type = "text" }'
    )


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
