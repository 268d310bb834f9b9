"""Read any log (CSV, Parquet, JSON lines, data frames) through an embedded DuckDB into a bounded
`EventLog`.

Sources only deliver columns; what becomes of their rows is decided by `bounding`, in one language.
DuckDB reaches no network, keeps what does not fit into memory in a private folder below `spill`,
and that folder is emptied at the end, whatever happened. Of pandas, polars, Arrow and Ibis only
Arrow is imported: who has another table has its library loaded.

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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from synthrec.data import bounding
from synthrec.data.bounding import Select, Types, literal
from synthrec.data.catalogue import Catalogue
from synthrec.data.cleaned import READ_AS_IT_IS, READ_FROM_A_COPY, cleaned, valid_text
from synthrec.data.columns import UNITS_PER_SECOND, Identifier
from synthrec.data.domain import Numeric
from synthrec.data.eventlog import EventLog, EventWriter, exact
from synthrec.data.files import TableFile, find_files, require_columns
from synthrec.data.identifiers import canonical, text_of
from synthrec.data.public_values import PublicColumn
from synthrec.data.schema import Schema
from synthrec.data.splits import leave_out, role_of
from synthrec.errors import DataError, SynthrecError
from synthrec.progress import Progress

Log = Any  # a path, glob or folder, or a pandas, polars, pyarrow or Ibis table
BATCH_ROWS = 1 << 18
ROWS_AT_ONCE = 4_000_000  # what the windows of bounding hold in memory with ease
THREADS = 2
MEMORY_LIMIT = "1500MB"
# this optimizer makes TRY_CAST over a CSV file a cast that fails, so that one cell would stop all
CASTS_THAT_FAIL = "SELECT name FROM duckdb_optimizers() WHERE name = 'type_pushdown'"
SPELLINGS = {
    "canonical": "VARCHAR",
    "canonical_bytes": "BLOB",
}  # functions of `identifiers.canonical`
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
                "python_enable_replacements": False,
            },
        )
        with suppress(duckdb.InvalidInputException):  # a notebook that cannot draw one has none
            con.execute("SET enable_progress_bar = false")  # ours says more, and --quiet means it
        con.execute("SET timezone = 'UTC'")
        con.execute(bounding.MACROS)
        for (name,) in con.execute(CASTS_THAT_FAIL).fetchall():
            con.execute(f"SET disabled_optimizers = '{name}'")
        for name, kind in SPELLINGS.items():
            con.create_function(
                name, canonical, [kind], "VARCHAR", type="arrow", null_handling="special"
            )  # type: ignore[call-overload]
        try:
            yield con
        finally:
            con.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if made and not any(spill.iterdir()):
            spill.rmdir()


@contextmanager
def library_errors() -> Iterator[None]:
    """Re-raise what DuckDB, Arrow and the file system say as DataError, and their word for Ctrl-C
    as what it was.
    """
    try:
        yield
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
    except duckdb.NotImplementedException:
        raise DataError(
            "the columns of the log must be numbers, text or times",
            found="a column of another type",
            remedy="Convert it, or write the log as CSV.",
        ) from None
    except (duckdb.Error, pa.ArrowException) as error:
        if str(error).startswith(INTERRUPTED_INSIDE):
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


def is_table(log: Any) -> bool:
    """Is this a table that the caller holds: pandas, polars, Arrow or Ibis?"""
    return _library(log) in ("pandas", "polars", "pyarrow", "ibis")


def columns_of(log: Log) -> tuple[tuple[str, str], ...]:
    """Names and physical types ("text" in CSV and JSON lines): all that may be known of a log
    before it is declared.
    """
    if not is_table(log):
        file = find_files(log)[0]
        return tuple(zip(file.columns, file.types, strict=True))
    with _handed_over():
        library = _library(log)
        if library == "pyarrow":
            return tuple((column.name, str(column.type)) for column in log.schema)
        pairs = (
            log.collect_schema()
            if library == "polars"
            else log.schema()
            if library == "ibis"
            else log.dtypes
        )
        return tuple((str(name), str(kind)) for name, kind in pairs.items())


def to_arrow(frame: Any, wanted: list[str]) -> pa.Table:
    """The wanted columns, which must be there.

    Guarantees: a column has the type that was declared; where none was (objects), each cell becomes
    text by itself. So no cell changes how another is read.
    """
    if _library(frame) == "ibis":
        table = frame.select(wanted).to_pyarrow()
    elif _library(frame) == "polars":
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


def require_usable(con: duckdb.DuckDBPyConnection, schema: Schema) -> None:
    """Raise DataError if a whole column cannot be what the schema says it is."""
    any_row = con.sql(bounding.whole_columns(schema)).to_arrow_table().to_pylist()[0]
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
            remedy=f"Give [columns] {schema.item} the catalogue that spells ids as the log does (0007 is not 7), "
            "or export the log again.",
        )
    if (scale := schema.rating) is not None and not any_row["rating"]:
        raise DataError(
            f"{scale.name} must hold numbers from {scale.min} to {scale.max} by {scale.step}",
            found="no number on that scale"
            if any_row["rating_read"]
            else "a column without any number",
            remedy=f"Correct min, max and step of [columns] {scale.name}, or export numbers with a point (4.5, not 4,5).",
        )
    if (time := schema.time) is not None and not any_row["time"]:
        fits = [unit for unit in UNITS_PER_SECOND if any_row[f"fits_{unit}"] and time.unit != "iso"]
        if fits:
            advice = f'The values look like unit = "{fits[0]}": say so in [columns] {time.name}.'
        elif any_row["time_read"]:
            advice = f"Correct min and max of [columns] {time.name} to the days of the export, or its unit."
        elif time.unit == "iso":
            advice = (
                f'Write times as 2024-01-31 18:05:00 (not 31.01.2024), or say unit = "s" in [columns] {time.name} '
                "if they are numbers since 1970."
            )
        else:
            advice = (
                f'Say unit = "iso" in [columns] {time.name} if times are written as 2024-01-31 18:05:00; '
                "export them so if they are written in another way."
            )
        raise DataError(
            f'{time.name} must hold times from {time.min} to {time.max} in unit "{time.unit}"',
            found="none in that window"
            if any_row["time_read"]
            else "a column without any readable time",
            remedy=advice,
        )


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
        units = con.sql("SELECT unit, events FROM units ORDER BY place").to_arrow_table()
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
            for batch in con.sql(bounding.events(schema)).to_arrow_reader(BATCH_ROWS):
                writer.append(
                    item=batch["item"],
                    rating=batch["rating"],
                    time=batch["second"],
                    marks=mark_codes(batch, schema, numbers=numbers),
                )
            return writer.finish(attributes=attributes, role=role)


def public_column(log: Log, name: str, *, limit: int) -> PublicColumn:
    """Values of one column. Call it only for a column whose values the owner has declared public."""

    def read(types: Types) -> Select:
        number = f"finite(CAST({bounding.quoted(name)} AS VARCHAR))"
        return {"text": bounding.identifier(types, name), "number": number}

    with tempfile.TemporaryDirectory(prefix="synthrec-") as folder, _database(Path(folder)) as con:
        _store(con, "known", log, [name], read, where="the table")
        values = con.sql(
            f"SELECT DISTINCT text FROM known WHERE text IS NOT NULL LIMIT {limit + 1}"
        )
        edges = con.sql(
            "SELECT min(number), max(number), min(text), max(text) FROM known WHERE text IS NOT NULL"
        ).fetchall()[0]
        texts = [text for (text,) in values.fetchall()]
        few = len(texts) <= limit
        return PublicColumn(
            tuple(
                sorted(texts, key=lambda text: (len(text), text) if text.isdigit() else (0, text))
            )
            if few
            else None,
            *edges,
        )


def share_users(one: Log, other: Log, schema: Schema, *, spill: Path) -> bool:
    """Does anybody stand in both logs? Private, as every answer about real people."""
    with _database(spill) as con:
        for name, log in (("one", one), ("other", other)):
            _store(
                con,
                name,
                log,
                [*schema.kept_columns],
                lambda types: bounding.people(types, schema),
                where="the log",
            )
        shared = con.sql(
            "SELECT 1 FROM one WHERE unit IN (SELECT unit FROM other WHERE unit IS NOT NULL) LIMIT 1"
        )
        return bool(shared.fetchall())


@contextmanager
def judged_rows(
    log: Log,
    schema: Schema,
    catalogue: Catalogue | None,
    *,
    spill: Path,
    exclude_users: Path | None,
    progress: Progress,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with the tables `judged`, as `bounding` describes it, and `items`, gone with all
    its files at the end.

    Without a catalogue every id of the log is an item: such items, and how many there are, are
    private.
    """
    with _database(spill) as con:
        if schema.time is not None:  # what a moment without offset means
            con.execute(f"SET timezone = {literal(schema.time.zone)}")
        if catalogue is not None:
            places = np.arange(catalogue.size, dtype=np.int32)
            con.register("items", pa.table({"key": catalogue.keys, "item": places}))
        at_once = catalogue is not None and exclude_users is None
        _store(
            con,
            "judged" if at_once else "read",
            log,
            [*schema.kept_columns],
            lambda types: bounding.event(types, schema),
            bounding.JUDGED if at_once else "{rows}",
            where="the log",
            progress=progress,
            beside=(schema.catalogue_path, schema.users_path, schema.ledger_path),
        )
        if exclude_users is not None:
            leave_out(con, exclude_users, units_only=schema.privacy.unit == schema.user)
        if catalogue is None:
            con.execute(f"CREATE TABLE items AS {bounding.KEYS}")
        if not at_once:
            con.execute(f"CREATE TABLE judged AS {bounding.JUDGED.format(rows='read')}")
        yield con


