"""The attack finds what was planted, raises no alarm where nothing was, and its figures hold the confidence they state."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from synthrec.audit import membership, profiles
from synthrec.audit.membership import attack_from_scores, audit_membership, membership_attack, planted_leak
from synthrec.audit.record import Attack, AttackBound, Verdict
from synthrec.data.eventlog import EventLog

ITEMS = 300
WORLDS = 400


@pytest.fixture(scope="module")
def parts(everybody: EventLog) -> dict[str, EventLog]:
    """Disjoint users of one population; `strangers` pose as a synthetic log that leaks nobody."""
    order = np.random.default_rng(1).permutation(1_200)
    cuts = {"members": (0, 400), "holdout": (400, 600), "reference": (600, 700), "strangers": (700, 1_200)}
    return {name: everybody.select(order[first:last]) for name, (first, last) in cuts.items()}


def attack_on(synthetic: EventLog, parts: dict[str, EventLog], *, seed: int = 0) -> Attack:
    known = {name: parts[name] for name in ("members", "holdout", "reference")}
    return membership_attack(**known, synthetic=synthetic, items=ITEMS, rng=np.random.default_rng(seed))


def test_strangers_posing_as_synthetic_users_leak_nobody(parts: dict[str, EventLog]) -> None:
    attack = attack_on(parts["strangers"], parts)
    assert attack.auc.low < 0.5 < attack.auc.high
    assert attack.tpr.low < attack.fpr < attack.tpr.high
    assert (attack.members, attack.holdout, attack.reference) == (400, 200, 100)


def test_planted_training_users_are_found(parts: dict[str, EventLog], rng: np.random.Generator) -> None:
    leak = planted_leak(parts["members"], synthetic=parts["strangers"], share=1.0, rng=rng)
    attack = attack_on(leak, parts)
    assert attack.auc.low > 0.95 and attack.tpr.low > 0.95 and attack.advantage.low > 0.8


def test_a_partial_leak_is_found_in_proportion(parts: dict[str, EventLog], rng: np.random.Generator) -> None:
    found = [attack_on(planted_leak(parts["members"], synthetic=parts["strangers"], share=share, rng=rng), parts).auc.value
             for share in (0.1, 0.4, 0.8)]
    assert found == sorted(found) and found[1] > 0.65


def test_a_bootstrap_of_the_reference_users_is_no_leak(parts: dict[str, EventLog], rng: np.random.Generator) -> None:
    attack = attack_on(parts["reference"].select(rng.integers(0, 100, 500)), parts)
    assert attack.auc.low < 0.5 < attack.auc.high


def test_under_the_null_alarms_are_as_rare_as_stated(everybody: EventLog) -> None:
    """Members and holdout users are exchangeable: over random roles, the AUC's interval misses one half about once in twenty."""
    rng = np.random.default_rng(8)
    missed = 0
    for _ in range(60):
        order = rng.permutation(1_200)
        roles = [everybody.select(order[first:last]) for first, last in ((0, 150), (150, 270), (270, 330), (330, 480))]
        attack = membership_attack(members=roles[0], holdout=roles[1], reference=roles[2], synthetic=roles[3], items=ITEMS, rng=rng)
        missed += not attack.auc.low <= 0.5 <= attack.auc.high
    assert stats.binom.sf(missed - 1, 60, 0.06) > 1e-6


def test_the_planted_log_has_the_synthetic_size_and_nine_tenths_of_each_planted_users_items(
        parts: dict[str, EventLog], rng: np.random.Generator) -> None:
    planted = planted_leak(parts["members"], synthetic=parts["strangers"], share=0.2, rng=rng)
    assert len(planted.offsets) == len(parts["strangers"].offsets)
    members = [set(each.tolist()) for each in np.split(parts["members"].item, parts["members"].offsets[1:-1])]
    for user in range(400, 500, 9):                      # the planted ones come last
        mine = planted.item[planted.offsets[user]:planted.offsets[user + 1]]
        kept = max(len(set(mine.tolist()) & other) / len(mine) for other in members)
        assert 0.8 < kept < 1.0


def test_more_planted_users_than_members_take_members_again(parts: dict[str, EventLog], rng: np.random.Generator) -> None:
    few = parts["members"].select(np.arange(7))
    planted = planted_leak(few, synthetic=parts["strangers"], share=1.0, rng=rng)
    assert sorted(set(profiles.activity(planted).tolist())) == sorted(set(profiles.activity(few).tolist()))
    assert len(planted_leak(few, synthetic=parts["strangers"], share=0.0, rng=rng).item) == len(parts["strangers"].item)


