"""Read any log (CSV, Parquet, JSON lines, data frames) through Ibis into a bounded `EventLog`.

The only file that imports Ibis. Ibis expressions judge single rows of any source, SQL for DuckDB
(`bounding.py`) bounds what they have judged. DuckDB runs embedded: it reaches no network, keeps
what does not fit into memory in a private folder below `spill`, and that folder is emptied at the
end, whatever happened. Of pandas, polars and Arrow none is imported: who has such a table has its
library loaded.

Guarantees: cells are cast by their declared type, never by looking at values; what is not in the
declared domain is dropped by a rule that sees one row, or becomes "other" (rules: nothing unpaid,
two channels). Opt-outs go before anything else. A log one of whose columns, as a whole, cannot be
what the schema says is refused by flags over the whole log, never by one row. Errors name files and
columns, never a cell, an id or a count; library errors, which quote cells, are re-raised `from
None`. Ids of users leave as roles only.
"""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
import numpy as np
import pyarrow as pa
from ibis.common.exceptions import IbisError

from synthrec.data import bounding, identifiers
from synthrec.data.catalogue import Catalogue
from synthrec.data.cleaned import READ_AS_IT_IS, READ_FROM_A_COPY, cleaned, valid_text
from synthrec.data.columns import UNITS_PER_SECOND, EventCategory, Identifier
from synthrec.data.domain import LEVEL_TOLERANCE, Categorical, Numeric, Ordinal
from synthrec.data.eventlog import EventLog, EventWriter, exact
from synthrec.data.files import TableFile, file_errors, find_files, require_columns
from synthrec.data.identifiers import text_of
from synthrec.data.public_values import PublicColumn
from synthrec.data.schema import Schema
from synthrec.data.splits import leave_out, role_of
from synthrec.errors import DataError, SynthrecError
from synthrec.progress import Progress

THREADS = 2
MEMORY_LIMIT = "1500MB"
# this optimizer makes TRY_CAST over a CSV file a cast that fails, so that one cell would stop all
CASTS_THAT_FAIL = "SELECT name FROM duckdb_optimizers() WHERE name = 'type_pushdown'"
INTERRUPTED = "Query interrupted"  # what DuckDB makes of Ctrl-C, and below, in a function of ours
INTERRUPTED_INSIDE = (
    "Invalid Input Error: Python exception occurred while executing the UDF: Keyboard"
)


