"""Groups of users: what a user may add to their sums, and how much of a difference comes through
the noise and into synthetic users.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.model import calibration
from synthrec.model.attribute_effects import (
    MAX_VALUES,
    EffectFrame,
    Groups,
    estimate_groups,
    group_vectors,
)
from synthrec.model.calibration import calibrate, starting_tables
from synthrec.model.measurements import Estimates
from synthrec.model.recipe import plan_release
from synthrec.model.sampling import generate
from synthrec.model.train import anchored
from tests.model.small import (
    CONFIG,
    ITEMS,
    K,
    make_log,
    make_plan,
    measured,
    one_user,
    prepared,
    trained,
)

Source = tuple[Schema, Catalogue]


@pytest.fixture(scope="module")
def estimates(source: Source) -> Estimates:
    return measured(make_log(), source, plan=make_plan(source[0], model="moments"), replies={})[0]


def short_frame(estimates: Estimates) -> EffectFrame:
    return EffectFrame.of(estimates.frame, names=estimates.feature_names)


ODD = [
    one_user(events=0),
    one_user(events=1),
    one_user(events=10_000),
    one_user(events=10_000, rating=5.0, item=3),
    one_user(events=500, rating=np.nan),
    one_user(events=3, rating=np.inf),
    one_user(events=3, rating=1e30),
]


@pytest.mark.parametrize("user", ODD)
def test_an_odd_user_adds_at_most_the_declared_norm_to_the_sums_of_groups(
    user: EventLog, source: Source, estimates: Estimates
) -> None:
    groups = Groups.of(source[0])
    with np.errstate(invalid="ignore", over="ignore"):
        (row,) = group_vectors(user, short=short_frame(estimates), groups=groups)
    assert np.isfinite(row).all() and np.linalg.norm(row) <= groups.sensitivity * (1 + 1e-12)
    assert (
        groups.sensitivity
        == pytest.approx(np.sqrt(2))
        == make_plan(source[0]).measurement("groups").sensitivity
    )


def test_a_user_of_unknown_attributes_counts_in_other_and_nowhere_else(
    source: Source, estimates: Estimates
) -> None:
    groups, short = Groups.of(source[0]), short_frame(estimates)
    rows = group_vectors(one_user(events=9), short=short, groups=groups).reshape(
        groups.width, short.size
    )
    assert np.flatnonzero(rows.any(axis=1)).tolist() == [2, 2 + 4]


def test_users_add_to_their_own_groups_only(source: Source, estimates: Estimates) -> None:
    groups, short, log = Groups.of(source[0]), short_frame(estimates), make_log()
    rows = group_vectors(log, short=short, groups=groups).reshape(-1, groups.width, short.size)
    tastes = short.vectors(log)
    for user in (0, 17, 89):
        for place in range(groups.width):
            mine = (
                place == log.attributes["gender"][user]
                or place == 3 + log.attributes["region"][user]
            )
            assert rows[user, place] == pytest.approx(tastes[user] * mine)


def test_an_attribute_of_very_many_values_is_left_out_and_asks_no_budget(tmp_path: Path) -> None:
    prepared(tmp_path)
    values = ", ".join(f'"{place}"' for place in range(MAX_VALUES + 1))
    wide = Schema.parse(
        CONFIG.replace('["north", "south", "west"]', f"[{values}]"), folder=tmp_path
    )
    assert set(Groups.of(wide).sizes) == {"gender"}
    alone = Schema.parse(
        "\n".join(
            line
            for line in CONFIG.splitlines()
            if not line.startswith(("gender", "region", "[users]", "table"))
        ),
        folder=tmp_path,
    )
    assert not plan_release(alone, epsilon=5, delta=1e-4).has("groups")


def noisy(truth: np.ndarray, *, count: np.ndarray, noise_std: float, seed: int) -> np.ndarray:
    """Sums over the users of groups of these sizes."""
    return np.asarray(
        (
            truth * count[:, None] + np.random.default_rng(seed).normal(0, noise_std, truth.shape)
        ).ravel()
    )


def test_clear_differences_come_through_and_noise_alone_is_shrunk_away(
    source: Source, estimates: Estimates
) -> None:
    groups, short = Groups(sizes={"gender": 2}, ordered={"gender": False}), short_frame(estimates)
    shares = {"gender": np.array([0.4, 0.6, 0.0])}
    truth = np.zeros((3, short.size))
    truth[0] = np.random.default_rng(3).normal(0, 0.1, short.size)
    for scale, seed in ((1.0, 0), (0.0, 1)):
        sums = noisy(scale * truth, count=600 * shares["gender"], noise_std=3.0, seed=seed)
        found = estimate_groups(
            sums, noise_std=3.0, short=short, groups=groups, shares=shares, users=600.0
        ).values["gender"]
        assert shares["gender"] @ found == pytest.approx(np.zeros(short.size), abs=1e-12)
        apart, wanted = found[0] - found[1], scale * truth[0]
        if scale:
            assert ((apart - wanted) ** 2).sum() < 0.2 * (wanted**2).sum()
        else:
            assert np.linalg.norm(apart) < 0.3 * np.linalg.norm(
                sums.reshape(3, -1)[0] / 240 - sums.reshape(3, -1)[1] / 360
            )


def test_neighbouring_values_of_an_ordered_attribute_help_each_other(estimates: Estimates) -> None:
    short, shares = short_frame(estimates), {"age": np.append(np.full(10, 0.1), 0.0)}
    trend = np.outer(
        np.append(np.linspace(-1, 1, 10), 0), np.random.default_rng(1).normal(0, 0.12, short.size)
    )
    sums = noisy(trend, count=500 * shares["age"], noise_std=3.0, seed=2)
    errors = [
        np.square(
            estimate_groups(
                sums,
                noise_std=3.0,
                short=short,
                groups=Groups(sizes={"age": 10}, ordered={"age": ordered}),
                shares=shares,
                users=500.0,
            ).values["age"]
            - trend
        )[:10].sum()
        for ordered in (True, False)
    ]
    assert errors[0] < 0.7 * errors[1] and errors[0] < 0.4 * np.square(trend).sum()


@pytest.mark.parametrize("extreme", [-1e9, 0.0, 1e9])
def test_any_answer_makes_finite_differences_also_without_noise(
    extreme: float, source: Source, estimates: Estimates
) -> None:
    groups, short = Groups.of(source[0]), short_frame(estimates)
    sums = np.full(groups.width * short.size, extreme)
    for noise_std in (0.0, 3.0):
        found = estimate_groups(
            sums,
            noise_std=noise_std,
            short=short,
            groups=groups,
            shares=estimates.attributes,
            users=90.0,
        )
        assert all(np.isfinite(values).all() for values in found.values.values())


def test_synthetic_groups_differ_as_measured_in_what_they_rate_and_pick(
    source: Source, estimates: Estimates
) -> None:
    schema, _ = source
    short = short_frame(estimates)
    war = estimates.feature_names.index("genres War")
    values = {
        name: np.zeros((len(shares), short.size)) for name, shares in estimates.attributes.items()
    }
    values["gender"][0, [0, 1 + war]] = 0.3, 0.4
    values["gender"] -= estimates.attributes["gender"] @ values["gender"]
    told = estimates.adding(
        {f"group.{index}": each for index, each in enumerate(values.values())}
        | {"group.columns": short.columns}
    )
    generator = anchored(told, rng=np.random.default_rng(0))
    tables = calibrate(
        generator,
        estimates=told,
        tables=starting_tables(told),
        rng=np.random.default_rng(0),
        users=1500,
    )
    conditions = calibration.draw(told, users=3000, rng=np.random.default_rng(1))
    behaviour = calibration.behave(
        generator,
        np.random.default_rng(2).standard_normal((3000, len(generator.scale))),
        conditions=conditions,
        estimates=told,
    )
    first = conditions.attributes["gender"] == 0
    for column, wanted in ((behaviour.bias, 0.3), (behaviour.tilt[:, war], 0.4)):
        assert column[first].mean() - column[~first].mean() > 0.3 * wanted
    assert (
        abs(behaviour.tilt[:, 0][first].mean() - behaviour.tilt[:, 0][~first].mean()) < 0.1
        or war == 0
    )
    assert tables.log_weight.shape == (ITEMS,) and K < ITEMS


def test_a_release_keeps_the_differences_of_groups(source: Source, tmp_path: Path) -> None:
    from synthrec.model.artifact import Artifact

    for part in ("source", "release"):
        (tmp_path / part).mkdir()
    artifact, _ = trained(
        make_log(), tmp_path / "source", plan=make_plan(source[0], model="moments")
    )
    artifact.save(tmp_path / "release")
    again = Artifact.load(tmp_path / "release")
    assert again.estimates.groups is not None and artifact.estimates.groups is not None
    assert all(
        np.array_equal(values, artifact.estimates.groups.values[name])
        for name, values in again.estimates.groups.values.items()
    )
    one, two = (
        next(generate(each, users=20, rng=np.random.default_rng(0))) for each in (artifact, again)
    )
    assert np.array_equal(one.item, two.item)
