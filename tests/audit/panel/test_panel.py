"""The panel: recommenders of different kinds learn what is there, and orders that agree, or do not,
are told apart.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import sparse, stats

from synthrec.audit import profiles, recommenders
from synthrec.audit.panel import kendall, measure_panel, summarised
from synthrec.audit.recommenders import Fit
from synthrec.audit.scores import ranked_ndcg, split_test
from synthrec.audit.splits import AuditSplits
from synthrec.data.eventlog import EventLog

ITEMS = 300
PERSONAL: dict[str, Fit] = {
    "neighbours": recommenders.item_neighbours,
    "als": recommenders.implicit_least_squares,
    "svd": recommenders.singular_vectors,
    "bpr": recommenders.pairwise,
}


def camps(users: int, *, items: int = 60, rng: np.random.Generator) -> EventLog:
    """Two kinds of people; each has items of one half of the catalogue only."""
    side = rng.integers(0, 2, users)
    item = np.concatenate([half * items // 2 + rng.permutation(items // 2)[:12] for half in side])
    return EventLog(offsets=np.arange(users + 1) * 12, item=item.astype(np.int32))


def people(train: EventLog, test: EventLog, synthetic: EventLog) -> AuditSplits:
    nobody = train.select(np.arange(0))
    return AuditSplits(
        trained=train,
        coined=np.zeros(train.users, dtype=bool),
        holdout=nobody,
        reference=nobody,
        test=test,
        train_whole=train,
        synthetic=synthetic,
        items=ITEMS,
        events_per_user=120,
    )


@pytest.mark.parametrize("kind", PERSONAL)
def test_a_personal_recommender_learns_who_likes_what_and_a_list_cannot(
    kind: str, rng: np.random.Generator
) -> None:
    log, test = camps(300, rng=rng), camps(80, rng=rng)
    observed, heldout = split_test(test, rng)
    found, flat = (
        ranked_ndcg(
            fit(log, items=60, rng=rng), observed=observed, heldout=heldout, items=60
        ).mean()
        for fit in (PERSONAL[kind], recommenders.popularity)
    )
    assert found > 1.25 * flat, (
        found,
        flat,
    )  # twice the chance at best: half of the catalogue is left out


def test_item_neighbours_are_the_brute_force_shrunk_cosines(rng: np.random.Generator) -> None:
    log = camps(40, rng=rng)
    have = profiles.pattern(log, items=60).toarray()
    together = have.T @ have
    size = np.sqrt(np.diag(together))
    brute = together / (np.outer(size, size) + recommenders.SHRINKAGE)
    np.fill_diagonal(brute, 0.0)
    asked = sparse.csr_array(have[:5])
    assert np.allclose(
        recommenders.item_neighbours(log, items=60, rng=rng)(asked), have[:5] @ brute, atol=1e-5
    )


def test_kendall_over_all_pairs_is_scipys(rng: np.random.Generator) -> None:
    pairs = np.array(list(combinations(range(7), 2)))
    for _ in range(50):
        one, other = rng.integers(0, 5, (2, 7)).astype(float)
        expected = stats.kendalltau(one, other).statistic
        assert kendall(one, other, pairs=pairs) == pytest.approx(
            0.0 if np.isnan(expected) else expected
        )


def test_a_copy_of_the_real_log_orders_what_is_resolved_alike_and_a_shuffled_one_does_not(
    train: EventLog, test_users: EventLog, rng: np.random.Generator
) -> None:
    copy = measure_panel(people(train, test_users, train), rng=rng)
    assert copy is not None and len(copy.rows) >= 6
    on_real, on_synthetic = copy.agreements
    assert (
        on_real.resolved_pairs > 3
        and on_real.tau_resolved.value > 0.9
        and on_synthetic.tau_resolved.value > 0.7
    )
    shuffled = EventLog(
        offsets=train.offsets,
        item=rng.permutation(train.item),
        rating=train.rating,
        time=train.time,
    )
    broken = measure_panel(people(train, test_users, shuffled), rng=rng)
    assert (
        broken is not None
        and broken.agreements[0].tau_resolved.value < on_real.tau_resolved.value - 0.1
    )
    assert {row.name for row in broken.rows} == {row.name for row in copy.rows}


def test_intervals_of_agreement_hold_what_they_say(rng: np.random.Generator) -> None:
    """Two logs whose recommenders have the same true quality agree perfectly on what is resolved,
    in nearly every draw.
    """
    quality = np.linspace(0.1, 0.5, 6)[:, None]
    held = 0
    for _ in range(40):
        real, synthetic, receiver = (
            np.clip(quality + rng.normal(0, 0.2, (6, 150)), 0, 1) for _ in range(3)
        )
        panel = summarised(
            list("abcdef"),
            real=real,
            synthetic=synthetic,
            receiver=receiver,
            rng=rng,
            resamples=200,
        )
        held += all(each.tau_resolved.high == 1.0 for each in panel.agreements)
    assert stats.binom.cdf(held, 40, 0.95) > 1e-6


def test_people_with_nothing_relevant_are_left_out_and_a_log_of_them_has_no_panel(
    train: EventLog, test_users: EventLog, rng: np.random.Generator
) -> None:
    unliked = EventLog(
        offsets=test_users.offsets,
        item=test_users.item,
        rating=np.ones_like(test_users.rating),
        time=test_users.time,
    )
    assert measure_panel(people(train, unliked, train), rng=rng) is None


def test_more_cuts_give_the_same_order_with_narrower_intervals(
    train: EventLog, test_users: EventLog
) -> None:
    """A mean over cuts has less noise per user, and the same users."""
    few = train.select(np.arange(300))
    once, often = (
        measure_panel(people(few, test_users, few), cuts=cuts, rng=np.random.default_rng(7))
        for cuts in (1, 4)
    )
    widths = [[row.real.high - row.real.low for row in found.rows] for found in (once, often)]
    assert np.mean(np.array(widths[1]) < np.array(widths[0])) > 0.8
    assert (
        often.rows[0].real.n >= once.rows[0].real.n
    )  # who had nothing relevant in one cut may have in another
