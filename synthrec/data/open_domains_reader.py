"""A first look at a log whose domains are open: per member, the values of one column, for paid sums
alone.

A private holder: nothing that it returns may go anywhere but into a `privacy.session.Session`.

Guarantees: only users who train (rule: keyed roles) are looked at, opt-outs are gone, rows are
judged by the rules of the schema with its open parts wide open. Each user's values are drawn
without looking at anybody else's, and each user stands in one row of one block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from synthrec.data import reader
from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import Datetime, Item
from synthrec.data.open_domains import KeySets, PaidColumn, widened
from synthrec.data.schema import Schema
from synthrec.data.splits import TRAINS, role_of
from synthrec.progress import Progress


class OpenedLog:
    """The values of each member, column by column."""

    def __init__(self, con: Any, schema: Schema, *, members: int) -> None:
        self._con, self._schema, self._members = con, schema, members

    def __repr__(self) -> str:
        return "OpenedLog(private)"

    def key_sets(self, column: PaidColumn, *, most: int) -> KeySets:
        """Which values each member holds, at most `most` of them, drawn at random."""
        if isinstance(column.column, Item):
            table = self._query("SELECT item AS value, key FROM items ORDER BY item")
        else:
            table = self._query(
                f"SELECT DISTINCT value, value AS key FROM ({self._values(column)}) WHERE value IS NOT NULL"
            )
        values = table["value"].combine_chunks()
        return KeySets(
            keys=table["key"].to_pylist(),
            blocks=(
                _indicators(
                    rows,
                    np.asarray(pc.index_in(rows["value"], value_set=values)),
                    users=self._members,
                    keys=len(values),
                )
                for rows in self._blocks(column, most=most)
            ),
        )

    def histograms(self, column: PaidColumn) -> Iterator[sp.csr_matrix]:
        """Which bins of the column's public grid each member's values lie in: 1 / sqrt(n) in each
        of n.

        Shapes:
            each [members, bins], of norm 1 or empty.
        """
        grid = column.grid()
        for rows in self._blocks(column, most=None):
            value = np.asarray(rows["value"], dtype=np.float64)
            bins = np.searchsorted(grid, value, side="right") - 1
            inside = (bins >= 0) & (bins < len(grid) - 1)
            votes = _indicators(
                rows.filter(pa.array(inside)), bins[inside], users=self._members, keys=len(grid) - 1
            )
            votes.data /= np.repeat(
                np.sqrt(np.maximum(np.diff(votes.indptr), 1)), np.diff(votes.indptr)
            )
            yield votes

    def covered(
        self, column: PaidColumn, keys: tuple[str, ...], *, most: int
    ) -> Iterator[np.ndarray]:
        """Of each member's events, of which at most `most` count: the part whose value is among the
        released `keys`, and all.

        Shapes:
            one float64[members, 2], both in [0, 1]: in units of `most` events.
        """
        self._con.con.register("released_keys", pa.table({"key": pa.array(keys, pa.string())}))
        rows = self._query(f"""
            SELECT row, count(DISTINCT event) FILTER (WHERE item IN (SELECT item FROM items WHERE key IN (SELECT key FROM released_keys)))
                AS held, count(DISTINCT event) AS events
            FROM (SELECT row, item, {"usable.rowid" if self._schema.several else "item"} AS event FROM usable JOIN members USING (code))
            GROUP BY row""")
        counts = np.zeros((self._members, 2))
        counts[np.asarray(rows["row"])] = np.column_stack(
            (np.asarray(rows["held"]), np.asarray(rows["events"]))
        )
        yield counts / np.maximum(counts[:, 1:], most)

    def _blocks(self, column: PaidColumn, *, most: int | None) -> Iterator[pa.Table]:
        """(row, value) pairs, each once; whole members a block."""
        pairs = f"SELECT DISTINCT row, value FROM ({self._values(column)}) WHERE value IS NOT NULL"
        parts = (
            1
            + self._query("SELECT count(*) AS n FROM usable")["n"][0].as_py() // reader.ROWS_AT_ONCE
        )
        for part in range(parts):
            mine = f"SELECT * FROM ({pairs}) WHERE row % {parts} = {part}"
            yield self._query(
                mine
                if most is None
                else f"SELECT row, value FROM (SELECT *, row_number() OVER (PARTITION BY row ORDER BY draw) AS place FROM"
                f" (SELECT *, random() AS draw FROM ({mine}))) WHERE place <= {int(most)}"
            )

    def _values(self, column: PaidColumn) -> str:
        if column.section == "users":
            place = list(self._schema.user_attributes).index(column.name)
            account = "unit" if self._schema.privacy.unit == self._schema.user else "account"
            return (
                f"SELECT row, a{place} AS value FROM (SELECT DISTINCT unit, {account} AS id FROM judged) JOIN names USING (unit)"
                f" JOIN members USING (code) JOIN people ON people.account = id"
            )
        if isinstance(column.column, Item):
            value = "item"
        elif isinstance(column.column, Datetime):
            value = "second"
        else:
            value = f"m{list(self._schema.marks).index(column.name)}"
        return f"SELECT row, {value} AS value FROM usable JOIN members USING (code)"

    def _query(self, query: str) -> pa.Table:
        return self._con.con.sql(query).to_arrow_table()


@contextmanager
def open_log(
    log: Any,
    schema: Schema,
    catalogue: Catalogue | None,
    *,
    spill: Path,
    role_key: bytes,
    audit_share: float,
    exclude_users: Path | None,
    progress: Progress,
) -> Iterator[OpenedLog]:
    """Read and judge a log for its open columns; no catalogue where items are one of them. Raises
    DataError, before anything is charged, as `reader.read_log` does.
    """
    wide = widened(schema)
    with reader.judged_rows(
        log, wide, catalogue, spill=spill, exclude_users=exclude_users, progress=progress
    ) as con:
        reader.require_usable(con, wide)
        reader.usable_rows(con, wide)
        if wide.user_attributes:
            reader.people_rows(con, wide)
        names = con.con.sql("SELECT unit, code FROM names").to_arrow_table()
        member = np.isin(
            role_of(names["unit"].to_pylist(), key=role_key, audit_share=audit_share), TRAINS
        )
        codes = np.asarray(names["code"])[member]
        con.con.register(
            "member_codes", pa.table({"code": codes, "row": np.arange(len(codes), dtype=np.int64)})
        )
        con.raw_sql("CREATE TABLE members AS SELECT * FROM member_codes")
        yield OpenedLog(con, wide, members=len(codes))


def _indicators(rows: pa.Table, column: np.ndarray, *, users: int, keys: int) -> sp.csr_matrix:
    """1 for each different (row, key)."""
    matrix = sp.csr_matrix(
        (np.ones(len(column)), (np.asarray(rows["row"]), column)), shape=(users, keys)
    )
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix
