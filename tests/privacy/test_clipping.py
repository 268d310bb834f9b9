"""One user moves a sum by at most the declared norm, whatever they hold. Teeth: sums that clip
otherwise are caught.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from synthrec.conformance.sensitivity import raw_move, raw_vectors, sum_of_parts
from synthrec.privacy import mechanisms, session
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.mechanisms import (
    LATTICE,
    GaussianSum,
    SystemNoise,
    lattice_pairs,
    lattice_sum,
)
from tests.privacy.small import noisy_sum

NORM = 2.5
CHARGE = Charge(source="s", release_id="r", kind="release")
Sum = Callable[[np.ndarray], np.ndarray]


def most_moved(add_up: Sum) -> float:
    """How far the sum moves, in norms, when the worst of the users leaves."""
    return raw_move(lambda users, norm: add_up(users), norm=NORM)


def dense(users: np.ndarray) -> np.ndarray:
    return lattice_sum(users, norm=NORM)


def sparse(users: np.ndarray) -> np.ndarray:
    return lattice_sum(sp.csr_matrix(users), norm=NORM)


def pairs(users: np.ndarray) -> np.ndarray:
    return lattice_pairs(users, norm=NORM)


def in_parts(users: np.ndarray) -> np.ndarray:
    return sum_of_parts(users, norm=NORM)


def loosely(users: np.ndarray) -> np.ndarray:
    """A saboteur: clips to 1.1 times the norm."""
    return lattice_sum(users, norm=1.1 * NORM) * 1.1


def per_event(users: np.ndarray) -> np.ndarray:
    """A saboteur: clips each event (cell) instead of each user."""
    return sum(
        (lattice_sum(np.where(np.arange(6) == cell, users, 0), norm=NORM) for cell in range(6)),
        np.zeros(6),
    )


def unguarded(users: np.ndarray) -> np.ndarray:
    """A saboteur: lets what is not finite through."""
    with np.errstate(all="ignore"):
        factor = np.minimum(1.0, NORM / np.sqrt((users**2).sum(axis=1)))
        return (users * factor[:, None]).sum(axis=0) * LATTICE / NORM


def pairs_of_longer_rows(users: np.ndarray) -> np.ndarray:
    """A saboteur: takes the declared norm for the row's own, although a product grows with its
    square.
    """
    return lattice_pairs(users, norm=NORM**2) * NORM


def all_pairs_twice(users: np.ndarray) -> np.ndarray:
    """A saboteur: releases both triangles for the price of one."""
    return np.concatenate((pairs(users), pairs(users)))


def test_removing_any_one_user_moves_the_sum_of_pairs_by_at_most_the_norm() -> None:
    assert 0.7 < most_moved(pairs) <= 1.0


def test_a_row_of_many_equal_entries_nearly_reaches_the_declared_norm_of_pairs() -> None:
    moved = lattice_pairs(np.full((1, 400), 100.0), norm=NORM).astype(np.float64)
    assert 0.95 < np.linalg.norm(moved) / LATTICE <= 1.0


def test_pairs_are_the_upper_triangle_of_the_sum_of_outer_products() -> None:
    rows = np.random.default_rng(5).normal(0, 0.1, (40, 7))
    expected = (rows.T @ rows)[np.triu_indices(7, 1)]
    assert pairs(rows) * NORM / LATTICE == pytest.approx(expected, abs=0.02)


def blur(lattice: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """How far the pairs of 800 items on a lattice lie from those off it, in spectral norms."""
    monkeypatch.setattr(mechanisms, "LATTICE", lattice)
    rng = np.random.default_rng(2)
    chance = 1 / (3 + np.arange(800))
    rows = (rng.random((1_500, 800)) < 10 * chance / chance.sum()) - 10 * chance / chance.sum()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    exact = rows.T @ rows
    np.fill_diagonal(exact, 0)
    blurred = np.zeros_like(exact)
    blurred[np.triu_indices(800, 1)] = lattice_pairs(rows, norm=math.sqrt(0.5)) * (
        math.sqrt(0.5) / lattice
    )
    return float(np.linalg.norm(blurred + blurred.T - exact, 2) / np.linalg.norm(exact, 2))


def test_the_lattice_blurs_the_pairs_of_800_items_by_less_than_a_thousandth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert blur(1 << 20, monkeypatch) > 1e-2
    assert blur(LATTICE, monkeypatch) < 1e-3


@pytest.mark.parametrize(
    "add_up",
    [lattice_sum, lattice_pairs, lambda rows, *, norm: lattice_sum(sp.csr_matrix(rows), norm=norm)],
)
@pytest.mark.parametrize("exact_rows", [mechanisms.EXACT_ROWS, 1 << 40])
def test_a_block_of_any_length_is_added_up_without_rounding(
    add_up: Sum, exact_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mechanisms, "EXACT_ROWS", exact_rows)
    row, users = np.array([[100.0, 100.1, 0.0]]), 400_001
    alone = [int(step) for step in add_up(row, norm=NORM)]
    found = [int(step) for step in add_up(np.repeat(row, users, axis=0), norm=NORM)]
    as_integers = add_up is lattice_sum  # needs no parts
    assert (found == [users * step for step in alone]) == (
        as_integers or exact_rows == mechanisms.LATTICE >> 20
    )


def test_the_sum_of_a_hundred_million_users_who_fill_one_cell_is_no_overflow() -> None:
    assert math.sqrt(2) * mechanisms.LATTICE * mechanisms.EXACT_ROWS < 2**53
    assert 1e8 * mechanisms.LATTICE < 2**63


@pytest.mark.parametrize("add_up", [dense, sparse, in_parts])
def test_removing_any_one_user_moves_the_clipped_sum_by_at_most_the_norm(add_up: Sum) -> None:
    assert 0.99 < most_moved(add_up) <= 1.0


@pytest.mark.parametrize(
    "saboteur", [loosely, per_event, unguarded, pairs_of_longer_rows, all_pairs_twice]
)
def test_a_sum_that_clips_otherwise_is_caught(saboteur: Sum) -> None:
    assert most_moved(saboteur) > 1.0


def test_cells_that_come_in_parts_and_are_rounded_one_by_one_are_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert most_moved(in_parts) <= 1.0
    monkeypatch.setattr(sp.csr_matrix, "sum_duplicates", lambda self: None)
    assert most_moved(in_parts) > 1.0


def test_a_user_who_is_not_finite_counts_as_nothing_and_disturbs_nobody() -> None:
    users = raw_vectors(NORM)
    sound = users[[*range(12), 17, 18, 19]]
    for add_up in (dense, sparse):
        assert (add_up(np.concatenate((sound, users[[13, 14, 16]]))) == add_up(sound)).all()


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(np.float64, (1, 5), elements=st.floats(allow_nan=True, allow_infinity=True)),
    st.floats(1e-6, 1e6),
)
def test_one_users_lattice_vector_never_exceeds_the_lattice(user: np.ndarray, norm: float) -> None:
    for block in (user, sp.csr_matrix(user)):
        moved = lattice_sum(block, norm=norm)
        assert sum(int(step) ** 2 for step in moved) <= LATTICE**2


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(np.float64, (1, 5), elements=st.floats(allow_nan=True, allow_infinity=True)),
    st.floats(1e-6, 1e6),
)
def test_one_users_lattice_of_pairs_never_exceeds_the_lattice(
    user: np.ndarray, norm: float
) -> None:
    assert sum(int(step) ** 2 for step in lattice_pairs(user, norm=norm)) <= LATTICE**2


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, (4, 5), elements=st.floats(-100, 100)), st.floats(0.01, 1e3))
def test_a_sum_is_the_sum_of_its_users_and_dense_is_sparse(users: np.ndarray, norm: float) -> None:
    alone = sum(lattice_sum(user[None, :], norm=norm) for user in users)
    assert (lattice_sum(users, norm=norm) == alone).all() and (
        lattice_sum(sp.csr_matrix(users), norm=norm) == alone
    ).all()


def test_rounding_loses_less_than_a_lattice_step_a_user_and_cell() -> None:
    users = np.random.default_rng(0).uniform(-0.4, 0.4, (50, 6))
    shortened = 50 * 0.4 * (1 - mechanisms.ROUNDING)
    assert (
        np.abs(dense(users) * NORM / LATTICE - users.sum(axis=0)).max()
        <= 50 * NORM / LATTICE + shortened
    )


def test_noisy_sum_clips_before_it_adds_noise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        SystemNoise, "lattice", lambda self, name, total, *, scale: total.astype(float)
    )
    plan = GaussianSum(name="x", purpose="", unit="", sensitivity=NORM, noise_multiplier=1.0)

    def released(users: np.ndarray) -> np.ndarray:
        found = noisy_sum(
            iter([users[:5], sp.csr_matrix(users[5:])]),
            plan=plan,
            size=6,
            ledger=ledger,
            charge=CHARGE,
        )
        return found.values * LATTICE / NORM

    with Ledger.open(tmp_path / "l.jsonl") as ledger:
        assert most_moved(lambda users: np.rint(released(users))) <= 1.0
        monkeypatch.setattr(
            session,
            "lattice_sum",
            lambda block, *, norm: np.rint(lattice_sum(block, norm=1.1 * norm) * 1.1).astype(
                np.int64
            ),
        )
        assert most_moved(released) > 1.05
