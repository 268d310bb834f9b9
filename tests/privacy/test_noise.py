"""Noise: of the planned scale, normal, new each time, from no seed. Teeth: none, half, and repeated
noise are caught.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from synthrec.errors import PlanError
from synthrec.privacy.ledger import Ledger
from synthrec.privacy.mechanisms import LATTICE, GaussianSum, SystemNoise, system_normal
from tests.privacy.small import noisy_sum
from tests.statistics_ import FALSE_ALARM, accepts_only_the_truth, draws_for_scale, is_fresh

PLAN = GaussianSum(name="x", purpose="", unit="events", sensitivity=3.0, noise_multiplier=0.8)
HONEST = SystemNoise.lattice


def drawn(total: np.ndarray, *, scale: float) -> np.ndarray:
    return SystemNoise().lattice("x", total, scale=scale)


def none(self: SystemNoise, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
    return total.astype(float)


def half(self: SystemNoise, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
    return HONEST(self, name, total, scale=scale / 2)


def repeated(self: SystemNoise, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
    return total + np.random.default_rng(0).normal(0, scale, len(total))


def of_the_planned_scale(folder: Path) -> bool:
    size, users = draws_for_scale(), np.ones((4, draws_for_scale())) / 100
    with Ledger.open(folder / "l.jsonl") as ledger:

        def noise() -> np.ndarray:
            return noisy_sum([users], plan=PLAN, size=size, ledger=ledger).values - users.sum(
                axis=0
            )

        return accepts_only_the_truth(noise, PLAN.noise_std)


def test_a_noisy_sum_has_the_planned_noise(tmp_path: Path) -> None:
    assert PLAN.noise_std == pytest.approx(2.4)
    assert of_the_planned_scale(tmp_path)


@pytest.mark.parametrize("saboteur", [none, half, repeated])
def test_noise_that_is_absent_halved_or_repeated_is_caught(
    saboteur: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SystemNoise, "lattice", saboteur)
    assert not of_the_planned_scale(tmp_path)


def test_noise_added_to_nobody_is_the_same_noise(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.jsonl") as ledger:
        assert accepts_only_the_truth(
            lambda: noisy_sum([], plan=PLAN, size=draws_for_scale(), ledger=ledger).values,
            PLAN.noise_std,
        )


def test_the_measurement_comes_back_with_its_entry_and_the_noise_it_got(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.jsonl") as ledger:
        found = noisy_sum([np.zeros((2, 5))], plan=PLAN, size=5, ledger=ledger)
        assert ledger.entries == (found.entry,) and found.noise_std == PLAN.noise_std
    assert (
        found.entry.event.noise_multiplier == PLAN.noise_multiplier
        and found.entry.event.sampling_rate == 1.0
    )


def test_a_measurement_without_noise_is_entered_as_not_private(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.jsonl") as ledger:
        found = noisy_sum(
            [np.ones((2, 5))],
            plan=PLAN.model_copy(update={"noise_multiplier": 0.0}),
            size=5,
            ledger=ledger,
        )
    assert found.entry.event.kind == "none"


@pytest.mark.parametrize("scale", [-1.0, np.nan, np.inf])
def test_a_scale_that_is_no_scale_is_refused(scale: float) -> None:
    with pytest.raises(PlanError):
        drawn(np.zeros(3, dtype=np.int64), scale=scale)


def test_a_lattice_is_fine_enough_to_pass_for_continuous() -> None:
    noise = drawn(np.zeros(20_000, dtype=np.int64), scale=0.5 * LATTICE) / (0.5 * LATTICE)
    assert stats.kstest(noise, "norm").pvalue > FALSE_ALARM


def test_system_noise_is_standard_normal_also_in_its_tails() -> None:
    noise = system_normal(400_000)
    assert accepts_only_the_truth(lambda: system_normal(5_000), 1.0)
    assert stats.kstest(noise, "norm").pvalue > FALSE_ALARM
    for far in (3.0, 4.0):
        beyond, expected = int((np.abs(noise) > far).sum()), 2 * stats.norm.sf(far)
        low, high = stats.binom.ppf([FALSE_ALARM, 1 - FALSE_ALARM], len(noise), expected)
        assert low <= beyond <= high


def test_system_noise_is_finite_at_both_ends_of_the_random_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for byte in (b"\x00", b"\xff"):
        monkeypatch.setattr(
            "synthrec.privacy.mechanisms.os.urandom", lambda count, byte=byte: byte * count
        )
        assert np.isfinite(system_normal(3)).all()


def test_no_seed_of_any_library_repeats_noise() -> None:
    import torch

    def seeded(draw: object) -> np.ndarray:
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002  (what a careless caller does)
        torch.manual_seed(0)
        return draw()  # type: ignore[operator]

    assert is_fresh(lambda: seeded(lambda: system_normal(2_000)))
    assert is_fresh(lambda: seeded(lambda: drawn(np.zeros(2_000, dtype=np.int64), scale=1e5)))
    assert not is_fresh(lambda: seeded(lambda: torch.randn(2_000).numpy()))


def four_draws_of_their_own_bytes(monkeypatch: pytest.MonkeyPatch) -> bool:
    """Is every number half the sum of four quantiles, and are all bytes asked for anew and used for
    one number?
    """
    from synthrec.privacy import mechanisms

    asked = []
    monkeypatch.setattr(
        mechanisms.os,
        "urandom",
        lambda count: asked.append(np.random.default_rng(len(asked)).bytes(count)) or asked[-1],
    )
    found = np.concatenate([mechanisms.system_normal(3), mechanisms.system_normal(4)])
    if [len(each) for each in asked] != [8 * 4 * 3, 8 * 4 * 4]:
        return False
    bytes_of = [np.frombuffer(each, dtype=np.uint64).reshape(4, -1) for each in asked]
    quantiles = stats.norm.ppf(
        (np.concatenate(bytes_of, axis=1) >> np.uint64(12)) * 2.0**-52 + 2.0**-53
    )
    return np.allclose(found, quantiles.sum(axis=0) / 2, rtol=1e-12)


def test_each_number_of_system_noise_is_made_of_four_draws_of_its_own_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert four_draws_of_their_own_bytes(monkeypatch)


def test_a_single_draw_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthrec.privacy.mechanisms.DRAWS", 1)
    assert not four_draws_of_their_own_bytes(monkeypatch)
