"""Every planned measurement, through `measure` itself: its noise, its charge, its order. Teeth
included.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from synthrec.conformance.answers import QUICK
from synthrec.conformance.noise import noise_of_sums
from synthrec.data.catalogue import Catalogue
from synthrec.data.schema import Schema
from synthrec.model.item_counts import shrunken_counts
from synthrec.model.measurements import measure
from synthrec.model.statistic import activity_edges, project_to_simplex
from synthrec.model.tastes import from_half_vector, half_vectors, project_to_moment
from synthrec.privacy.ledger import Ledger, events_of
from synthrec.privacy.mechanisms import SystemNoise
from synthrec.privacy.session import Session
from synthrec.progress import Progress
from tests.model.small import CHARGE, Replies, make_log, make_plan, measured, prepared, subject_of

Source = tuple[Schema, Catalogue]


def scales_as_planned(source: Source) -> dict[str, bool]:
    """Per measurement: is the noise of repeated draws of the planned scale, and new each time?"""
    found = {
        check.name: check.passed for check in noise_of_sums(subject_of(*source), log=make_log())
    }
    return {
        name: passed and found[f"{name} is fresh"]
        for name, passed in found.items()
        if not name.endswith(" is fresh")
    }


def test_every_measurement_has_the_planned_noise(source: Source) -> None:
    found = scales_as_planned(source)
    assert found == dict.fromkeys(
        ["activity", "ratings", "items", "pairs", "tastes", "attributes", "groups", "times"], True
    )


def test_half_the_noise_is_caught_in_every_measurement(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = SystemNoise.lattice
    monkeypatch.setattr(
        SystemNoise,
        "lattice",
        lambda self, name, total, *, scale: honest(self, name, total, scale=scale / 2),
    )
    assert not any(scales_as_planned(source).values())


@pytest.mark.parametrize("model", ["marginals", "moments", "gan"])
def test_measuring_charges_exactly_what_the_plan_lists_in_its_order(
    model: Any, tmp_path: Path
) -> None:
    schema, catalogue = prepared(tmp_path)
    plan = make_plan(schema, model=model)
    with Ledger.open(schema.ledger_path) as ledger:
        measure(
            make_log(),
            catalogue=catalogue,
            schema=schema,
            session=Session(plan, ledger=ledger, charge=CHARGE),
            progress=Progress(),
            effort=QUICK,
        )
        assert events_of(ledger.entries) == plan.events()[: len(plan.measurements)]
        assert [entry.mechanism for entry in ledger.entries] == [
            each.name for each in plan.measurements
        ]


def test_a_later_measurement_sees_an_earlier_one_only_as_released(source: Source) -> None:
    """With the same replies, what is asked of one user does not depend on the log that the replies
    came from.
    """
    plan, seen = make_plan(source[0], model="moments"), list[Replies]()
    for seed in (0, 1):
        replies = {name: np.linspace(1, 9, size) for name, size in sizes_of(source).items()}
        seen.append(measured(make_log(seed=0), source, plan=plan, replies=replies)[1].totals)
        measured(make_log(seed=seed + 5), source, plan=plan, replies={})
    assert all(np.array_equal(seen[0][name], seen[1][name]) for name in seen[0])


def sizes_of(source: Source) -> dict[str, int]:
    _, noise = measured(make_log(), source, plan=make_plan(source[0], model="moments"), replies={})
    return {name: len(values) for name, values in noise.replies.items()}


@pytest.mark.parametrize("extreme", [-1e9, 0.0, 1e-12, 1e9])
def test_any_answer_that_noise_may_give_makes_estimates(extreme: float, source: Source) -> None:
    for odd, size in sizes_of(source).items():
        found, _ = measured(
            make_log(users=5),
            source,
            plan=make_plan(source[0], model="moments"),
            replies={odd: np.full(size, extreme)},
        )
        shares = [
            found.activity,
            found.rating_shares,
            found.frame.popularity,
            *found.attributes.values(),
        ]
        assert all(
            np.isfinite(part).all() and part.min() >= 0 and part.sum() == pytest.approx(1)
            for part in shares
        ), odd
        assert (
            found.moment is not None
            and np.isfinite(found.moment).all()
            and np.isfinite(found.frame.item_mean).all()
        ), odd


finite = st.floats(-1e6, 1e6)


@settings(max_examples=80, deadline=None)
@given(hnp.arrays(np.float64, st.integers(1, 12), elements=finite))
def test_projection_gives_shares_and_leaves_shares_alone(noisy: np.ndarray) -> None:
    found = project_to_simplex(noisy)
    assert (found >= 0).all() and found.sum() == pytest.approx(1)
    assert project_to_simplex(found) == pytest.approx(found, abs=1e-12)
    if noisy.sum() > 1e-3:
        share = noisy / noisy.sum()
        for corner in np.eye(len(noisy)):  # nearer than any mixture with a corner of the simplex
            assert np.linalg.norm(found - share) <= np.linalg.norm(
                0.999 * found + 0.001 * corner - share
            ) + 1e-9 * np.linalg.norm(share)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, (3, 4), elements=st.floats(-1, 1)))
def test_half_vectors_keep_norms_and_come_back(rows: np.ndarray) -> None:
    halves = half_vectors(rows)
    assert np.linalg.norm(halves, axis=1) == pytest.approx((rows**2).sum(axis=1), abs=1e-12)
    for row, half in zip(rows, halves, strict=True):
        assert from_half_vector(half, size=4) == pytest.approx(np.outer(row, row), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float64, 10, elements=st.floats(-5, 5)))
def test_a_projected_moment_is_positive_semidefinite_and_a_moment_stays(half: np.ndarray) -> None:
    found = project_to_moment(half, size=4)
    assert np.linalg.eigvalsh(found).min() >= -1e-9
    rows, columns = np.triu_indices(4)
    again = found[rows, columns] * np.where(rows == columns, 1.0, np.sqrt(2.0))
    assert project_to_moment(again, size=4) == pytest.approx(found, abs=1e-9)


def test_shrinking_counts_helps_against_noise() -> None:
    rng = np.random.default_rng(0)
    true = rng.lognormal(2, 1.5, 800)
    noisy = true + rng.normal(0, 30, 800)
    assert (
        np.abs(shrunken_counts(noisy, noise_std=30.0) - true).mean()
        < 0.6 * np.abs(noisy - true).mean()
    )


@pytest.mark.parametrize("most", [1, 2, 20, 200, 5000])
def test_activity_buckets_cover_one_to_k_once(most: int) -> None:
    edges = activity_edges(most)
    assert (
        edges[0] == 1
        and edges[-1] == most + 1
        and all(low < high for low, high in zip(edges, edges[1:], strict=False))
    )


def test_counts_far_above_their_noise_stay_as_they_were_measured() -> None:
    counts = np.random.default_rng(0).lognormal(8, 1.5, 800)
    noisy = counts + np.random.default_rng(1).normal(0, 3.0, 800)
    found = shrunken_counts(noisy, noise_std=3.0)
    assert np.abs(found - counts).mean() <= 1.05 * np.abs(noisy - counts).mean()
