"""The recommenders agree with dense, slow versions of themselves."""

from __future__ import annotations

import numpy as np
import pytest

from synthrec.audit import profiles, recommenders
from synthrec.data.eventlog import EventLog


def small_log(rng: np.random.Generator, *, users: int = 40, items: int = 15) -> EventLog:
    rows = [rng.choice(items, rng.integers(1, 9), replace=False) for _ in range(users)]
    item = np.concatenate(rows).astype(np.int32)
    return EventLog(
        offsets=np.cumsum([0, *map(len, rows)]),
        item=item,
        rating=rng.integers(1, 6, len(item)).astype(np.float32),
    )


def test_ridge_solves_each_rows_normal_equations(rng: np.random.Generator) -> None:
    log = small_log(rng)
    features = rng.normal(size=(15, 4)).astype(np.float32)
    found = recommenders.ridge(profiles.events(log, log.rating, items=15), features)
    for user in range(40):
        mine = slice(log.offsets[user], log.offsets[user + 1])
        x, y = features[log.item[mine]].astype(np.float64), log.rating[mine]
        assert found[user] == pytest.approx(
            np.linalg.solve(x.T @ x + recommenders.RIDGE * np.eye(4), x.T @ y), abs=1e-5
        )


def test_repeated_events_count_as_often_as_they_happened(rng: np.random.Generator) -> None:
    features = rng.normal(size=(3, 2)).astype(np.float32)
    log = EventLog(
        offsets=np.array([0, 3]),
        item=np.array([1, 1, 2]),
        rating=np.array([1.0, 2.0, 3.0], dtype=np.float32),
    )
    x = features[[1, 1, 2]].astype(np.float64)
    expected = np.linalg.solve(x.T @ x + recommenders.RIDGE * np.eye(2), x.T @ log.rating)
    assert recommenders.ridge(profiles.events(log, log.rating, items=3), features)[
        0
    ] == pytest.approx(expected, abs=1e-5)
    assert profiles.pattern(log, items=3).toarray().tolist() == [[0.0, 1.0, 1.0]]


def test_the_item_biases_are_damped_means_and_an_absent_item_has_none(
    rng: np.random.Generator,
) -> None:
    log = small_log(rng, items=14)
    model = recommenders.fit_factorisation(log, items=15, rng=rng)
    for item in range(14):
        deviation = log.rating[log.item == item].astype(np.float64) - log.rating.mean(
            dtype=np.float64
        )
        assert model.item_bias[item] == pytest.approx(
            deviation.sum() / (len(deviation) + 5), abs=1e-9
        )
    assert model.item_bias[14] == 0.0 and not model.item_factors[14].any()


def test_factors_predict_a_taste_that_biases_cannot(rng: np.random.Generator) -> None:
    """Two camps with opposite taste: biases know nothing, factors nearly everything."""
    camp, side = np.arange(400) % 2, np.arange(60) % 2
    rows = [rng.choice(60, 30, replace=False) for _ in range(400)]
    item = np.concatenate(rows)
    rating = np.where(np.repeat(camp, 30) == side[item], 5.0, 1.0).astype(np.float32)
    log = EventLog(offsets=np.arange(401) * 30, item=item.astype(np.int32), rating=rating)
    train, test = log.select(np.arange(300)), log.select(np.arange(300, 400))
    held = profiles.random_rank(test, rng=rng) < 6
    observed, asked = test.keep(~held), test.keep(held)
    said = recommenders.fold_in(
        recommenders.fit_factorisation(train, items=60, rng=rng), observed=observed, asked=asked
    )
    assert np.sqrt(np.mean((said.bias - asked.rating) ** 2)) > 1.8
    assert np.sqrt(np.mean((said.factors - asked.rating) ** 2)) < 0.9


def test_an_empty_log_teaches_nothing_and_does_not_fail(rng: np.random.Generator) -> None:
    empty = EventLog(
        offsets=np.array([0, 0]), item=np.empty(0, np.int32), rating=np.empty(0, np.float32)
    )
    model = recommenders.fit_factorisation(empty, items=4, rng=rng)
    assert not model.item_bias.any() and not model.item_factors.any()
    assert np.isfinite(recommenders.ease_weights(profiles.pattern(empty, items=4))).all()


def test_ease_agrees_with_its_closed_form_in_double_precision(
    rng: np.random.Generator, train: EventLog
) -> None:
    have = profiles.pattern(train, items=300).toarray().astype(np.float64)
    inverse = np.linalg.inv(have.T @ have + 200 * len(have) / 5_000 * np.eye(300))
    expected = -inverse / np.diagonal(inverse)[None, :]
    np.fill_diagonal(expected, 0.0)
    found = recommenders.ease_weights(profiles.pattern(train, items=300))
    assert np.abs(found - expected).max() < 2e-4
    assert not np.diagonal(found).any()


def test_of_a_catalogue_too_large_for_a_dense_matrix_the_most_popular_items_are_ranked_as_alone(
    train: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    have = profiles.pattern(train, items=300)
    head = np.sort(np.argsort(-have.sum(axis=0), kind="stable")[:40])
    monkeypatch.setattr(recommenders, "MAX_EASE_ITEMS", 40)
    found = recommenders.ease(train, items=300)(have)
    assert found[:, head] == pytest.approx(
        have[:, head] @ recommenders.ease_weights(have[:, head]), abs=1e-6
    )
    assert not np.delete(found, head, axis=1).any()


def test_an_item_outside_the_catalogue_is_refused(train: EventLog) -> None:
    with pytest.raises(ValueError, match="catalogue"):
        profiles.pattern(train, items=5)
