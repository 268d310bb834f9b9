"""From scores to an `Attack`: how well they tell who trained from who did not, with intervals, a
test, Holm's correction, how many of the highest scores are members', and the one rule by which the verdict and every control say that a release
leaks.

Higher scores say member. Scores must not know the labels, but for the blend's, whose halves are
measured apart and then averaged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from synthrec.audit import intervals
from synthrec.audit.record import Attack, Figure, Policy, TopScores

ROC_POINTS = 101
TPR_RESAMPLES = 1_000
MIN_FOR_1_PERCENT = 100  # users a class
PLACES = (1, 3, 10, 30, 100)  # of the highest scores: how many are members?
EXPOSED_SHARE = 0.1
MIN_EXPOSED = 50  # users a class


def attack_from_scores(
    name: str,
    *,
    knows: str,
    scores: np.ndarray,
    member: np.ndarray,
    exposed: np.ndarray,
    reference: int,
    fpr: float,
    rng: np.random.Generator,
    resamples: int = TPR_RESAMPLES,
) -> Attack:
    """Any attack as a record; `p_holm` is the plain p value until `holm` has seen all attacks.

    Shapes:
        scores float[T], member bool[T], exposed bool[T] (chosen beforehand, without labels).
    """
    inside, outside = scores[member], scores[~member]
    m, n = len(inside), len(outside)
    if m == 0 or n == 0:
        raise ValueError("an attack needs members and holdout users, found none of one kind")
    false_rate, true_rate = roc(inside, outside=outside)
    most_exposed = [scores[exposed & kind] for kind in (member, ~member)]
    enough = min(map(len, most_exposed)) >= MIN_EXPOSED
    p_value = mann_whitney_p_value(inside, outside=outside)
    return Attack(
        name=name,
        knows=knows,
        auc=intervals.auc(inside, negative=outside),
        advantage=advantage(inside, outside=outside),
        tpr=tpr_at(inside, outside=outside, fpr=fpr, rng=rng, resamples=resamples),
        fpr=fpr,
        tpr_at_1_percent=(
            tpr_at(inside, outside=outside, fpr=0.01, rng=rng, resamples=resamples)
            if min(m, n) >= MIN_FOR_1_PERCENT
            else None
        ),
        members=m,
        holdout=n,
        reference=reference,
        detectable_auc=intervals.detectable_auc(m, n=n),
        p_value=p_value,
        p_holm=p_value,
        most_exposed=intervals.auc(most_exposed[0], negative=most_exposed[1]) if enough else None,
        roc=tuple(
            (float(rate), float(_read_roc(false_rate[None], true_rate[None], fpr=rate)[0]))
            for rate in np.linspace(0.0, 1.0, ROC_POINTS)
        ),
        tpr_at_0=intervals.wilson(int((inside > outside.max()).sum()), n=m),
        tops=tops(scores, member=member),
    )


def tops(scores: np.ndarray, *, member: np.ndarray) -> tuple[TopScores, ...]:
    """By the score of the person in each of PLACES."""
    ordered = np.sort(scores)[::-1]
    return tuple(
        among_highest(scores, member=member, least=ordered[place - 1], place=place)
        for place in PLACES
        if place <= len(scores)
    )


def among_highest(scores: np.ndarray, *, member: np.ndarray, least: float, place: int) -> TopScores:
    """Exact as long as members and people outside are exchangeable: people are counted by score,
    ties whole, whoever they are.
    """
    top = scores >= least
    people, members = int(top.sum()), int((top & member).sum())
    p_value = stats.hypergeom.sf(members - 1, len(scores), int(member.sum()), people)
    return TopScores(place=place, people=people, members=members, p_value=float(p_value))


def corrected_tops(
    tops: Sequence[TopScores], *, wholes: TopScores | None, attacks: int, replays: int
) -> float:
    """The smallest p value: half of the level is for the places of all attacks, half for the whole
    copies of all replays (Bonferroni).
    """
    found = [2.0 * len(PLACES) * attacks * top.p_value for top in tops]
    found += [] if wholes is None else [2.0 * replays * wholes.p_value]
    return min([1.0, *found])


def averaged(parts: Sequence[Attack]) -> Attack:
    """One attack measured on disjoint parts of its users, whose results may depend on each other in
    any way.

    Each figure is the mean of the parts', and so are its limits: the standard deviation of a mean
    is at most the mean of the standard deviations. The p value is twice the mean (Rueschendorf
    1982; Vovk, Wang 2020), which is valid whatever the dependence.
    """
    first = parts[0]
    p_value = min(1.0, 2 * float(np.mean([part.p_value for part in parts])))
    return first.model_copy(
        update={
            **{
                name: _mean(found)
                if all(found := [getattr(part, name) for part in parts])
                else None
                for name in ("auc", "advantage", "tpr", "tpr_at_1_percent", "most_exposed")
            },
            "members": sum(part.members for part in parts),
            "holdout": sum(part.holdout for part in parts),
            "detectable_auc": max(part.detectable_auc for part in parts),
            "p_value": p_value,
            "p_holm": p_value,
            "tops": (),
            "tpr_at_0": None,
            "roc": tuple(
                (float(fpr), float(tpr))
                for fpr, tpr in np.mean([part.roc for part in parts], axis=0)
            ),
        }
    )


def _mean(figures: Sequence[Figure]) -> Figure:
    value, low, high = (
        float(np.mean([getattr(figure, name) for figure in figures]))
        for name in ("value", "low", "high")
    )
    return Figure(
        value=value,
        low=low,
        high=high,
        n=sum(figure.n for figure in figures),
        confidence=figures[0].confidence,
        method=f"{figures[0].method}, mean over {len(figures)} halves",
    )


def mann_whitney_p_value(inside: np.ndarray, *, outside: np.ndarray) -> float:
    """One-sided p value of AUC <= 1/2 (Mann, Whitney 1947; normal, corrected for ties); 1 where all
    scores are equal.
    """
    p_value = stats.mannwhitneyu(
        inside, outside, use_continuity=False, alternative="greater", method="asymptotic"
    ).pvalue
    return 1.0 if np.isnan(p_value) else float(p_value)


def holm(attacks: Sequence[Attack], *, tests: int | None = None) -> tuple[Attack, ...]:
    """The attacks with `p_holm` for all of them (Holm 1979); `tests` counts also tests that were
    not run, as if their p were 1.
    """
    tests = len(attacks) if tests is None else tests
    p_values = np.array([attack.p_value for attack in attacks])
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * (tests - np.arange(len(attacks))))
    corrected = np.empty(len(attacks))
    corrected[order] = np.minimum(stepped, 1.0)
    replays = sum(attack.wholes is not None for attack in attacks)
    return tuple(
        attack.model_copy(
            update={
                "p_holm": float(p),
                "p_tops": corrected_tops(
                    attack.tops, wholes=attack.wholes, attacks=tests, replays=replays
                ),
            }
        )
        for attack, p in zip(attacks, corrected, strict=True)
    )


def roc(inside: np.ndarray, *, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rates from (0, 0) to (1, 1); tied scores are one step, so a threshold
    inside a tie is a coin.
    """
    cuts, code = np.unique(-np.concatenate((inside, outside)), return_inverse=True)
    steps = [
        np.bincount(part, minlength=len(cuts))
        for part in (code[: len(inside)], code[len(inside) :])
    ]
    true_rate, false_rate = (
        np.concatenate(([0.0], np.cumsum(step) / max(1, step.sum()))) for step in steps
    )
    return false_rate, true_rate


def tpr_at(
    inside: np.ndarray,
    *,
    outside: np.ndarray,
    fpr: float,
    rng: np.random.Generator,
    resamples: int = TPR_RESAMPLES,
) -> Figure:
    """True positive rate at a false positive rate; the threshold is found anew in every resample of
    both classes.
    """
    false_rate, true_rate = roc(inside, outside=outside)
    value = float(_read_roc(false_rate[None], true_rate[None], fpr=fpr)[0])
    _, code = np.unique(-np.concatenate((inside, outside)), return_inverse=True)
    at_once = max(1, 2_000_000 // len(code))
    drawn = np.concatenate(
        [
            _read_roc(
                _resampled_rates(code[len(inside) :], steps=len(false_rate), count=count, rng=rng),
                _resampled_rates(code[: len(inside)], steps=len(false_rate), count=count, rng=rng),
                fpr=fpr,
            )
            for count in (min(at_once, resamples - done) for done in range(0, resamples, at_once))
        ]
    )
    method = f"bootstrap of members and holdout users, {resamples:,} resamples"
    return intervals.percentile(value, drawn=drawn, n=len(inside) + len(outside), method=method)


def _resampled_rates(
    code: np.ndarray, *, steps: int, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Rates of `count` bootstrap resamples at every step of the joint ROC. Shapes: code int[n] <
    steps - 1 -> float64[count, steps].
    """
    drawn = (
        code[rng.integers(0, len(code), (count, len(code)))] + 1 + steps * np.arange(count)[:, None]
    )
    return np.asarray(
        np.cumsum(np.bincount(drawn.ravel(), minlength=count * steps).reshape(count, steps), axis=1)
        / len(code)
    )


def _read_roc(false_rate: np.ndarray, true_rate: np.ndarray, *, fpr: float) -> np.ndarray:
    """TPR at `fpr` of each curve: its last point at or below, then the line to the next. Shapes:
    float[R, steps] -> float64[R].
    """
    rows = np.arange(len(false_rate))
    before = (false_rate <= fpr).sum(axis=1) - 1
    after = np.minimum(before + 1, false_rate.shape[1] - 1)
    width = false_rate[rows, after] - false_rate[rows, before]
    part = np.where(
        width > 0, (fpr - false_rate[rows, before]) / np.where(width > 0, width, 1.0), 0.0
    )
    return np.asarray(
        true_rate[rows, before] + part * (true_rate[rows, after] - true_rate[rows, before])
    )


def advantage(inside: np.ndarray, *, outside: np.ndarray) -> Figure:
    """Largest TPR - FPR over thresholds; its band is Kolmogorov and Smirnov's, which holds for the
    best threshold too.
    """
    false_rate, true_rate = roc(inside, outside=outside)
    value = float((true_rate - false_rate).max())
    band = float(np.sqrt(-np.log(0.025) / 2 * (1 / len(inside) + 1 / len(outside))))
    return Figure(
        value=value,
        low=max(0.0, value - band),
        high=min(1.0, value + band),
        n=len(inside) + len(outside),
        method="Kolmogorov-Smirnov band",
    )


def flagged(attacks: Sequence[Attack], policy: Policy) -> bool:
    """The rule of the verdict: is there an attack that tells members from holdout users, or a member
    who was copied?
    """
    return told_apart(attacks, policy) or any(attack.copied for attack in attacks)


def told_apart(attacks: Sequence[Attack], policy: Policy) -> bool:
    """Is there an attack whose AUC passes one half after Holm's correction, and whose lower limit
    passes the policy's limit, or whose highest scores are members' more often than by chance?
    """
    return any(
        (attack.p_holm <= 1 - policy.confidence and attack.auc.low > policy.leak_auc)
        or attack.p_tops <= policy.tail_level
        for attack in attacks
    )


def strongest(attacks: Sequence[Attack]) -> Attack:
    """The headline: the largest lower limit of AUC."""
    return max(attacks, key=lambda attack: attack.auc.low)
