"""Write a synthetic log, chunk by chunk, with the names, order and types of the log it stands for.

Ids of synthetic users come from a space of their own: 10 000 000 001, 10 000 000 002, ... or, where
the user column is declared text, synthetic-000001, ... Ids of items are the catalogue's, so that a
partner can join it.

Guarantees: a file appears whole or not at all, and never in the place of another; reading it back
gives the log that was written. What is written comes from the chunks and from public declarations.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from synthrec.data import recbole
from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import (
    UNITS_PER_SECOND,
    Datetime,
    EventCategory,
    EventNumber,
    Identifier,
    Item,
    Mark,
    Unit,
    User,
)
from synthrec.data.domain import Ordinal
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.errors import DataError, ReleaseError
from synthrec.storage import publish

FIRST_ID = 10_000_000_000
BASKETS_PER_USER = 100_000  # ids that a user's baskets have for themselves; K is never larger
RECBOLE = (recbole.EVENTS, recbole.USERS, recbole.ITEMS)
METADATA_PREFIX = "synthrec."
GZIP_LEVEL = 5
# what makes a spreadsheet compute a cell (OWASP, CSV injection)
FORMULA = r"^[=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"
SAFE_TEXT = "an apostrophe stands before each text cell that begins with =, +, -, @ or a control character; nothing else is changed"


def write_log(
    path: Path,
    chunks: Iterable[EventLog],
    *,
    schema: Schema,
    catalogue: Catalogue,
    metadata: dict[str, str],
    rng: np.random.Generator,
    first_user: int = 1,
    users_path: Path | None = None,
    dress: Callable[[pa.Table], pa.Table] = lambda table: table,
) -> None:
    """Write events to `path`, and users' attributes to `users_path` if it is given: `.parquet`,
    `.csv` or `.csv.gz`, or `.inter` and `.user`.

    Args:
        metadata: said in the file: Parquet key-value metadata under "synthrec.", for CSV
        `PATH.meta.json` beside it. rng: draws the value within a bin of a numeric attribute.
        first_user: number of the first user, so that several calls can share one space of ids.
        dress: what is done to each table before it is written, such as `spreadsheet_safe`.

    Raises:
        ReleaseError: a file stands there already, or the suffix is unknown.
        DataError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    targets = [path] if users_path is None else [path, users_path]
    require_free(targets)
    with (
        _disk_errors(path),
        _published(targets, metadata=metadata) as partial,
        ExitStack() as open_files,
    ):
        append_events, *append_users = (
            open_files.enter_context(_table_file(beside, like=target, metadata=metadata))
            for beside, target in zip(partial, targets, strict=True)
        )
        rows = 0
        for chunk in chunks:
            ids = FIRST_ID + first_user + np.arange(chunk.users, dtype=np.int64)
            first_user += len(ids)
            events = event_table(
                chunk,
                ids,
                schema=schema,
                catalogue=catalogue,
                text_times=_is_csv(path) and path.suffix != recbole.EVENTS,
            )
            rows += len(events)
            append_events(dress(events))
            for append in append_users:
                append(dress(user_table(chunk, ids, schema=schema, rng=rng)))
        if first_user == 1 or rows == 0:
            raise ReleaseError(
                "a synthetic log must hold at least one user",
                found="none",
                remedy="Ask for more users.",
            )


def write_table(path: Path, table: pa.Table, *, metadata: dict[str, str]) -> None:
    """One whole table; as `write_log` writes its own."""
    require_free([path])
    with _disk_errors(path), _published([path], metadata=metadata) as (partial,):
        with _table_file(partial, like=path, metadata=metadata) as append:
            append(table)


