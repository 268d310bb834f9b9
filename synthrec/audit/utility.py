"""Utility: how much of the way from knowing nothing to the real log does a recommender trained on
the synthetic log go?

The protocol on a given split of users. The ladder: nothing and popularity at the bottom, the arms
handed in, the real unbounded train log at the top. All arms meet the same test users, observed
events, starting point of ALS and bootstrap resamples. RMSE is told by parts of the held-out events,
too: a method may be good on hits and useless in the tail. Items sorted by their events in the real
train log are cut where they hold the first and the second third of those events: head, middle, tail
(which takes items that the train log never saw). Test users sorted by their events are cut into ten
equal parts, decile 1 the least active. Ties go by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from synthrec.audit import intervals, recommenders, scores
from synthrec.audit.realism import measure_realism
from synthrec.audit.record import Against, Arm, Figure, RealismLimit, Stratum, Utility
from synthrec.audit.scores import RatingErrors, split_test
from synthrec.data.eventlog import EventLog

POPULARITY_PARTS = ("head", "middle", "tail")
DECILES = 10


@dataclass(frozen=True, repr=False, eq=False)
class HeldoutPart:
    """Some of the held-out events: private. Shapes: chosen bool[N]."""

    by: Literal["item popularity", "user activity"]
    name: str
    chosen: np.ndarray


def stratify(
    *, train: EventLog, test: EventLog, heldout: EventLog, items: int
) -> tuple[HeldoutPart, ...]:
    """Three parts by item, ten by user; each kind covers every held-out event once. `test` and
    `heldout` have the same users in order.
    """
    popularity = popularity_part(train, items=items)[heldout.item]
    decile = np.empty(test.users, dtype=np.int64)
    by_activity = np.argsort(test.activity, kind="stable")
    decile[by_activity] = np.arange(test.users) * DECILES // max(1, test.users)
    mine = decile[heldout.user_of_event()]
    return (
        *(
            HeldoutPart(by="item popularity", name=name, chosen=popularity == index)
            for index, name in enumerate(POPULARITY_PARTS)
        ),
        *(
            HeldoutPart(by="user activity", name=f"decile {index + 1}", chosen=mine == index)
            for index in range(DECILES)
        ),
    )


def popularity_part(train: EventLog, *, items: int) -> np.ndarray:
    """0 head, 1 middle, 2 tail. Shapes: int64[V]."""
    events = np.bincount(train.item, minlength=items)
    order = np.argsort(-events, kind="stable")
    before = np.cumsum(events[order]) - events[order]  # an item belongs where its first event falls
    part = np.empty(items, dtype=np.int64)
    part[order] = np.where(events[order] > 0, np.minimum(3 * before // max(1, events.sum()), 2), 2)
    return part


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


Scored = RatingErrors | np.ndarray | None  # an arm's errors, or its NDCG of each test user
# what was scored, then weights float[R, U] -> float[R]
Statistic = Callable[..., np.ndarray]


def _root_mean_square(errors: RatingErrors, weights: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((weights @ errors.squared) / (weights @ errors.events)))


def _mean_absolute(errors: RatingErrors, weights: np.ndarray) -> np.ndarray:
    return np.asarray((weights @ errors.absolute) / (weights @ errors.events))


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    defined = np.isfinite(values)
    return np.asarray((weights[:, defined] @ values[defined]) / weights[:, defined].sum(axis=1))


def _difference(statistic: Statistic) -> Statistic:
    return lambda one, other, weights: statistic(one, weights) - statistic(other, weights)


def _users(scored: Scored) -> int:
    """Test users behind a figure."""
    if isinstance(scored, RatingErrors):
        return int(np.count_nonzero(scored.events))
    return int(np.isfinite(np.asarray(scored)).sum())


class Measure(NamedTuple):
    """What an arm is judged by; `sign` is 1 where more is better."""

    name: Literal["RMSE", "NDCG@10"]
    of: Callable[[ArmScores], Scored]
    statistic: Statistic
    sign: int


RMSE = Measure("RMSE", lambda arm: arm.errors, _root_mean_square, -1)
NDCG = Measure("NDCG@10", lambda arm: arm.ndcg, _mean, 1)


@dataclass(frozen=True, repr=False, eq=False)
class Ladder:
    """All arms on the same test users, with the resamples that pair them: private. `summary` is the
    record.
    """

    test_users: int
    heldout_events: int
    weights: np.ndarray
    arms: Mapping[str, ArmScores] = field(default_factory=dict)
    parts: tuple[HeldoutPart, ...] = ()

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
        release, internal = (
            [arm for arm in self.arms.values() if arm.ledger_kind == kind]
            for kind in ("release", "internal")
        )
        found = []
        for measure in (RMSE, NDCG) if release and internal else ():
            mine, *rivals = (measure.of(arm) for arm in (release[0], *internal))
            if mine is None or any(scored is None for scored in rivals):
                continue
            values = [measure.sign * self._value(scored, measure.statistic) for scored in rivals]
            best = int(np.argmax(values))
            difference = self._figure(_difference(measure.statistic), mine, rivals[best])
            if difference is not None:
                beats = difference.high < 0 if measure.sign < 0 else difference.low > 0
                rival = internal[best].name
                found.append(
                    Against(rival=rival, measure=measure.name, difference=difference, beats=beats)
                )
        return tuple(found)

    def rmse(self, name: str) -> Figure | None:
        """Root mean squared error of the arm's factorisation over held-out events; None without
        ratings.
        """
        return self._figure(_root_mean_square, self.arms[name].errors)

    def ndcg(self, name: str) -> Figure | None:
        """Mean NDCG@10 over test users with something relevant held out."""
        return self._figure(_mean, self.arms[name].ndcg)

    def gap_closed(self, name: str) -> Figure | None:
        """(RMSE nothing - RMSE arm) / (RMSE nothing - RMSE real); None unless the real log beats
        nothing.
        """
        return self._gap_closed(RMSE, *(self.arms[arm].errors for arm in (NOTHING, name, REAL)))

    def ranking_gap_closed(self, name: str) -> Figure | None:
        """(NDCG arm - NDCG popularity) / (NDCG real - NDCG popularity); None unless the real log
        beats popularity.
        """
        return self._gap_closed(NDCG, *(self.arms[arm].ndcg for arm in (POPULARITY, name, REAL)))

    def rmse_difference(self, name: str, *, other: str) -> Figure | None:
        """RMSE of `name` minus RMSE of `other`, paired over users: below zero means that `name` is
        better.
        """
        return self._figure(
            _difference(_root_mean_square), self.arms[name].errors, self.arms[other].errors
        )

    def ndcg_difference(self, name: str, *, other: str) -> Figure | None:
        """NDCG@10 of `name` minus that of `other`, paired over users: above zero means that `name`
        is better.
        """
        return self._figure(_difference(_mean), self.arms[name].ndcg, self.arms[other].ndcg)

    def _arm(self, arm: ArmScores) -> Arm:
        between = arm.name not in (NOTHING, POPULARITY, REAL)
        errors = arm.errors
        return Arm(
            name=arm.name,
            label=arm.label,
            epsilon=arm.epsilon,
            ledger_kind=arm.ledger_kind,
            rmse=self.rmse(arm.name),
            mae=self._figure(_mean_absolute, errors),
            bias_rmse=None
            if errors is None
            else float(np.sqrt(errors.bias_squared.sum() / errors.events.sum())),
            gap_closed=self.gap_closed(arm.name) if between else None,
            ndcg=self.ndcg(arm.name),
            ranking_gap_closed=self.ranking_gap_closed(arm.name) if between else None,
            realism=arm.realism,
            strata=tuple(self._stratum(arm, index=index) for index in range(len(arm.parts))),
        )

    def _stratum(self, arm: ArmScores, *, index: int) -> Stratum:
        part, errors = self.parts[index], arm.parts[index]
        gap = None
        if arm.name not in (NOTHING, REAL):
            nothing, real = (self.arms[name].parts[index] for name in (NOTHING, REAL))
            gap = self._gap_closed(RMSE, nothing, errors, real)
        rmse = self._figure(_root_mean_square, errors)
        return Stratum(by=part.by, name=part.name, rmse=rmse, gap_closed=gap)

    def _gap_closed(
        self, measure: Measure, floor: Scored, arm: Scored, real: Scored
    ) -> Figure | None:
        statistic = measure.statistic
        if floor is None or arm is None or real is None:
            return None
        gained = measure.sign * (self._value(real, statistic) - self._value(floor, statistic))
        if not gained > 0:
            return None

        def gap(weights: np.ndarray) -> np.ndarray:
            lowest = statistic(floor, weights)
            return np.asarray(
                (statistic(arm, weights) - lowest) / (statistic(real, weights) - lowest)
            )

        return intervals.bootstrap(gap, weights=self.weights, n=_users(arm))

    def _value(self, scored: Scored, statistic: Statistic) -> float:
        with np.errstate(invalid="ignore"):  # of a part in which nobody has an event
            return float(statistic(scored, np.ones((1, self.weights.shape[1])))[0])

    def _figure(self, statistic: Statistic, *scored: Scored) -> Figure | None:
        """None where an arm was not scored, or the statistic is not defined."""
        if any(each is None for each in scored):
            return None
        return intervals.bootstrap(
            lambda weights: statistic(*scored, weights), weights=self.weights, n=_users(scored[0])
        )


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
    private (rule: audits are not private).
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
    popular = scores.popularity_ndcg(train, observed=observed, heldout=heldout, items=items)
    errors: RatingErrors | None = None
    by_part: tuple[RatingErrors, ...] = ()
    if scale is not None:
        said = scores.nothing_predictions(observed=observed, heldout=heldout, scale=scale)
        errors, by_part = _errors(heldout, said=said, scale=scale, parts=parts)
    label = "Nothing: each user's own mean"
    scored = [
        ArmScores(name=NOTHING, label=label, errors=errors, parts=by_part),
        ArmScores(name=POPULARITY, label="Popularity of the real log", ndcg=popular),
    ]
    real = ArmInput(log=train, label="Real log", epsilon=None, ledger_kind=None)
    for name, arm in {**arms, REAL: real}.items():
        realism: tuple[RealismLimit, ...] = ()
        if name != REAL:
            realism = measure_realism(
                arm.log,
                real=train,
                items=items,
                events_per_user=events_per_user,
                rng=np.random.default_rng(realism_seed),
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
    parts: tuple[HeldoutPart, ...] = (),
) -> ArmScores:
    """One arm's figures per test user."""
    errors = None
    by_part: tuple[RatingErrors, ...] = ()
    if scale is not None:
        model = recommenders.fit_factorisation(arm.log, items=items, rng=rng)
        said = recommenders.fold_in(model, observed=observed, asked=heldout)
        errors, by_part = _errors(heldout, said=said, scale=scale, parts=parts)
    return ArmScores(
        name=name,
        label=arm.label,
        epsilon=arm.epsilon,
        ledger_kind=arm.ledger_kind,
        errors=errors,
        ndcg=scores.ease_ndcg(arm.log, observed=observed, heldout=heldout, items=items),
        realism=realism,
        parts=by_part,
    )


def _errors(
    heldout: EventLog,
    *,
    said: recommenders.Predictions,
    scale: tuple[float, float],
    parts: tuple[HeldoutPart, ...],
) -> tuple[RatingErrors, tuple[RatingErrors, ...]]:
    """Of all held-out events, and of each part."""
    return scores.errors_of(heldout, said=said, scale=scale), tuple(
        scores.errors_of(
            heldout.keep(part.chosen),
            scale=scale,
            said=recommenders.Predictions(
                bias=said.bias[part.chosen], factors=said.factors[part.chosen]
            ),
        )
        for part in parts
    )
