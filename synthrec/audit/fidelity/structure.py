"""Structure: which items the same users have, how much leading directions hold, and whether
synthetic users differ as real ones do.

Lift of two items: the users who have both over what independence would give, half a user added
above and below; the row is 1 - Pearson's correlation of its logarithm over all pairs of the most
common items. Spectrum: squared singular values of the matrix of zeros and ones as shares of all of
it; noise spreads it over all directions, a collapsed generator heaps it on a few. Variety, of at
most a thousand users cut at K: items and directions in effect (exp of an entropy; effective rank,
Roy and Vetterli 2007), catalogue used, cosine with the nearest other user of the same log at the
quartiles (that synthetic users lie near real ones would be no pass, the rule "similarity is no
pass"), mean cosine of any two, and the share of users who share all events with another user of the
same log.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats

from synthrec.audit import profiles, realism
from synthrec.audit.fidelity.question import Question, Sample, number, ratio
from synthrec.audit.realism import total_variation
from synthrec.data.eventlog import EventLog

TOP_ITEMS = 100


def cooccurrence_questions(real: EventLog, *, items: int) -> list[Question]:
    """Of logs with two items that somebody has."""
    count = np.bincount(profiles.pattern(real, items=items).indices, minlength=items)
    top = np.argsort(-count, kind="stable")[: min(TOP_ITEMS, int((count > 0).sum()))]
    if len(top) < 3:
        return []

    def lift(sample: Sample) -> np.ndarray:
        return log_lift(sample.cut, top=top, items=items)

    return [
        Question(
            "co-occurrence",
            f"lift of pairs of the {len(top)} most popular items",
            "1 - correlation of log lifts",
            lift,
            lambda one, other: 1 - correlation(one, other),
            linked=True,
        ),
        number(
            "co-occurrence",
            "how far pairs are from independent",
            lift,
            value=lambda found: float(found.std()),
            linked=True,
            method="difference of standard deviations of log lifts",
        ),
    ]


def log_lift(log: EventLog, *, top: np.ndarray, items: int) -> np.ndarray:
    """Of every pair of different items of `top`. Shapes: int64[T] -> float64[T (T - 1) / 2]."""
    has = profiles.pattern(log, items=items)[:, top].astype(np.float64)
    both, users = (has.T @ has).toarray(), max(1, has.shape[0])
    alone = both.diagonal()
    pair = np.triu_indices(len(top), 1)
    return np.asarray(np.log((both[pair] + 0.5) / (np.outer(alone, alone)[pair] / users + 0.5)))


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's; 0 where one of both does not vary."""
    first, second = one - one.mean(), other - other.mean()
    size = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / size if size > 1e-12 else 0.0


LEADING = 50


def spectrum_questions(items: int) -> list[Question]:
    """Of any log."""

    def shares(sample: Sample) -> np.ndarray:
        return energy(sample.few, items=items)

    return [
        Question(
            "spectrum",
            "squared singular values of the user-item matrix",
            "total variation over directions",
            shares,
            lambda one, other: total_variation(one, other=other),
            linked=True,
        ),
        Question(
            "spectrum",
            f"the same from the second to number {LEADING + 1}",
            "total variation over directions",
            shares,
            lambda one, other: total_variation(one[1 : LEADING + 1], other=other[1 : LEADING + 1]),
            linked=True,
        ),
        Question(
            "spectrum",
            f"share of directions 2 to {LEADING + 1}",
            "difference",
            shares,
            lambda one, other: abs(leading(one) - leading(other)),
            value=leading,
            linked=True,
        ),
    ]


def energy(log: EventLog, *, items: int) -> np.ndarray:
    """Shares of the squared singular values, the first LEADING + 1 one by one, then all others.
    Shapes: float64[LEADING + 2].
    """
    matrix = profiles.pattern(log, items=items).astype(np.float64)
    gram = (matrix @ matrix.T if matrix.shape[0] <= items else matrix.T @ matrix).toarray()
    squares = np.maximum(np.linalg.eigvalsh(gram)[::-1], 0)
    squares = np.pad(squares, (0, max(0, LEADING + 2 - len(squares))))
    total = max(squares.sum(), 1e-12)
    return np.asarray(np.append(squares[: LEADING + 1], squares[LEADING + 1 :].sum()) / total)


def leading(shares: np.ndarray) -> float:
    """What the directions after the first hold."""
    return float(shares[1 : LEADING + 1].sum())


BLOCK = 250
QUARTILES = {"lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75}
IN_EFFECT = ("items in effect", "directions in effect")


def variety_questions(items: int) -> list[Question]:
    """Of any log."""

    def found(sample: Sample) -> dict[str, float]:
        return variety_of(sample.few, items=items)

    def figure(name: str) -> Callable[[dict[str, float]], float]:
        return lambda figures: figures[name]

    names = (
        "items in effect",
        "catalogue used",
        "directions in effect",
        *(f"nearest other user, {name}" for name in QUARTILES),
        "any two users",
    )
    return [
        *(
            (ratio if name in IN_EFFECT else number)(
                "variety", name, found, value=figure(name), linked=True
            )
            for name in names
        ),
        number(
            "variety",
            "whole users twice",
            lambda sample: repeated_users(sample.whole),
            method="difference of shares",
            linked=True,
        ),
    ]


def variety_of(log: EventLog, *, items: int) -> dict[str, float]:
    """The figures of one log; zeros for fewer than two users."""
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
        **{
            f"nearest other user, {name}": float(np.quantile(nearest, part))
            for name, part in QUARTILES.items()
        },
        "any two users": realism.mean_cosine(log, items=items),
    }


def cosines(log: EventLog, *, items: int) -> np.ndarray:
    """Cosine of the item sets of each pair of users. Shapes: float64[B, B]."""
    matrix = profiles.pattern(log, items=items).astype(np.float64)
    size = np.maximum(np.diff(matrix.indptr), 1)
    matrix.data /= np.sqrt(np.repeat(size, np.diff(matrix.indptr)))
    return np.concatenate(
        [
            (matrix[start : start + BLOCK] @ matrix.T).toarray()
            for start in range(0, matrix.shape[0], BLOCK)
        ]
        or [np.zeros((0, 0))]
    )


def effective_number(weights: np.ndarray) -> float:
    """Exp of the entropy of weights: how many equal ones would be as even; 0 when all are 0."""
    return float(np.exp(stats.entropy(weights))) if weights.sum() > 0 else 0.0


def repeated_users(log: EventLog) -> float:
    """Share of users whose events, in no order, are those of another user."""
    rating = (
        np.zeros(len(log.item)) if log.rating is None else np.asarray(log.rating, dtype=np.float64)
    )
    order = np.lexsort((rating, log.item, log.user_of_event()))
    events = np.stack([np.asarray(log.item, dtype=np.float64)[order], rating[order]], axis=1)
    whole = [
        events[start:end].tobytes()
        for start, end in zip(log.offsets[:-1], log.offsets[1:], strict=True)
    ]
    return float(pd.Series(whole).duplicated(keep=False).mean()) if whole else 0.0
