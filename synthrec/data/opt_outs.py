"""The list of people who opted out, one user id a line, and the removal of their rows.

Guarantees: an id of the list and one of the log are the same person where `identifiers.canonical`
spells both alike; with one account a person is gone with all. A list that looks like a table, whose
ids would be missed, is refused by the look of its lines, never by who stands in the log, unquoted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synthrec.data.files import file_errors
from synthrec.data.identifiers import canonical
from synthrec.errors import DataError

MORE_THAN_AN_ID = r"""[,;\t"\x{201c}\x{201d}]|[\s\pZ]#|^'.*'$"""


def leave_out(con: Any, path: Path, *, units_only: bool) -> None:
    """Delete from the table `read` whoever the list names. Raises DataError.

    Guarantees: the table `opted_out(id, found)` that it makes is private and for `check` alone.
    """
    con.con.register("listed", read_ids(path))
    who = "SELECT unit FROM read" + ("" if units_only else " UNION ALL SELECT account FROM read")
    con.raw_sql(f"CREATE TABLE opted_out AS SELECT id, id IN ({who}) AS found FROM listed")
    named = "unit IN (SELECT id FROM opted_out)"
    if not units_only:
        named += " OR account IN (SELECT id FROM opted_out)"
    con.raw_sql(f"DELETE FROM read WHERE unit IN (SELECT unit FROM read WHERE {named})")


def read_ids(path: Path) -> pa.Table:
    """The distinct `id`s of a list. Raises DataError if a line looks like more than an id."""
    with file_errors(path):     # not `splitlines`, which cuts at characters that ids may hold
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    ids = pc.unique(canonical(pa.array(lines, pa.string())).drop_null())
    if pc.any(pc.match_substring_regex(ids, pattern=MORE_THAN_AN_ID), min_count=0).as_py():
        raise DataError(f"{path.name} must hold one user id a line and nothing else",
                        found="lines with quotes, separators or notes",
                        remedy="Write the ids alone. Of people whose ids hold such signs, remove the rows.")
    return pa.table({"id": ids})
