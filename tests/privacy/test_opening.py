"""A union names what enough users hold: one user moves its weights by at most 1, and what only one
holds stays unnamed but for delta.

Teeth: weights per event, a threshold that forgets its delta, no threshold at all, a user of whom
too much counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import binom, norm

from synthrec.data.open_domains import KeySets
from synthrec.privacy import partition_selection
from synthrec.privacy.accounting import Accountant
from synthrec.privacy.ledger import Charge, Ledger, events_of, extra_delta_of
from synthrec.privacy.mechanisms import LATTICE, SystemNoise, lattice_sum
from synthrec.privacy.partition_selection import (
    Partitions,
    PartitionSelection,
    union_threshold,
    unit_weights,
)
from tests.privacy.small import noisy_union

KEYS, MOST = 12_000, 50
CHARGE = Charge(source="small log", release_id="r1", kind="release")
AWKWARD = {  # name -> keys that a user names
    "ten thousand values": np.arange(10_000),
    "one value a thousand times": np.zeros(1_000, dtype=np.int64),
    "nothing": np.zeros(0, dtype=np.int64),
    "one value": np.array([7]),
    "as many as count": np.arange(MOST),
    "one more": np.arange(MOST + 1),
    "a few again and again": np.tile([1, 2, 3], 400),
}


def plan(*, delta: float = 1e-3, noise: float = 1.2, most: int = MOST) -> PartitionSelection:
    return PartitionSelection(
        name="vocabulary of item_id",
        purpose="",
        unit="users",
        sensitivity=1.0,
        noise_multiplier=noise,
        most_keys=most,
        extra_delta=delta,
    )


def row(keys: np.ndarray, *, size: int = KEYS) -> sp.csr_matrix:
    return sp.csr_matrix((np.ones(len(keys)), keys, [0, len(keys)]), shape=(1, size))


def union(sets: KeySets, folder: Path, **options: float) -> tuple[Partitions, Ledger]:
    with Ledger.open(folder / "ledger.jsonl") as ledger:
        return noisy_union(lambda: sets, plan=plan(**options), ledger=ledger, charge=CHARGE), ledger  # type: ignore[arg-type]


def moves_by(keys: np.ndarray, *, run_audit: Callable[..., sp.csr_matrix]) -> float:
    """How far a user moves the un-noised lattice sum, in norms; beyond what `lattice_sum` would
    clip, so that clipping cannot hide it.
    """
    return float(np.linalg.norm(run_audit(row(keys), most_keys=MOST).toarray()))


def per_event(block: sp.csr_matrix, *, most_keys: int) -> sp.csr_matrix:
    """A saboteur: each event counts."""
    found = sp.csr_matrix(block, copy=True)
    found.sum_duplicates()
    return found


@pytest.mark.parametrize("keys", AWKWARD.values(), ids=AWKWARD.keys())
def test_any_user_moves_the_weights_by_at_most_one(keys: np.ndarray) -> None:
    assert moves_by(keys, run_audit=unit_weights) <= 1 + 1e-9
    lattice = lattice_sum(unit_weights(row(keys), most_keys=MOST), norm=1.0)
    assert np.linalg.norm(lattice.astype(float)) <= LATTICE
    held = np.count_nonzero(lattice)
    assert held == min(len(np.unique(keys)), MOST) and (
        held == 0 or lattice.max() <= LATTICE / math.sqrt(held)
    )


def test_weights_per_event_are_caught() -> None:
    assert max(moves_by(keys, run_audit=per_event) for keys in AWKWARD.values()) > 1


def chance_of_naming(alone: int, *, threshold: float, std: float) -> float:
    """Exact for continuous noise: any of `alone` values that one user alone holds is named."""
    return -math.expm1(alone * norm.logcdf((threshold - 1 / math.sqrt(alone)) / std))


def holds(threshold: float, *, std: float, delta: float) -> bool:
    return (
        max(chance_of_naming(alone, threshold=threshold, std=std) for alone in range(1, MOST + 1))
        <= delta
    )


@pytest.mark.parametrize("std", [0.3, 1.2, 5.0])
@pytest.mark.parametrize("delta", [1e-2, 1e-5, 1e-9])
def test_what_one_user_alone_holds_is_named_with_probability_delta_at_most(
    std: float, delta: float
) -> None:
    threshold = union_threshold(noise_std=std, most_keys=MOST, delta=delta)
    assert holds(threshold, std=std, delta=delta)
    assert not holds(
        threshold - 0.02 * std - 4 / LATTICE, std=std, delta=delta
    )  # and no higher than it must be
    assert not holds(1 + std * norm.isf(0.05), std=std, delta=delta)  # a threshold without delta
    assert not holds(
        std * norm.isf(delta), std=std, delta=delta
    )  # one that forgets the user's own weight


def named_alone(folder: Path, *, delta: float, alone: int, runs: int) -> int:
    """In how many of `runs` unions anything is named of what one user alone holds; the noise is the
    mechanism's own.
    """
    sets = KeySets(
        keys=[f"k{place:03}" for place in range(alone)], blocks=[row(np.arange(alone), size=alone)]
    )
    return sum(len(union(sets, folder, delta=delta)[0].keys) > 0 for _ in range(runs))


@pytest.mark.parametrize("alone", [1, MOST])
def test_the_mechanism_keeps_its_delta(
    alone: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delta, runs = 0.1, 400
    monkeypatch.setattr(Ledger, "charge", lambda self, entry: entry)
    limit = binom.isf(1e-6, runs, delta)
    assert named_alone(tmp_path, delta=delta, alone=alone, runs=runs) <= limit
    monkeypatch.setattr(partition_selection, "union_threshold", lambda **_: 0.5)
    assert named_alone(tmp_path, delta=delta, alone=alone, runs=runs) > limit


def test_entries_hold_the_thresholds_delta_and_are_written_before_anybodys_values_are_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.jsonl"
    seen: list[int] = []

    def read() -> KeySets:
        seen.append(len(Ledger.read(path).entries))
        return KeySets(keys=["a"], blocks=[row(np.zeros(1, dtype=np.int64), size=1)])

    with Ledger.open(path) as ledger:
        found = noisy_union(read, plan=plan(), ledger=ledger, charge=CHARGE)
    entries = Ledger.read(path).entries
    assert (
        seen == [1]
        and entries == (found.entry,)
        and found.entry.extra_delta == 1e-3 == extra_delta_of(entries)
    )
    accountant = Accountant(events_of(entries), extra_delta=extra_delta_of(entries))
    assert accountant.epsilon(1e-3) == math.inf and accountant.epsilon(2e-3) == Accountant(
        events_of(entries)
    ).epsilon(1e-3)


def test_released_values_stand_in_the_order_of_their_names_and_unheld_ones_are_never_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = sp.csr_matrix(np.tile([1.0, 0.0, 1.0, 1.0], (400, 1)))
    found, _ = union(
        KeySets(keys=["d", "nobody", "a", "c"], blocks=[rows[:150], rows[150:]]), tmp_path
    )
    assert found.keys == ("a", "c", "d") and found.weights == pytest.approx(
        400 / math.sqrt(3), abs=10
    )
    monkeypatch.setattr(SystemNoise, "lattice", lambda self, name, total, *, scale: total + 1e12)
    found, _ = union(KeySets(keys=["d", "nobody", "a", "c"], blocks=[rows]), tmp_path)
    assert found.keys == ("a", "c", "d")
    assert union(KeySets(keys=[], blocks=[]), tmp_path)[0].keys == ()


def test_with_noise_frozen_a_user_changes_nothing_but_the_weights_and_what_they_alone_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replay: noise is a function of nothing but the number of held values; the user below holds
    none of their own.
    """
    rng = np.random.default_rng(0)
    rows = sp.csr_matrix((rng.random((300, 40)) < 0.3).astype(float))
    monkeypatch.setattr(
        SystemNoise,
        "lattice",
        lambda self, name, total, *, scale: (
            total + np.random.default_rng(1).normal(0, scale, len(total))
        ),
    )
    keys = [f"k{place:02}" for place in range(40)]
    whole, _ = union(KeySets(keys=keys, blocks=[rows]), tmp_path)
    less, _ = union(KeySets(keys=keys, blocks=[rows[1:]]), tmp_path)
    assert whole.keys == less.keys and 0 < np.linalg.norm(whole.weights - less.weights) <= 1 + 1e-6
    assert (
        whole.entry.event == less.entry.event and whole.entry.extra_delta == less.entry.extra_delta
    )
