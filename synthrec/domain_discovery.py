"""Settle what the schema leaves open, by paid looks at the log: the first thing that is asked of
it, before any measurement.

    open schema, log -> noisy unions and histograms (ledger) -> released values and bounds -> the
    same schema, settled

Guarantees: each look is charged before the log is touched for it (rules: nothing unpaid, mechanism
with entry); what leaves is the released values, bounds and the noisy coverage. Only users who train
(rule: keyed roles) are looked at, opt-outs are gone, rows are judged by the rules of the schema
with its open parts wide open. Each user's values are drawn without looking at anybody else's, and
each user stands in one row of one block. Afterwards the log is read anew with the settled schema:
what lies outside is dropped or becomes "other", per user, by rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from scipy.stats import norm

from synthrec.claim import COVERED, COVERED_UNKNOWN, paid_declaration
from synthrec.data import reader
from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import Datetime, Item
from synthrec.data.identifiers import are_whole_numbers
from synthrec.data.open_domains import (
    KeySets,
    PaidColumn,
    filled,
    paid_columns,
    vocabulary,
    widened,
)
from synthrec.data.schema import Schema
from synthrec.data.splits import TRAINS, role_of
from synthrec.errors import DataError, SchemaError
from synthrec.model.recipe import COVERAGE
from synthrec.privacy.mechanisms import Measurement
from synthrec.privacy.session import Session
from synthrec.progress import Progress

# chance that any empty bin of a grid stands out of the noise: one is enough for bounds that are of
# no use
FALSE_BIN = 1e-4


@dataclass(frozen=True)
class SettledSchema:
    """A schema without open ends, and a sentence on what each look found; both public."""

    schema: Schema
    said: tuple[str, ...] = ()


def discover_domains(
    log: Any,
    schema: Schema,
    catalogue: Catalogue | None,
    *,
    session: Session,
    spill: Path,
    role_key: bytes,
    audit_share: float,
    exclude_users: Path | None,
    progress: Progress,
) -> SettledSchema:
    """Fill in every column that says "dp"; a schema without such columns comes back as it is, the
    log unread. `catalogue`: None where items are such a column.

    Raises: DataError before anything is charged if the log cannot be read; after it, if nothing
    stands out of the noise.
    """
    if not paid_columns(schema):
        return SettledSchema(schema)
    if not all(column.is_open for column in paid_columns(schema)):
        raise SchemaError(
            "a schema is settled once",
            found="one that a release has settled already",
            remedy="Start from the configuration: Schema.load(...).",
        )
    sentences = list[str]()
    with (
        open_log(
            log,
            schema,
            catalogue,
            spill=spill,
            role_key=role_key,
            audit_share=audit_share,
            exclude_users=exclude_users,
            progress=progress,
        ) as opened,
        progress.stage("settle", total=len(paid_columns(schema))) as advance,
    ):
        for column in paid_columns(schema):
            words, covered = (_bounds if column.bounded else _values)(
                opened, column, session=session
            )
            schema = filled(schema, column, words)
            settled = next(each for each in paid_columns(schema) if each.label == column.label)
            sentences.append(paid_declaration(settled, plan=session.plan, covered=covered))
            advance(1, note=column.label)
    return SettledSchema(schema, tuple(sentences))


def _values(
    opened: OpenedLog, column: PaidColumn, *, session: Session
) -> tuple[dict[str, Any], str]:
    """Values that enough users hold, and of items what they cover."""
    most = session.plan.opening(column.label).most_keys
    assert most is not None
    partitions = session.select_partitions(column.label, lambda: opened.key_sets(column, most=most))
    whole = len(partitions.keys) > 0 and are_whole_numbers(pa.array(partitions.keys, pa.string()))
    words = vocabulary(column, partitions.keys, weights=partitions.weights, whole=whole)
    return words, _covered(opened, column, partitions.keys, session=session) if isinstance(
        column.column, Item
    ) else ""


def _covered(
    opened: OpenedLog, column: PaidColumn, keys: tuple[str, ...], *, session: Session
) -> str:
    """A paid figure: noisy covered events over noisy events."""
    sums = session.histogram(
        COVERAGE, lambda: opened.covered(column, keys, most=session.plan.events_per_user), size=2
    )
    held, all_of_them = sums.values
    if all_of_them <= 3 * sums.noise_std:
        return COVERED_UNKNOWN
    margin = 1.96 * sums.noise_std * np.sqrt(2) / all_of_them
    return COVERED.format(share=float(np.clip(held / all_of_them, 0, 1)), margin=margin)


def _bounds(
    opened: OpenedLog, column: PaidColumn, *, session: Session
) -> tuple[dict[str, Any], str]:
    """The smallest range that holds every bin which stands out of the noise."""
    histogram = session.histogram(
        column.label, lambda: opened.histograms(column), size=len(column.grid()) - 1
    )
    return column.bounds(**_range(histogram, name=column.name)), ""


def _range(histogram: Measurement, *, name: str) -> dict[str, int]:
    outstanding = np.flatnonzero(
        histogram.values > histogram.noise_std * norm.isf(FALSE_BIN / len(histogram.values))
    )
    if len(outstanding) == 0:
        raise DataError(
            f"{name} must have values that enough users share roughly",
            found="none that stand out of the noise",
            remedy="What was charged stays charged. Declare min and max, raise epsilon, or leave the column out.",
        )
    return {"first": int(outstanding[0]), "last": int(outstanding[-1])}


class OpenedLog:
    """The values of each member, column by column: a private holder, for a `Session` alone."""

    def __init__(self, con: duckdb.DuckDBPyConnection, schema: Schema, *, members: int) -> None:
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
        self._con.register("released_keys", pa.table({"key": pa.array(keys, pa.string())}))
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
        return self._con.sql(query).to_arrow_table()


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
        names = con.sql("SELECT unit, code FROM names").to_arrow_table()
        member = np.isin(
            role_of(names["unit"].to_pylist(), key=role_key, audit_share=audit_share), TRAINS
        )
        codes = np.asarray(names["code"])[member]
        con.register(
            "member_codes", pa.table({"code": codes, "row": np.arange(len(codes), dtype=np.int64)})
        )
        con.execute("CREATE TABLE members AS SELECT * FROM member_codes")
        yield OpenedLog(con, wide, members=len(codes))


def _indicators(rows: pa.Table, column: np.ndarray, *, users: int, keys: int) -> sp.csr_matrix:
    """1 for each different (row, key)."""
    matrix = sp.csr_matrix(
        (np.ones(len(column)), (np.asarray(rows["row"]), column)), shape=(users, keys)
    )
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix
