"""Finite public domains: which values a column may take, as declared, and the code of each.

A domain is written by the owner before anybody looks at the log, so its size, labels and bins are
public (rule: nothing unpaid).

Guarantees: `encode` treats each value by itself: what one user holds changes nobody else's code,
and whatever is not in the declared domain gets the code `size` ("other or missing").
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator

MAX_VALUES = 10_000
MAX_LEVELS = 1_000
LOG_RANGE = (
    10_000  # the largest number over the smallest that a log scale without a grid tells from zero
)
LEVEL_TOLERANCE = 1e-6  # of a step: how far a number may lie from its level and still be it

MAX_NUMBER = 2**53  # beyond, floats do not hold every whole number
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-MAX_NUMBER, le=MAX_NUMBER)]
Whole = Annotated[StrictInt, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]
Number = Annotated[Whole | Finite, Field(union_mode="left_to_right")]


class Declared(BaseModel):
    """Frozen, strict about unknown words, quiet about inputs in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class NamedColumn(Declared):
    """A column, which knows its name."""

    name: StrictStr


class PayableColumn(NamedColumn):
    """A column whose domain is declared or, where its words say "dp", bought from the log's budget."""

    @property
    def paid(self) -> bool:
        """Is the domain (`vocabulary`) or are its ends (`bounds`) paid for?"""
        return "dp" in (getattr(self, "vocabulary", None), getattr(self, "bounds", None))

    @property
    def is_open(self) -> bool:
        """Is it yet to be paid for?"""
        return (
            self.paid and not getattr(self, "values", None) and getattr(self, "min", None) is None
        )


class Categorical(PayableColumn):
    """One of a declared list of values, or (`vocabulary = "dp"`) of those that were paid for, once
    they are.
    """

    type: Literal["categorical"] = "categorical"
    values: Annotated[tuple[StrictStr | StrictInt, ...], Field(max_length=MAX_VALUES)] = ()
    vocabulary: Literal["dp"] | None = None
    outside: Literal["drop", "other"] = "other"

    @model_validator(mode="after")
    def _distinct(self) -> Categorical:
        if not self.values and not self.paid:
            raise ValueError(
                'values must list at least 1 value, or be left out for vocabulary = "dp"'
            )
        if len(set(self.labels)) < len(self.values):
            raise ValueError("values must be distinct")
        return self

    @property
    def size(self) -> int:
        """Values in the domain, without "other"."""
        return len(self.values)

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each code below `size`."""
        return tuple(str(value) for value in self.values)

    def encode(self, values: pa.Array) -> np.ndarray:
        """Codes of text values; null and unknown become `size`."""
        codes = pc.index_in(values.cast(pa.string()), value_set=pa.array(self.labels, pa.string()))
        return np.asarray(codes.fill_null(self.size).to_numpy(zero_copy_only=False), dtype=np.int16)

    def decode(self, codes: np.ndarray, rng: np.random.Generator) -> pa.Array:
        """Values as declared; `size` becomes null."""
        whole = all(isinstance(value, int) for value in self.values)
        domain = pa.array(self.values if whole else self.labels)
        return domain.take(_indices(codes, self.size))


class Ordinal(NamedColumn):
    """Numbers on an even grid: `min`, `min + step`, ... `max`."""

    type: Literal["ordinal"] = "ordinal"
    min: Number
    max: Number
    step: Number
    outside: Literal["drop"] = "drop"

    @model_validator(mode="after")
    def _grid(self) -> Ordinal:
        if not (self.step > 0 and self.max > self.min):
            raise ValueError("step must be above 0 and max above min")
        steps = (self.max - self.min) / self.step
        if not steps < MAX_LEVELS:
            raise ValueError(f"an ordinal column may have at most {MAX_LEVELS} levels")
        if abs(steps - round(steps)) > LEVEL_TOLERANCE:
            raise ValueError("max must be min plus a whole number of steps")
        return self

    @property
    def whole(self) -> bool:
        """Are all levels integers?"""
        return isinstance(self.min, int) and isinstance(self.step, int)

    @property
    def levels(self) -> np.ndarray:
        """float64[size], ascending."""
        return self.min + self.step * np.arange(
            round((self.max - self.min) / self.step) + 1, dtype=np.float64
        )

    @property
    def size(self) -> int:
        """Number of levels."""
        return len(self.levels)

    @property
    def labels(self) -> tuple[str, ...]:
        """Each level as text."""
        return tuple(f"{level:g}" for level in self.levels)

    def encode(self, values: pa.Array) -> np.ndarray:
        """Codes of numbers; null, not finite and off the grid become `size`."""
        numbers = _floats(values)
        place = (numbers - self.min) / self.step
        known = np.isfinite(place) & (place > -0.5) & (place < self.size - 0.5)
        code = np.rint(np.where(known, place, 0.0))
        known &= np.abs(np.where(known, place, 0.0) - code) <= LEVEL_TOLERANCE
        return np.where(known, code, self.size).astype(np.int16)

    def decode(self, codes: np.ndarray, rng: np.random.Generator) -> pa.Array:
        """Levels, int64 if all are whole, else float64; `size` becomes null."""
        domain = pa.array(np.rint(self.levels).astype(np.int64) if self.whole else self.levels)
        return domain.take(_indices(codes, self.size))


class Numeric(PayableColumn):
    """A number in [min, max], known only as one of `bins` bins: equal, or (`scale = "log"`) growing
    with the distance from zero.

    Whole numbers, and numbers with `decimals` places, keep to their grid; where bins are narrower
    than it there are fewer of them.
    """

    type: Literal["numeric"] = "numeric"
    min: Number | None = None
    max: Number | None = None
    bins: Annotated[StrictInt, Field(ge=1, le=MAX_LEVELS)] = 10
    scale: Literal["linear", "log"] = "linear"
    decimals: Annotated[StrictInt, Field(ge=0, le=9)] | None = None
    bounds: Literal["dp"] | None = None

    @model_validator(mode="after")
    def _range(self) -> Numeric:
        if self.is_open and self.max is None:
            return self
        if self.min is None or self.max is None:
            raise ValueError('min and max are needed (or bounds = "dp")')
        if not self.max > self.min:
            raise ValueError("max must be above min")
        if self.whole and self.scale == "linear" and self.bins > self.max - self.min:
            raise ValueError(
                "bins must be at most max - min for whole numbers, or some bin would hold none"
            )
        return self

    @property
    def whole(self) -> bool:
        """Does the column hold integers? It does if both bounds are written without a point."""
        return isinstance(self.min, int) and isinstance(self.max, int)

    @property
    def edges(self) -> np.ndarray:
        """float64[bins + 1]."""
        low, high = self._bounds()
        edges = (
            np.linspace(low, high, self.bins + 1)
            if self.scale == "linear"
            else _log_edges(low, high, self.bins, grid=self.grid)
        )
        if self.grid is None or (self.scale == "linear" and self.decimals is None):
            return edges
        on_grid = np.unique(
            np.round(np.rint(edges[1:-1] / self.grid) * self.grid, self.decimals or 0)
        )
        return np.concatenate(([low], on_grid[(on_grid > low) & (on_grid < high)], [high]))

    @property
    def grid(self) -> float | None:
        """The step that values keep to, if there is one."""
        return 1.0 if self.whole else None if self.decimals is None else float(10.0**-self.decimals)

    @property
    def size(self) -> int:
        """Number of bins; while bounds are open, the most there can be."""
        return (
            self.bins
            if self.is_open or (self.scale == "linear" and self.decimals is None)
            else len(self.edges) - 1
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Each bin as text, the last one closed."""
        edges = self.edges
        ends = [")"] * (self.size - 1) + ["]"]
        return tuple(
            f"[{low:g}, {high:g}{end}"
            for low, high, end in zip(edges[:-1], edges[1:], ends, strict=True)
        )

    def encode(self, values: pa.Array) -> np.ndarray:
        """Bins of numbers; null, not finite and out of range become `size`."""
        low, high = self._bounds()
        numbers = _floats(values)
        known = np.isfinite(numbers) & (numbers >= low) & (numbers <= high)
        bins = np.searchsorted(self.edges, np.where(known, numbers, low), side="right") - 1
        return np.where(known, np.minimum(bins, self.size - 1), self.size).astype(np.int16)

    def decode(self, codes: np.ndarray, rng: np.random.Generator) -> pa.Array:
        """A uniform value of each bin, whole if the column is; `size` becomes null."""
        return self.decode_at(codes, rng.random(len(codes)))

    def decode_at(self, codes: np.ndarray, position: np.ndarray) -> pa.Array:
        """The value at a place in each bin, 0 its start and 1 its end; on the grid if there is one.

        Shapes:
            codes int[N], position float64[N] in [0, 1) -> N values.
        """
        missing, edges = np.asarray(codes) == self.size, self.edges
        low, high = edges[:-1], edges[1:]
        at = np.where(missing, 0, codes).astype(np.int64)
        if (grid := self.grid) is None:
            drawn = low[at] + position * (high[at] - low[at])
            return pa.array(np.clip(drawn, low[at], np.nextafter(high[at], -np.inf)), mask=missing)
        first, last = (
            np.ceil(low / grid - LEVEL_TOLERANCE).astype(np.int64),
            np.ceil(high / grid - LEVEL_TOLERANCE).astype(np.int64) - 1,
        )
        last[-1] = int(np.floor(edges[-1] / grid + LEVEL_TOLERANCE))
        place = first[at] + np.floor(position * (last[at] - first[at] + 1)).astype(np.int64)
        return pa.array(
            place if self.whole else np.round(place * grid, self.decimals or 0), mask=missing
        )

    def _bounds(self) -> tuple[float, float]:
        assert self.min is not None and self.max is not None, "settle open bounds first"
        return float(self.min), float(self.max)


UserAttribute = Annotated[Categorical | Ordinal | Numeric, Field(discriminator="type")]
Attribute = Categorical | Ordinal | Numeric


def _log_edges(low: float, high: float, bins: int, *, grid: float | None) -> np.ndarray:
    """Edges whose distance grows with the distance from zero; geometric where zero is not inside
    and there is no grid.
    """
    if low > 0 and grid is None:
        return np.geomspace(low, high, bins + 1)
    unit = grid or max(abs(low), abs(high)) / LOG_RANGE
    first, last = (float(np.sign(end) * np.log1p(abs(end) / unit)) for end in (low, high))
    at = np.linspace(first, last, bins + 1)
    edges: np.ndarray = np.sign(at) * np.expm1(np.abs(at)) * unit
    edges[0], edges[-1] = low, high
    return edges


def _floats(values: pa.Array) -> np.ndarray:
    return np.asarray(
        values.cast(pa.float64()).fill_null(float("nan")).to_numpy(zero_copy_only=False),
        dtype=np.float64,
    )


def _indices(codes: np.ndarray, size: int) -> pa.Array:
    return pa.array(codes.astype(np.int64), mask=codes == size)
