"""Each attack against a slow version of its definition; none depends on a label, none fails on logs
that lack something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from synthrec.audit import profiles
from synthrec.audit.attacks import learned, marginals, nearest_user, scoreboard
from synthrec.audit.attacks.battery import KNOWS, AttackerView, exposure, score_targets
from synthrec.audit.attacks.learned import BehaviourSpace
from synthrec.audit.splits import AuditSplits
from synthrec.data.eventlog import EventLog

ITEMS = 300
DAY = 86_400


@pytest.fixture(scope="module")
def people(cast: Callable[..., AuditSplits]) -> AuditSplits:
    return cast(np.random.default_rng(1))


def events_of(log: EventLog, user: int) -> list[tuple[int, float, int]]:
    rows = slice(log.offsets[user], log.offsets[user + 1])
    return list(
        zip(
            log.item[rows].tolist(), log.rating[rows].tolist(), log.time[rows].tolist(), strict=True
        )
    )  # type: ignore[union-attr]


def test_nearest_user_is_the_cosine_of_weighted_sets(people: AuditSplits) -> None:
    targets, others = people.holdout.select(np.arange(12)), people.reference.select(np.arange(20))
    sets = nearest_user.ItemSets.fit(targets, reference=others, items=ITEMS)
    dense = [profiles.pattern(log, items=ITEMS).toarray() for log in (targets, others)]
    assert sets.weights == pytest.approx(
        np.log(33 / (1 + dense[0].sum(axis=0) + dense[1].sum(axis=0))), abs=1e-5
    )
    one, two = (
        rows * sets.weights / np.linalg.norm(rows * sets.weights, axis=1, keepdims=True)
        for rows in dense
    )
    found = nearest_user.nearest(sets, sets.asked(targets), others)
    assert found.likeness == pytest.approx(-np.sort(-(one @ two.T), axis=1), abs=1e-5)
    assert found.spread == pytest.approx((one @ two.T).std(axis=1), abs=1e-5)


@pytest.mark.parametrize("lacking", [(), ("rating",), ("time",), ("rating", "time")])
def test_the_scoreboard_is_its_definition_summed_slowly(
    people: AuditSplits, lacking: tuple[str, ...]
) -> None:
    bare = {name: None for name in lacking}
    targets, synthetic, reference = (
        replace(log.select(np.arange(8)), **bare)
        for log in (people.holdout, people.synthetic, people.reference)
    )
    board = scoreboard.Scoreboard.fit(synthetic, reference=reference, items=ITEMS)
    fast = board.likeness(board.asked(targets), board.given(synthetic))
    having = sum(profiles.pattern(log, items=ITEMS).sum(axis=0) for log in (synthetic, reference))
    start = min(log.time.min() for log in (synthetic, reference)) if "time" not in lacking else 0
    full = [
        EventLog.concat([log])
        for log in (people.holdout.select(np.arange(8)), people.synthetic.select(np.arange(8)))
    ]

    def kernel(mine: tuple[int, float, int], theirs: tuple[int, float, int]) -> float:
        parts = []
        if "rating" not in lacking:
            parts.append(np.exp(-abs(mine[1] - theirs[1]) / 1.5))
        if "time" not in lacking:
            mine_window, window = ((each - start) // (14 * DAY) for each in (mine[2], theirs[2]))
            gap = abs(mine[2] - start - (window + 0.5) * 14 * DAY)
            parts.append(np.exp(-gap / (30 * DAY)) if abs(mine_window - window) <= 3 else 0.0)
        return float(np.mean(parts)) if parts else 1.0

    for t in range(8):
        mine = events_of(full[0], t)
        weight = {item: 1 / np.log(2 + max(having[item], 1)) for item, *_ in mine}
        for s in range(8):
            theirs, total = events_of(full[1], s), 0.0
            for item in {item for item, *_ in mine} & {item for item, *_ in theirs}:
                total += weight[item] * np.mean(
                    [
                        kernel(one, two)
                        for one in mine
                        if one[0] == item
                        for two in theirs
                        if two[0] == item
                    ]
                )
            assert fast[t, s] == pytest.approx(total / sum(weight.values()), abs=1e-4)


def test_eccentricity_is_the_lead_in_standard_deviations(people: AuditSplits) -> None:
    found = nearest_user.Nearest(
        np.array([[9.0, 5.0], [3.0, 3.0]], np.float32),
        np.zeros((2, 2), np.int32),
        np.array([2.0, 0.0], np.float32),
    )
    assert scoreboard.eccentricity(found).tolist() == [2.0, 0.0]


def test_density_ratio_is_the_ratio_of_distances(
    people: AuditSplits, rng: np.random.Generator
) -> None:
    sets = nearest_user.ItemSets.fit(people.synthetic, reference=people.reference, items=ITEMS)
    space = learned.Densities(
        BehaviourSpace.fit(people.synthetic, reference=people.reference, sets=sets, rng=rng)
    )
    asked, near, far = (
        space.asked(log) for log in (people.holdout, people.synthetic, people.reference)
    )
    fast = space.score(
        nearest_user.nearest(space, asked, people.synthetic),
        nearest_user.nearest(space, asked, people.reference),
    )

    def log_distance(others: np.ndarray) -> np.ndarray:
        distance = np.linalg.norm(asked[:, None].astype(float) - others[None], axis=2)
        return np.log(np.sort(distance, axis=1)[:, :5]).mean(axis=1)

    assert fast == pytest.approx(log_distance(far) - log_distance(near), abs=1e-3)


def test_marginals_give_the_likelihood_ratio_term_by_term(people: AuditSplits) -> None:
    targets = people.holdout.select(np.arange(5))
    found = marginals.score(
        replace(targets, rating=None),
        synthetic=people.synthetic,
        reference=people.reference,
        items=ITEMS,
    )
    having = [
        profiles.pattern(log, items=ITEMS).sum(axis=0).astype(float)
        for log in (people.synthetic, people.reference)
    ]
    users = 480, 120
    pooled = (having[0] + having[1] + 0.5) / 601
    share = [(count + 2 * pooled) / (n + 2) for count, n in zip(having, users, strict=True)]
    for t, own in enumerate(profiles.pattern(targets, items=ITEMS).toarray() > 0):
        chances = [[each[v] if own[v] else 1 - each[v] for v in range(ITEMS)] for each in share]
        slow = sum(np.log(here / there) for here, there in zip(*chances, strict=True))
        assert found[t] == pytest.approx(slow, abs=1e-6)


def test_replaced_users_give_what_a_new_search_finds(
    people: AuditSplits, rng: np.random.Generator
) -> None:
    sets = nearest_user.ItemSets.fit(people.synthetic, reference=people.reference, items=ITEMS)
    asked = sets.asked(people.holdout)
    before = nearest_user.nearest(sets, asked, people.synthetic)
    kept = rng.random(480) < 0.8
    fresh = nearest_user.nearest(sets, asked, people.trained, count=5)
    found = nearest_user.replaced(before, kept=kept, fresh=fresh, count=5)
    whole = EventLog.concat([people.synthetic.select(np.flatnonzero(kept)), people.trained])
    assert found.likeness == pytest.approx(
        nearest_user.nearest(sets, asked, whole, count=5).likeness, abs=1e-6
    )
    with pytest.raises(ValueError, match="search again"):
        nearest_user.replaced(before, kept=np.arange(480) < 40, fresh=fresh, count=5)


def test_blocks_do_not_change_the_search(
    people: AuditSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = nearest_user.ItemSets.fit(people.synthetic, reference=people.reference, items=ITEMS)
    asked, given = sets.asked(people.holdout), people.synthetic
    whole = nearest_user.nearest(sets, asked, given).likeness
    monkeypatch.setattr(nearest_user, "_BLOCK_CELLS", 1_700)
    assert (nearest_user.nearest(sets, asked, given).likeness == whole).all()


def test_the_classifier_scores_along_what_tells_synthetic_from_reference(
    rng: np.random.Generator,
) -> None:
    noise = rng.normal(size=(300, 6))
    shifted = noise[20:200] + np.array([3.0, 0, 0, 0, 0, 0])
    found = learned.classifier_scores(noise[:20], synthetic=shifted, reference=noise[200:], rng=rng)
    assert np.corrcoef(found, noise[:20, 0])[0, 1] > 0.8


def test_a_targets_scores_depend_on_no_other_target(people: AuditSplits) -> None:
    """What is fitted is fitted on synthetic and reference users: alone or among others, a person
    scores the same.
    """

    def scored(targets: EventLog) -> dict[str, np.ndarray]:
        return dict(
            score_targets(
                AttackerView(targets, people.synthetic, people.reference, ITEMS),
                rng=np.random.default_rng(5),
            ).scores
        )

    alone, among = scored(people.trained.select(np.arange(3))), scored(people.trained)
    assert list(alone) == list(KNOWS)
    for name, found in alone.items():
        assert found == pytest.approx(among[name][:3], abs=2e-3), name


def test_a_column_that_one_log_lacks_is_left_out_of_all(
    people: AuditSplits, rng: np.random.Generator
) -> None:
    for missing in ({"rating": None}, {"time": None}, {"rating": None, "time": None}):
        for part in ("targets", "synthetic", "reference"):
            logs = {
                "targets": people.holdout.select(np.arange(9)),
                "synthetic": people.synthetic,
                "reference": people.reference,
            }
            logs[part] = replace(logs[part], **missing)
            found = score_targets(AttackerView(**logs, items=ITEMS), rng=rng).scores  # type: ignore[arg-type]
            assert all(
                np.isfinite(scores).all() and scores.shape == (9,) for scores in found.values()
            )


def test_users_without_events_do_not_fail(people: AuditSplits, rng: np.random.Generator) -> None:
    blank = EventLog(
        offsets=np.zeros(4, dtype=np.int64),
        item=np.empty(0, np.int32),
        rating=np.empty(0, np.float32),
        time=np.empty(0, np.int64),
    )
    found = score_targets(
        AttackerView(blank, EventLog.concat([people.synthetic, blank]), people.reference, ITEMS),
        rng=rng,
    ).scores
    assert all(np.isfinite(scores).all() for scores in found.values())


def test_exposure_is_the_mean_rarity_among_reference_users(people: AuditSplits) -> None:
    having = profiles.pattern(people.reference, items=ITEMS).sum(axis=0)
    found = exposure(people.holdout, reference=people.reference, items=ITEMS)
    own = [item for item, *_ in events_of(people.holdout, 7)]
    assert found[7] == pytest.approx(np.mean(np.log(121 / (1 + having[own]))), abs=1e-5)
