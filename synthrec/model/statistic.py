"""What a measurement is: one record that says what is asked of each user, at which norm and share
of the budget, in which words a plan shows its noise, and which tensors of a release it makes.

Guarantees: a record is a function of the public declaration; nothing in it comes from a log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, get_args

import numpy as np

from synthrec.data.schema import Schema
from synthrec.privacy.plan import Measure, Model, Plan

TYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
    "I16": np.dtype("<i2"),
}
Origin = Literal["public", "paid", "post-processing"]


@dataclass(frozen=True)
class Tensor:
    """What one array must be, and whom its values come from.

    `paid_by`: mechanisms of the ledger whose noisy values it was made from. `holds`: any finite
    numbers, shares that sum to 1 (along the last axis, for `rows`; all together, for `shares`),
    numbers of at least 0, numbers that rise, or codes below `below`.
    """

    kind: str
    shape: tuple[int, ...]
    origin: Origin
    paid_by: tuple[str, ...] = ()
    holds: Literal["finite", "shares", "rows", "positive", "rising", "codes"] = "finite"
    below: int = 0

    @property
    def size_bytes(self) -> int:
        """Length in the file."""
        return prod(self.shape) * TYPES[self.kind].itemsize


@dataclass(frozen=True)
class Declared:
    """What a release says of itself, all of it public: `features` are names, `items` how many."""

    schema: Schema
    plan: Plan
    items: int
    features: tuple[str, ...]

    def planned(self, *names: str) -> tuple[str, ...]:
        """Those of the mechanisms that the plan holds."""
        return tuple(name for name in names if self.plan.has(name))

    @property
    def edges(self) -> tuple[int, ...]:
        """Buckets of activity."""
        return activity_edges(self.plan.events_per_user)


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """A noisy sum over users, as declared; its vectors and its decoding stand in the same file.

    `share`: part of the budget, in units of 1 / noise multiplier squared. `noise_words`: what the
    noise is on, for `synthrec plan`. `tensors`: name to what it must be, of each array that a
    release holds of it, whether or not this plan asks for it.
    """

    name: str
    purpose: str
    unit: str
    share: float
    sensitivity: Callable[[Schema], float]
    noise_words: str
    models: tuple[Model, ...] = get_args(Model)
    needed: Callable[[Schema], bool] = lambda schema: True
    tensors: Callable[[Declared], dict[str, Tensor]] = lambda declared: {}

    def asked(self, schema: Schema, *, model: Model) -> bool:
        """Does a training of this model on a log with this schema ask for it?"""
        return model in self.models and self.needed(schema)

    def measure(self, schema: Schema) -> Measure:
        """The sum to plan."""
        return Measure(
            name=self.name,
            purpose=self.purpose,
            unit=self.unit,
            sensitivity=self.sensitivity(schema),
            share=self.share,
        )


@dataclass(frozen=True)
class Effort:
    """How many synthetic users (or visits, or rounds) each step of post-processing draws; what
    follows the noise cannot break privacy, so checks of the mechanism ask for few.
    """

    calibration_users: int = 3000
    standard_users: int = 2048  # whom the critic's inputs are standardised by, in batches of 256
    watch_users: int = 4096
    fitting_users: int = 1000  # of tables from which visits become events
    fitting_rounds: int = 10


def activity_edges(events_per_user: int) -> tuple[int, ...]:
    """Log buckets of events per user: bucket j holds edges[j] to edges[j + 1] - 1 events; the last
    ends at K.
    """
    edges, edge = [1], 1.0
    while edges[-1] <= events_per_user:
        edge = max(edge * 1.45, edges[-1] + 1)
        edges.append(min(round(edge), events_per_user + 1))
    return tuple(edges)
