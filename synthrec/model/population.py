"""Who the synthetic users are before they do anything: attributes and activity, drawn from the measured shares.

These are the generator's conditions: what it is asked to honour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Conditions:
    """Attributes and number of events of B users.

    Shapes:
        events int64[B], at least 1; attributes name -> int16[B], the domain's size for "other".
    """

    events: np.ndarray
    attributes: Mapping[str, np.ndarray]


def draw_conditions(users: int, *, edges: tuple[int, ...], activity: np.ndarray, attributes: Mapping[str, np.ndarray], most: int,
                    rng: np.random.Generator) -> Conditions:
    """Independent draws: each attribute from its shares, activity log-uniform within its bucket, at most `most` events."""
    bucket = rng.choice(len(activity), users, p=activity)
    low, past = np.asarray(edges)[bucket], np.asarray(edges)[bucket + 1]
    events = np.floor(np.exp(rng.uniform(np.log(low), np.log(past)))).astype(np.int64)
    codes = {name: rng.choice(len(shares), users, p=shares).astype(np.int16) for name, shares in attributes.items()}
    return Conditions(events=np.minimum(np.clip(events, low, past - 1), most), attributes=codes)


def condition_vectors(events: np.ndarray, attributes: Mapping[str, np.ndarray], *, sizes: Mapping[str, int],
                      most_events: int) -> np.ndarray:
    """Conditions as numbers: log activity between 0 and 1, then a one-hot per attribute, "other" included.

    Shapes:
        events int64[B] -> float64[B, 1 + sum(size + 1)].
    """
    parts = [(np.log(np.maximum(events, 1)) / np.log(most_events + 1))[:, None]]
    for name, size in sizes.items():
        parts.append(np.eye(size + 1)[np.clip(attributes[name], 0, size)])
    return np.concatenate(parts, axis=1)