def _store(
    con: duckdb.DuckDBPyConnection,
    name: str,
    log: Log,
    wanted: list[str],
    read: Callable[[Types], Select],
    judge: str = "{rows}",
    *,
    where: str,
    progress: Progress = Progress(),
    beside: tuple[Path | None, ...] = (),
) -> None:
    """Make the table `name` of the log's rows.

    `read` says what is taken from one physical form, `judge` is a query around the union of all.
    The wanted columns must be there; others are dropped and said once.
    """
    if len({column.lower() for column in wanted}) < len(wanted):
        raise DataError(
            f"columns of {where} must have distinct names (letter case does not count)",
            found="a configuration that lists two which differ in letter case",
            remedy="Rename one of them.",
        )

    def store(relations: list[str]) -> None:
        rows = " UNION ALL ".join(_selected(con, relation, read) for relation in relations)
        con.execute(f"CREATE TABLE {name} AS {judge.format(rows=f'({rows})')}")

    if is_table(log):
        names = [column for column, _ in columns_of(log)]
        require_columns(wanted, names, where=where)
        _say_dropped(names, wanted, progress)
        with _handed_over():
            con.register("handed_over", valid_text(to_arrow(log, wanted)))
        store(["handed_over"])
        return
    files = find_files(log, beside=beside, where=where)
    for file in files:
        file.require(wanted)
    named = [column for file in files if file.format != "json" for column in file.columns]
    _say_dropped(named, wanted, progress)
    if any(set(file.columns) - set(wanted) for file in files if file.format == "json"):
        # a name may stand in one person's rows alone
        progress.say("Fields that the configuration does not list are dropped.")
    try:
        store([_scan(alike, wanted, READ_AS_IT_IS) for alike in _alike(files)])
    except (duckdb.InvalidInputException, duckdb.NotImplementedException):  # of one person's cell?
        folder = Path(con.sql("SELECT current_setting('temp_directory')").fetchall()[0][0])
        copies = tuple(cleaned(file, wanted, folder) for file in files)
        store([_scan(alike, wanted, READ_FROM_A_COPY) for alike in _alike(copies)])


def _selected(
    con: duckdb.DuckDBPyConnection, relation: str, read: Callable[[Types], Select]
) -> str:
    source = con.sql(f"FROM {relation}")
    types = dict(zip(source.columns, map(str, source.types), strict=True))
    columns = (f"{expression} AS {name}" for name, expression in read(types).items())
    return f"SELECT {', '.join(columns)} FROM {relation}"


@contextmanager
def _handed_over() -> Iterator[None]:
    """Around a table that the caller holds: one that computes when it is read fails with the errors
    of any library, which quote cells.
    """
    try:
        with library_errors():
            yield
    except SynthrecError:
        raise
    except Exception:  # noqa: BLE001  (whose errors they are is not known)
        raise DataError(
            "a table that is handed over must be readable",
            found="an error of the library that computes it",
            remedy="Compute it first and look at what that library says, or write it to a file.",
        ) from None


def _scan(files: list[TableFile], wanted: list[str], longest: dict[str, int]) -> str:
    """Files of one physical form, as DuckDB reads them."""
    # DuckDB takes a path for a pattern, and `name=value` in it for a column
    paths = f"[{bounding.listed(glob.escape(str(file.path)) for file in files)}], hive_partitioning = false"
    first = files[0]
    if first.format == "parquet":
        return f"read_parquet({paths})"
    if first.format == "json":
        return (
            f"read_json({paths}, {_as_text(wanted)}, format = 'newline_delimited',"
            f" maximum_object_size = {longest['json']})"
        )
    return (
        f"read_csv({paths}, {_as_text(first.columns)}, header = true, auto_detect = false,"
        f" delim = {literal(first.delimiter)}, quote = '\"', escape = '\"',"
        f" max_line_size = {longest['csv']})"
    )