def event_table(
    chunk: EventLog, ids: np.ndarray, *, schema: Schema, catalogue: Catalogue, text_times: bool
) -> pa.Table:
    """A chunk's events as the log's own columns; `text_times` writes moments as text, as CSV needs.

    Shapes:
        ids int64[B], one a user.
    """
    columns: dict[str, Any] = {}
    for name in schema.kept_columns:
        column = schema.columns[name]
        if isinstance(column, (User, Unit)):
            columns[name] = _identifiers(np.repeat(ids, chunk.activity), text=column.type == "text")
        elif isinstance(column, Item):
            columns[name] = catalogue.ids.take(pa.array(chunk.item))
        elif isinstance(column, Ordinal) and column == schema.rating and chunk.rating is not None:
            rating = np.asarray(chunk.rating, dtype=np.float64)
            columns[name] = (
                np.rint(rating).astype(np.int64) if column.whole else _on_grid(rating, column)
            )
        elif isinstance(column, Datetime) and chunk.time is not None:
            columns[name] = _times(np.asarray(chunk.time, dtype=np.int64), column, text=text_times)
        elif name in chunk.marks:
            columns[name] = _mark(chunk, ids, column=schema.marks[name], kind=schema.kind)
        else:
            raise ReleaseError(
                "a synthetic log must have every column that the schema keeps",
                found=f"no values for {name}",
                remedy="Set drop = true for that column.",
            )
    return pa.table(columns)


def user_table(
    chunk: EventLog, ids: np.ndarray, *, schema: Schema, rng: np.random.Generator
) -> pa.Table:
    """A chunk's users and their attributes, a row each; `rng` draws the value within a bin."""
    column = schema.columns[schema.user]
    columns = {
        schema.user: _identifiers(ids, text=isinstance(column, User) and column.type == "text")
    }
    for name, attribute in schema.user_attributes.items():
        if name not in chunk.attributes:
            raise ReleaseError(
                "a synthetic log must have every user attribute that the schema declares",
                found=f"no values for {name}",
                remedy="Take it out of [users].",
            )
        columns[name] = attribute.decode(np.asarray(chunk.attributes[name]), rng)
    return pa.table(columns)


def spreadsheet_safe(table: pa.Table) -> pa.Table:
    """The table with an apostrophe before each text that a spreadsheet would take for a formula;
    nothing else changes.
    """
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            text = table.column(place)
            table = table.set_column(
                place,
                field,
                pc.if_else(
                    pc.match_substring_regex(text, FORMULA),
                    pc.binary_join_element_wise(
                        pa.scalar("'", field.type), text, pa.scalar("", field.type)
                    ),
                    text,
                ),
            )
    return table


def _identifiers(ids: np.ndarray, *, text: bool) -> pa.Array:
    if not text:
        return pa.array(ids)
    return pc.binary_join_element_wise(
        "synthetic",
        pc.utf8_lpad(pa.array(ids - FIRST_ID).cast(pa.string()), width=6, padding="0"),
        "-",
    )


def _mark(
    chunk: EventLog, ids: np.ndarray, *, column: Mark, kind: EventCategory | None
) -> pa.Array:
    """A mark as the log writes it. What belongs to an item or a user is one value within its bin
    for all their events: the place in the bin follows from the item's row or the user's number, by
    a generator with a public seed.
    """
    codes = np.asarray(chunk.marks[column.name])
    if isinstance(column, Identifier):
        numbers = np.repeat(ids, chunk.activity) * BASKETS_PER_USER + codes
        return (
            _identifiers(numbers - (FIRST_ID * BASKETS_PER_USER - FIRST_ID), text=True)
            if column.format == "text"
            else pa.array(numbers)
        )
    if not isinstance(column, EventNumber):
        return column.decode(codes, np.random.default_rng(0))
    if column.of == "item":
        return column.decode_at(codes, _place_in_bin(np.asarray(chunk.item)))
    if column.of == "user":
        return column.decode_at(codes, _place_in_bin(np.repeat(ids, chunk.activity)))
    numbers = column.decode_at(
        codes, np.random.default_rng([int(ids[0]), *column.name.encode()]).random(len(codes))
    )
    if not column.negative or kind is None:
        return numbers
    below = np.isin(
        np.asarray(chunk.marks[kind.name]), [kind.labels.index(label) for label in column.negative]
    )
    return pc.if_else(pa.array(below), pc.negate(numbers), numbers)


def _place_in_bin(numbers: np.ndarray) -> np.ndarray:
    """A place from 0 to 1 for each number, spread evenly: multiples of the golden ratio (Weyl).
    Shapes: int[N] -> float64[N].
    """
    place: np.ndarray = (numbers.astype(np.float64) % 1e7) * ((5**0.5 - 1) / 2) % 1.0
    return place


