"""Verdicts: the worst one counts, a proved bound is refuted only when it is broken, and no reason
promises too much.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from synthrec.audit.attacks.learned import BLEND as BLEND
from synthrec.audit.attacks.metrics import attack_from_scores, holm
from synthrec.audit.disclosure.common import risk_of
from synthrec.audit.epsilon_bounds import bound_of_claim
from synthrec.audit.record import (
    WITHIN_CLAIM,
    Attack,
    AttackBound,
    AttackedColumn,
    Controls,
    CopyProbe,
    Disclosure,
    Figure,
    LeakProbe,
    LowerBound,
    Membership,
    Replay,
    Risk,
    Verdict,
)
from synthrec.audit.verdict import Conclusion, conclude, policy, policy_sha256
from tests.report.records import audit


def gaussian_attack(
    shift: float,
    *,
    rng: np.random.Generator,
    members: int = 600,
    holdout: int = 300,
    reference: int = 100,
    name: str = "any",
) -> Attack:
    """Scores of a Gaussian mechanism of separation `shift`, at its best attacker."""
    scores = np.concatenate((rng.normal(shift, 1, members), rng.normal(0, 1, holdout)))
    member = np.arange(len(scores)) < members
    return attack_from_scores(
        name,
        knows="all",
        scores=scores,
        member=member,
        exposed=np.zeros(len(scores), dtype=bool),
        reference=reference,
        fpr=0.1,
        rng=rng,
        resamples=200,
    )


def gaussian_bound(shift: float) -> AttackBound:
    """What no attacker on that mechanism can pass, in closed form."""
    grid = np.linspace(0, 1, 201)
    reach = stats.norm.sf(stats.norm.isf(grid) - shift)
    return AttackBound(
        fpr=0.1,
        tpr=float(stats.norm.sf(stats.norm.isf(0.1) - shift)),
        auc=float(stats.norm.cdf(shift / np.sqrt(2))),
        advantage=float(2 * stats.norm.cdf(shift / 2) - 1),
        roc=tuple(zip(grid.tolist(), reach.tolist(), strict=True)),
    )


def share(value: float, *, low: float | None = None, high: float | None = None) -> Figure:
    return Figure(
        value=value,
        low=value if low is None else low,
        high=value if high is None else high,
        n=100,
        method="made up",
    )


def membership(
    *attacks: Attack,
    bound: AttackBound | None = None,
    power: float | None = 0.05,
    blind: tuple[Attack, ...] = (),
) -> Membership:
    leaks = (LeakProbe(share=1.0, draws=5, found=share(0.0 if power is None else 1.0), auc=0.9),)
    corrected = holm(attacks)
    return Membership(
        attacks=corrected,
        headline=max(corrected, key=lambda each: each.auc.low).name,
        bound=bound,
        controls=Controls(leaks=leaks, power=power, blind=holm(blind), bootstrap_flagged=None),
    )


def linkability(hits: int, control: int, *, of: int = 200) -> Risk:
    linked, base = (np.arange(of) < count for count in (hits, control))
    return risk_of(
        "linkability",
        setting="4 known events",
        attack=linked,
        control=base,
        random=np.zeros(of, dtype=bool),
    )


def disclosure(*, hits: int = 40, longer: float = 0.0) -> Disclosure:
    """40 of 200 people outside are linked."""
    return Disclosure(
        risks=(linkability(hits, 40),),
        replay=Replay(
            members=share(3 + longer), holdout=share(3), longest_member=9, longest_holdout=8
        ),
    )


def lower_bound(epsilon: float, *, claimed: float | None) -> LowerBound:
    return LowerBound(
        epsilon=epsilon,
        delta=1e-5,
        confidence=0.95,
        coined=200,
        guesses=50,
        correct=40,
        choices=12,
        ceiling=3.0,
        attack="any",
        method="made up",
        claimed=claimed,
    )


def verdict(found: Membership | None, **others: object) -> Conclusion:
    return conclude(
        found, **({"lower_bound": None, "disclosure": None, "policy": policy()} | others)
    )  # type: ignore[arg-type]


def test_no_holdout_users_means_not_run() -> None:
    assert verdict(None).verdict is Verdict.NOT_RUN


def test_nothing_found_with_a_planted_leak_that_was_found(rng: np.random.Generator) -> None:
    conclusion = verdict(membership(gaussian_attack(0, rng=rng), bound=gaussian_bound(1)))
    assert conclusion.verdict is Verdict.NO_LEAK_FOUND
    assert "planted" in conclusion.reason and "5%" in conclusion.reason


def test_a_pass_is_inconclusive_when_the_planted_leak_was_not_found_or_none_was_planted(
    rng: np.random.Generator,
) -> None:
    found = membership(gaussian_attack(0, rng=rng), power=None)
    assert verdict(found).verdict is Verdict.INCONCLUSIVE
    bare = found.model_copy(
        update={"controls": found.controls.model_copy(update={"leaks": (), "power": None})}
    )
    assert verdict(bare).verdict is Verdict.INCONCLUSIVE


def test_where_a_blind_attacker_tells_the_groups_apart_nothing_accuses(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack, blind = gaussian_attack(2, rng=rng), (gaussian_attack(0.6, rng=rng),)
    passed, refuted = (
        membership(gaussian_attack(0, rng=rng), blind=blind),
        membership(attack, blind=blind, bound=gaussian_bound(1.0)),
    )
    others = {
        "disclosure": disclosure(hits=150, longer=3),
        "lower_bound": lower_bound(9, claimed=1.0),
    }
    for conclusion in (
        verdict(passed),
        verdict(passed, **others),
        verdict(refuted),
        verdict(refuted, **others),
    ):
        assert conclusion.verdict is Verdict.INCONCLUSIVE and conclusion.verdict.exit_code == 3
        assert "groups differ" in conclusion.reason and "leak" not in conclusion.reason
    monkeypatch.setattr(
        "synthrec.audit.verdict.groups_differ", lambda *_, **__: False
    )  # the saboteur
    assert verdict(passed, **others).verdict is verdict(refuted).verdict is Verdict.CLAIM_REFUTED


def test_a_blind_attacker_within_the_policy_but_beyond_the_bound_refutes_no_claim_either(
    rng: np.random.Generator,
) -> None:
    """A tiny epsilon allows less than the policy does: what refutes it must be more than what the
    groups differ in.
    """

    def slight() -> Attack:
        return gaussian_attack(0.05, rng=rng, members=40_000, holdout=40_000)

    attack, blind = slight(), slight()
    assert max(attack.auc.low, blind.auc.low) < policy().leak_auc
    tiny = gaussian_bound(0.005)
    assert verdict(membership(attack, bound=tiny)).verdict is Verdict.CLAIM_REFUTED
    assert verdict(membership(attack, bound=tiny, blind=(blind,))).verdict is Verdict.INCONCLUSIVE


def test_a_leak_is_a_leak_whatever_the_control_says(rng: np.random.Generator) -> None:
    for power in (None, 1.0, 0.01):
        found = membership(
            gaussian_attack(0.6, rng=rng),
            gaussian_attack(0, rng=rng, name="other"),
            bound=gaussian_bound(4),
            power=power,
        )
        assert verdict(found).verdict is Verdict.LEAK_DETECTED


def test_a_risk_beyond_the_policy_and_a_replay_are_leaks(rng: np.random.Generator) -> None:
    found = membership(gaussian_attack(0, rng=rng))
    assert verdict(found, disclosure=disclosure()).verdict is Verdict.NO_LEAK_FOUND
    assert verdict(found, disclosure=disclosure(hits=55)).verdict is Verdict.NO_LEAK_FOUND
    assert "Linkability" in verdict(found, disclosure=disclosure(hits=75)).reason
    assert verdict(found, disclosure=disclosure(longer=1.5)).verdict is Verdict.LEAK_DETECTED
    assert verdict(None, disclosure=disclosure(hits=150)).verdict is Verdict.LEAK_DETECTED


def test_ten_risks_without_a_leak_are_called_one_at_most_once_in_twenty(
    rng: np.random.Generator,
) -> None:
    """At each risk's own 95 % interval it would be about one audit in eight: their limits are
    narrowed by their number.
    """
    found, plain, alarms = membership(gaussian_attack(0, rng=rng)), 0, 0
    strict = policy().model_copy(update={"leak_risk": 0.0})
    for _ in range(200):
        risks = tuple(linkability(*rng.binomial(200, 0.3, 2)) for _ in range(10))
        told = disclosure().model_copy(update={"risks": risks})
        alarms += verdict(found, disclosure=told, policy=strict).verdict is Verdict.LEAK_DETECTED
        plain += any(risk.risk.low > 0 for risk in risks)
    assert stats.binom.sf(alarms - 1, 200, 0.05) > 1e-6
    assert stats.binom.sf(plain - 1, 200, 0.05) < 1e-6


def test_a_lower_bound_above_the_claim_refutes_it_and_is_the_worst(
    rng: np.random.Generator,
) -> None:
    found = membership(gaussian_attack(0.6, rng=rng))
    assert (
        verdict(found, lower_bound=lower_bound(1.2, claimed=1.0)).verdict is Verdict.CLAIM_REFUTED
    )
    assert (
        verdict(found, lower_bound=lower_bound(0.9, claimed=1.0)).verdict is Verdict.LEAK_DETECTED
    )
    assert (
        verdict(found, lower_bound=lower_bound(1.2, claimed=None)).verdict is Verdict.LEAK_DETECTED
    )


def test_too_few_users_of_any_kind_say_nothing(rng: np.random.Generator) -> None:
    for few in ({"members": 19}, {"holdout": 19}, {"reference": 19}):
        assert (
            verdict(membership(gaussian_attack(0, rng=rng, **few))).verdict is Verdict.INCONCLUSIVE
        )


def test_a_leak_is_one_however_little_the_attacker_knew_but_not_on_a_handful_of_users(
    rng: np.random.Generator,
) -> None:
    assert (
        verdict(membership(gaussian_attack(2, rng=rng, reference=5))).verdict
        is Verdict.LEAK_DETECTED
    )
    assert (
        verdict(membership(gaussian_attack(2, rng=rng, members=19))).verdict is Verdict.INCONCLUSIVE
    )


def test_a_true_claim_is_refuted_at_most_once_in_twenty_even_by_the_best_attacker(
    rng: np.random.Generator,
) -> None:
    bound = gaussian_bound(1.0)
    refuted = sum(
        verdict(membership(gaussian_attack(1.0, rng=rng), bound=bound)).verdict
        is Verdict.CLAIM_REFUTED
        for _ in range(60)
    )
    assert stats.binom.sf(refuted - 1, 60, 0.05) > 1e-6


def test_a_claim_whose_noise_was_halved_is_refuted(rng: np.random.Generator) -> None:
    verdicts = [
        verdict(membership(gaussian_attack(2.0, rng=rng), bound=gaussian_bound(1.0)))
        for _ in range(10)
    ]
    assert all(each.verdict is Verdict.CLAIM_REFUTED for each in verdicts)
    assert "proved that no attack" in verdicts[0].reason
    blend = verdict(
        membership(gaussian_attack(2.0, rng=rng, name=BLEND), bound=gaussian_bound(1.0))
    )
    assert blend.verdict is Verdict.LEAK_DETECTED, (
        "its halves depend on each other: it refutes nothing"
    )


def test_a_few_members_exposed_completely_refute_by_the_true_positive_rate(
    rng: np.random.Generator,
) -> None:
    """An attack may find some members for sure and know nothing of the others: the AUC hardly
    moves, the TPR at few false alarms does.
    """
    scores = np.concatenate(
        (rng.normal(9, 1, 1_140), rng.normal(0, 1, 1_860), rng.normal(0, 1, 1_000))
    )
    attack = attack_from_scores(
        "any",
        knows="all",
        scores=scores,
        member=np.arange(4_000) < 3_000,
        exposed=np.zeros(4_000, dtype=bool),
        reference=100,
        fpr=0.1,
        rng=rng,
        resamples=200,
    )
    bound = gaussian_bound(0.8)
    assert attack.auc.low < bound.auc
    conclusion = verdict(membership(attack, bound=bound))
    assert conclusion.verdict is Verdict.CLAIM_REFUTED and "false alarms" in conclusion.reason


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 3.0, 20.0])
def test_the_bound_of_a_claim_is_that_of_randomised_response(epsilon: float) -> None:
    """With delta 0 the worst mechanism answers truly with chance e^eps / (1 + e^eps): its ROC has
    one corner.
    """
    truth = 1 / (1 + np.exp(-epsilon))
    bound = bound_of_claim(epsilon=epsilon, delta=0.0, fpr=0.1)
    exact = [np.interp(fpr, [0, 1 - truth, 1], [0, truth, 1]) for fpr, _ in bound.roc]
    assert np.allclose([tpr for _, tpr in bound.roc], exact, atol=1e-9)
    assert bound.advantage == pytest.approx(2 * truth - 1) and truth <= bound.auc <= truth + 0.011


def test_verdicts_are_listed_worst_first_and_exit_as_the_design_says() -> None:
    assert [verdict.exit_code for verdict in Verdict] == [1, 1, 3, 3, 0]


@pytest.mark.parametrize("word", ["anonym", "safe", "complian"])
def test_no_reason_promises_what_an_audit_cannot(word: str, rng: np.random.Generator) -> None:
    reasons = [verdict(None).reason]
    for shift, claim in ((0, 1), (0.6, 4), (3, 0.5)):
        for power in (None, 0.2):
            for told in (disclosure(), disclosure(hits=150), disclosure(longer=3)):
                found = membership(
                    gaussian_attack(shift, rng=rng), bound=gaussian_bound(claim), power=power
                )
                reasons.append(
                    verdict(
                        found, disclosure=told, lower_bound=lower_bound(2, claimed=float(claim))
                    ).reason
                )
    assert not any(word in reason.lower() for reason in reasons)


def test_the_policy_is_numbers_that_a_record_can_keep_and_its_hash_is_the_files() -> None:
    assert (
        all(isinstance(value, float) for value in policy().numbers().values())
        and len(policy_sha256()) == 64
    )


def test_a_figure_that_is_no_number_clears_nobody(rng: np.random.Generator) -> None:
    found = membership(gaussian_attack(0, rng=rng))
    assert verdict(found).verdict is Verdict.NO_LEAK_FOUND
    odd = found.attacks[0].model_copy(update={"auc": share(float("nan"))})
    assert verdict(found.model_copy(update={"attacks": (odd,)})).verdict is Verdict.INCONCLUSIVE
    lost = disclosure().model_copy(
        update={"replay": disclosure().replay.model_copy(update={"members": share(float("nan"))})}
    )
    assert verdict(found, disclosure=lost).verdict is Verdict.INCONCLUSIVE


def copied(found: Membership, people: int) -> Membership:
    told = found.attacks[0].model_copy(
        update={"copied": people, "shared_by_copied": 119, "shared_outside": 4}
    )
    return found.model_copy(update={"attacks": (told,), "copied": people})


def test_copied_histories_are_counted_and_nobody_is_named(rng: np.random.Generator) -> None:
    found = membership(gaussian_attack(0, rng=rng))
    one, many = verdict(copied(found, 1)), verdict(copied(found, 1_234))
    assert one.verdict is many.verdict is Verdict.LEAK_DETECTED
    assert "One person's history appears" in one.reason and "119" in one.reason
    assert "1,234 people's histories appear" in many.reason


def test_high_scores_of_members_are_a_leak_where_the_average_says_nothing(
    rng: np.random.Generator,
) -> None:
    scores = np.concatenate((rng.normal(9, 1, 30), rng.normal(0, 1, 870)))
    attack = attack_from_scores(
        "any",
        knows="all",
        scores=scores,
        member=np.arange(900) < 600,
        exposed=np.zeros(900, dtype=bool),
        reference=100,
        fpr=0.1,
        rng=rng,
        resamples=50,
    )
    assert attack.auc.low < policy().leak_auc and attack.tpr_at_0 is not None
    conclusion = verdict(membership(attack))
    assert conclusion.verdict is Verdict.LEAK_DETECTED
    assert "Of the 30 people with the highest scores" in conclusion.reason
    blind = verdict(membership(gaussian_attack(0, rng=rng), blind=(attack,)))
    assert blind.verdict is Verdict.INCONCLUSIVE and "groups differ" in blind.reason


def test_holdout_users_taken_for_members_mean_that_tables_were_swapped(
    rng: np.random.Generator,
) -> None:
    conclusion = verdict(membership(gaussian_attack(-1.5, rng=rng)))
    assert conclusion.verdict is Verdict.LEAK_DETECTED and "look swapped" in conclusion.reason


def test_a_leak_that_contradicts_no_claim_says_so_and_is_fine_only_where_the_owner_says_it(
    rng: np.random.Generator,
) -> None:
    found = membership(gaussian_attack(0.6, rng=rng), bound=gaussian_bound(2))
    conclusion = verdict(found)
    assert conclusion.verdict is Verdict.LEAK_DETECTED and WITHIN_CLAIM in conclusion.reason
    told = audit(verdict=conclusion.verdict, reason=conclusion.reason)
    fine = told.model_copy(update={"within_claim_is_fine": True})
    assert (told.exit_code, fine.exit_code) == (1, 0)
    bare = verdict(membership(gaussian_attack(0.6, rng=rng)))
    assert WITHIN_CLAIM not in bare.reason
    refuted = verdict(membership(gaussian_attack(2, rng=rng), bound=gaussian_bound(0.5)))
    for other in (bare, refuted):
        record = fine.model_copy(update={"verdict": other.verdict, "reason": other.reason})
        assert record.exit_code == 1


def probe(what: str, users: int, found: float) -> CopyProbe:
    return CopyProbe(what=what, users=users, share=users / 600, draws=10, found=share(found))


def test_a_pass_says_how_few_copies_would_have_been_found_and_needs_a_twentieth(
    rng: np.random.Generator,
) -> None:
    def concluded(*copies: CopyProbe, power: float = 0.05) -> Conclusion:
        found = membership(gaussian_attack(0, rng=rng), power=power)
        controls = found.controls.model_copy(update={"copies": copies})
        return verdict(found.model_copy(update={"controls": controls}))

    sure = [probe("whole histories", users, 1.0) for users in (30, 6, 1)]
    assert "A single person's history copied whole would have been found" in concluded(*sure).reason
    few = concluded(*sure[:2], probe("whole histories", 1, 0.1), probe("time", 30, 0.3))
    assert few.verdict is Verdict.NO_LEAK_FOUND
    assert "from 6 people would have been found; a single one could not" in few.reason
    assert "not those of 5 %: time" in few.reason
    none = concluded(probe("whole histories", 30, 0.5), probe("whole histories", 1, 1.0))
    assert none.verdict is Verdict.INCONCLUSIVE
    assert concluded(*sure, power=1.0).verdict is Verdict.INCONCLUSIVE


def test_a_column_that_no_attack_looks_at_stands_behind_no_pass(rng: np.random.Generator) -> None:
    found = membership(gaussian_attack(0, rng=rng))
    seen = AttackedColumn(name="item_id", attacks=("replay of items",))
    passed = found.model_copy(update={"columns": (seen,)})
    assert verdict(passed).verdict is Verdict.NO_LEAK_FOUND
    blind = passed.model_copy(update={"columns": (seen, AttackedColumn(name="price", attacks=()))})
    assert verdict(blind).verdict is Verdict.INCONCLUSIVE and "price" in verdict(blind).reason
