"""The base of all records, and the one shape of a statistic: value, interval, n, method."""

from __future__ import annotations

import math
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

MOST = 2**53        # beyond, floats do not hold every whole number, and libraries refuse them


class Record(BaseModel):
    """Frozen, strict about unknown fields, quiet about inputs in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, ser_json_inf_nan="strings")

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        if any(isinstance(each, int | float) and MOST < abs(each) < math.inf for each in vars(self).values()):
            raise ValueError("a number must be one that something has")
        return self


class Figure(Record):
    """A statistic with its confidence interval and the number of units behind it."""

    value: float
    low: float
    high: float
    n: int
    method: str
    confidence: float = 0.95
