"""A numeric attribute narrowed to a range: which part of each bin is left, and a value within it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from synthrec.data.domain import Numeric


@dataclass(frozen=True)
class Narrowed:
    """A numeric attribute whose users lie between `low` and `high`, both included."""

    numeric: Numeric
    low: float
    high: float

    @property
    def size(self) -> int:
        """Number of bins, as declared."""
        return self.numeric.size

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """What of each bin lies within, first and last value; first above last where nothing does.

        Shapes:
            -> float64[size] twice.
        """
        first, last = bin_ends(self.numeric)
        low, high = (np.ceil(self.low), np.floor(self.high)) if self.numeric.whole else (self.low, self.high)
        return np.maximum(first, low), np.minimum(last, high)

    def parts(self) -> np.ndarray:
        """Which part of each bin lies within, values in a bin being alike.

        Shapes:
            -> float64[size].
        """
        (first, last), (low, high) = bin_ends(self.numeric), self.ends()
        more = 1.0 if self.numeric.whole else 0.0
        return np.asarray(np.maximum(high - low + more, 0.0) / (last - first + more))

    def decode(self, codes: np.ndarray, rng: np.random.Generator) -> pa.Array:
        """A uniform value of each bin's part; `size` becomes null."""
        first, last = self.ends()
        missing = codes == self.size
        at = np.where(missing, np.argmax(last >= first), codes).astype(np.int64)
        if self.numeric.whole:
            return pa.array(rng.integers(first[at].astype(np.int64), last[at].astype(np.int64), endpoint=True), mask=missing)
        return pa.array(np.minimum(first[at] + rng.random(len(at)) * (last[at] - first[at]), last[at]), mask=missing)


def bin_ends(numeric: Numeric) -> tuple[np.ndarray, np.ndarray]:
    """First and last value of each bin; of whole numbers both belong to it.

    Shapes:
        -> float64[size] twice.
    """
    low, high = numeric.edges[:-1], numeric.edges[1:]
    if not numeric.whole:
        return low, high
    first, last = np.ceil(low), np.ceil(high) - 1
    last[-1] = high[-1]
    return first, last
