"""Which users train, which are kept back to test the release, and who opted out of either.

Roles are an independent keyed draw for each user; the list of people who opted out holds one user
id a line, and their rows are removed.

Guarantees: a user's role depends on that user's id and on a secret key, on nothing and nobody else
(rule: keyed roles): adding or removing a user moves no other user's role, and no role has a fixed
size. An id of the list and one of the log are the same person where `identifiers.canonical` spells
both alike; with one account a person is gone with all. A list that looks like a table, whose ids
would be missed, is refused by the look of its lines, never by who stands in the log, unquoted.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthrec.data.files import file_errors
from synthrec.data.identifiers import canonical
from synthrec.errors import DataError
from synthrec.storage import disk_errors, owner_only, write_new

KEY_BYTES = 32
HOLDOUT_PART, REFERENCE_PART = (
    0.4,
    0.3,
)  # of the audit share; the rest is TEST. As many as HOLDOUT are AUDIT, and train
MAX_SHARE = 0.7  # AUDIT users come on top of the share
_PERSON = b"synthrec.role"  # other uses of the same key get other draws


class Role(IntEnum):
    """Who trains, and what the others are kept back for.

    AUDIT and HOLDOUT are one group of users, each in training by a fair coin of their own: what
    tells them apart later is what training has left of them, and nothing else.
    """

    MEMBER = 0  # trains
    AUDIT = 1  # trains: the coin said in
    HOLDOUT = 2  # does not train: the coin said out
    REFERENCE = 3  # does not train; known to the attacker
    TEST = 4  # does not train; scores utility


TRAINS = (Role.MEMBER, Role.AUDIT)


def role_of(unit_ids: Iterable[str], *, key: bytes, audit_share: float) -> np.ndarray:
    """Roles of users, each from a keyed hash of the id.

    Shapes:
        unit_ids[B] -> int8[B].

    Guarantees: entry b is a function of `unit_ids[b]`, the key and the share alone.
    """
    if not 0 <= audit_share <= MAX_SHARE:
        raise DataError(
            f"audit_share must be in [0, {MAX_SHARE:g}]",
            found=f"{audit_share:g}",
            remedy="Common values are 0 and 0.3.",
        )
    draws = np.fromiter((_draw(unit_id, key) for unit_id in unit_ids), dtype=np.float64)
    bounds = 1 - audit_share * (
        1 - np.cumsum([-HOLDOUT_PART, HOLDOUT_PART, HOLDOUT_PART, REFERENCE_PART])
    )
    roles = np.array(
        [Role.MEMBER, Role.AUDIT, Role.HOLDOUT, Role.REFERENCE, Role.TEST], dtype=np.int8
    )
    return np.asarray(roles[np.searchsorted(bounds, draws, side="right")])


def load_or_create_key(path: Path) -> bytes:
    """The source's secret key; made once by the operating system's generator, readable by its owner
    only.
    """
    with disk_errors(
        "the roles key must be a readable file beside the ledger",
        name=path.name,
        remedy="Make the ledger's folder writable.",
        kind=DataError,
    ):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # of two processes one wins, and both read its key
                write_new(path, os.urandom(KEY_BYTES), opener=owner_only)
        key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise DataError(
            f"the roles key must hold {KEY_BYTES} bytes",
            found="another length",
            remedy="Restore it from a backup: with another key, users would change their roles.",
        )
    return key


def _draw(unit_id: str, key: bytes) -> float:
    digest = hashlib.blake2b(unit_id.encode(), key=key, person=_PERSON, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


MORE_THAN_AN_ID = r"""[,;\t"\x{201c}\x{201d}]|[\s\pZ]#|^'.*'$"""


def leave_out(con: Any, path: Path, *, units_only: bool) -> None:
    """Delete from the table `read` whoever the list names. Raises DataError.

    Guarantees: the table `opted_out(id, found)` that it makes is private and for `check` alone.
    """
    con.register("listed", read_ids(path))
    who = "SELECT unit FROM read" + ("" if units_only else " UNION ALL SELECT account FROM read")
    con.execute(f"CREATE TABLE opted_out AS SELECT id, id IN ({who}) AS found FROM listed")
    named = "unit IN (SELECT id FROM opted_out)"
    if not units_only:
        named += " OR account IN (SELECT id FROM opted_out)"
    con.execute(f"DELETE FROM read WHERE unit IN (SELECT unit FROM read WHERE {named})")


def read_ids(path: Path) -> pa.Table:
    """The distinct `id`s of a list. Raises DataError if a line looks like more than an id."""
    with file_errors(path):  # not `splitlines`, which cuts at characters that ids may hold
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    ids = pc.unique(canonical(pa.array(lines, pa.string())).drop_null())
    if pc.any(pc.match_substring_regex(ids, pattern=MORE_THAN_AN_ID), min_count=0).as_py():
        raise DataError(
            f"{path.name} must hold one user id a line and nothing else",
            found="lines with quotes, separators or notes",
            remedy="Write the ids alone. Of people whose ids hold such signs, remove the rows.",
        )
    return pa.table({"id": ids})
