"""Scoring by the evaluation protocol, docs/design.md, one arm at a time: every arm of a split meets
the same test users, held-out events and resamples.

What is random follows from the split's seed alone, so arms scored in different processes, on
different days, can be paired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.arms import ItemBiases
from benchmarks.logs import SCORED_POPULATION, Split
from synthrec.audit import intervals, scores
from synthrec.audit.realism import measure_realism
from synthrec.audit.utility import (
    NOTHING,
    POPULARITY,
    REAL,
    ArmInput,
    ArmScores,
    score_arm,
    split_test,
)
from synthrec.data.eventlog import EventLog

RESAMPLES = 1_000
# epsilon: the design sets the popularity limit "at eps 8"; below, the figure is shown and does not
# bind
POPULARITY_LIMIT_FROM = 8.0


@dataclass(frozen=True, repr=False, eq=False)
class Questions:
    """What test users show and what they hold back."""

    split: Split
    observed: EventLog
    heldout: EventLog
    weights: np.ndarray
    start: int
    realism_seed: int

    @classmethod
    def of(cls, split: Split, *, seed: int) -> Questions:
        """The questions of a split: the draws of `synthrec.audit.utility.score_ladder`, in its
        order.
        """
        rng = np.random.default_rng(seed)
        observed, heldout = split_test(split.test, rng)
        weights = intervals.resamples(split.test.users, count=RESAMPLES, rng=rng)
        start, realism_seed = rng.integers(2**63, size=2)
        return cls(split, observed, heldout, weights, int(start), int(realism_seed))

    def ladder_ends(self) -> dict[str, ArmScores]:
        """Nothing, popularity, and the ceiling: the real log, unbounded (of a simulated log at most
        as many users as are ever scored).
        """
        split, items = self.split, self.split.catalogue.size
        train = first_users(split.train, most=2 * SCORED_POPULATION)
        floor = (
            scores.nothing_errors(observed=self.observed, heldout=self.heldout, scale=split.scale)
            if split.scale
            else None
        )
        popular = scores.popularity_ndcg(
            train, observed=self.observed, heldout=self.heldout, items=items
        )
        return {
            NOTHING: ArmScores(name=NOTHING, label="Nothing: each user's own mean", errors=floor),
            POPULARITY: ArmScores(
                name=POPULARITY, label="Popularity of the real log", ndcg=popular
            ),
            REAL: self._score(train, name=REAL),
        }

    def score(self, made: EventLog | ItemBiases, *, name: str) -> ArmScores:
        """One arm: a synthetic log with its realism figures, or item biases, which have none."""
        if isinstance(made, ItemBiases):
            asked = {"observed": self.observed, "heldout": self.heldout}
            errors = (
                scores.model_errors(made.model, **asked, scale=self.split.scale)
                if made.model and self.split.scale
                else None
            )
            ranked = scores.list_ndcg(made.popularity, **asked)
            return ArmScores(name=name, label=name, errors=errors, ndcg=ranked)
        realism = measure_realism(
            made,
            real=self.split.train,
            items=self.split.catalogue.size,
            events_per_user=self.split.events_per_user,
            rng=np.random.default_rng(self.realism_seed),
        )
        return self._score(made, name=name, realism=realism)

    def _score(self, log: EventLog, *, name: str, **more: object) -> ArmScores:
        return score_arm(
            ArmInput(log=log, label=name, epsilon=None, ledger_kind=None),
            name=name,
            observed=self.observed,
            heldout=self.heldout,
            items=self.split.catalogue.size,
            scale=self.split.scale,
            rng=np.random.default_rng(self.start),
            **more,
        )  # type: ignore[arg-type]


def first_users(log: EventLog, *, most: int) -> EventLog:
    """The log, or its first users where it has more: their order says nothing."""
    return log if log.users <= most else log.select(np.arange(most))


def binding(name: str, *, epsilon: float) -> bool:
    """Does this realism limit strike a row out at this epsilon?"""
    return not name.startswith("popularity") or epsilon >= POPULARITY_LIMIT_FROM
