"""What one mechanism did to the log, in the accountants' terms: frozen values that never change
meaning.

An event says nothing about data: it holds public constants only. Unknown kinds, and numbers that no
mechanism has, are refused, never skipped, since a skipped event is an unpaid one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from synthrec.records import FrozenRecord

MIN_NOISE, MAX_NOISE = 1e-3, 1e9  # no plan has either
MIN_RATE = 1e-12  # a batch of one of MOST_USERS is more
MAX_COUNT = 10**6


def _planned_noise(multiplier: float) -> float:
    if multiplier != 0 and not MIN_NOISE <= multiplier <= MAX_NOISE:
        raise ValueError(f"noise must be 0 (not private) or {MIN_NOISE:g} to {MAX_NOISE:g} norms")
    return multiplier


NoiseMultiplier = Annotated[
    float, AfterValidator(_planned_noise)
]  # standard deviation over sensitivity
Sensitivity = Annotated[float, Field(gt=0, le=1e9)]  # K at most, times the root of some parts
Rate = Annotated[float, Field(ge=MIN_RATE, le=1)]


class PublicRecord(FrozenRecord):
    """A record that holds public constants only. May be logged."""


class Event(PublicRecord):
    """`count` runs of a Gaussian mechanism on a Poisson sample of the users, one user added or
    removed.

    `noise_multiplier` is the noise's standard deviation over the most that one user can move the
    sum (L2); `sampling_rate` 1 means that everybody takes part; kind `none` (noise multiplier 0) is
    not private and makes every epsilon infinite.
    """

    kind: Literal["gaussian", "none"]
    noise_multiplier: NoiseMultiplier
    sampling_rate: Rate = 1.0
    count: int = Field(default=1, ge=1, le=MAX_COUNT)


def gaussian(*, noise_multiplier: float, sampling_rate: float, count: int) -> Event:
    """The event of a mechanism; one without noise is not private and says so."""
    kind: Literal["gaussian", "none"] = "gaussian" if noise_multiplier > 0 else "none"
    return Event(
        kind=kind, noise_multiplier=noise_multiplier, sampling_rate=sampling_rate, count=count
    )
