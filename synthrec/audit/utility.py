"""Utility: how much of the way from knowing nothing to the real log does a recommender trained on
the synthetic log go?

The protocol of design section 6 on a given split of users. The ladder: nothing and popularity at
the bottom, the arms handed in, the real unbounded train log at the top. All arms meet the same test
users, observed events, starting point of ALS and bootstrap resamples.

Parts of the held-out events: items by popularity, users by activity. A method may be good on hits
and useless in the tail.

The rule: items sorted by their events in the real train log are cut where they hold the first and
the second third of those events: head, middle, tail (which takes items that the train log never
saw). Test users sorted by their events are cut into ten equal parts, decile 1 the least active.
Ties go by place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from synthrec.audit import intervals, recommenders, scores
from synthrec.audit.realism import measure_realism
from synthrec.audit.record import Against, Arm, Figure, RealismLimit, Stratum, Utility
from synthrec.audit.scores import RatingErrors, split_test
from synthrec.data.eventlog import EventLog

POPULARITY_PARTS = ("head", "middle", "tail")
DECILES = 10


@dataclass(frozen=True, repr=False, eq=False)
class Part:
    """Some of the held-out events: private. Shapes: chosen bool[N]."""

    by: Literal["item popularity", "user activity"]
    name: str
    chosen: np.ndarray


def stratify(*, train: EventLog, test: EventLog, heldout: EventLog, items: int) -> tuple[Part, ...]:
    """Three parts by item, ten by user; each kind covers every held-out event once. `test` and
    `heldout` have the same users in order.
    """
    return (*_by_item(train, heldout=heldout, items=items), *_by_user(test, heldout=heldout))


def popularity_part(train: EventLog, *, items: int) -> np.ndarray:
    """0 head, 1 middle, 2 tail. Shapes: int64[V]."""
    events = np.bincount(train.item, minlength=items)
    order = np.argsort(-events, kind="stable")
    before = np.cumsum(events[order]) - events[order]  # an item belongs where its first event falls
    part = np.empty(items, dtype=np.int64)
    part[order] = np.where(events[order] > 0, np.minimum(3 * before // max(1, events.sum()), 2), 2)
    return part


def _by_item(train: EventLog, *, heldout: EventLog, items: int) -> Iterator[Part]:
    part = popularity_part(train, items=items)[np.asarray(heldout.item)]
    return (
        Part(by="item popularity", name=name, chosen=part == place)
        for place, name in enumerate(POPULARITY_PARTS)
    )


def _by_user(test: EventLog, *, heldout: EventLog) -> Iterator[Part]:
    users = test.users
    decile = np.empty(users, dtype=np.int64)
    decile[np.argsort(test.activity, kind="stable")] = np.arange(users) * DECILES // max(1, users)
    mine = decile[heldout.user_of_event()]
    return (
        Part(by="user activity", name=f"decile {place + 1}", chosen=mine == place)
        for place in range(DECILES)
    )


NOTHING, POPULARITY, REAL = "nothing", "popularity", "real"


@dataclass(frozen=True, repr=False, eq=False)
class ArmInput:
    """A synthetic log to be scored, what people call it, and what its training cost."""

    log: EventLog
    label: str
    epsilon: float | None
    ledger_kind: str | None  # release | internal | None


@dataclass(frozen=True, repr=False, eq=False)
class ArmScores:
    """An arm's figures per test user: private. Shapes: ndcg float64[U], NaN for users with nothing
    relevant; parts as the ladder's.
    """

    name: str
    label: str
    epsilon: float | None = None
    ledger_kind: str | None = None
    errors: RatingErrors | None = None
    ndcg: np.ndarray | None = None
    realism: tuple[RealismLimit, ...] = ()
    parts: tuple[RatingErrors, ...] = ()


@dataclass(frozen=True, repr=False, eq=False)
class Ladder:
    """All arms on the same test users, with the resamples that pair them: private. `summary` is the
    record.
    """

    test_users: int
    heldout_events: int
    weights: np.ndarray
    arms: Mapping[str, ArmScores] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()

    def summary(self) -> Utility:
        """Every arm's figures with intervals, and the release against the best simpler method."""
        return Utility(
            test_users=self.test_users,
            heldout_events=self.heldout_events,
            ladder=tuple(self._arm(arm) for arm in self.arms.values()),
            against=self.against(),
        )

    def against(self) -> tuple[Against, ...]:
        """The arm of kind `release` less the best of kind `internal`, in each measure; empty unless
        both are there.

        The best is the best of this very log: that choice favours the rival.
        """
        mine = [arm.name for arm in self.arms.values() if arm.ledger_kind == "release"]
        rivals = [arm.name for arm in self.arms.values() if arm.ledger_kind == "internal"]
        if not mine or not rivals:
            return ()
        found = []
        if all(self.arms[name].errors is not None for name in (*mine, *rivals)):
            best = min(
                rivals, key=lambda name: self._value(self.arms[name].errors, _root_mean_square)
            )
            if (less := self.rmse_difference(mine[0], other=best)) is not None:
                found.append(
                    Against(rival=best, measure="RMSE", difference=less, beats=less.high < 0)
                )
        if all(self.arms[name].ndcg is not None for name in (*mine, *rivals)):
            best = max(rivals, key=lambda name: self._value(self.arms[name].ndcg, _mean))
            if (more := self.ndcg_difference(mine[0], other=best)) is not None:
                found.append(
                    Against(rival=best, measure="NDCG@10", difference=more, beats=more.low > 0)
                )
        return tuple(found)

    def rmse(self, name: str) -> Figure | None:
        """Root mean squared error of the arm's factorisation over held-out events; None without
        ratings.
        """
        return self._rating_figure(name, _root_mean_square)

    def ndcg(self, name: str) -> Figure | None:
        """Mean NDCG@10 over test users with something relevant held out."""
        scored = self.arms[name].ndcg
        return (
            None
            if scored is None
            else self._figure(
                lambda weights: _mean(scored, weights), n=int(np.isfinite(scored).sum())
            )
        )

    def gap_closed(self, name: str) -> Figure | None:
        """(RMSE nothing - RMSE arm) / (RMSE nothing - RMSE real); None unless the real log beats
        nothing.
        """
        arm, nothing, real = (self.arms[each].errors for each in (name, NOTHING, REAL))
        if arm is None or nothing is None or real is None:
            return None
        if self._value(nothing, _root_mean_square) <= self._value(real, _root_mean_square):
            return None
        return self._figure(
            lambda weights: _gap(
                _root_mean_square(nothing, weights),
                _root_mean_square(arm, weights),
                _root_mean_square(real, weights),
            ),
            n=self.test_users,
        )

    def ranking_gap_closed(self, name: str) -> Figure | None:
        """(NDCG arm - NDCG popularity) / (NDCG real - NDCG popularity); None unless the real log
        beats popularity.
        """
        arm, floor, real = (self.arms[each].ndcg for each in (name, POPULARITY, REAL))
        if arm is None or floor is None or real is None:
            return None
        if self._value(real, _mean) <= self._value(floor, _mean):
            return None
        return self._figure(
            lambda weights: _gap(_mean(floor, weights), _mean(arm, weights), _mean(real, weights)),
            n=int(np.isfinite(real).sum()),
        )

    def rmse_difference(self, name: str, *, other: str) -> Figure | None:
        """RMSE of `name` minus RMSE of `other`, paired over users: below zero means that `name` is
        better.
        """
        one, two = self.arms[name].errors, self.arms[other].errors
        if one is None or two is None:
            return None
        return self._figure(
            lambda weights: _root_mean_square(one, weights) - _root_mean_square(two, weights),
            n=self.test_users,
        )

    def ndcg_difference(self, name: str, *, other: str) -> Figure | None:
        """NDCG@10 of `name` minus that of `other`, paired over users: above zero means that `name`
        is better.
        """
        one, two = self.arms[name].ndcg, self.arms[other].ndcg
        if one is None or two is None:
            return None
        return self._figure(
            lambda weights: _mean(one, weights) - _mean(two, weights), n=int(np.isfinite(one).sum())
        )

    def _arm(self, arm: ArmScores) -> Arm:
        between = arm.name not in (NOTHING, POPULARITY, REAL)
        errors = arm.errors
        return Arm(
            name=arm.name,
            label=arm.label,
            epsilon=arm.epsilon,
            ledger_kind=arm.ledger_kind,
            rmse=self.rmse(arm.name),
            mae=self._rating_figure(arm.name, _mean_absolute),
            bias_rmse=None
            if errors is None
            else float(np.sqrt(errors.bias_squared.sum() / errors.events.sum())),
            gap_closed=self.gap_closed(arm.name) if between else None,
            ndcg=self.ndcg(arm.name),
            ranking_gap_closed=self.ranking_gap_closed(arm.name) if between else None,
            realism=arm.realism,
            strata=tuple(self._stratum(arm, place=place) for place in range(len(arm.parts))),
        )

    def _stratum(self, arm: ArmScores, *, place: int) -> Stratum:
        part, mine = self.parts[place], arm.parts[place]
        nothing, real = (self.arms[name].parts[place] for name in (NOTHING, REAL))
        users, gap = int((mine.events > 0).sum()), None
        if (
            arm.name not in (NOTHING, REAL)
            and users
            and self._value(nothing, _root_mean_square) > self._value(real, _root_mean_square)
        ):
            gap = self._figure(
                lambda weights: _gap(
                    _root_mean_square(nothing, weights),
                    _root_mean_square(mine, weights),
                    _root_mean_square(real, weights),
                ),
                n=users,
            )
        rmse = (
            self._figure(lambda weights: _root_mean_square(mine, weights), n=users)
            if users
            else None
        )
        return Stratum(by=part.by, name=part.name, rmse=rmse, gap_closed=gap)

    def _rating_figure(
        self, name: str, statistic: Callable[[RatingErrors, np.ndarray], np.ndarray]
    ) -> Figure | None:
        errors = self.arms[name].errors
        return (
            None
            if errors is None
            else self._figure(lambda weights: statistic(errors, weights), n=self.test_users)
        )

    def _value(self, scored: Any, statistic: Callable[[Any, np.ndarray], np.ndarray]) -> float:
        return float(statistic(scored, np.ones((1, self.weights.shape[1])))[0])

    def _figure(self, statistic: Callable[[np.ndarray], np.ndarray], *, n: int) -> Figure | None:
        return intervals.bootstrap(statistic, weights=self.weights, n=n)