def test_scores_are_cosines_to_the_nearest_as_a_slow_version_computes_them(parts: dict[str, EventLog]) -> None:
    targets, others = parts["holdout"].select(np.arange(12)), parts["reference"].select(np.arange(20))
    weights = membership.inverse_document_frequency(others, synthetic=targets, items=ITEMS)
    dense = [profiles.pattern(log, items=ITEMS).toarray() for log in (targets, others)]
    having = dense[0].sum(axis=0) + dense[1].sum(axis=0)
    assert weights == pytest.approx(np.log(33 / (1 + having)), abs=1e-5)
    one, two = (rows * weights / np.linalg.norm(rows * weights, axis=1, keepdims=True) for rows in dense)
    cosine = one @ two.T
    unit = [membership._unit_profiles(log, weights=weights) for log in (targets, others)]
    assert membership.nearest_cosine(unit[0], others=unit[1], neighbours=1) == pytest.approx(cosine.max(axis=1), abs=1e-5)
    assert membership.nearest_cosine(unit[0], others=unit[1], neighbours=3) == pytest.approx(np.sort(cosine)[:, -3:].mean(axis=1), abs=1e-5)


def test_blocks_do_not_change_the_scores(parts: dict[str, EventLog], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = attack_on(parts["strangers"], parts)
    monkeypatch.setattr(membership, "_BLOCK_CELLS", 1_700)
    assert attack_on(parts["strangers"], parts) == whole


def test_users_without_events_and_an_empty_reference_do_not_fail(parts: dict[str, EventLog], rng: np.random.Generator) -> None:
    blank = EventLog(offsets=np.zeros(31, dtype=np.int64), item=np.empty(0, np.int32))
    nobody = EventLog(offsets=np.zeros(1, dtype=np.int64), item=np.empty(0, np.int32))
    attack = membership_attack(members=blank, holdout=parts["holdout"], reference=nobody, synthetic=nobody, items=ITEMS, rng=rng)
    assert attack.auc.value == 0.5 and attack.reference == 0
    with pytest.raises(ValueError, match="holdout"):
        membership_attack(members=blank, holdout=nobody, reference=nobody, synthetic=blank, items=ITEMS, rng=rng)


def test_the_roc_is_that_of_the_definition_with_ties(rng: np.random.Generator) -> None:
    inside, outside = rng.integers(0, 5, 30), rng.integers(0, 4, 25)
    false_rate, true_rate = membership.roc(inside, outside=outside)
    cuts = sorted({*inside.tolist(), *outside.tolist()}, reverse=True)
    assert false_rate[1:] == pytest.approx([np.mean(outside >= cut) for cut in cuts])
    assert true_rate[1:] == pytest.approx([np.mean(inside >= cut) for cut in cuts])
    assert (false_rate[0], true_rate[0], false_rate[-1], true_rate[-1]) == (0.0, 0.0, 1.0, 1.0)


def test_the_area_under_the_recorded_roc_is_the_auc(rng: np.random.Generator) -> None:
    attack = attack_from_scores("any", inside=rng.normal(1, 1, 3_000), outside=rng.normal(0, 1, 3_000), reference=9, fpr=0.1, rng=rng)
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
        found = membership.tpr_at(inside, outside=outside, fpr=0.1, rng=rng, resamples=200)
        covered_tpr += found.low <= true_tpr <= found.high
        band = membership.advantage(inside, outside=outside)
        covered_advantage += band.low <= true_advantage <= band.high
    assert stats.binom.cdf(covered_tpr, WORLDS, 0.92) > 1e-6
    assert stats.binom.cdf(covered_advantage, WORLDS, 0.95) > 1e-6


def test_the_whole_audit_of_strangers_and_of_copies(parts: dict[str, EventLog], rng: np.random.Generator) -> None:
    open_bound = AttackBound(fpr=0.1, tpr=1.0, auc=1.0, advantage=1.0, roc=((0.0, 1.0), (1.0, 1.0)))
    users = {name: parts[name] for name in ("members", "holdout", "reference")}
    passed = audit_membership(**users, synthetic=parts["strangers"], items=ITEMS, bound=open_bound, rng=rng)
    assert passed.verdict is Verdict.NO_LEAK_FOUND and passed.control.auc.low > 0.95
    copied = audit_membership(**users, synthetic=parts["members"], items=ITEMS, bound=open_bound, rng=rng)
    assert copied.verdict is Verdict.LEAK_DETECTED
    closed = AttackBound(fpr=0.1, tpr=0.26, auc=0.68, advantage=0.25, roc=((0.0, 0.0), (0.1, 0.26), (1.0, 1.0)))
    assert audit_membership(**users, synthetic=parts["members"], items=ITEMS, bound=closed, rng=rng).verdict is Verdict.CLAIM_REFUTED
