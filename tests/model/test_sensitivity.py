"""Every measurement moves by at most its declared norm when a user leaves, and nobody else's part
moves at all.
"""

from __future__ import annotations

import numpy as np
import pytest

from synthrec.conformance.sensitivity import longest_moves
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.model import attribute_effects, cooccurrence, measurements, time_stats
from synthrec.model import tastes as taste_stats
from synthrec.model.cooccurrence import PairFrame, pair_vectors
from synthrec.model.item_counts import COUNT_WEIGHT
from synthrec.model.tastes import from_half_vector, half_vectors, second_moments, taste_vectors
from synthrec.model.time_stats import time_vectors
from synthrec.privacy.mechanisms import LATTICE
from tests.model.small import K, clipped_sums, make_log, make_plan, subject_of

Source = tuple[Schema, Catalogue]
NAMES = {"activity", "ratings", "items", "tastes", "attributes", "times", "groups", "pairs"}


def most_moved(source: Source) -> dict[str, float]:
    """Per measurement, the longest move of the clipped sum in declared norms; infinite if others'
    parts moved with it.
    """
    return longest_moves(subject_of(*source))


def test_a_user_moves_every_measurement_by_at_most_the_declared_norm_and_nobody_elses_part(
    source: Source,
) -> None:
    most = most_moved(source)
    assert set(most) == NAMES
    for name, move in most.items():
        assert 0.1 < move <= 1.0, name


def centred(log: EventLog, **options: object) -> np.ndarray:
    """A saboteur: subtracts the mean over all users."""
    found = time_vectors(log, **options)  # type: ignore[arg-type]
    return found - found.mean(axis=0)


def shares(log: EventLog, *, edges: tuple[int, ...]) -> np.ndarray:
    """A saboteur: divides by the number of users."""
    rows = measurements_activity(log, edges=edges)
    return rows / rows.shape[0]


measurements_activity, measurements_groups = (
    measurements.activity_vectors,
    attribute_effects.group_vectors,
)


def apart(log: EventLog, **options: object) -> np.ndarray:
    """A saboteur: each user's taste less the mean taste of all."""
    rows = measurements_groups(log, **options)  # type: ignore[arg-type]
    return rows - rows.mean(axis=0)


def beyond_average(log: EventLog, *, frame: PairFrame) -> np.ndarray:
    """A saboteur: picks beyond what all users of the log pick, instead of beyond what is measured."""
    rows = pair_vectors(log, frame=frame)
    rows = rows - rows.mean(axis=0)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


@pytest.mark.parametrize(
    ("name", "module", "saboteur"),
    [
        ("times", time_stats, centred),
        ("activity", measurements, shares),
        ("groups", attribute_effects, apart),
        ("pairs", cooccurrence, beyond_average),
    ],
)
def test_a_vector_that_depends_on_other_users_is_caught(
    name: str, module: object, saboteur: object, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, f"{name.removesuffix('s')}_vectors", saboteur)
    assert most_moved(source)[name] == np.inf


def test_clipping_that_is_left_to_the_vectors_is_caught(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "synthrec.privacy.session.lattice_sum",
        lambda block, *, norm: (
            np.rint(
                np.nan_to_num(
                    np.asarray(block.sum(axis=0), dtype=np.float64).ravel(), posinf=0, neginf=0
                )
                * LATTICE
                / norm
            )
            .clip(-(2**60), 2**60)
            .astype(np.int64)
        ),
    )
    most = most_moved(source)
    assert most["items"] > 1.0 and most["ratings"] > 1.0


def test_users_within_bounds_are_not_clipped_except_where_the_recipe_says(source: Source) -> None:
    schema, catalogue = source
    plan, log = make_plan(schema, model="gan"), make_log(users=60, seed=9)
    assert schema.rating is not None and schema.time is not None
    vectors = {
        "activity": measurements.activity_vectors(log, edges=(1, 5, 10, K + 1)),
        "ratings": measurements.rating_vectors(log, levels=schema.rating.levels),
        "attributes": measurements.attribute_vectors(log, sizes={"gender": 2, "region": 3}),
        "times": time_vectors(log, column=schema.time, events_per_user=K),
    }
    for name, block in vectors.items():
        rows = block.toarray() if hasattr(block, "toarray") else block
        assert (
            np.linalg.norm(rows, axis=1) <= plan.measurement(name).sensitivity * (1 + 1e-9)
        ).all(), name


def test_the_item_norm_is_what_a_user_of_half_k_middling_events_needs(source: Source) -> None:
    norm = make_plan(source[0], model="gan").measurement("items").sensitivity
    assert norm == pytest.approx(np.sqrt(0.49 * K) / COUNT_WEIGHT)


def test_stacked_tastes_have_norm_below_one_and_half_vectors_keep_distances(source: Source) -> None:
    schema, catalogue = source
    seen: list[np.ndarray] = []

    def look(users: EventLog, *, frame: object) -> np.ndarray:
        seen.append(taste_vectors(users, frame=frame))  # type: ignore[arg-type]
        return second_moments(users, frame=frame)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(taste_stats, "second_moments", look)
        clipped_sums(
            make_log(users=60),
            schema=schema,
            catalogue=catalogue,
            plan=make_plan(schema, model="gan"),
            replies={},
        )
    tastes = np.concatenate(seen)
    assert (np.linalg.norm(tastes, axis=1) < 1).all() and np.linalg.norm(
        tastes, axis=1
    ).max() > 0.05
    halves = half_vectors(tastes)
    assert np.linalg.norm(halves, axis=1) == pytest.approx((tastes**2).sum(axis=1))
    assert from_half_vector(halves[3], size=tastes.shape[1]) == pytest.approx(
        np.outer(tastes[3], tastes[3])
    )
    outer = (tastes[:, :, None] * tastes[:, None, :]).reshape(len(tastes), -1)
    assert np.linalg.norm(halves[0] - halves[1]) == pytest.approx(
        np.linalg.norm(outer[0] - outer[1])
    )