def measure_utility(
    *,
    train: EventLog,
    test: EventLog,
    arms: Mapping[str, ArmInput],
    items: int,
    scale: tuple[float, float] | None,
    events_per_user: int,
    rng: np.random.Generator,
    resamples: int = 1_000,
) -> Utility | None:
    """The ladder as a record; None when no test user has an event to hold out.

    Args:
        train: the real log of training users, unbounded: ceiling, popularity floor and yardstick of
        realism. test: the real log of users in no training. arms: name -> synthetic log, in the
        order of the ladder. scale: lowest and highest rating; None for a log without ratings, which
        is scored by ranking alone. events_per_user: K, at which the real log is cut where activity
        and similarity are compared.

    Guarantees: reads private logs; the record's figures on a real log are not differentially
    private (rule 14).
    """
    ladder = score_ladder(
        train=train,
        test=test,
        arms=arms,
        items=items,
        scale=scale,
        events_per_user=events_per_user,
        rng=rng,
        resamples=resamples,
    )
    return ladder.summary() if ladder.heldout_events else None


def score_ladder(
    *,
    train: EventLog,
    test: EventLog,
    arms: Mapping[str, ArmInput],
    items: int,
    scale: tuple[float, float] | None,
    events_per_user: int,
    rng: np.random.Generator,
    resamples: int = 1_000,
) -> Ladder:
    """As `measure_utility`, but keeps figures per user, so that two arms can be compared with an
    interval.
    """
    if taken := {NOTHING, POPULARITY, REAL} & set(arms):
        raise ValueError(f"arms must not be called {sorted(taken)}: these rungs are added here")
    observed, heldout = split_test(test, rng)
    users = int((heldout.activity > 0).sum())
    weights = intervals.resamples(test.users, count=resamples, rng=rng)
    start, realism_seed = rng.integers(2**63, size=2)
    if users == 0:
        return Ladder(test_users=0, heldout_events=0, weights=weights)
    parts = stratify(train=train, test=test, heldout=heldout, items=items) if scale else ()
    popular = None
    if items <= recommenders.MAX_EASE_ITEMS:
        popular = scores.popularity_ndcg(train, observed=observed, heldout=heldout, items=items)
    scored = [
        _nothing(observed=observed, heldout=heldout, scale=scale, parts=parts),
        ArmScores(name=POPULARITY, label="Popularity of the real log", ndcg=popular),
    ]
    for name, arm in {
        **arms,
        REAL: ArmInput(log=train, label="Real log", epsilon=None, ledger_kind=None),
    }.items():
        realism = (
            ()
            if name == REAL
            else measure_realism(
                arm.log,
                real=train,
                items=items,
                events_per_user=events_per_user,
                rng=np.random.default_rng(realism_seed),
            )
        )
        scored.append(
            score_arm(
                arm,
                name=name,
                observed=observed,
                heldout=heldout,
                items=items,
                scale=scale,
                realism=realism,
                rng=np.random.default_rng(start),
                parts=parts,
            )
        )
    return Ladder(
        test_users=users,
        heldout_events=len(heldout.item),
        weights=weights,
        arms={arm.name: arm for arm in scored},
        parts=parts,
    )


