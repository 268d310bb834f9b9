"""The simulator contains what its first lines promise: tails, rhythm, sessions, and tastes that no
linear map of attributes explains.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

from synthrec.data.schema import Schema
from synthrec.data.simulator import (
    CONTEXTS,
    GENRES,
    RATING_NOISE_STD,
    WINDOW_END,
    WINDOW_START,
    SimulatedLog,
    Truth,
    simulate,
)


def expected_rating(truth: Truth, user: np.ndarray, item: np.ndarray) -> np.ndarray:
    """The ideal prediction for an event of the log: mean of the written rating over noise and the
    contexts in which it may happen.
    """
    total, weight = np.zeros(np.broadcast(user, item).shape), 0.0
    for context in range(len(CONTEXTS)):
        latent = truth.latent_rating(user, item, context=context)
        steps = (1.5, 2.5, 3.5, 4.5)
        rating = 1.0 + sum(ndtr((latent - step) / RATING_NOISE_STD) for step in steps)
        mood = truth.mood[context, truth.circle[user], truth.scene[item]]
        chance = truth.share[user, context] * np.exp(mood)
        total, weight = total + chance * rating, weight + chance
    return np.asarray(total / weight)


@pytest.fixture(scope="module")
def log() -> SimulatedLog:
    return simulate(users=2_000, items=500, seed=4)


@pytest.fixture(scope="module")
def rows(log: SimulatedLog) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the user and of the item of every event."""
    user = pd.Series(range(len(log.users)), index=log.users["user_id"])[log.events["user_id"]]
    item = pd.Series(range(len(log.items)), index=log.items["item_id"])[log.events["item_id"]]
    return user.to_numpy(), item.to_numpy()


def test_equal_arguments_give_equal_frames_and_other_seeds_do_not() -> None:
    one, two, three = (simulate(users=50, items=40, seed=seed) for seed in (1, 1, 2))
    for name in ("events", "users", "items"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))
    assert not one.events.equals(three.events)


@pytest.mark.parametrize(("users", "items"), [(1, 20), (3, 2_000), (300, 25)])
def test_extreme_sizes_work(users: int, items: int) -> None:
    assert simulate(users=users, items=items, seed=0).events["user_id"].nunique() == users


def test_sizes_out_of_range_are_refused() -> None:
    for users, items in ((0, 100), (10, 19)):
        with pytest.raises(ValueError, match="found"):
            simulate(users=users, items=items, seed=0)


def test_the_frames_are_what_a_data_owner_would_have(log: SimulatedLog) -> None:
    assert list(log.events) == ["user_id", "item_id", "rating", "timestamp"]
    assert set(log.events["rating"]) == {1, 2, 3, 4, 5}
    assert log.events["timestamp"].is_monotonic_increasing
    assert not log.events.duplicated(["user_id", "item_id"]).any()
    assert (
        log.users["user_id"].is_unique
        and log.items["item_id"].is_unique
        and log.items["title"].is_unique
    )
    assert set("|".join(log.items["genres"]).split("|")) <= set(GENRES)
    assert 0.005 < log.users["age_band"].isna().mean() < 0.04


def test_every_event_lies_in_the_declared_window(log: SimulatedLog) -> None:
    when = pd.to_datetime(log.events["timestamp"], unit="s")
    assert when.min() >= pd.Timestamp(WINDOW_START) and when.max() < pd.Timestamp(WINDOW_END)


def test_activity_and_popularity_have_tails(log: SimulatedLog) -> None:
    activity, popularity = (
        log.events["user_id"].value_counts(),
        log.events["item_id"].value_counts(),
    )
    assert activity.min() >= 12 and activity.mean() > 1.25 * activity.median()
    assert popularity.max() > 5 * popularity.median()


def test_days_and_weeks_have_a_rhythm(log: SimulatedLog) -> None:
    when = pd.to_datetime(log.events["timestamp"], unit="s")
    weekend = when.dt.dayofweek >= 5
    assert (when.dt.hour.between(1, 7)).mean() < 0.001
    assert (
        when[~weekend].dt.hour.between(18, 23).mean()
        > when[weekend].dt.hour.between(18, 23).mean() + 0.15
    )


def test_events_come_in_sessions(log: SimulatedLog) -> None:
    events = log.events.sort_values(["user_id", "timestamp"], kind="stable")
    gap = events.groupby("user_id")["timestamp"].diff().dropna()
    assert (gap < 1_800).mean() > 0.85 and (gap > 86_400).mean() > 0.02


def test_the_ideal_prediction_is_unbiased_and_far_better_than_biases(
    log: SimulatedLog, rows: tuple[np.ndarray, np.ndarray]
) -> None:
    user, item = rows
    rating = log.events["rating"].to_numpy(dtype=float)
    ideal = expected_rating(log.truth, user, item)
    assert abs(np.mean(ideal - rating)) < 0.01
    residual, user_mean = rating - rating.mean(), np.zeros(2_000)
    item_mean = np.zeros(500)
    for _ in range(8):  # biases fitted in sample: their error can only look too small
        item_mean = np.bincount(item, residual - user_mean[user], 500) / np.maximum(
            1, np.bincount(item, minlength=500)
        )
        user_mean = np.bincount(user, residual - item_mean[item], 2_000) / np.bincount(
            user, minlength=2_000
        )
    biases = np.sqrt(np.mean((residual - item_mean[item] - user_mean[user]) ** 2))
    assert np.sqrt(np.mean((ideal - rating) ** 2)) < 0.9 * biases