def _on_grid(rating: np.ndarray, scale: Ordinal) -> np.ndarray:
    """The exact level: float32 holds 0.1 only nearly."""
    levels = scale.levels
    level = np.rint((rating - scale.min) / scale.step).astype(np.int64)
    return np.asarray(levels[np.clip(level, 0, len(levels) - 1)])


def _times(seconds: np.ndarray, column: Datetime, *, text: bool) -> pa.Array:
    if column.unit != "iso":
        return pa.array(seconds * UNITS_PER_SECOND[column.unit])
    if text:
        return pc.strftime(
            pa.array(seconds, pa.timestamp("s", tz=column.zone)), format="%Y-%m-%dT%H:%M:%S%z"
        )
    return pa.array(seconds * 1_000_000, pa.timestamp("us", tz=column.zone))


@contextmanager
def _table_file(
    path: Path, *, like: Path, metadata: dict[str, str]
) -> Iterator[Callable[[pa.Table], None]]:
    """One file of a growing table, to which the function given appends; the format follows the
    suffix of the name it will have, the types the first rows. It is on disk at the end.
    """
    writers: list[Any] = []
    with path.open("xb") as file:
        with ExitStack() as closing:
            stream: Any = file
            if like.suffix == ".gz":
                packed = gzip.GzipFile("", "wb", compresslevel=GZIP_LEVEL, fileobj=file, mtime=0)
                stream = closing.enter_context(packed)

            def append(table: pa.Table) -> None:
                if not writers and _is_csv(like):
                    delimiter = "\t" if like.suffix in RECBOLE else ","
                    options = pacsv.WriteOptions(quoting_style="needed", delimiter=delimiter)
                    writers.append(pacsv.CSVWriter(stream, table.schema, write_options=options))
                elif not writers:
                    keys = {f"{METADATA_PREFIX}{key}": value for key, value in metadata.items()}
                    kinds = table.schema.with_metadata(keys)
                    writers.append(pq.ParquetWriter(stream, kinds, compression="zstd"))
                writers[0].write_table(table)

            closing.callback(lambda: writers[0].close() if writers else None)
            yield append
        if not file.closed:
            file.flush()
            os.fsync(file.fileno())


def _is_csv(path: Path) -> bool:
    return path.suffix != ".parquet"


@contextmanager
def _published(targets: list[Path], *, metadata: dict[str, str]) -> Iterator[list[Path]]:
    """Names to write under; they become `targets`, with their side files, when all went well, and
    else vanish.
    """
    partial = [target.with_name(f".{target.name}.{os.getpid()}.partial") for target in targets]
    done: list[Path] = []
    try:
        yield partial
        for beside, target in reversed(
            list(zip(partial, targets, strict=True))
        ):  # events last: they say that all is there
            if _is_csv(target):
                about = json.dumps(
                    {"format_version": "1", **metadata}, indent=1, ensure_ascii=False
                )
                with _side_file(target).open("x", encoding="utf-8") as stream:
                    done.append(_side_file(target))
                    stream.write(about)
            publish(beside, target)
            done.append(target)
    except BaseException:
        for target in done:
            target.unlink(missing_ok=True)
        raise
    finally:
        for beside in partial:
            beside.unlink(missing_ok=True)


def _side_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.meta.json")


def require_free(targets: list[Path]) -> None:
    """Raise ReleaseError if a log cannot be written there: something stands at one of the names, or
    a suffix is unknown.
    """
    for target in targets:
        if not target.name.endswith((".parquet", ".csv", ".csv.gz", *RECBOLE)):
            raise ReleaseError(
                "a synthetic log is written as .parquet, .csv or .csv.gz (for RecBole: .inter)",
                found=target.name,
                remedy="Choose one of them.",
            )
        for path in (target, _side_file(target)):
            with _disk_errors(path):
                there = path.exists()
            if there:
                raise ReleaseError(
                    "an output file must not exist yet",
                    found=f"{path.name} already there",
                    remedy="Choose another name, or remove that file first.",
                )


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise ReleaseError(
            "an output file must not exist yet",
            found="one that appeared meanwhile",
            remedy="Choose another name.",
        ) from None
    except OSError as error:
        raise DataError(
            f"{path.name} must be writable to the end",
            found=f"{error.strerror or 'a failed write'}; nothing was left there",
            remedy="Free some space, or choose another folder.",
        ) from None
