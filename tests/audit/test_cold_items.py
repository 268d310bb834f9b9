"""New items: attributes foretell as far as they say something, ratings of one's own do the rest,
and a new item's events teach nothing.
"""

from __future__ import annotations

import numpy as np
import pytest

from synthrec.audit import learning_curves, profiles
from synthrec.audit.learning_curves import COLD_NOTHING, COLD_REAL, COLD_SYNTHETIC
from synthrec.audit.record import Curve
from synthrec.audit.splits import AuditSplits
from synthrec.data.eventlog import EventLog

SCALE, ITEMS, EVENTS = (1.0, 5.0), 100, 30


def rated_by_quality(users: int, *, quality: np.ndarray, rng: np.random.Generator) -> EventLog:
    """Everybody rates EVENTS random items as they deserve, give or take."""
    item = np.concatenate([rng.permutation(ITEMS)[:EVENTS] for _ in range(users)])
    rating = np.clip(3 + quality[item] + rng.normal(0, 0.3, len(item)), 1, 5)
    return EventLog(
        offsets=np.arange(users + 1) * EVENTS,
        item=item.astype(np.int32),
        rating=rating.astype(np.float32),
    )


def people(
    *, quality: np.ndarray, rng: np.random.Generator, synthetic: EventLog | None = None
) -> AuditSplits:
    trained, holdout, reference, test = (
        rated_by_quality(users, quality=quality, rng=rng) for users in (200, 60, 60, 100)
    )
    return AuditSplits(
        trained=trained,
        coined=np.zeros(200, dtype=bool),
        holdout=holdout,
        reference=reference,
        test=test,
        train_whole=trained,
        synthetic=trained if synthetic is None else synthetic,
        items=ITEMS,
        events_per_user=EVENTS,
    )


def values(curve: Curve | None, arm: str) -> list[float]:
    assert curve is not None
    return [point.figure.value for point in curve.points if point.arm == arm]


def test_attributes_that_make_the_quality_foretell_new_items_and_attributes_that_say_nothing_do_not(
    rng: np.random.Generator,
) -> None:
    features = rng.normal(size=(ITEMS, 2))
    everybody = people(quality=features @ [0.8, -0.4], rng=rng)
    told = learning_curves.measure_cold_items(
        everybody, features=features, others={}, scale=SCALE, rng=rng
    )
    untold = learning_curves.measure_cold_items(
        everybody, features=rng.normal(size=(ITEMS, 2)), others={}, scale=SCALE, rng=rng
    )
    assert values(told, COLD_REAL)[0] < 0.5 < 0.8 < values(told, COLD_NOTHING)[0]
    assert values(untold, COLD_REAL)[0] > 0.95 * values(untold, COLD_NOTHING)[0]
    assert values(told, COLD_SYNTHETIC) == values(
        told, COLD_REAL
    )  # the synthetic log is the real one here


def test_ratings_of_a_new_item_help_whoever_has_no_attributes(rng: np.random.Generator) -> None:
    everybody = people(quality=rng.normal(0, 0.8, ITEMS), rng=rng)
    found = values(
        learning_curves.measure_cold_items(
            everybody, features=rng.normal(size=(ITEMS, 1)), others={}, scale=SCALE, rng=rng
        ),
        COLD_NOTHING,
    )
    assert found == sorted(found, reverse=True) and found[-1] < 0.7 * found[0]


def test_events_of_a_new_item_teach_nothing_about_it(rng: np.random.Generator) -> None:
    """A saboteur that marks no item as new learns the very ratings that it is asked for; the honest
    one is told by attributes alone.
    """
    features, new = np.ones((ITEMS, 1)), np.arange(ITEMS) < 20
    log = rated_by_quality(300, quality=np.where(new, 1.5, 0.0), rng=rng)
    honest = learning_curves.learned(log, features=features, new=new)
    sabotaged = learning_curves.learned(log, features=features, new=np.zeros(ITEMS, dtype=bool))
    assert (
        honest.item_bias[new] == pytest.approx(0.0, abs=0.05)
        and sabotaged.item_bias[new].min() > 0.5
    )


def test_k_known_ratings_move_a_bias_as_the_damped_mean_does() -> None:
    model = learning_curves.Factorisation(
        mean=3.0, item_bias=np.array([0.5, 0.0]), item_factors=np.zeros((2, 1), dtype=np.float32)
    )
    raters = EventLog(
        offsets=np.array([0, 1, 2]), item=np.array([0, 0]), rating=np.array([5, 4], np.float32)
    )
    moved = learning_curves.rated_too(model, raters=raters, new=np.array([True, False]))
    assert moved.item_bias.tolist() == pytest.approx([(5 * 0.5 + 2 + 1) / 7, 0.0])
    rank = profiles.rank_within(raters.item, rng=np.random.default_rng(0))
    assert sorted(rank.tolist()) == [0, 1]


def test_without_ratings_or_attributes_there_is_no_curve(rng: np.random.Generator) -> None:
    everybody = people(quality=np.zeros(ITEMS), rng=rng)
    for features, scale in ((np.zeros((ITEMS, 0)), SCALE), (np.ones((ITEMS, 1)), None)):
        assert (
            learning_curves.measure_cold_items(
                everybody, features=features, others={}, scale=scale, rng=rng
            )
            is None
        )
