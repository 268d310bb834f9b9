"""An embedded DuckDB for one reading, and its complaints turned into ours.

Guarantees: it reaches no network, what it writes lies in a private folder below `spill` and is removed at the end, whatever
happened; its messages, which quote cells, are re-raised as DataError `from None`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from synthrec.errors import DataError, SynthrecError

THREADS = 2
MEMORY_LIMIT = "1500MB"
# this optimizer makes TRY_CAST over a CSV file a cast that fails, so that one cell would stop all
CASTS_THAT_FAIL = "SELECT name FROM duckdb_optimizers() WHERE name = 'type_pushdown'"
INTERRUPTED = "Query interrupted"      # what DuckDB makes of Ctrl-C, and below, in a function of ours
INTERRUPTED_INSIDE = "Invalid Input Error: Python exception occurred while executing the UDF: Keyboard"


@contextmanager
def embedded(spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that lives as long as the block. Raises DataError if `spill` cannot be written."""
    made = not spill.exists()
    try:
        spill.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Path(tempfile.mkdtemp(prefix="spill-", dir=spill))
    except OSError as error:
        raise DataError("the folder for temporary files must be writable", found=f"{error.strerror}",
                        remedy="Choose another output folder, or free some space.") from None
    try:
        con = duckdb.connect(str(folder / "rows.duckdb"), config={
            "threads": THREADS, "memory_limit": MEMORY_LIMIT, "temp_directory": str(folder), "preserve_insertion_order": False,
            "autoinstall_known_extensions": False})
        con.execute("SET enable_progress_bar = false")      # ours says more, and --quiet means it
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
def callers_errors() -> Iterator[None]:
    """Around a table that the caller holds: one that computes when it is read fails with the errors of any library, which quote cells."""
    try:
        yield
    except SynthrecError:
        raise
    except Exception:       # noqa: BLE001  (whose errors they are is not known)
        raise DataError("a table that is handed over must be readable", found="an error of the library that computes it",
                        remedy="Compute it first and look at what that library says, or write it to a file.") from None


@contextmanager
def library_errors(unknown_type: type[Exception]) -> Iterator[None]:
    """Re-raise what DuckDB, Arrow and the file system say as DataError, and their word for Ctrl-C as what it was.

    Args:
        unknown_type: what the expression library raises for a column type that it does not know.
    """
    try:
        yield
    except unknown_type:
        raise DataError("the columns of the log must be numbers, text or times", found="a column of another type",
                        remedy="Convert it, or write the log as CSV.") from None
    except (duckdb.InterruptException, RuntimeError) as error:
        if isinstance(error, duckdb.InterruptException) or str(error) == INTERRUPTED:
            raise KeyboardInterrupt from None
        raise
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.InternalException):
        raise       # our own query is wrong
    except (duckdb.Error, pa.ArrowException) as error:
        if isinstance(error, duckdb.InterruptException) or str(error).startswith(INTERRUPTED_INSIDE):
            raise KeyboardInterrupt from None
        if isinstance(error, duckdb.OutOfMemoryException) or "could not write" in str(error).lower():
            raise DataError("reading needs room for temporary files", found="memory or the disk full",
                            remedy="Free some space on the disk that holds the output folder.") from None
        raise DataError("every file of the log must be a whole, readable table, each line with as many fields as the header",
                        found="damaged content, or another format than the name says", remedy="Export it again as UTF-8.") from None
    except OSError as error:
        raise DataError("reading and storing the log must be possible", found=f"{error.strerror or 'a failed read or write'}",
                        remedy="Check free space and permissions of the output folder.") from None