@contextmanager
def embedded(spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that lives as long as the block. Raises DataError if `spill` cannot be written."""
    made = not spill.exists()
    try:
        spill.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Path(tempfile.mkdtemp(prefix="spill-", dir=spill))
    except OSError as error:
        raise DataError(
            "the folder for temporary files must be writable",
            found=f"{error.strerror}",
            remedy="Choose another output folder, or free some space.",
        ) from None
    try:
        con = duckdb.connect(
            str(folder / "rows.duckdb"),
            config={
                "threads": THREADS,
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": str(folder),
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
            },
        )
        con.execute("SET enable_progress_bar = false")  # ours says more, and --quiet means it
        for (name,) in con.execute(CASTS_THAT_FAIL).fetchall():
            con.execute(f"SET disabled_optimizers = '{name}'")
        try:
            yield con
        finally:
            con.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if made and not any(spill.iterdir()):
            spill.rmdir()


@contextmanager
def library_errors(unknown_type: type[Exception]) -> Iterator[None]:
    """Re-raise what DuckDB, Arrow and the file system say as DataError, and their word for Ctrl-C
    as what it was.

    Args:
        unknown_type: what the expression library raises for a column type that it does not know.
    """
    try:
        yield
    except unknown_type:
        raise DataError(
            "the columns of the log must be numbers, text or times",
            found="a column of another type",
            remedy="Convert it, or write the log as CSV.",
        ) from None
    except (duckdb.InterruptException, RuntimeError) as error:
        if isinstance(error, duckdb.InterruptException) or str(error) == INTERRUPTED:
            raise KeyboardInterrupt from None
        raise
    except (
        duckdb.BinderException,
        duckdb.CatalogException,
        duckdb.ParserException,
        duckdb.InternalException,
    ):
        raise  # our own query is wrong
    except (duckdb.Error, pa.ArrowException) as error:
        if isinstance(error, duckdb.InterruptException) or str(error).startswith(
            INTERRUPTED_INSIDE
        ):
            raise KeyboardInterrupt from None
        if (
            isinstance(error, duckdb.OutOfMemoryException)
            or "could not write" in str(error).lower()
        ):
            raise DataError(
                "reading needs room for temporary files",
                found="memory or the disk full",
                remedy="Free some space on the disk that holds the output folder.",
            ) from None
        raise DataError(
            "every file of the log must be a whole, readable table, each line with as many fields as the header",
            found="damaged content, or another format than the name says",
            remedy="Export it again as UTF-8.",
        ) from None
    except OSError as error:
        raise DataError(
            "reading and storing the log must be possible",
            found=f"{error.strerror or 'a failed read or write'}",
            remedy="Check free space and permissions of the output folder.",
        ) from None


def is_frame(log: Any) -> bool:
    """Is this a pandas, polars or Arrow table?"""
    return _library(log) in ("pandas", "polars", "pyarrow")


def columns_of_frame(frame: Any) -> tuple[tuple[str, str], ...]:
    """Names and physical types."""
    if _library(frame) == "pyarrow":
        return tuple((column.name, str(column.type)) for column in frame.schema)
    if _library(frame) == "polars":
        return tuple((name, str(kind)) for name, kind in frame.collect_schema().items())
    return tuple((str(name), str(kind)) for name, kind in frame.dtypes.items())


def to_arrow(frame: Any, wanted: list[str]) -> pa.Table:
    """The wanted columns, which must be there.

    Guarantees: a column has the type that was declared; where none was (objects), each cell becomes
    text by itself. So no cell changes how another is read.
    """
    if _library(frame) == "polars":
        chosen = frame.select(wanted)
        chosen = chosen.collect() if hasattr(chosen, "collect") else chosen
        table = pa.table(
            {
                name: _cells(series) if str(series.dtype) == "Object" else series.to_arrow()
                for name, series in zip(wanted, chosen.get_columns(), strict=True)
            }
        )
    elif _library(frame) == "pyarrow":
        table = frame.read_all() if isinstance(frame, pa.RecordBatchReader) else frame
        table = (table if isinstance(table, pa.Table) else pa.Table.from_batches([table])).select(
            wanted
        )
    else:
        table = pa.table({name: _from_pandas(frame[name], name) for name in wanted})
    return table.cast(
        pa.schema([pa.field(column.name, _plain(column.type)) for column in table.schema])
    )


def _from_pandas(series: Any, name: str) -> pa.Array:
    if getattr(series, "ndim", 1) != 1:
        raise DataError(
            "the columns of the log must have distinct names",
            found=f"{name} twice",
            remedy="Rename one of them.",
        )
    try:
        declared = series.dtype.kind in "biufM"
        return pa.Array.from_pandas(series, type=None if declared else pa.string())
    except (pa.ArrowException, TypeError, ValueError, ArithmeticError):
        return _cells(series)


def _cells(series: Any) -> pa.Array:
    return pa.array(map(text_of, series), pa.string())


def _plain(kind: pa.DataType) -> pa.DataType:
    """Dictionaries and string views as what they stand for."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    return pa.string() if pa.types.is_string_view(kind) or pa.types.is_large_string(kind) else kind


def _library(log: Any) -> str:
    return type(log).__module__.split(".")[0]


def require_usable(con: Any, schema: Schema) -> None:
    """Raise DataError if a whole column cannot be what the schema says it is."""
    any_row = con.con.sql(bounding.whole_columns(schema)).to_arrow_table().to_pylist()[0]
    if not any_row["rows"]:
        raise DataError(
            "the log must hold rows",
            found="a header only, or nobody left after opt-outs",
            remedy="Export it again.",
        )
    if not any_row["user"]:
        raise DataError(
            f"{schema.user} must hold user ids",
            found="a column without any",
            remedy="Check the export.",
        )
    if not any_row["item"]:
        raise DataError(
            f"{schema.item} must hold ids of the catalogue",
            found="no id in common",
            remedy="Check that the log and the catalogue spell ids in the same way.",
        )
    if (scale := schema.rating) is not None and not any_row["rating"]:
        raise DataError(
            f"{scale.name} must hold numbers from {scale.min} to {scale.max} by {scale.step}",
            found="no number on that scale"
            if any_row["rating_read"]
            else "a column without any number",
            remedy="Correct min, max and step, or check the export.",
        )
    if (time := schema.time) is not None and not any_row["time"]:
        fits = [unit for unit in UNITS_PER_SECOND if any_row[f"fits_{unit}"] and time.unit != "iso"]
        advice = (
            f'The values look like unit = "{fits[0]}".'
            if fits
            else "Correct unit, zone, min and max, or check the export."
        )
        raise DataError(
            f'{time.name} must hold times from {time.min} to {time.max} in unit "{time.unit}"',
            found="none in that window"
            if any_row["time_read"]
            else "a column without any readable time",
            remedy=advice,
        )


BATCH_ROWS = 1 << 18
ROWS_AT_ONCE = 4_000_000  # what the windows of bounding hold in memory with ease
Log = Any  # a path, glob or folder, or a pandas, polars, pyarrow or Ibis table


def read_log(
    log: Log,
    schema: Schema,
    catalogue: Catalogue,
    *,
    spill: Path,
    events_per_user: int | None,
    store: Path | None = None,
    role_key: bytes | None = None,
    audit_share: float = 0.0,
    exclude_users: Path | None = None,
    numbers: bool = False,
    progress: Progress = Progress(),
) -> EventLog:
    """Read, judge, bound and group a log.

    Args:
        log: path, glob, folder or table. spill: where temporary files may go; what is made there is
        removed. events_per_user: K; None keeps every usable event (for the audit's ceiling and
        never for training). store: a folder to make and to hold the columns, memory-mapped; None
        keeps them in memory. role_key, audit_share: give users roles; without a key the log has
        none. exclude_users: file with the ids of those who opted out, one a line. numbers: keep
        numbers as they are beside their bins (for the audit and never for training).

    Guarantees: each unit has at most K events; removing a unit changes no other unit's events in
    distribution.

    Raises:
        DataError: the log cannot be read as what the schema says.
    """
    with judged_rows(
        log, schema, catalogue, spill=spill, exclude_users=exclude_users, progress=progress
    ) as con:
        require_usable(con, schema)
        bound_rows(con, schema, events_per_user=events_per_user)
        units = con.con.sql("SELECT unit, events FROM units ORDER BY place").to_arrow_table()
        if len(units) == 0:
            raise DataError(
                "the log must hold at least one usable event",
                found="none that satisfies all declarations at once",
                remedy="`synthrec check` says privately why rows are dropped.",
            )
        attributes = attribute_codes(con, schema, numbers=numbers)
        role = (
            None
            if role_key is None
            else role_of(units["unit"].to_pylist(), key=role_key, audit_share=audit_share)
        )
        has = {"rating": schema.rating is not None, "time": schema.time is not None}
        kinds = {
            name: np.dtype(np.int32 if isinstance(mark, Identifier) else np.int16)
            for name, mark in schema.marks.items()
        }
        if numbers:
            kinds |= {exact(name): np.dtype(np.float64) for name in _numeric(schema.marks)}
        with EventWriter(units["events"].to_numpy(), store=store, marks=kinds, **has) as writer:
            for batch in con.con.sql(bounding.events(schema)).to_arrow_reader(BATCH_ROWS):
                writer.append(
                    item=batch["item"],
                    rating=batch["rating"],
                    time=batch["second"],
                    marks=mark_codes(batch, schema, numbers=numbers),
                )
            return writer.finish(attributes=attributes, role=role)


def columns_of(log: Log) -> tuple[tuple[str, str], ...]:
    """Names and physical types ("text" in CSV and JSON lines): all that may be known of a log
    before it is declared.
    """
    with _handed_over():
        if isinstance(log, ibis.Table):
            return tuple((name, str(kind)) for name, kind in log.schema().items())
        if is_frame(log):
            return columns_of_frame(log)
    file = find_files(log)[0]
    return tuple(zip(file.columns, file.types, strict=True))


def public_column(log: Log, name: str, *, limit: int) -> PublicColumn:
    """Values of one column. Call it only for a column whose values the owner has declared public."""
    with tempfile.TemporaryDirectory(prefix="synthrec-") as folder, _database(Path(folder)) as con:
        known = _stored(
            con,
            "known",
            log,
            [name],
            lambda part: part.select(
                text=_identifier(part[name]), number=_number(part[name].cast("string"))
            ),
            where="the table",
        ).filter(ibis._.text.notnull())
        values = known.select("text").distinct().limit(limit + 1).to_pyarrow()["text"].to_pylist()
        edges = known.aggregate(
            low=known.number.min(),
            high=known.number.max(),
            first=known.text.min(),
            last=known.text.max(),
        )
        few = len(values) <= limit
        return PublicColumn(
            values=tuple(
                sorted(values, key=lambda text: (len(text), text) if text.isdigit() else (0, text))
            )
            if few
            else None,
            **edges.to_pyarrow().to_pylist()[0],
        )


def share_users(one: Log, other: Log, schema: Schema, *, spill: Path) -> bool:
    """Does anybody stand in both logs? Private, as every answer about real people."""
    with _database(spill) as con:
        first, second = (
            _stored(
                con,
                name,
                log,
                [*schema.kept_columns],
                lambda part: part.select(**_people(part, schema)),
                where="the log",
            )
            .filter(ibis._.unit.notnull())
            .select("unit")
            .distinct()
            for name, log in (("one", one), ("other", other))
        )
        return bool(first.semi_join(second, "unit").count().execute())


@contextmanager
def judged_rows(
    log: Log,
    schema: Schema,
    catalogue: Catalogue | None,
    *,
    spill: Path,
    exclude_users: Path | None,
    progress: Progress,
) -> Iterator[Any]:
    """A database with the tables `judged`, as `bounding` describes it, and `items`, gone with all
    its files at the end.

    Without a catalogue every id of the log is an item: such items, and how many there are, are
    private.
    """
    with _database(spill) as con:
        con.settings["timezone"] = (
            "UTC" if schema.time is None else schema.time.zone
        )  # what a moment without offset means
        items = (
            None
            if catalogue is None
            else con.create_table(
                "items",
                ibis.memtable(
                    pa.table(
                        {"key": catalogue.keys, "item": np.arange(catalogue.size, dtype=np.int32)}
                    )
                ),
            )
        )
        at_once = items is not None and exclude_users is None

        def read(part: Any) -> Any:
            return part.select(
                **_people(part, schema),
                key=_identifier(part[schema.item]),
                **_rating(part, schema),
                **_moment(part, schema),
                **_marks(part, schema),
            )

        rows = _stored(
            con,
            "judged" if at_once else "read",
            log,
            [*schema.kept_columns],
            read,
            (lambda rows: _judged(rows, items)) if at_once else (lambda rows: rows),
            where="the log",
            progress=progress,
            beside=(schema.catalogue_path, schema.users_path, schema.ledger_path),
        )
        if exclude_users is not None:
            leave_out(con, exclude_users, units_only="account" not in rows.columns)
        if items is None:
            con.raw_sql(f"CREATE TABLE items AS {bounding.KEYS}")
            items = con.table("items")
        if not at_once:
            con.create_table("judged", _judged(rows, items))
        yield con


def _judged(rows: Any, items: Any) -> Any:
    return rows.left_join(items, rows.key == items.key).drop("key", "key_right")


def _stored(
    con: Any,
    name: str,
    log: Log,
    wanted: list[str],
    read: Callable[[Any], Any],
    judge: Callable[[Any], Any] = lambda rows: rows,
    *,
    where: str,
    progress: Progress = Progress(),
    beside: tuple[Path | None, ...] = (),
) -> Any:
    """The table `name` of the log's rows.

    `read` sees one physical form at a time, `judge` the union of what it made of them. The wanted
    columns must be there; others are dropped and said once.
    """
    if len({column.lower() for column in wanted}) < len(wanted):
        raise DataError(
            f"columns of {where} must have distinct names (letter case does not count)",
            found="a configuration that lists two which differ in letter case",
            remedy="Rename one of them.",
        )
    if isinstance(log, ibis.Table) or is_frame(log):
        names = [column for column, _ in columns_of(log)]
        require_columns(wanted, names, where=where)
        _say_dropped(names, wanted, progress)
        with _handed_over():
            held = (
                log.select(wanted).to_pyarrow()
                if isinstance(log, ibis.Table)
                else to_arrow(log, wanted)
            )
            held = ibis.memtable(valid_text(held))
        return con.create_table(name, judge(read(held)))
    files = find_files(log, beside=beside, where=where)
    for file in files:
        file.require(wanted)
    named = [column for file in files if file.format != "json" for column in file.columns]
    _say_dropped(named, wanted, progress)
    if any(set(file.columns) - set(wanted) for file in files if file.format == "json"):
        # a name may stand in one person's rows alone
        progress.say("Fields that the configuration does not list are dropped.")

    def store(files: tuple[TableFile, ...], longest: dict[str, int]) -> Any:
        parts = [read(_open_files(con, alike, wanted, longest)) for alike in _alike(files)]
        return con.create_table(name, judge(ibis.union(*parts) if len(parts) > 1 else parts[0]))

    try:
        return store(files, READ_AS_IT_IS)
    except (duckdb.InvalidInputException, duckdb.NotImplementedException):  # of one person's cell?
        con.raw_sql(f"DROP TABLE IF EXISTS {name}")
        folder = Path(con.con.sql("SELECT current_setting('temp_directory')").fetchall()[0][0])
        return store(tuple(cleaned(file, wanted, folder) for file in files), READ_FROM_A_COPY)


@contextmanager
def _handed_over() -> Iterator[None]:
    """Around a table that the caller holds: one that computes when it is read fails with the errors
    of any library, which quote cells.
    """
    try:
        with library_errors(IbisError):
            yield
    except SynthrecError:
        raise
    except Exception:  # noqa: BLE001  (whose errors they are is not known)
        raise DataError(
            "a table that is handed over must be readable",
            found="an error of the library that computes it",
            remedy="Compute it first and look at what that library says, or write it to a file.",
        ) from None


def _open_files(
    con: Any, files: list[TableFile], wanted: list[str], longest: dict[str, int]
) -> Any:
    # DuckDB takes a path for a pattern, and `name=value` in it for a column
    paths, first = [glob.escape(str(file.path)) for file in files], files[0]
    with file_errors(first.path):
        if first.format == "parquet":
            return con.read_parquet(paths, hive_partitioning=False)
        if first.format == "json":
            return con.read_json(
                paths,
                columns=dict.fromkeys(wanted, "VARCHAR"),
                format="newline_delimited",
                hive_partitioning=False,
                maximum_object_size=longest["json"],
            )
        return con.read_csv(
            paths,
            columns=dict.fromkeys(first.columns, "VARCHAR"),
            header=True,
            auto_detect=False,
            delim=first.delimiter,
            quote='"',
            escape='"',
            hive_partitioning=False,
            max_line_size=longest["csv"],
        )


def _alike(files: tuple[TableFile, ...]) -> list[list[TableFile]]:
    groups: dict[tuple[str, tuple[str, ...], tuple[str, ...], str], list[TableFile]] = {}
    for file in files:
        groups.setdefault((file.format, file.columns, file.types, file.delimiter), []).append(file)
    return list(groups.values())


def _say_dropped(present: Any, wanted: list[str], progress: Progress) -> None:
    unlisted = [name for name in dict.fromkeys(present) if name not in set(wanted)]
    if unlisted:
        progress.say(
            f"Columns that the configuration does not list are dropped: {', '.join(unlisted)}."
        )


def _identifier(column: Any) -> Any:
    kind = column.type()
    if kind.is_integer():
        return column.cast("string")
    if kind.is_floating():
        column = ibis.ifelse(column.isnan() | column.isinf(), ibis.null(kind), column)
    return _canonical_bytes(column) if kind.is_binary() else _canonical(column.cast("string"))


def _spelling(kind: str) -> Any:
    return ibis.udf.scalar.pyarrow(
        identifiers.canonical,
        name=f"canonical_{kind}",
        signature=((kind,), "string"),
        null_handling="special",
    )


_canonical, _canonical_bytes = _spelling("string"), _spelling("binary")


def _people(source: Any, schema: Schema) -> dict[str, Any]:
    unit = {"unit": _identifier(source[schema.privacy.unit])}
    return (
        unit
        if schema.privacy.unit == schema.user
        else {**unit, "account": _identifier(source[schema.user])}
    )


def _rating(source: Any, schema: Schema) -> dict[str, Any]:
    if schema.rating is None:
        return {"rating": ibis.null("float32"), "rating_read": ibis.literal(False)}
    number = _number(source[schema.rating.name])
    return {
        "rating": _level(number, schema.rating).cast("float32"),
        "rating_read": number.notnull(),
    }


def _level(number: Any, scale: Ordinal) -> Any:
    """The level that a number stands for; null off the scale."""
    place = _within((number - scale.min) / scale.step, -0.5, scale.size - 0.5)
    on_grid = (place - place.round()).abs() <= LEVEL_TOLERANCE
    return ibis.ifelse(on_grid, scale.min + place.round() * scale.step, ibis.null("float64"))


def _moment(source: Any, schema: Schema) -> dict[str, Any]:
    time = schema.time
    if time is None:
        return {"moment": ibis.null("float64"), "second": ibis.null("int64")}
    column = source[time.name]
    kind = column.type()
    native = (
        kind.is_timestamp() or kind.is_date() or kind.is_unknown()
    )  # Ibis does not know nanoseconds with a zone
    if time.unit == "iso":
        if kind.is_numeric():
            raise DataError(
                f'{time.name} must hold timestamps or ISO 8601 text, as unit = "iso" says',
                found="a column of numbers",
                remedy='Say unit = "s", "ms", "us" or "ns".',
            )
        moment = _epoch(column.try_cast(dt.Timestamp(timezone=time.zone)))
        second = moment
    elif native:
        raise DataError(
            f'{time.name} must hold numbers, as unit = "{time.unit}" says',
            found="a column of timestamps or the like",
            remedy='Say unit = "iso".',
        )
    else:
        moment = _number(column)
        second = moment / UNITS_PER_SECOND[time.unit]
    return {
        "moment": moment,
        "second": _within(second, time.min_seconds, time.max_seconds + 1 - 1e-6)
        .floor()
        .try_cast("int64"),
    }


def _marks(source: Any, schema: Schema) -> dict[str, Any]:
    """What events say besides: text of categories and ids as declared or null, numbers within their
    range or null.
    """
    columns: dict[str, Any] = {}
    for place, (name, mark) in enumerate(schema.marks.items()):
        if isinstance(mark, Identifier):
            columns[f"m{place}"] = _identifier(source[name])
        elif isinstance(mark, EventCategory):
            text = _identifier(source[name])
            columns[f"m{place}"] = (
                text
                if mark.is_open
                else ibis.ifelse(text.isin(mark.labels), text, ibis.null("string"))
            )
        elif isinstance(mark, Ordinal):
            columns[f"m{place}"] = _level(_number(source[name]), mark)
        else:
            number = _number(source[name])
            if mark.negative and schema.kind is not None:
                number = ibis.ifelse(
                    _identifier(source[schema.kind.name]).isin(mark.negative), -number, number
                )
            columns[f"m{place}"] = _within(number, float(mark.edges[0]), float(mark.edges[-1]))
    return columns


def mark_codes(batch: Any, schema: Schema, *, numbers: bool = False) -> dict[str, np.ndarray]:
    """Codes of a batch of bounded rows; with `numbers` also what stands for a bin."""
    codes = {
        name: batch[f"m{place}"].to_numpy(zero_copy_only=False)
        if isinstance(mark, Identifier)
        else mark.encode(batch[f"m{place}"])
        for place, (name, mark) in enumerate(schema.marks.items())
    }
    if numbers:
        places = _numeric(schema.marks)
        codes |= {exact(name): _floats(batch[f"m{place}"]) for name, place in places.items()}
    return codes


def _numeric(columns: Mapping[str, Any]) -> dict[str, int]:
    """The places of those that are known by their bins."""
    kinds = enumerate(columns.items())
    return {name: place for place, (name, column) in kinds if isinstance(column, Numeric)}


def _floats(column: Any) -> np.ndarray:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _number(column: Any) -> Any:
    number = column.try_cast("float64")
    return ibis.ifelse(number.isnan() | number.isinf(), ibis.null("float64"), number)


def _within(number: Any, low: float, high: float) -> Any:
    """Null outside: to be asked before rounding, which fails on what no integer can hold."""
    return ibis.ifelse(number.between(low, high), number, ibis.null("float64"))


@ibis.udf.scalar.builtin(name="epoch")  # type: ignore[untyped-decorator]
def _epoch(moment: dt.timestamp) -> dt.float64:
    """Seconds since 1970 of a moment; Ibis's own `epoch_seconds` counts from local midnight."""


def usable_rows(con: Any, schema: Schema) -> None:
    """Make the tables `names` (units) and `usable` (rows that no rule drops) of a database with
    `judged`.
    """
    con.raw_sql(f"CREATE TABLE names AS {bounding.NAMES}")
    con.raw_sql(f"CREATE TABLE usable AS {bounding.usable(schema)}")


def bound_rows(con: Any, schema: Schema, *, events_per_user: int | None) -> None:
    """Make the tables `bounded` (events) and `units` of a database with `judged`."""
    usable_rows(con, schema)
    con.raw_sql("CREATE TABLE bounded AS SELECT * FROM usable WHERE false")
    parts = 1 + con.con.sql("SELECT count(*) FROM usable").fetchall()[0][0] // ROWS_AT_ONCE
    for part in range(parts):
        con.raw_sql(
            f"INSERT INTO bounded {bounding.bounded(schema, events_per_user=events_per_user, part=part, parts=parts)}"
        )
    con.raw_sql(f"CREATE TABLE units AS {bounding.UNITS}")


def attribute_codes(con: Any, schema: Schema, *, numbers: bool = False) -> dict[str, np.ndarray]:
    """Codes of each declared user attribute, in the users' order; without a row in the table:
    "other". With `numbers` also what stands for a bin.
    """
    declared = schema.user_attributes
    if not declared:
        return {}
    people_rows(con, schema)
    rows = con.con.sql(bounding.attributes(schema, count=len(declared))).to_arrow_table()
    codes = {
        name: attribute.encode(rows[f"a{place}"].combine_chunks())
        for place, (name, attribute) in enumerate(declared.items())
    }
    if numbers:
        places = _numeric(declared)
        codes |= {exact(name): _floats(rows[f"a{place}"]) for name, place in places.items()}
    return codes


def people_rows(con: Any, schema: Schema) -> None:
    """Make the table `people` of the user table: accounts, and each declared attribute as text or
    number.
    """
    declared = schema.user_attributes

    def read(part: Any) -> Any:
        columns = {
            f"a{place}": _identifier(part[name])
            if isinstance(attribute, Categorical)
            else _number(part[name])
            for place, (name, attribute) in enumerate(declared.items())
        }
        return part.select(account=_identifier(part[schema.user]), **columns)

    wanted = [schema.user, *declared]
    _stored(con, "people", schema.users_path, wanted, read, where="the user table")


@contextmanager
def _database(spill: Path) -> Iterator[Any]:
    with library_errors(IbisError), embedded(spill) as con:
        yield ibis.duckdb.from_connection(con)
