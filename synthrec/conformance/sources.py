"""Sources of randomness: enough bytes of the operating system, nothing beside them, and no short seed.

Noise of training and coins are made of `SystemNoise.random_bytes` alone: given the same bytes again they must be the same (no clock, no
generator of a library), and one byte changed at a time says how many of them matter (a seed of 16 bits keeps two). OpenDP's source cannot
be given: of its noise only that thousands of draws never meet is seen, as those from fewer than about 17 bits would.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from synthrec.conformance.record import Check, judged
from synthrec.privacy.noise import SystemNoise

LEAST_BYTES = 16        # 128 bits
NUMBERS, USERS = 4, 400
DRAWS = 2_000           # of 16-bit seeds so many would meet but for a chance of 1e-13


class _Given(SystemNoise):
    """The installed source on bytes that are given; those that are asked for beyond them are fresh."""

    def __init__(self, given: bytes = b"") -> None:
        self.given, self.read = given, b""

    def random_bytes(self, count: int) -> bytes:
        """The next of them."""
        start = len(self.read)
        found = self.given[start : start + count]
        found += os.urandom(count - len(found))
        self.read += found
        return found


def noise_of_sources() -> list[Check]:
    """Noise of training, coins and noise of sums."""
    sums = {SystemNoise().lattice("any", np.zeros(2, dtype=np.int64), scale=2.0**36).tobytes() for _ in range(DRAWS)}
    return [
        judged("noise", "bytes behind noise of training", statistic=bytes_that_matter(_numbers) / NUMBERS, low=LEAST_BYTES,
               asked="bytes of the operating system that a number depends on; 0 if it depends on anything else"),
        judged("noise", "bytes behind coins", statistic=bytes_that_matter(_coins), low=LEAST_BYTES,
               asked="bytes of the operating system that the coins of a training depend on; 0 if they depend on anything else"),
        judged("noise", "noise of sums never meets", statistic=DRAWS - len(sums), low=0, high=0,
               asked=f"of {DRAWS:,} draws of noise, those that were there before; seeds of up to 16 bits would meet"),
    ]


def bytes_that_matter(draw: Callable[[SystemNoise], bytes]) -> int:
    """How many of the bytes that are read change what is drawn; 0 if the same bytes do not give the same."""
    first = _Given()
    drawn = draw(first)
    read = np.frombuffer(first.read, dtype=np.uint8)
    if draw(_Given(first.read)) != drawn:
        return 0
    flipped = (read ^ (np.uint8(255) * (np.arange(len(read)) == place)).astype(np.uint8) for place in range(len(read)))
    return sum(draw(_Given(each.tobytes())) != drawn for each in flipped)


def _numbers(noise: SystemNoise) -> bytes:
    return noise.gradient(np.zeros(NUMBERS), scale=1.0).tobytes()


def _coins(noise: SystemNoise) -> bytes:
    return b",".join(batch.tobytes() for batch in noise.batches(USERS, sampling_rate=0.5, steps=2))
