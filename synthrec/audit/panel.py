"""The panel's figures: every recommender trained on the real and on the synthetic log, scored on
real users, and as a receiver would.

A receiver has the synthetic log alone: some of its users are kept from training there, and the
recommenders scored on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import numpy as np

from synthrec.audit import intervals, recommenders
from synthrec.audit.recommenders import Fit, Ranker
from synthrec.audit.record import Agreement, Figure, Panel, PanelRow
from synthrec.audit.scores import ranked_ndcg, split_test
from synthrec.audit.splits import AuditSplits
from synthrec.data.eventlog import EventLog

RESAMPLES = 1_000
ScoredOn = Literal["real users", "synthetic users"]
RECEIVER_SHARE, MAX_RECEIVER = 0.1, 1_000  # of synthetic users who are scored as a receiver would


def measure_panel(
    people: AuditSplits,
    *,
    rng: np.random.Generator,
    cuts: int = 1,
) -> Panel | None:
    """The order of recommenders on either log; None without test users who have something relevant
    to find.

    Args:
        cuts: how often each user's events are cut into observed and held out; figures are means per
        user.

    Guarantees: reads private logs; the record's figures on a real log are not differentially
    private (rule: audits are not private).
    """
    asked = [split_test(people.test, rng) for _ in range(cuts)]
    kept, scored = _receivers(people.synthetic, rng=rng)
    asked_of_synthetic = [split_test(scored, rng) for _ in range(cuts)]
    panel, left_out = _panel(people)
    found: dict[str, list[np.ndarray]] = {"real": [], "synthetic": [], "receiver": []}
    for fit in panel.values():
        seed = int(rng.integers(2**63))
        for name, log in (("real", people.train_whole), ("synthetic", kept)):
            ranker = fit(log, items=people.items, rng=np.random.default_rng(seed))
            found[name].append(_per_user(ranker, asked=asked, items=people.items))
        found["receiver"].append(_per_user(ranker, asked=asked_of_synthetic, items=people.items))
        if not all(np.isfinite(found[name][0]).any() for name in ("real", "receiver")):
            return None
    return summarised(
        list(panel),
        real=np.stack(found["real"]),
        synthetic=np.stack(found["synthetic"]),
        receiver=np.stack(found["receiver"]),
        left_out=left_out,
        rng=rng,
    )


def _per_user(
    ranker: Ranker, *, asked: Sequence[tuple[EventLog, EventLog]], items: int
) -> np.ndarray:
    """Mean NDCG@10 over the cuts in which a user has something to find; NaN where that is none.
    Shapes: float64[U].
    """
    found = np.stack(
        [
            ranked_ndcg(ranker, observed=observed, heldout=heldout, items=items)
            for observed, heldout in asked
        ]
    )
    times = np.isfinite(found).sum(axis=0)
    return np.asarray(np.where(times > 0, np.nansum(found, axis=0) / np.maximum(times, 1), np.nan))


def summarised(
    names: Sequence[str],
    *,
    real: np.ndarray,
    synthetic: np.ndarray,
    receiver: np.ndarray,
    left_out: tuple[str, ...] = (),
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Panel:
    """The record. Shapes: real, synthetic float[R, U] of the same users, receiver float[R, S]; NaN
    where nothing was to be found.
    """
    real, synthetic, receiver = (
        found[:, np.isfinite(found[0])] for found in (real, synthetic, receiver)
    )
    people, others = (
        intervals.resamples(found.shape[1], count=resamples, rng=rng) for found in (real, receiver)
    )
    rows = tuple(
        PanelRow(
            name=name,
            real=intervals.mean(real[row], weights=people),
            synthetic=intervals.mean(synthetic[row], weights=people),
            receiver=intervals.mean(receiver[row], weights=others),
        )
        for row, name in enumerate(names)
    )
    pairs = np.array(list(combinations(range(len(names)), 2)))
    resolved = _resolved(real, weights=people, pairs=pairs)
    compared: tuple[tuple[ScoredOn, np.ndarray, np.ndarray], ...] = (
        ("real users", synthetic, people),
        ("synthetic users", receiver, others),
    )
    agreements = tuple(
        _agreement(
            on,
            real=_means(real, people),
            other=_means(scores, weights),
            pairs=pairs,
            resolved=resolved,
            exact=(real.mean(axis=1), scores.mean(axis=1)),
            n=scores.shape[1],
        )
        for on, scores, weights in compared
    )
    return Panel(rows=rows, agreements=agreements, left_out=left_out)


def kendall(one: np.ndarray, other: np.ndarray, *, pairs: np.ndarray) -> np.ndarray:
    """Kendall's tau-b over some pairs of each row. Shapes: float[..., R] twice, pairs int[P, 2] ->
    float64[...].
    """
    up, right = (
        np.sign(found[..., pairs[:, 0]] - found[..., pairs[:, 1]]) for found in (one, other)
    )
    size = np.sqrt((up**2).sum(axis=-1) * (right**2).sum(axis=-1))
    return np.asarray((up * right).sum(axis=-1) / np.where(size > 0, size, 1.0))


def _panel(people: AuditSplits) -> tuple[dict[str, Fit], tuple[str, ...]]:
    """What is learned, by its name for people; and what is left out, and why."""
    log, synthetic, left_out = people.train_whole, people.synthetic, []
    panel: dict[str, Fit] = {
        "popularity": recommenders.popularity,
        "mean rating": recommenders.best_rated,
        "recent popularity": recommenders.recent,
        "singular vectors": recommenders.singular_vectors,
        "implicit ALS": recommenders.implicit_least_squares,
        "BPR": recommenders.pairwise,
        "item neighbours": recommenders.item_neighbours,
        "EASE": recommenders.ease,
    }
    if log.rating is None or synthetic.rating is None:
        left_out.append("mean rating: the log has no ratings")
        del panel["mean rating"]
    if log.time is None or synthetic.time is None:
        left_out.append("recent popularity: the log has no times")
        del panel["recent popularity"]
    return panel, tuple(left_out)


def _receivers(synthetic: EventLog, *, rng: np.random.Generator) -> tuple[EventLog, EventLog]:
    """Synthetic users to learn from, and those who are scored."""
    order = rng.permutation(synthetic.users)
    count = min(MAX_RECEIVER, int(np.ceil(RECEIVER_SHARE * len(order))))
    return synthetic.select(order[count:]), synthetic.select(order[:count])


def _means(found: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Shapes: found float[R, U], weights float[n, U] -> float64[n, R]."""
    return np.asarray((weights @ found.T) / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def _resolved(real: np.ndarray, *, weights: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Pairs whose difference on the real log has an interval without zero. Shapes: bool[P]."""
    drawn = _means(real, weights)
    low, high = np.quantile(drawn[:, pairs[:, 0]] - drawn[:, pairs[:, 1]], (0.025, 0.975), axis=0)
    return np.asarray((low > 0) | (high < 0))


def _agreement(
    on: ScoredOn,
    *,
    real: np.ndarray,
    other: np.ndarray,
    exact: tuple[np.ndarray, np.ndarray],
    pairs: np.ndarray,
    resolved: np.ndarray,
    n: int,
) -> Agreement:
    def figure(some: np.ndarray) -> Figure:
        return intervals.percentile(
            float(kendall(*exact, pairs=some)),
            drawn=kendall(real, other, pairs=some),
            n=n,
            method=f"Kendall's tau-b over {len(some)} pairs; bootstrap over users, "
            f"{len(real):,} resamples",
        )

    return Agreement(
        scored_on=on,
        tau=figure(pairs),
        tau_resolved=figure(pairs[resolved]) if resolved.any() else None,
        resolved_pairs=int(resolved.sum()),
        pairs=len(pairs),
        top_agrees=bool(exact[0].argmax() == exact[1].argmax()),
    )
