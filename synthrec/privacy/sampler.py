"""Who takes part in a training step: every user by an independent coin of public bias.

Formal guarantees: Poisson sampling, the sampler that the accountant describes (rule 2). No fixed batches, no shuffling, no
weights; an empty batch is a batch. Coins come from a generator that the operating system seeded (rule 7).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np

from synthrec.errors import PlanError


def system_generator(random_bytes: Callable[[int], bytes] = os.urandom) -> np.random.Generator:
    """A generator seeded with 256 bits from the operating system; never from `--seed`."""
    return np.random.default_rng(int.from_bytes(random_bytes(32), "big"))


def poisson_batches(users: int, *, sampling_rate: float, steps: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """`steps` batches of user indices; `users` is private and leaves only as the batches' range.

    Shapes:
        each batch int64[about users * sampling_rate], ascending, perhaps empty.
    """
    if not 0 < sampling_rate <= 1:
        raise PlanError("sampling_rate must be in (0, 1]", found=f"{sampling_rate:g}", remedy="Make the plan anew.")
    for _ in range(steps):
        yield np.flatnonzero(rng.random(users) < sampling_rate)