def design(log: SimulatedLog) -> np.ndarray:
    genres = log.items["genres"].str.get_dummies("|").to_numpy(dtype=float)
    return np.column_stack((np.ones(len(log.items)), genres, log.items["year"] / 100))


def explained(features: np.ndarray, target: np.ndarray) -> float:
    """Share of the target's variance over items that a linear map of features explains. Shapes: [V,
    F], [V, B] -> scalar.
    """
    fitted = features @ np.linalg.lstsq(features, target, rcond=None)[0]
    return 1 - ((target - fitted) ** 2).sum() / ((target - target.mean(axis=0)) ** 2).sum()


def test_taste_is_not_linear_in_the_items_attributes(log: SimulatedLog) -> None:
    taste = log.truth.liking[:, log.truth.scene].T
    linear = explained(design(log), taste)
    assert linear < 0.6, "attributes must not explain taste"
    scenes = np.eye(log.truth.scene.max() + 1)[log.truth.scene]
    assert explained(scenes, taste) > 0.999, "hidden scenes must"
    profiles = np.eye(16)[log.truth.scene % 16]  # genres and era with every interaction
    assert linear + 0.05 < explained(profiles, taste) < 0.8


def test_taste_is_a_mixture_not_a_gaussian(log: SimulatedLog) -> None:
    """Users of one circle are alike: circles explain most of the variance between users."""
    liking, circle = log.truth.liking, log.truth.circle
    within = sum(liking[circle == c].var(axis=0).sum() * (circle == c).mean() for c in range(10))
    assert within < 0.5 * liking.var(axis=0).sum()


def test_items_of_a_franchise_are_picked_together(
    log: SimulatedLog, rows: tuple[np.ndarray, np.ndarray]
) -> None:
    user, item = rows
    picked = np.zeros((2_000, 500), dtype=bool)
    picked[user, item] = True
    lifts, elsewhere = [], []
    for franchise in range(log.truth.franchise.max() + 1):
        mates = np.flatnonzero(log.truth.franchise == franchise)
        if len(mates) < 2:
            continue
        a, b = mates[:2]
        lifts.append(
            (picked[:, a] & picked[:, b]).mean() / (picked[:, a].mean() * picked[:, b].mean())
        )
        same_scene = np.flatnonzero(
            (log.truth.scene == log.truth.scene[a]) & (log.truth.franchise != franchise)
        )
        elsewhere += [
            (picked[:, a] & picked[:, c]).mean() / (picked[:, a].mean() * picked[:, c].mean())
            for c in same_scene
        ]
    assert np.mean(lifts) > 1.1 * np.mean(elsewhere)


def test_what_is_picked_depends_on_the_time_of_day(
    log: SimulatedLog, rows: tuple[np.ndarray, np.ndarray]
) -> None:
    user, item = rows
    when = pd.to_datetime(log.events["timestamp"], unit="s")
    part = np.where(when.dt.dayofweek >= 5, 2, np.where(when.dt.hour >= 18, 1, 0))
    apart = []
    for circle in range(10):
        mine = log.truth.circle[user] == circle
        shares = [
            np.bincount(log.truth.scene[item[mine & (part == p)]], minlength=32)
            / max(1, (mine & (part == p)).sum())
            for p in (0, 1)
        ]
        apart.append(0.5 * np.abs(shares[0] - shares[1]).sum())
    assert np.mean(apart) > 0.1


def test_gender_and_age_go_with_the_circle_and_region_does_not(log: SimulatedLog) -> None:
    circle = pd.Series(log.truth.circle)

    def dependence(column: str) -> float:
        table = pd.crosstab(circle, log.users[column], normalize=True).to_numpy()
        return float(
            0.5
            * np.abs(
                table - table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True)
            ).sum()
        )

    assert dependence("gender") > 0.08 and dependence("age_band") > 0.2
    assert dependence("region") < 0.08


def test_choice_weights_predict_what_users_pick(
    log: SimulatedLog, rows: tuple[np.ndarray, np.ndarray]
) -> None:
    user, item = rows
    weights = log.truth.choice_weights(np.arange(200)).sum(axis=1)
    picked = np.zeros((200, 500), dtype=bool)
    picked[user[user < 200], item[user < 200]] = True
    rank = np.argsort(np.argsort(weights, axis=1), axis=1)
    assert rank[picked].mean() > rank[~picked].mean() + 120


def test_the_folder_holds_a_complete_configuration_and_the_frames(
    log: SimulatedLog, tmp_path: Path
) -> None:
    schema = Schema.load(log.write(tmp_path / "demo"))
    schema.require_declared()
    schema.require_served()
    assert schema.source.population == 2_000 and schema.source.public
    for name in ("events", "users", "items"):
        read = pd.read_csv(tmp_path / "demo" / f"{name}.csv")
        pd.testing.assert_frame_equal(
            read.fillna(""), getattr(log, name).fillna(""), check_dtype=False
        )
