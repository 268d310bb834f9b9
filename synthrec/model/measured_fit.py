"""How far a synthetic log is from what was measured: both sides are public, so this may stand where
figures on the real log may not.

Guarantees: reads the release's estimates, which are paid for, and synthetic users; never the log
(post-processing).
"""

from __future__ import annotations

import numpy as np

from synthrec.data.eventlog import EventLog
from synthrec.model.measurements import Estimates
from synthrec.model.statistic import bucket_of


class MeasurementFit:
    """Synthetic users, counted chunk by chunk as they are written."""

    def __init__(self, estimates: Estimates) -> None:
        self._estimates = estimates
        self._counts = {
            name: np.zeros(len(shares)) for name, shares in _measured(estimates).items()
        }

    def add(self, log: EventLog) -> None:
        """Count a chunk. What a user does on one item counts once, as it did when it was measured."""
        estimates, rating = self._estimates, log.rating
        pairs = log.user_of_event().astype(np.int64) * estimates.items + np.asarray(log.item)
        user, item = np.divmod(np.unique(pairs), estimates.items)
        visits = np.bincount(user, minlength=log.users)
        codes = {"items": item, "activity": bucket_of(visits, estimates.activity_edges)}
        if rating is not None:
            apart = np.abs(np.asarray(rating)[:, None] - estimates.levels)
            codes["ratings"] = apart.argmin(axis=1)
        codes |= {f"attribute {name}": np.asarray(each) for name, each in log.attributes.items()}
        for name in self._counts.keys() & codes.keys():
            self._counts[name] += np.bincount(codes[name], minlength=len(self._counts[name]))

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


def _measured(estimates: Estimates) -> dict[str, np.ndarray]:
    """Shares that sum to 1, by name."""
    measured = {"items": estimates.frame.popularity, "activity": estimates.activity}
    if len(estimates.levels):
        measured["ratings"] = estimates.rating_shares
    return measured | {f"attribute {name}": shares for name, shares in estimates.attributes.items()}
