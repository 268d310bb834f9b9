"""How far a synthetic log is from what was measured: both sides are public, so this may stand where
figures on the real log may not.

Guarantees: reads the release's estimates, which are paid for, and synthetic users; never the log
(post-processing).
"""

from __future__ import annotations

import numpy as np

from synthrec.data.eventlog import EventLog
from synthrec.model.measurements import Estimates


class MeasurementFit:
    """Synthetic users, counted chunk by chunk as they are written."""

    def __init__(self, estimates: Estimates) -> None:
        self._estimates = estimates
        self._counts = {
            name: np.zeros(len(shares)) for name, shares in _measured(estimates).items()
        }

    def add(self, log: EventLog) -> None:
        """Count a chunk. What a user does on one item counts once, as it did when it was measured."""
        estimates, users = self._estimates, log.users
        user, item = np.divmod(
            np.unique(log.user_of_event().astype(np.int64) * self._items + np.asarray(log.item)),
            self._items,
        )
        first_interactions = np.bincount(user, minlength=users)
        bucket = np.clip(
            np.searchsorted(estimates.activity_edges, first_interactions, side="right") - 1,
            0,
            len(estimates.activity) - 1,
        )
        self._count("items", item)
        self._count("activity", bucket)
        if "ratings" in self._counts and log.rating is not None:
            self._count(
                "ratings", np.abs(np.asarray(log.rating)[:, None] - estimates.levels).argmin(axis=1)
            )
        for name, codes in log.attributes.items():
            self._count(f"attribute {name}", np.asarray(codes))

    def distances(self) -> dict[str, float]:
        """Total variation between what was drawn and what was measured, to three decimals; nothing
        of what was not drawn.
        """
        measured = _measured(self._estimates)
        return {
            name: round(float(np.abs(counts / counts.sum() - measured[name]).sum() / 2), 3)
            for name, counts in self._counts.items()
            if counts.sum() > 0
        }

    @property
    def _items(self) -> int:
        return len(self._estimates.frame.popularity)

    def _count(self, name: str, places: np.ndarray) -> None:
        if name in self._counts:
            self._counts[name] += np.bincount(places, minlength=len(self._counts[name]))


def _measured(estimates: Estimates) -> dict[str, np.ndarray]:
    """Shares that sum to 1, by name."""
    measured = {"items": estimates.frame.popularity, "activity": estimates.activity}
    if len(estimates.levels):
        measured["ratings"] = estimates.rating_shares
    return measured | {f"attribute {name}": shares for name, shares in estimates.attributes.items()}