def _nothing(
    *,
    observed: EventLog,
    heldout: EventLog,
    scale: tuple[float, float] | None,
    parts: tuple[Part, ...],
) -> ArmScores:
    label = "Nothing: each user's own mean"
    if scale is None:
        return ArmScores(name=NOTHING, label=label)
    said = scores.nothing_predictions(observed=observed, heldout=heldout, scale=scale)
    return ArmScores(
        name=NOTHING,
        label=label,
        errors=scores.errors_of(heldout, said=said, scale=scale),
        parts=_by_part(heldout, said=said, scale=scale, parts=parts),
    )


def score_arm(
    arm: ArmInput,
    *,
    name: str,
    observed: EventLog,
    heldout: EventLog,
    items: int,
    scale: tuple[float, float] | None,
    rng: np.random.Generator,
    realism: tuple[RealismLimit, ...] = (),
    parts: tuple[Part, ...] = (),
) -> ArmScores:
    """One arm's figures per test user; a catalogue past EASE^R's limit is not ranked."""
    errors, ndcg, by_part = None, None, ()
    if scale is not None:
        model = recommenders.fit_factorisation(arm.log, items=items, rng=rng)
        said = recommenders.fold_in(model, observed=observed, asked=heldout)
        errors, by_part = (
            scores.errors_of(heldout, said=said, scale=scale),
            _by_part(heldout, said=said, scale=scale, parts=parts),
        )
    if items <= recommenders.MAX_EASE_ITEMS:
        ndcg = scores.ease_ndcg(arm.log, observed=observed, heldout=heldout, items=items)
    return ArmScores(
        name=name,
        label=arm.label,
        epsilon=arm.epsilon,
        ledger_kind=arm.ledger_kind,
        errors=errors,
        ndcg=ndcg,
        realism=realism,
        parts=by_part,
    )


def _by_part(
    heldout: EventLog,
    *,
    said: recommenders.Predictions,
    scale: tuple[float, float],
    parts: tuple[Part, ...],
) -> tuple[RatingErrors, ...]:
    return tuple(
        scores.errors_of(
            heldout.keep(part.chosen),
            scale=scale,
            said=recommenders.Predictions(
                bias=said.bias[part.chosen], factors=said.factors[part.chosen]
            ),
        )
        for part in parts
    )


def _root_mean_square(errors: RatingErrors, weights: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((weights @ errors.squared) / (weights @ errors.events)))


def _mean_absolute(errors: RatingErrors, weights: np.ndarray) -> np.ndarray:
    return np.asarray((weights @ errors.absolute) / (weights @ errors.events))


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    defined = np.isfinite(values)
    return np.asarray((weights[:, defined] @ values[defined]) / weights[:, defined].sum(axis=1))


def _gap(floor: np.ndarray, arm: np.ndarray, ceiling: np.ndarray) -> np.ndarray:
    return np.asarray((arm - floor) / (ceiling - floor))
