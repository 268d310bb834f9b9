"""Training users planted in a synthetic log, slightly altered: a leak that an audit worth its name must find."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synthrec.audit import profiles
from synthrec.data.eventlog import EventLog

SWAPPED_SHARE = 0.1         # of a planted user's events: their item is another one


@dataclass(frozen=True, repr=False, eq=False)
class Planting:
    """Which synthetic users stay, and who comes instead of the others. Shapes: kept bool[S]."""

    kept: np.ndarray
    copies: EventLog

    def applied_to(self, synthetic: EventLog) -> EventLog:
        """The leaky log; the planted users come last."""
        return EventLog.concat([synthetic.select(np.flatnonzero(self.kept)), self.copies])


def plant(trained: EventLog, *, synthetic_users: int, share: float, rng: np.random.Generator) -> Planting:
    """`share` of the synthetic users are replaced by training users, a tenth of whose items are swapped for popular ones.

    At least one user is planted. Training users are taken again only when all of them are in.
    """
    users = len(trained.offsets) - 1
    planted = min(synthetic_users, max(1, int(np.rint(share * synthetic_users)))) if users else 0
    kept = np.ones(synthetic_users, dtype=bool)
    kept[rng.permutation(synthetic_users)[:planted]] = False
    chosen = np.concatenate([rng.permutation(users) for _ in range(-(-planted // max(1, users)))] or [np.empty(0, dtype=np.int64)])
    return Planting(kept=kept, copies=altered(trained.select(chosen[:planted]), rng=rng))


def altered(log: EventLog, *, rng: np.random.Generator) -> EventLog:
    """A tenth of each user's events, at least one, get the item of a random event: popular items come often."""
    swaps = np.ceil(SWAPPED_SHARE * profiles.activity(log)).astype(np.int64)
    swapped = profiles.random_rank(log, rng=rng) < swaps[profiles.user_of_event(log)]
    item = np.array(log.item, copy=True)
    item[swapped] = rng.choice(item, int(swapped.sum())) if len(item) else item
    return replace(log, item=item, role=None)
