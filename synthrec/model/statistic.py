"""What a measurement is: one record that says what is asked of each user, at which norm and share
of the budget, in which words a plan shows its noise, what its noisy sum says, and which tensors of
a release that makes. Below it, what measuring and drawing share: buckets, log-uniform numbers, runs,
nearest shares.

Guarantees: a record is a function of the public declaration and of what was paid for before; the
log is touched only inside `Session.noisy_sum`, which charges the ledger first and clips each user's
vector to the planned norm. What it is given are pure functions from a block of users to a row a
user (adaptive composition).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Literal, Self, TypeVar, get_args

import numpy as np

from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.privacy.mechanisms import Measurement
from synthrec.privacy.plan import Measure, Model, Plan
from synthrec.privacy.session import Session, Vectors

TYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
    "I16": np.dtype("<i2"),
}
Value = TypeVar("Value")
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
class Effort:
    """How many synthetic users (or visits, or rounds) each step of post-processing draws; what
    follows the noise cannot break privacy, so checks of the mechanism ask for few.
    """

    calibration_users: int = 3000
    standard_users: int = 2048  # whom the critic's inputs are standardised by, in batches of 256
    watch_users: int = 4096
    fitting_users: int = 1000  # of tables from which visits become events
    fitting_rounds: int = 10


@dataclass(frozen=True)
class Known:
    """What is known of a log: what its owner declares, and what has been paid for so far.

    `items`: how many the catalogue has. `feature_names`: of the columns that describe them.
    `arrays`: by the name of their tensor; what no record declares as a tensor is a working value
    for later records, and no release holds it.
    """

    schema: Schema
    plan: Plan
    items: int
    feature_names: tuple[str, ...]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    effort: Effort = Effort()

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def room(self, start: str) -> dict[str, np.ndarray]:
        """The arrays whose names begin so, by what comes after."""
        return part(self.arrays, start)

    def adding(
        self, arrays: Mapping[str, np.ndarray], *, feature_names: tuple[str, ...] | None = None
    ) -> Self:
        """With further arrays, or other values of some."""
        names = self.feature_names if feature_names is None else feature_names
        return replace(self, arrays={**self.arrays, **arrays}, feature_names=names)

    def planned(self, *names: str) -> tuple[str, ...]:
        """Those of the mechanisms that the plan holds."""
        return tuple(name for name in names if self.plan.has(name))

    @property
    def activity_edges(self) -> tuple[int, ...]:
        """Buckets of activity."""
        return activity_edges(self.plan.events_per_user)

    @property
    def activity(self) -> np.ndarray:
        """float64[len(activity_edges) - 1]: shares of users by their events."""
        return self["estimates.activity"]

    @property
    def rated(self) -> bool:
        """Does the log have ratings?"""
        return self.schema.rating is not None

    @property
    def levels(self) -> np.ndarray:
        """float64[L]: of the scale of ratings; none where nobody rates."""
        return np.zeros(0) if self.schema.rating is None else self.schema.rating.levels

    @property
    def rating_unit(self) -> float:
        """A quarter of the scale of ratings; 1 where nobody rates."""
        return float(self.levels[-1] - self.levels[0]) / 4 if self.rated else 1.0

    @property
    def sizes(self) -> dict[str, int]:
        """Values of each attribute of users, "other" not counted."""
        return {name: each.size for name, each in self.schema.user_attributes.items()}

    @property
    def conditions(self) -> int:
        """Length of a condition vector: activity, and a one-hot for each attribute."""
        return 1 + sum(size + 1 for size in self.sizes.values())

    @property
    def attributes(self) -> dict[str, np.ndarray]:
        """name -> float64[size + 1]: shares of users."""
        return {name: self[f"attribute.{index}"] for index, name in enumerate(self.sizes)}


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """A noisy sum over users.

    `vectors`: what is asked of each user, a pure function from a block of users to a row a user;
    `size`: how many numbers its sum has; `add_up`: as in `Session.noisy_sum`.
    `share`: part of the budget, in units of 1 / noise multiplier squared. `unrated`: what is
    otherwise in a log without ratings. `noise_words`: what the noise is on, for `synthrec plan`.
    `of`: the events that it is of, all, the first of each user on each item, or the first of each
    basket. `decode`: what its noisy sum adds to what is known; `otherwise`: the same for a plan that
    does not ask. `tensors`: name to what it must be, of each array that a release holds of it.
    """

    name: str
    purpose: str
    unit: str
    share: float
    sensitivity: Callable[[Schema], float]
    noise_words: str
    vectors: Callable[[Known], Vectors]
    size: Callable[[Known], int]
    decode: Callable[[Known, Measurement], Known]
    otherwise: Callable[[Known], Known] = lambda known: known
    of: Literal["events", "visits", "baskets"] = "visits"
    add_up: Callable[..., np.ndarray] | None = None
    unrated: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[Model, ...] = get_args(Model)
    needed: Callable[[Schema], bool] = lambda schema: True
    tensors: Callable[[Known], dict[str, Tensor]] = lambda known: {}

    def measure(self, schema: Schema) -> Measure:
        """The sum to plan."""
        words: dict[str, Any] = {"purpose": self.purpose, "share": self.share}
        words |= self.unrated if schema.rating is None else {}
        return Measure(
            name=self.name, unit=self.unit, sensitivity=self.sensitivity(schema), **words
        )

    def ask(self, session: Session, logs: Mapping[str, EventLog], known: Known) -> Known:
        """What is known afterwards."""
        if not known.plan.has(self.name):
            return self.otherwise(known)
        noisy = session.noisy_sum(
            self.name,
            logs[self.of],
            self.vectors(known),
            size=self.size(known),
            add_up=self.add_up,
        )
        return self.decode(known, noisy)


def activity_edges(events_per_user: int) -> tuple[int, ...]:
    """Log buckets of events per user: bucket j holds edges[j] to edges[j + 1] - 1 events; the last
    ends at K.
    """
    edges, edge = [1], 1.0
    while edges[-1] <= events_per_user:
        edge = max(edge * 1.45, edges[-1] + 1)
        edges.append(min(round(edge), events_per_user + 1))
    return tuple(edges)


def part(arrays: Mapping[str, Value], start: str) -> dict[str, Value]:
    """The arrays whose names begin so, by what comes after."""
    return {name[len(start) :]: each for name, each in arrays.items() if name.startswith(start)}


def split(values: np.ndarray, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """The parts of a sum, by name."""
    ends = np.cumsum(list(sizes.values()))
    return {name: values[end - sizes[name] : end] for name, end in zip(sizes, ends, strict=True)}


def bucket_of(values: np.ndarray, edges: Sequence[float] | np.ndarray) -> np.ndarray:
    """Which bucket: j holds edges[j] up to below edges[j + 1]; the ends are open. Shapes: [N] ->
    int64[N].
    """
    return (np.searchsorted(edges, values, side="right") - 1).clip(0, len(edges) - 2)


def log_uniform(
    bucket: np.ndarray, edges: Sequence[int], *, rng: np.random.Generator
) -> np.ndarray:
    """A whole number of each bucket, the logarithm being uniform: bucket j holds edges[j] to
    edges[j + 1] - 1.

    Shapes:
        int64[N] -> int64[N].
    """
    low, past = np.asarray(edges)[bucket], np.asarray(edges)[bucket + 1]
    drawn = np.exp(rng.uniform(np.log(low), np.log(past))).astype(np.int64)
    return np.asarray(drawn.clip(low, past - 1))


def column_of_each(odds: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """A column of each row, by its odds. Shapes: float64[N, C] -> int64[N]."""
    steps = np.cumsum(odds, axis=1)
    drawn = rng.random((len(odds), 1)) * steps[:, -1:]
    return np.asarray(np.minimum((steps < drawn).sum(axis=1), odds.shape[1] - 1))


def run_starts(*keys: np.ndarray) -> np.ndarray:
    """Which places differ from the one before in some key. Shapes: [N] each -> bool[N]."""
    differ = np.ones(len(keys[0]), dtype=bool)
    differ[1:] = np.any([np.diff(key) != 0 for key in keys], axis=0)
    return differ


def project_to_simplex(noisy: np.ndarray) -> np.ndarray:
    """The nearest shares (at least 0, sum 1) to a noisy histogram over its own total (Duchi et al.
    2008).

    Shapes:
        float64[L] -> float64[L].
    """
    total = noisy.sum()
    if total <= 0:
        return np.full(len(noisy), 1 / max(1, len(noisy)))
    shares = noisy / total
    falling = np.sort(shares)[::-1]
    excess = (np.cumsum(falling) - 1) / np.arange(1, len(shares) + 1)
    threshold = excess[np.flatnonzero(falling > excess)[-1]]
    shares = np.maximum(shares - threshold, 0)
    return np.asarray(shares / shares.sum())
