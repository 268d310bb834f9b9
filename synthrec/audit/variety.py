"""Do synthetic users differ as real ones do? A generator that has collapsed writes the same few users again and again.

As many users of either log are drawn, at most MOST_USERS, the real ones cut at K random events:

- items in effect: exp of the entropy of the items' shares of events; catalogue used: share of its items with an event;
- directions in effect: exp of the entropy of the spectrum of users' unit item profiles (effective rank, Roy and Vetterli 2007);
- nearest other user: cosine of the item sets with the most similar other user of the same log, at the quartiles. It looks at users of
  one log only; that synthetic users lie near real ones would be no pass (rule 15);
- whole users twice: share of users who share all events (items and ratings) with another user of the same log.
"""

from __future__ import annotations

import numpy as np

from synthrec.audit import profiles
from synthrec.audit.record import Compared, Variety
from synthrec.data.eventlog import EventLog

MOST_USERS = 2_000
BLOCK = 250
QUARTILES = {"lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75}


def measure_variety(synthetic: EventLog, *, real: EventLog, items: int, events_per_user: int, rng: np.random.Generator) -> Variety:
    """Every figure for both logs, on equally many users with events."""
    active = [np.flatnonzero(np.diff(log.offsets) > 0) for log in (synthetic, real)]
    users = min(MOST_USERS, *(len(each) for each in active))
    drawn, truth = (log.select(rng.permutation(each)[:users]) for log, each in zip((synthetic, real), active, strict=True))
    found = variety_of(drawn, items=items)
    expected = variety_of(profiles.cut(truth, events_per_user=events_per_user, rng=rng), items=items)
    return Variety(users=users, figures=tuple(Compared(name=name, real=expected[name], synthetic=found[name]) for name in found))


def variety_of(log: EventLog, *, items: int) -> dict[str, float]:
    """The figures of one log, whose users all have events; zeros for fewer than two users."""
    gram = cosines(log, items=items)
    users = len(gram)
    counts = np.bincount(log.item, minlength=items)
    spectrum = np.linalg.eigvalsh(gram) if users > 1 else np.zeros(0)
    others = gram - 2 * np.eye(users)
    nearest = others.max(axis=1) if users > 1 else np.zeros(1)
    return {
        "items in effect": effective_number(counts),
        "catalogue used": float((counts > 0).mean()),
        "directions in effect": effective_number(np.maximum(spectrum, 0)),
        **{f"nearest other user, {name}": float(np.quantile(nearest, part)) for name, part in QUARTILES.items()},
        "whole users twice": repeated_users(log),
    }


def cosines(log: EventLog, *, items: int) -> np.ndarray:
    """Cosine of the item sets of each pair of users. Shapes: float64[B, B]."""
    matrix = profiles.pattern(log, items=items).astype(np.float64)
    size = np.maximum(np.diff(matrix.indptr), 1)
    matrix.data /= np.sqrt(np.repeat(size, np.diff(matrix.indptr)))
    return np.concatenate([(matrix[start : start + BLOCK] @ matrix.T).toarray() for start in range(0, matrix.shape[0], BLOCK)] or
                          [np.zeros((0, 0))])


def effective_number(weights: np.ndarray) -> float:
    """Exp of the entropy of weights: how many equal ones would be as even; 0 when all are 0."""
    total = weights.sum()
    if total <= 0:
        return 0.0
    shares = weights[weights > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def repeated_users(log: EventLog) -> float:
    """Share of users whose events, in no order, are those of another user."""
    rating = np.zeros(len(log.item)) if log.rating is None else np.asarray(log.rating, dtype=np.float64)
    order = np.lexsort((rating, log.item, profiles.user_of_event(log)))
    events = np.stack([np.asarray(log.item, dtype=np.float64)[order], rating[order]], axis=1)
    whole = [events[start:end].tobytes() for start, end in zip(log.offsets[:-1], log.offsets[1:], strict=True)]
    _, code, count = np.unique(np.array([hash(each) for each in whole], dtype=np.int64), return_inverse=True, return_counts=True)
    return float((count[code] > 1).mean()) if whole else 0.0
