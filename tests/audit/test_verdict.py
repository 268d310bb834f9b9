"""Verdicts: the worst one counts, a proved bound is refuted only when it is broken, and no reason promises too much."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from synthrec.audit.membership import attack_from_scores
from synthrec.audit.record import Attack, AttackBound, Verdict
from synthrec.audit.verdict import POLICY, conclude


def gaussian_attack(shift: float, *, rng: np.random.Generator, members: int = 600, holdout: int = 300, reference: int = 100) -> Attack:
    """Scores of a Gaussian mechanism of separation `shift`, at its best attacker."""
    inside, outside = rng.normal(shift, 1, members), rng.normal(0, 1, holdout)
    return attack_from_scores("any", inside=inside, outside=outside, reference=reference, fpr=0.1, rng=rng)


def gaussian_bound(shift: float) -> AttackBound:
    """What no attacker on that mechanism can pass, in closed form."""
    grid = np.linspace(0, 1, 201)
    reach = stats.norm.sf(stats.norm.isf(grid) - shift)
    return AttackBound(fpr=0.1, tpr=float(stats.norm.sf(stats.norm.isf(0.1) - shift)), auc=float(stats.norm.cdf(shift / np.sqrt(2))),
                       advantage=float(2 * stats.norm.cdf(shift / 2) - 1), roc=tuple(zip(grid.tolist(), reach.tolist(), strict=True)))


def test_no_holdout_users_means_not_run() -> None:
    assert conclude(None, control=None, bound=None).verdict is Verdict.NOT_RUN


def test_nothing_found_with_a_control_that_was_found(rng: np.random.Generator) -> None:
    conclusion = conclude(gaussian_attack(0, rng=rng), control=gaussian_attack(4, rng=rng), bound=gaussian_bound(1))
    assert conclusion.verdict is Verdict.NO_LEAK_FOUND
    assert "planted" in conclusion.reason and "0.5" in conclusion.reason


def test_a_control_that_was_not_found_makes_a_pass_inconclusive(rng: np.random.Generator) -> None:
    for control in (None, gaussian_attack(0, rng=rng)):
        assert conclude(gaussian_attack(0, rng=rng), control=control, bound=gaussian_bound(1)).verdict is Verdict.INCONCLUSIVE


def test_a_leak_is_a_leak_whatever_the_control_says(rng: np.random.Generator) -> None:
    for control in (None, gaussian_attack(0, rng=rng), gaussian_attack(4, rng=rng)):
        assert conclude(gaussian_attack(0.6, rng=rng), control=control, bound=gaussian_bound(4)).verdict is Verdict.LEAK_DETECTED


def test_too_few_users_of_any_kind_say_nothing(rng: np.random.Generator) -> None:
    for few in ({"members": 19}, {"holdout": 19}, {"reference": 19}):
        attack = gaussian_attack(0, rng=rng, **few)
        assert conclude(attack, control=gaussian_attack(4, rng=rng), bound=gaussian_bound(8)).verdict is Verdict.INCONCLUSIVE


def test_a_true_claim_is_refuted_at_most_once_in_twenty_even_by_the_best_attacker(rng: np.random.Generator) -> None:
    bound = gaussian_bound(1.0)
    refuted = sum(conclude(gaussian_attack(1.0, rng=rng), control=None, bound=bound).verdict is Verdict.CLAIM_REFUTED for _ in range(60))
    assert stats.binom.sf(refuted - 1, 60, 0.05) > 1e-6


def test_a_claim_whose_noise_was_halved_is_refuted(rng: np.random.Generator) -> None:
    verdicts = [conclude(gaussian_attack(2.0, rng=rng), control=None, bound=gaussian_bound(1.0)) for _ in range(10)]
    assert all(each.verdict is Verdict.CLAIM_REFUTED for each in verdicts)
    assert "proves that no attack" in verdicts[0].reason


def test_a_few_members_exposed_completely_refute_by_the_true_positive_rate(rng: np.random.Generator) -> None:
    """An attack may find some members for sure and know nothing of the others: the AUC hardly moves, the TPR at few false alarms does."""
    inside = np.concatenate((rng.normal(9, 1, 1_140), rng.normal(0, 1, 1_860)))
    attack = attack_from_scores("any", inside=inside, outside=rng.normal(0, 1, 1_000), reference=100, fpr=0.1, rng=rng)
    bound = gaussian_bound(0.8)
    assert attack.auc.low < bound.auc
    conclusion = conclude(attack, control=None, bound=bound)
    assert conclusion.verdict is Verdict.CLAIM_REFUTED and "false alarms" in conclusion.reason


def test_verdicts_are_listed_worst_first_and_exit_as_the_design_says() -> None:
    assert [verdict.exit_code for verdict in Verdict] == [1, 1, 3, 3, 0]


@pytest.mark.parametrize("word", ["anonym", "safe", "complian"])
def test_no_reason_promises_what_an_audit_cannot(word: str, rng: np.random.Generator) -> None:
    reasons = [conclude(None, control=None, bound=None).reason]
    for shift, claim in ((0, 1), (0.6, 4), (3, 0.5)):
        for control in (None, gaussian_attack(0, rng=rng), gaussian_attack(4, rng=rng)):
            reasons.append(conclude(gaussian_attack(shift, rng=rng), control=control, bound=gaussian_bound(claim)).reason)
    assert not any(word in reason.lower() for reason in reasons)


def test_the_policy_is_numbers_that_a_record_can_keep() -> None:
    assert all(isinstance(value, int | float) for value in POLICY.values())
