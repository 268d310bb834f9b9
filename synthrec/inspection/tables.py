"""events.parquet and users.parquet: columns, types, metadata and every value, against what the
declaration lets a synthetic log hold.

Guarantees: rows are read in batches of bounded size, never more than the record announces; no byte
of a file is outside its columns and footer.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synthrec.claim import said_in_tables
from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import UNITS_PER_SECOND, Datetime, Identifier, Item, Unit, User
from synthrec.data.domain import Attribute, Categorical, Numeric, Ordinal
from synthrec.data.eventlog import EventLog
from synthrec.data.files_io import bounded_batches, require_bounded
from synthrec.data.schema import Schema
from synthrec.data.writer import (
    BASKETS_PER_USER,
    FIRST_ID,
    METADATA_PREFIX,
    event_table,
    user_table,
)
from synthrec.inspection.findings import InspectedPart, broken, first_wrong
from synthrec.report.record import ReleaseRecord

WRITER = re.compile(r"parquet-cpp-arrow version [0-9.]{1,20}")
SYNTHETIC = r"^synthetic-([0-9]{6,18})$"
UNREADABLE = (
    OSError,
    ValueError,
    OverflowError,
    MemoryError,
    IndexError,
    TypeError,
    pa.ArrowException,
)
SPACE = "ids outside the space of synthetic users"


def tables_of(
    share: Path, *, schema: Schema, catalogue: Catalogue, record: ReleaseRecord
) -> list[InspectedPart]:
    """A line for each column of each synthetic table that is there."""
    one, ids = _one_user(schema), np.array([FIRST_ID + 1])
    events = event_table(one, ids, schema=schema, catalogue=catalogue, text_times=False)
    kinds = {"events.parquet": events.schema}
    if schema.user_attributes:
        users = user_table(one, ids, schema=schema, rng=np.random.default_rng(0))
        kinds["users.parquet"] = users.schema
    if not (share / "events.parquet").exists():
        alone = (share / "users.parquet").exists()
        return [broken("users.parquet", "users without events")] * alone + [
            broken("events.parquet", "missing, though release.json counts users")
        ] * (record.synthetic_users != 0)
    parts = []
    for name, like in kinds.items():
        path = share / name
        try:
            parts += _table(path, like=like, schema=schema, catalogue=catalogue, record=record)
        except UNREADABLE:
            parts.append(broken(name, "missing, or no Parquet file that can be read"))
    return parts


def _table(
    path: Path, *, like: pa.Schema, schema: Schema, catalogue: Catalogue, record: ReleaseRecord
) -> list[InspectedPart]:
    with path.open("rb") as stream:
        require_bounded(stream)
    with pq.ParquetFile(path) as file:
        if (outside := _outside(file, path, like=like, record=record)) is not None:
            return [broken(path.name, outside)]
        wrong: dict[str, str] = {}
        of_users = path.name == "users.parquet"
        users = _Users(record, schema=schema, each_once=of_users)
        for batch in bounded_batches(path):
            numbers = _numbers(_column(batch, schema.user))
            if numbers is None:
                wrong.setdefault(schema.user, SPACE)
                break
            for name in batch.schema.names:
                problem = (
                    users.add(numbers, batch)
                    if name == schema.user
                    else _wrong(
                        name, batch, numbers, schema=schema, of_users=of_users, catalogue=catalogue
                    )
                )
                if problem is not None:
                    wrong.setdefault(name, problem)
        if users.last != record.synthetic_users:
            wrong.setdefault(schema.user, "another number of users than release.json says")
    return [
        InspectedPart(path.name, field.name, f"{field.type}", "synthetic", wrong.get(field.name))
        for field in like
    ]


def _outside(
    file: pq.ParquetFile, path: Path, *, like: pa.Schema, record: ReleaseRecord
) -> str | None:
    """What the file says beyond its rows, and how many rows it announces."""
    about, kinds = file.metadata, file.schema_arrow
    if kinds.remove_metadata() != like.remove_metadata():
        return "other columns or types than the schema's"
    expected = {
        f"{METADATA_PREFIX}{name}".encode(): text.encode()
        for name, text in said_in_tables(record).items()
    }
    own = {name: text for name, text in (about.metadata or {}).items() if name != b"ARROW:schema"}
    sizes = (
        about.row_group(group).column(position).total_compressed_size
        for group in range(about.num_row_groups)
        for position in range(about.num_columns)
    )
    rows_per_user = 1 if path.name == "users.parquet" else record.events_per_user
    return first_wrong(
        (
            any(set(field.metadata or {}) - {b"PARQUET:field_id"} for field in kinds)
            or own != expected
            or (kinds.metadata or {}) != expected,
            "other metadata than synthrec writes, or no format_version",
        ),
        (
            sum(sizes) + about.serialized_size + 12 != path.stat().st_size,
            "bytes that belong to no column",
        ),
        (
            WRITER.fullmatch(about.created_by or "") is None,
            "made by something else than synthrec",
        ),
        (
            about.num_rows > record.synthetic_users * rows_per_user,
            "more rows than release.json allows",
        ),
    )


class _Users:
    """Numbers of synthetic users as they come: rising, each at most K rows; `last` is the last one
    so far.
    """

    def __init__(self, record: ReleaseRecord, *, schema: Schema, each_once: bool) -> None:
        self._users = record.synthetic_users
        self._most = 1 if each_once else schema.privacy.events_per_user
        self._item = (
            None if each_once or schema.several else schema.item
        )  # of which none comes twice
        self.last, self._run, self._pairs = 0, 0, set[tuple[int, str]]()

    def add(self, numbers: np.ndarray, batch: pa.RecordBatch) -> str | None:
        """The next rows; what is wrong with them."""
        if not len(numbers):
            return None
        steps = np.diff(numbers, prepend=self.last)
        _, counts = np.unique(numbers, return_counts=True)
        counts[0] += self._run if numbers[0] == self.last else 0
        wrong = first_wrong(
            (numbers.min() < 1 or numbers.max() > self._users, SPACE),
            (
                ((steps != 0) & (steps != 1)).any(),
                "users that do not follow each other: a row was put among them",
            ),
            (counts.max() > self._most, "more rows of a user than the schema allows"),
            (
                self._item and self._repeats(numbers, _column(batch, self._item)),
                "an item twice for one user, where the schema rules that out",
            ),
        )
        self.last, self._run = int(numbers[-1]), int(counts[-1])
        return wrong

    def _repeats(self, numbers: np.ndarray, items: pa.Array) -> bool:
        texts = items.cast(pa.string()).to_pylist()
        pairs = set(zip(numbers.tolist(), texts, strict=True))
        repeats = len(pairs) < len(texts) or not self._pairs.isdisjoint(pairs)
        ends = (self._pairs, pairs)  # the last user may have further rows in the next batch
        self._pairs = {pair for group in ends for pair in group if pair[0] == numbers[-1]}
        return repeats


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    return batch.column(batch.schema.get_field_index(name))


def _numbers(column: pa.Array) -> np.ndarray | None:
    """1, 2, ... of synthetic ids, None if some id is of another space."""
    if column.null_count:
        return None
    if pa.types.is_integer(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.int64) - FIRST_ID
    if not pc.all(pc.match_substring_regex(column, SYNTHETIC), min_count=0).as_py():
        return None
    return np.asarray(
        pc.utf8_slice_codeunits(column, len("synthetic-"))
        .cast(pa.int64())
        .to_numpy(zero_copy_only=False)
    )


def _wrong(
    name: str,
    batch: pa.RecordBatch,
    numbers: np.ndarray,
    *,
    schema: Schema,
    of_users: bool,
    catalogue: Catalogue,
) -> str | None:
    values = _column(batch, name)
    column: Any = (schema.user_attributes if of_users else schema.columns)[name]
    if values.null_count and not (
        isinstance(column, Attribute) and (of_users or getattr(column, "outside", "") == "other")
    ):
        return "missing values"
    if (
        getattr(column, "negative", ()) and schema.kind is not None
    ):  # such types hold minus the number
        kinds = _column(batch, schema.kind.name).cast(pa.string())
        below = pc.is_in(kinds, value_set=pa.array(column.negative))
        values = pc.if_else(below, pc.negate(values), values)
    values = values.drop_null()
    if not isinstance(column, Unit | User | Identifier):
        fine = _declared(values, column, catalogue=catalogue)
        return None if fine else "values outside the declared domain"
    owners, basket = _numbers(values), isinstance(column, Identifier)
    if basket and owners is not None:
        shift = 0 if pa.types.is_string(values.type) else FIRST_ID - FIRST_ID * BASKETS_PER_USER
        owners = (owners + shift) // BASKETS_PER_USER
    fine = owners is not None and np.array_equal(owners, numbers)
    return None if fine else "ids outside the users' own spaces" if basket else SPACE


def _declared(values: pa.Array, column: Any, *, catalogue: Catalogue) -> bool:
    if isinstance(column, Item):
        return bool(
            pc.all(pc.is_in(values, value_set=catalogue.ids.cast(values.type)), min_count=0).as_py()
        )
    if isinstance(column, Categorical):
        return bool(
            pc.all(
                pc.is_in(values.cast(pa.string()), value_set=pa.array(column.labels)), min_count=0
            ).as_py()
        )
    if isinstance(column, Datetime):
        per_second = UNITS_PER_SECOND.get(column.unit, 1_000_000)
        seconds = np.asarray(values.cast(pa.int64()).to_numpy(zero_copy_only=False)) / per_second
        return bool(
            (
                (seconds >= column.min_seconds)
                & (seconds <= column.max_seconds)
                & (seconds == np.floor(seconds))
            ).all()
        )
    numbers = np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
    if isinstance(column, Ordinal):
        return bool(np.isin(numbers, column.levels).all())
    assert isinstance(column, Numeric) and column.min is not None and column.max is not None
    return bool(((numbers >= column.min) & (numbers <= column.max)).all())


def _one_user(schema: Schema) -> EventLog:
    """One event of one user: what the writer makes of it shows the types of all."""
    codes = {
        name: np.zeros(1, dtype=np.int32 if isinstance(column, Identifier) else np.int16)
        for name, column in schema.marks.items()
    }
    return EventLog(
        offsets=np.array([0, 1]),
        item=np.zeros(1, dtype=np.int32),
        marks=codes,
        rating=None if schema.rating is None else np.full(1, schema.rating.levels[0]),
        time=None if schema.time is None else np.array([schema.time.min_seconds]),
        attributes={name: np.zeros(1, dtype=np.int16) for name in schema.user_attributes},
    )
