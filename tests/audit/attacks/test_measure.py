"""From scores to records: intervals cover, tests hold their level, Holm's correction is Holm's."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from synthrec.audit.attacks import learned, metrics
from synthrec.audit.attacks.metrics import attack_from_scores, averaged, holm, mann_whitney_p_value
from synthrec.audit.record import Attack

WORLDS = 400


def record_of(
    inside: np.ndarray, outside: np.ndarray, rng: np.random.Generator, **rest: object
) -> Attack:
    scores, member = (
        np.concatenate((inside, outside)),
        np.arange(len(inside) + len(outside)) < len(inside),
    )
    asked = {
        "knows": "all",
        "exposed": np.zeros(len(scores), dtype=bool),
        "reference": 9,
        "fpr": 0.1,
        "resamples": 50,
    } | rest
    return attack_from_scores("any", scores=scores, member=member, rng=rng, **asked)  # type: ignore[arg-type]


def test_the_roc_is_that_of_the_definition_with_ties(rng: np.random.Generator) -> None:
    inside, outside = rng.integers(0, 5, 30), rng.integers(0, 4, 25)
    false_rate, true_rate = metrics.roc(inside, outside=outside)
    cuts = sorted({*inside.tolist(), *outside.tolist()}, reverse=True)
    assert false_rate[1:] == pytest.approx([np.mean(outside >= cut) for cut in cuts])
    assert true_rate[1:] == pytest.approx([np.mean(inside >= cut) for cut in cuts])
    assert (false_rate[0], true_rate[0], false_rate[-1], true_rate[-1]) == (0.0, 0.0, 1.0, 1.0)


def test_the_area_under_the_recorded_roc_is_the_auc(rng: np.random.Generator) -> None:
    attack = record_of(rng.normal(1, 1, 3_000), rng.normal(0, 1, 3_000), rng)
    rates = np.asarray(attack.roc)
    assert len(rates) == 101 and (np.diff(rates, axis=0) >= 0).all()
    assert np.trapezoid(rates[:, 1], rates[:, 0]) == pytest.approx(attack.auc.value, abs=0.005)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_tpr_and_advantage_cover_the_truth(shift: float, rng: np.random.Generator) -> None:
    true_tpr = stats.norm.sf(stats.norm.isf(0.1) - shift)
    true_advantage = 2 * stats.norm.cdf(shift / 2) - 1
    covered_tpr = covered_advantage = 0
    for _ in range(WORLDS):
        inside, outside = rng.normal(shift, 1, 150), rng.normal(0, 1, 100)
        found = metrics.tpr_at(inside, outside=outside, fpr=0.1, rng=rng, resamples=200)
        covered_tpr += found.low <= true_tpr <= found.high
        band = metrics.advantage(inside, outside=outside)
        covered_advantage += band.low <= true_advantage <= band.high
    assert stats.binom.cdf(covered_tpr, WORLDS, 0.92) > 1e-6
    assert stats.binom.cdf(covered_advantage, WORLDS, 0.95) > 1e-6


def test_tpr_at_1_percent_and_the_most_exposed_need_their_numbers(rng: np.random.Generator) -> None:
    few = record_of(
        rng.normal(1, 1, 2_000), rng.normal(0, 1, 99), rng, exposed=np.arange(2_099) % 50 == 0
    )
    assert few.tpr_at_1_percent is None and few.most_exposed is None
    exposed = np.arange(3_000) % 10 == 0
    many = record_of(rng.normal(1, 1, 2_000), rng.normal(0, 1, 1_000), rng, exposed=exposed)
    assert (
        many.tpr_at_1_percent is not None
        and 0 < many.tpr_at_1_percent.low < many.tpr_at_1_percent.value < many.tpr.value
    )
    assert (
        many.most_exposed is not None and many.most_exposed.n == 300 and many.most_exposed.low > 0.6
    )


def test_the_p_value_is_that_of_all_assignments_of_labels(rng: np.random.Generator) -> None:
    scores = rng.integers(0, 9, 16).astype(float)
    inside = np.sort(rng.permutation(16)[:8])
    ranks = stats.rankdata(scores)
    sums = np.array([ranks[list(chosen)].sum() for chosen in combinations(range(16), 8)])
    exact = np.mean(sums >= ranks[inside].sum() - 1e-9)
    assert mann_whitney_p_value(scores[inside], outside=np.delete(scores, inside)) == pytest.approx(
        exact, abs=0.03
    )
    assert mann_whitney_p_value(np.ones(9), outside=np.ones(7)) == 1.0


def test_holm_is_the_brute_force_of_its_definition(rng: np.random.Generator) -> None:
    """Rejecting at any level a what p_holm <= a says is rejecting in order while p_(k) <= a /
    (tests - k + 1).
    """
    plain = record_of(rng.normal(size=20), rng.normal(size=20), rng)
    for tests in (5, 8):
        p_values = rng.uniform(0, 0.2, 5) ** 2
        found = holm(
            [plain.model_copy(update={"p_value": float(p)}) for p in p_values], tests=tests
        )
        for level in np.linspace(0.001, 0.3, 60):
            rejected = set()
            for k, place in enumerate(np.argsort(p_values)):
                if p_values[place] > level / (tests - k):
                    break
                rejected.add(int(place))
            assert {
                place for place, attack in enumerate(found) if attack.p_holm <= level
            } == rejected


def blended(scores: np.ndarray, member: np.ndarray, rng: np.random.Generator) -> Attack:
    first = learned.halves(member, rng=rng)
    found = learned.blend_scores(scores, member=member, first=first)
    nobody = np.zeros(int(member.sum() + (~member).sum()), dtype=bool)
    return averaged(
        [
            attack_from_scores(
                "blend",
                knows="",
                scores=found[half],
                member=member[half],
                exposed=nobody[half],
                reference=9,
                fpr=0.1,
                rng=rng,
                resamples=20,
            )
            for half in (first, ~first)
        ]
    )


def null_worlds(rng: np.random.Generator, *, worlds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(rng.normal(size=(120, 5)), np.arange(120) < 70) for _ in range(worlds)]


def test_the_blend_of_scores_that_know_nothing_raises_an_alarm_once_in_twenty_at_most(
    rng: np.random.Generator,
) -> None:
    found = [blended(scores, member, rng) for scores, member in null_worlds(rng, worlds=200)]
    assert stats.binom.sf(sum(attack.p_value <= 0.05 for attack in found) - 1, 200, 0.05) > 1e-6
    assert (
        stats.binom.sf(
            sum(not attack.auc.low <= 0.5 <= attack.auc.high for attack in found) - 1, 200, 0.06
        )
        > 1e-6
    )


def test_a_blend_that_is_scored_on_the_half_it_was_fitted_on_is_caught_by_the_same_test(
    rng: np.random.Generator,
) -> None:
    """Saboteur: the model for each half is fitted on that half."""
    alarms = 0
    for scores, member in null_worlds(rng, worlds=60):
        first = learned.halves(member, rng=rng)
        columns = learned.standardised(scores)
        found = np.empty(len(member))
        for half in (first, ~first):
            found[half] = (
                learned.LogisticRegression(C=0.1)
                .fit(columns[half], member[half])
                .decision_function(columns[half])
            )
        alarms += (
            averaged(
                [
                    record_of(found[half & member], found[half & ~member], rng)
                    for half in (first, ~first)
                ]
            ).p_value
            <= 0.05
        )
    assert stats.binom.sf(alarms - 1, 60, 0.05) < 1e-6


def test_the_halves_of_a_blend_depend_on_each_other_and_its_interval_knows(
    rng: np.random.Generator,
) -> None:
    """What makes pooling dishonest: over null worlds the two halves' AUCs rise and fall together."""
    pairs = []
    for scores, member in null_worlds(rng, worlds=100):
        first = learned.halves(member, rng=rng)
        found = learned.blend_scores(scores[:, :1], member=member, first=first)
        pairs.append(
            [
                record_of(found[half & member], found[half & ~member], rng).auc.value
                for half in (first, ~first)
            ]
        )
    assert np.corrcoef(np.transpose(pairs))[0, 1] > 0.4


def test_a_blend_finds_what_its_attacks_find_in_part(rng: np.random.Generator) -> None:
    member = np.arange(600) < 400
    scores = rng.normal(size=(600, 3)) + np.where(member, 0.6, 0.0)[:, None]
    alone = [record_of(column[member], column[~member], rng).auc.value for column in scores.T]
    assert blended(scores, member, rng).auc.value > max(alone) + 0.03
