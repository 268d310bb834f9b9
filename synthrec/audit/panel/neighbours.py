"""Items like those a user has: item-based nearest neighbours (Sarwar, Karypis, Konstan, Riedl 2001) by shrunk cosine."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from synthrec.audit import profiles
from synthrec.audit.panel.recommender import Ranker
from synthrec.data.eventlog import EventLog

NEIGHBOURS = 100
SHRINKAGE = 20.0        # users without either item, added below
_BLOCK = 2_000          # items at once


def item_neighbours(log: EventLog, *, items: int, rng: np.random.Generator) -> Ranker:
    """Sum of similarities to the items a user has; each item keeps its nearest NEIGHBOURS."""
    have = profiles.pattern(log, items=items)
    size = np.sqrt(np.asarray(have.sum(axis=0), dtype=np.float64))
    by_item = have.T.tocsr()
    parts = [_nearest((by_item[first:first + _BLOCK] @ have).toarray(), first=first, size=size) for first in range(0, items, _BLOCK)]
    similarity = sparse.vstack(parts).tocsr().T.tocsr()
    return lambda asked: np.asarray((asked @ similarity).toarray(), dtype=np.float32)


def _nearest(together: np.ndarray, *, first: int, size: np.ndarray) -> sparse.csr_array:
    """Rows of the similarity matrix with all but the largest entries left out. Shapes: together float32[b, V]."""
    rows = np.arange(len(together))
    together[rows, first + rows] = 0.0
    similar = together / (size[first:first + len(together), None] * size[None, :] + SHRINKAGE)
    if similar.shape[1] > NEIGHBOURS:
        cut = np.partition(similar, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS, None]
        similar[similar < cut] = 0.0
    return sparse.csr_array(similar.astype(np.float32))
