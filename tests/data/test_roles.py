"""Roles: each user's own draw."""

from __future__ import annotations

import hashlib
import multiprocessing
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from synthrec.data.splits import KEY_BYTES, Role, load_or_create_key, role_of
from synthrec.errors import DataError

KEY = b"k" * KEY_BYTES
RoleOf = Callable[[list[str], bytes, float], np.ndarray]


def keyed(ids: list[str], key: bytes, share: float) -> np.ndarray:
    return role_of(ids, key=key, audit_share=share)


def shuffled(ids: list[str], key: bytes, share: float) -> np.ndarray:
    """A saboteur: fixed sizes, by a seeded shuffle."""
    roles = np.repeat(
        [Role.MEMBER, Role.HOLDOUT],
        [round(len(ids) * (1 - share)), len(ids) - round(len(ids) * (1 - share))],
    )
    return np.random.default_rng(0).permutation(roles).astype(np.int8)


def ranked(ids: list[str], key: bytes, share: float) -> np.ndarray:
    """A saboteur: the last ones in order of hash are held out."""
    order = np.argsort(
        np.argsort([hashlib.sha256(key + user.encode()).hexdigest() for user in ids])
    )
    return np.where(order < len(ids) * (1 - share), Role.MEMBER, Role.HOLDOUT).astype(np.int8)


def moves(draw: RoleOf) -> int:
    """How many of 400 users change their role when others come or go."""
    ids = [f"user {place}" for place in range(400)]
    roles = draw(ids, KEY, 0.3)
    return max(
        int((draw([*ids, "new"], KEY, 0.3)[:-1] != roles).sum()),
        int((draw(ids[:-150], KEY, 0.3) != roles[:-150]).sum()),
    )


def test_adding_or_removing_a_user_moves_nobody() -> None:
    assert moves(keyed) == 0
    assert moves(shuffled) > 0 and moves(ranked) > 0


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_shares_are_binomial_and_not_fixed(share: float) -> None:
    ids = [f"user {place}" for place in range(4_000)]
    expected = {
        Role.MEMBER: 1 - 1.4 * share,
        Role.AUDIT: 0.4 * share,
        Role.HOLDOUT: 0.4 * share,
        Role.REFERENCE: 0.3 * share,
        Role.TEST: 0.3 * share,
    }
    counts = {
        role: [
            int((keyed(ids, bytes([number]) * KEY_BYTES, share) == role).sum())
            for number in range(20)
        ]
        for role in Role
    }
    for role, part in expected.items():
        low, high = stats.binom.ppf([1e-8, 1 - 1e-8], len(ids), part)
        assert all(low <= count <= high for count in counts[role]), role
        wrong_low, wrong_high = stats.binom.ppf([1e-8, 1 - 1e-8], len(ids), part * 1.3)
        assert (
            part < 0.05
            or part > 0.75
            or not all(wrong_low <= count <= wrong_high for count in counts[role])
        )
        assert part == 0 or len(set(counts[role])) > 1


def test_without_an_audit_share_everybody_is_a_member() -> None:
    assert set(keyed(["a", "b", ""], KEY, 0.0).tolist()) == {Role.MEMBER}
    assert len(keyed([], KEY, 0.3)) == 0
    for share in (-0.1, 0.71, 1.0, float("nan")):
        with pytest.raises(DataError, match="audit_share"):
            keyed(["a"], KEY, share)


def test_who_of_the_coined_users_trains_is_a_fair_coin_of_each() -> None:
    ids = [f"user {place}" for place in range(20_000)]
    roles = keyed(ids, KEY, 0.5)
    coined = np.isin(roles, (Role.AUDIT, Role.HOLDOUT))
    came_in = roles[coined] == Role.AUDIT
    assert stats.binomtest(int(came_in.sum()), int(coined.sum()), 0.5).pvalue > 1e-6
    assert (
        stats.binomtest(int((came_in[1:] == came_in[:-1]).sum()), int(coined.sum()) - 1, 0.5).pvalue
        > 1e-6
    )


def test_another_key_draws_other_roles() -> None:
    ids = [f"user {place}" for place in range(400)]
    assert (keyed(ids, KEY, 0.5) != keyed(ids, b"z" * KEY_BYTES, 0.5)).mean() > 0.3


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "roles.key"
    key = load_or_create_key(path)
    assert len(key) == KEY_BYTES and load_or_create_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [inner.name for inner in path.parent.iterdir()] == ["roles.key"]
    assert load_or_create_key(tmp_path / "other.key") != key


def test_two_processes_that_start_together_get_one_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        keys: Iterable[bytes] = pool.map(load_or_create_key, [tmp_path / "roles.key"] * 16)
    assert len(set(keys)) == 1


def test_a_key_of_another_length_is_refused(tmp_path: Path) -> None:
    (tmp_path / "roles.key").write_bytes(b"short")
    with pytest.raises(DataError, match="another length"):
        load_or_create_key(tmp_path / "roles.key")
    with pytest.raises(DataError, match="beside the ledger"):
        load_or_create_key(tmp_path / "roles.key" / "inner")
