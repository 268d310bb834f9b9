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
from synthrec.inspection.findings import InspectedPart, broken
from synthrec.report.record import ReleaseRecord

SYNTHETIC = r"^synthetic-([0-9]{6,18})$"
SPACE = "ids outside the space of synthetic users"


def tables_of(
    share: Path, *, schema: Schema, catalogue: Catalogue, record: ReleaseRecord
) -> list[InspectedPart]:
    """A line for each column of each synthetic table that is there."""
    one = _one_user(schema)
    rows = {
        "events.parquet": event_table(
            one, np.array([FIRST_ID + 1]), schema=schema, catalogue=catalogue, text_times=False
        )
    }
    if schema.user_attributes:
        rows["users.parquet"] = user_table(
            one, np.array([FIRST_ID + 1]), schema=schema, rng=np.random.default_rng(0)
        )
    if not (share / "events.parquet").exists():
        alone = (share / "users.parquet").exists()
        return [broken("users.parquet", "users without events")] * alone + [
            broken("events.parquet", "missing, though release.json counts users")
        ] * (record.synthetic_users != 0)
    parts = []
    for name, like in rows.items():
        try:
            parts += _table(
                share / name, like=like.schema, schema=schema, catalogue=catalogue, record=record
            )
        except (
            OSError,
            ValueError,
            OverflowError,
            MemoryError,
            IndexError,
            TypeError,
            pa.ArrowException,
        ):
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
            numbers = _numbers(batch.column(batch.schema.get_field_index(schema.user)))
            if numbers is None:
                wrong.setdefault(schema.user, SPACE)
                break
            for name in batch.schema.names:
                if (
                    name != schema.user
                    and (
                        found := _wrong(
                            name,
                            batch,
                            numbers,
                            schema=schema,
                            of_users=of_users,
                            catalogue=catalogue,
                        )
                    )
                    is not None
                ):
                    wrong.setdefault(name, found)
            if (found := users.add(numbers, batch, schema=schema)) is not None:
                wrong.setdefault(schema.user, found)
        if schema.user not in wrong and (found := users.whole()) is not None:
            wrong[schema.user] = found
    return [
        InspectedPart(path.name, field.name, f"{field.type}", "synthetic", wrong.get(field.name))
        for field in like
    ]


def _outside(
    file: pq.ParquetFile, path: Path, *, like: pa.Schema, record: ReleaseRecord
) -> str | None:
    """What the file says beyond its rows, and how many rows it announces."""
    about = file.metadata
    kinds = file.schema_arrow
    said = {
        f"{METADATA_PREFIX}{name}".encode(): text.encode()
        for name, text in said_in_tables(record).items()
    }
    if kinds.remove_metadata() != like.remove_metadata():
        return "other columns or types than the schema's"
    own = {name: text for name, text in (about.metadata or {}).items() if name != b"ARROW:schema"}
    if (
        any(set(field.metadata or {}) - {b"PARQUET:field_id"} for field in kinds)
        or own != said
        or (kinds.metadata or {}) != said
    ):
        return "other metadata than synthrec writes, or no format_version"
    columns = [
        about.row_group(group).column(place)
        for group in range(about.num_row_groups)
        for place in range(about.num_columns)
    ]
    if (
        sum(column.total_compressed_size for column in columns) + about.serialized_size + 12
        != path.stat().st_size
    ):
        return "bytes that belong to no column"
    if re.fullmatch(r"parquet-cpp-arrow version [0-9.]{1,20}", about.created_by or "") is None:
        return "made by something else than synthrec"
    rows_per_user = 1 if path.name == "users.parquet" else record.events_per_user
    allowed = about.num_rows <= record.synthetic_users * rows_per_user
    return None if allowed else "more rows than release.json allows"


class _Users:
    """Numbers of synthetic users as they come: rising, each at most K rows, the last one the
    record's number of users.
    """

    def __init__(self, record: ReleaseRecord, *, schema: Schema, each_once: bool) -> None:
        self._users = record.synthetic_users
        self._most = 1 if each_once else schema.privacy.events_per_user
        self._pairs = not each_once and not schema.several
        self._last, self._run, self._seen = 0, 0, np.zeros(0, dtype=object)

    def add(self, numbers: np.ndarray, batch: pa.RecordBatch, *, schema: Schema) -> str | None:
        """The next rows; what is wrong with them."""
        if not len(numbers):
            return None
        if numbers.min() < 1 or numbers.max() > self._users:
            return SPACE
        steps = np.diff(numbers, prepend=self._last)
        if ((steps != 0) & (steps != 1)).any():
            return "users that do not follow each other: a row was put among them"
        _, counts = np.unique(numbers, return_counts=True)
        counts[0] += self._run if numbers[0] == self._last else 0
        if counts.max() > self._most:
            return "more rows of a user than the schema allows"
        if self._pairs and self._repeats(numbers, batch, schema=schema):
            return "an item twice for one user, where the schema rules that out"
        self._last, self._run = int(numbers[-1]), int(counts[-1])
        return None

    def whole(self) -> str | None:
        """What is wrong with all rows together."""
        return (
            None if self._last == self._users else "another number of users than release.json says"
        )

    def _repeats(self, numbers: np.ndarray, batch: pa.RecordBatch, *, schema: Schema) -> bool:
        items = np.asarray(
            batch.column(batch.schema.get_field_index(schema.item))
            .cast(pa.string())
            .to_numpy(zero_copy_only=False)
        )
        known = set(self._seen) if numbers[0] == self._last else set()
        first = items[numbers == numbers[0]]
        pairs = len(set(zip(numbers.tolist(), items.tolist(), strict=True)))
        repeated = pairs < len(items) or bool(known & set(first))
        tail = items[numbers == numbers[-1]]
        self._seen = (
            np.concatenate((self._seen, tail)) if numbers[0] == numbers[-1] == self._last else tail
        )
        return repeated


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
    values = batch.column(batch.schema.get_field_index(name))
    column: Any = (schema.user_attributes if of_users else schema.columns)[name]
    if values.null_count and not (
        isinstance(column, Attribute) and (of_users or getattr(column, "outside", "") == "other")
    ):
        return "missing values"
    if (
        getattr(column, "negative", ()) and schema.kind is not None
    ):  # such types hold minus the number
        kinds = batch.column(batch.schema.get_field_index(schema.kind.name)).cast(pa.string())
        below = pc.is_in(kinds, value_set=pa.array(column.negative))
        values = pc.if_else(below, pc.negate(values), values)
    values = values.drop_null()
    if isinstance(column, (Unit, User)):
        found = _numbers(values)
        return None if found is not None and np.array_equal(found, numbers) else SPACE
    if isinstance(column, Identifier):
        found = _basket_numbers(values)
        return (
            None
            if found is not None and np.array_equal(found // BASKETS_PER_USER, numbers)
            else "ids outside the users' own spaces"
        )
    return (
        None
        if _declared(values, column, catalogue=catalogue)
        else "values outside the declared domain"
    )


def _basket_numbers(values: pa.Array) -> np.ndarray | None:
    found = _numbers(values)
    if found is None:
        return None
    return (
        found if pa.types.is_string(values.type) else found + FIRST_ID - FIRST_ID * BASKETS_PER_USER
    )


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
