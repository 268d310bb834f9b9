"""The base of all records, and the one shape of a statistic: value, interval, n, method."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen, strict about unknown fields, quiet about inputs in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, ser_json_inf_nan="strings")


class Figure(Record):
    """A statistic with its confidence interval and the number of units behind it."""

    value: float
    low: float
    high: float
    n: int
    method: str
    confidence: float = 0.95