def _as_text(names: Iterable[str]) -> str:
    texts = (f"{literal(name)}: 'VARCHAR'" for name in names)
    return f"columns = {{{', '.join(texts)}}}"


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


def usable_rows(con: duckdb.DuckDBPyConnection, schema: Schema) -> None:
    """Make the tables `names` (units) and `usable` (rows that no rule drops) of a database with
    `judged`.
    """
    con.execute(f"CREATE TABLE names AS {bounding.NAMES}")
    con.execute(f"CREATE TABLE usable AS {bounding.usable(schema)}")


def bound_rows(
    con: duckdb.DuckDBPyConnection, schema: Schema, *, events_per_user: int | None
) -> None:
    """Make the tables `bounded` (events) and `units` of a database with `judged`."""
    usable_rows(con, schema)
    con.execute("CREATE TABLE bounded AS SELECT * FROM usable WHERE false")
    ((rows,),) = con.sql("SELECT count(*) FROM usable").fetchall()
    ((units,),) = con.sql("SELECT count(*) FROM names").fetchall()
    parts = 1 + rows // ROWS_AT_ONCE
    for first, past in pairwise(1 + units * part // parts for part in range(parts + 1)):
        few = bounding.bounded(schema, events_per_user=events_per_user, first=first, past=past)
        con.execute(f"INSERT INTO bounded {few}")
    con.execute(f"CREATE TABLE units AS {bounding.UNITS}")


def attribute_codes(
    con: duckdb.DuckDBPyConnection, schema: Schema, *, numbers: bool = False
) -> dict[str, np.ndarray]:
    """Codes of each declared user attribute, in the users' order; without a row in the table:
    "other". With `numbers` also what stands for a bin.
    """
    declared = schema.user_attributes
    if not declared:
        return {}
    people_rows(con, schema)
    rows = con.sql(bounding.attributes(schema, count=len(declared))).to_arrow_table()
    codes = {
        name: attribute.encode(rows[f"a{place}"].combine_chunks())
        for place, (name, attribute) in enumerate(declared.items())
    }
    if numbers:
        places = _numeric(declared)
        codes |= {exact(name): _floats(rows[f"a{place}"]) for name, place in places.items()}
    return codes


def people_rows(con: duckdb.DuckDBPyConnection, schema: Schema) -> None:
    """Make the table `people` of the user table: accounts, and each declared attribute as text or
    number.
    """
    _store(
        con,
        "people",
        schema.users_path,
        [schema.user, *schema.user_attributes],
        lambda types: bounding.attribute(types, schema),
        where="the user table",
    )


@contextmanager
def _database(spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with library_errors(), embedded(spill) as con:
        yield con
