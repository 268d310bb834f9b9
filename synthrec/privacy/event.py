"""What one mechanism did to the log, in the accountants' terms: frozen values that never change meaning.

An event says nothing about data: it holds public constants only. Unknown kinds are refused, never skipped, since a skipped event
is an unpaid one.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PublicRecord(BaseModel):
    """Frozen, JSON-able, strict about unknown fields, quiet about inputs in its errors. May be logged."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, ser_json_inf_nan="strings")


class Event(PublicRecord):
    """`count` runs of a Gaussian mechanism on a Poisson sample of the users, one user added or removed.

    `noise_multiplier` is the noise's standard deviation over the most that one user can move the sum (L2); `sampling_rate` 1 means
    that everybody takes part; kind `none` (noise multiplier 0) is not private and makes every epsilon infinite.
    """

    kind: Literal["gaussian", "none"]
    noise_multiplier: float = Field(ge=0, allow_inf_nan=False)
    sampling_rate: float = Field(default=1.0, gt=0, le=1)
    count: int = Field(default=1, ge=1)


def gaussian(*, noise_multiplier: float, sampling_rate: float, count: int) -> Event:
    """The event of a mechanism; one without noise is not private and says so."""
    kind: Literal["gaussian", "none"] = "gaussian" if noise_multiplier > 0 else "none"
    return Event(kind=kind, noise_multiplier=noise_multiplier, sampling_rate=sampling_rate, count=count)
