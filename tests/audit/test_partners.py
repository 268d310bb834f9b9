"""Augmentation and cold start: more real people help, copies do not, and who is scored is in
nobody's training.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthrec.audit import learning_curves, recommenders
from synthrec.audit.record import Curve
from synthrec.audit.splits import AuditSplits
from synthrec.auditing import AuditInputs
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from tests.audit.panel.test_panel import camps

SCALE = (1.0, 5.0)


def people(everybody: EventLog, *, synthetic: EventLog | None = None) -> AuditSplits:
    parts = [
        everybody.select(np.arange(start, end))
        for start, end in ((0, 600), (600, 900), (900, 1_000), (1_000, 1_200))
    ]
    trained, holdout, reference, test = parts
    return AuditSplits(
        trained=trained,
        coined=np.zeros(600, dtype=bool),
        holdout=holdout,
        reference=reference,
        test=test,
        train_whole=trained,
        synthetic=trained if synthetic is None else synthetic,
        items=300,
        events_per_user=120,
    )


def values(curve: Curve | None, arm: str) -> list[float]:
    assert curve is not None
    return [point.figure.value for point in curve.points if point.arm == arm]


def test_more_users_of_ones_own_help_and_so_do_other_peoples_but_not_copies(
    everybody: EventLog, rng: np.random.Generator
) -> None:
    curve = learning_curves.measure_augmentation(
        people(everybody), others={}, scale=SCALE, draws=2, rng=rng
    )
    alone, added, copies = (
        values(curve, arm)
        for arm in (learning_curves.ALONE, learning_curves.SYNTHETIC, learning_curves.COPIES)
    )
    assert alone[0] > alone[-1] and all(more < own for more, own in zip(added, alone, strict=True))
    assert all(copied > own - 0.02 for copied, own in zip(copies, alone, strict=True))
    assert max(point.size for point in curve.points) <= 400  # type: ignore[union-attr]
    for point in curve.points:  # type: ignore[union-attr]
        assert (point.difference is None) == (point.arm == learning_curves.ALONE)
        if point.arm == learning_curves.SYNTHETIC and point.size <= 100:
            assert (
                point.difference.high < 0
                and point.difference.high - point.difference.low
                < point.figure.high - point.figure.low
            )


def test_noise_posing_as_a_synthetic_log_does_not_help(
    everybody: EventLog, rng: np.random.Generator
) -> None:
    noise = everybody.select(np.arange(600))
    noise = EventLog(
        offsets=noise.offsets,
        item=noise.item,
        rating=rng.choice(np.arange(1, 6), len(noise.item)).astype(np.float32),
    )
    curve = learning_curves.measure_augmentation(
        people(everybody, synthetic=noise), others={}, scale=SCALE, draws=1, rng=rng
    )
    assert values(curve, learning_curves.SYNTHETIC)[-1] > values(curve, learning_curves.ALONE)[-1]


def test_the_partner_is_nobody_who_is_scored_or_trained(
    everybody: EventLog, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A saboteur gives the partner the scored people: their error falls, so the figures of an
    honest run are those of strangers.
    """
    honest = people(everybody)
    curve = learning_curves.measure_augmentation(honest, others={}, scale=SCALE, draws=1, rng=rng)
    cheat = AuditSplits(**{**vars(honest), "holdout": honest.test, "reference": honest.test})
    cheated = learning_curves.measure_augmentation(cheat, others={}, scale=SCALE, draws=1, rng=rng)
    assert (
        values(cheated, learning_curves.ALONE)[-1] < values(curve, learning_curves.ALONE)[-1] - 0.02
    )


def test_without_enough_partners_or_anything_held_out_there_is_no_curve(
    everybody: EventLog, rng: np.random.Generator
) -> None:
    some = people(everybody)
    few = AuditSplits(
        **{
            **vars(some),
            "holdout": everybody.select(np.arange(3)),
            "reference": everybody.select(np.arange(3)),
        }
    )
    assert (
        learning_curves.measure_augmentation(few, others={}, scale=SCALE, draws=1, rng=rng) is None
    )
    nobody = AuditSplits(**{**vars(some), "test": everybody.select(np.arange(0))})
    assert (
        learning_curves.measure_augmentation(nobody, others={}, scale=SCALE, draws=1, rng=rng)
        is None
    )
    assert learning_curves.measure_cold_start(nobody, others={}, scale=SCALE, rng=rng) is None


