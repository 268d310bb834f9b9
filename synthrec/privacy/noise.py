"""Normal noise straight from the operating system's cryptographic randomness, for training.

Formal guarantees: every number is drawn from fresh bytes of the operating system, so no seed exists that could be guessed or reused
(rule 7; a library's generator may take a seed of 64 bits and keep 32 of them). Each is the sum of four draws over 2, against attacks
on the last bits of floating-point noise (Holohan and Braghin 2021). Nothing is stored.
"""

from __future__ import annotations

import os

import numpy as np
from scipy.special import ndtri

DRAWS = 4


def system_normal(size: int) -> np.ndarray:
    """Independent standard normal numbers.

    Shapes:
        -> float64[size].
    """
    words = np.frombuffer(os.urandom(8 * DRAWS * size), dtype=np.uint64).reshape(DRAWS, size)
    uniform = ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52     # never 0, never 1
    normal: np.ndarray = ndtri(uniform).sum(axis=0) / np.sqrt(DRAWS)
    return normal
