"""The remembered head of a ledger: how many entries it had and the last one's hash, so that a ledger cut short is found.

A hash chain shows every line altered or taken out, but not that the last ones are missing: a ledger restored from an old backup, or
truncated, would give spent budget back. So after each entry its number and hash are written to a side file, `LEDGER.head`.

Guarantees: written (fsync, rename) only after the entry is on disk, so it never remembers more than was there; whoever reads the ledger
reads the head first. A ledger without a head was written by an early version, or its head was lost: it is read, and gets one with its
next entry. Folder and head restored together from a backup pass: the releases' own excerpts tell then (`ledger verify --release`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from synthrec.errors import BudgetError
from synthrec.privacy.chain import LONGEST_LINE, Entry, Fault
from synthrec.privacy.event import PublicRecord


class Head(PublicRecord):
    """Where a ledger ended when it was last written."""

    format_version: Literal[1] = 1
    count: int = Field(ge=1)
    hash: str


def head_path(ledger: Path) -> Path:
    """`LEDGER.head`, beside it."""
    return ledger.with_name(ledger.name + ".head")


def remember(ledger: Path, head: Head) -> None:
    """Write the head whole or not at all. Raises OSError."""
    beside = ledger.with_name(ledger.name + ".head.part")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        content = head.model_dump_json().encode() + b"\n"
        if os.write(handle, content) != len(content):
            raise OSError(None, "a short write")
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(beside, head_path(ledger))


def remembered(ledger: Path) -> Head | None:
    """The head, or None where there is none. Raises BudgetError for one that cannot be read."""
    path = head_path(ledger)
    try:
        with path.open("rb") as stream:
            return Head.model_validate_json(stream.read(LONGEST_LINE))
    except FileNotFoundError:
        return None
    except OSError as error:
        found = error.strerror or "a failed read"
    except ValidationError:
        found = "another thing"
    raise BudgetError("the ledger's remembered head must be readable", found=f"{found} in {path.name}",
                      remedy="Restore it from a backup together with the ledger, or move it away after `synthrec ledger verify` with "
                             "--release has shown that no entry of a release is missing.") from None


def cut_short(entries: Sequence[Entry], head: Head | None) -> Fault | None:
    """What is wrong if the entries do not hold the remembered head."""
    if head is None or (len(entries) >= head.count and entries[head.count - 1].hash == head.hash):
        return None
    found = f"{len(entries)} entries where {head.count} were written" if len(entries) < head.count else "another entry in the head's place"
    return Fault(min(len(entries), head.count), "a ledger must hold every entry that was ever written to it", found,
                 "Bring back the ledger as it was last written; an older backup would give back budget that is spent.")