def test_the_more_is_known_of_somebody_the_better_they_are_served_and_items_help_strangers(
    everybody: EventLog, rng: np.random.Generator
) -> None:
    curve = learning_curves.measure_cold_start(people(everybody), others={}, scale=SCALE, rng=rng)
    nothing, real = (
        values(curve, learning_curves.COLD_NOTHING),
        values(curve, learning_curves.COLD_REAL),
    )
    assert (
        real[0] > real[-1]
        and nothing[0] > nothing[-1]
        and all(r < n for r, n in zip(real, nothing, strict=True))
    )
    assert values(curve, learning_curves.COLD_SYNTHETIC) == pytest.approx(
        real
    )  # the synthetic log is the real one here


def test_without_ratings_both_curves_are_of_rankings(rng: np.random.Generator) -> None:
    bare = camps(1_200, items=300, rng=rng)
    for curve in (
        learning_curves.measure_augmentation(people(bare), others={}, scale=None, draws=1, rng=rng),
        learning_curves.measure_cold_start(people(bare), others={}, scale=None, rng=rng),
    ):
        assert curve is not None and {point.measure for point in curve.points} == {"NDCG@10"}
    known = values(
        learning_curves.measure_cold_start(people(bare), others={}, scale=None, rng=rng),
        learning_curves.COLD_REAL,
    )
    assert known[-1] > 1.2 * known[0] > 0


def test_nothing_knows_the_mean_of_what_people_say_of_somebody_unknown_too(
    everybody: EventLog, rng: np.random.Generator
) -> None:
    curve = learning_curves.measure_cold_start(people(everybody), others={}, scale=SCALE, rng=rng)
    assert values(curve, learning_curves.COLD_NOTHING)[0] == pytest.approx(
        everybody.select(np.arange(1_000, 1_200)).rating.std(), rel=0.03
    )


def test_a_catalogue_too_large_for_a_dense_matrix_has_its_curve_of_the_most_popular_items(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommenders, "MAX_EASE_ITEMS", 150)
    bare = people(camps(1_200, items=300, rng=rng))
    curve = learning_curves.measure_cold_start(bare, others={}, scale=None, rng=rng)
    known = values(curve, learning_curves.COLD_REAL)
    assert known[-1] > known[0] > 0


def test_parts_of_an_audit_are_good_for_the_same_evidence_only(
    everybody: EventLog, tmp_path: Path
) -> None:
    schema = Schema.load(simulate(users=20, items=20, seed=1).write(tmp_path))
    some = people(everybody)
    print_of = AuditInputs(schema=schema, catalogue=None, people=some, claim=None).fingerprint()  # type: ignore[arg-type]
    coined, other = np.ones(600, dtype=bool), everybody.select(np.arange(700, 1_000))
    narrow = schema.model_copy(
        update={"privacy": schema.privacy.model_copy(update={"events_per_user": 7})}
    )
    for words in ({"coined": coined}, {"holdout": other}):
        changed = AuditSplits(**{**vars(some), **words})  # type: ignore[arg-type]
        assert (
            AuditInputs(schema=schema, catalogue=None, people=changed, claim=None).fingerprint()
            != print_of
        )  # type: ignore[arg-type]
    assert (
        AuditInputs(schema=narrow, catalogue=None, people=some, claim=None).fingerprint()
        != print_of
    )  # type: ignore[arg-type]
    shuffled = AuditSplits(**{**vars(some), "holdout": some.holdout.select(np.arange(299, -1, -1))})
    assert (
        AuditInputs(schema=schema, catalogue=None, people=shuffled, claim=None).fingerprint()
        == print_of
    )  # type: ignore[arg-type]


def test_too_few_test_users_for_an_interval_leave_no_curve_and_no_fault(
    everybody: EventLog, rng: np.random.Generator
) -> None:
    lone = everybody.select(np.flatnonzero(everybody.activity >= 5)[:1])
    one = EventLog(
        offsets=np.concatenate((lone.offsets, np.full(9, lone.offsets[-1]))),
        item=lone.item,
        rating=lone.rating,
    )
    # in a third of all resamples the one who has events is not drawn
    few = replace(people(everybody), test=one)
    assert learning_curves.measure_cold_start(few, others={}, scale=SCALE, rng=rng) is None
    assert (
        learning_curves.measure_augmentation(few, others={}, scale=SCALE, draws=1, rng=rng) is None
    )
