"""The list of people who opted out: a text file with one user id a line, and the removal of their rows before anything else.

Guarantees: an id of the list and one of the log are the same person where `identifiers.canonical` spells both alike; with one account a
person is gone with all. A list that looks like a table, whose ids would be missed, is refused by the look of its lines alone, never by
whether anybody stands in the log; nothing of it is quoted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synthrec.data.files import file_errors
from synthrec.data.identifiers import canonical
from synthrec.errors import DataError

MORE_THAN_AN_ID = "[,;\\t\"\u201c\u201d]|\\s#|^'.*'$"


def leave_out(con: Any, path: Path, *, units_only: bool) -> None:
    """Delete from the table `read` whoever the list names, and make the table `opted_out(id, found)`, which is private. Raises DataError."""
    ids = read_ids(path)        # DuckDB finds it by its name
    who = "SELECT unit FROM read" + ("" if units_only else " UNION ALL SELECT account FROM read")
    con.con.register("ids", ids)
    con.raw_sql(f"CREATE TABLE opted_out AS SELECT id, id IN ({who}) AS found FROM ids")
    con.raw_sql(f"DELETE FROM read WHERE unit IN (SELECT unit FROM read WHERE unit IN (SELECT id FROM opted_out)"
                f"{'' if units_only else ' OR account IN (SELECT id FROM opted_out)'})")


def read_ids(path: Path) -> pa.Table:
    """The distinct ids of a list as a table with the column `id`. Raises DataError if a line looks like more than an id."""
    with file_errors(path):
        lines = path.read_text(encoding="utf-8-sig").split("\n")       # `splitlines` would cut ids at their invisible characters
    ids = pc.unique(canonical(pa.array(lines, pa.string())).drop_null())
    if pc.any(pc.match_substring_regex(ids, pattern=MORE_THAN_AN_ID), min_count=0).as_py():
        raise DataError(f"{path.name} must hold one user id a line and nothing else", found="lines with quotes, separators or notes",
                        remedy="Write the ids alone. If ids hold such signs themselves, take these people out of the log.")
    return pa.table({"id": ids})
