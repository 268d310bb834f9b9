"""DuckDB's own words never reach the operator, and Ctrl-C stays Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from synthrec.data.reader import embedded, library_errors
from synthrec.errors import DataError
from tests.conftest import REPOSITORY

SECRET = "zqx"


@pytest.mark.parametrize(
    "error",
    [
        duckdb.ConversionException(SECRET),
        duckdb.InvalidInputException(SECRET),
        duckdb.IOException(f"Could not write {SECRET}"),
        duckdb.OutOfMemoryException(SECRET),
        pa.ArrowInvalid(SECRET),
        OSError(28, SECRET),
    ],
)
def test_what_libraries_say_is_replaced(error: Exception) -> None:
    with pytest.raises(DataError) as caught, library_errors():
        raise error
    assert caught.value.__suppress_context__
    assert isinstance(error, OSError) or SECRET not in str(caught.value)


def test_our_own_bugs_are_not_dressed_as_bad_data(tmp_path: Path) -> None:
    with (
        pytest.raises(duckdb.CatalogException),
        library_errors(),
        embedded(tmp_path / "spill") as con,
    ):
        con.execute("SELECT * FROM nothing")
    with pytest.raises(RuntimeError, match="ours"), library_errors():
        raise RuntimeError("ours")
    assert not (tmp_path / "spill").exists()


@pytest.fixture
def heard() -> Iterator[None]:
    """SIGINT as Python hears it by default: a suite started in the background of a shell inherits
    an ignored one.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupted_query_is_an_interruption_and_leaves_nothing(
    heard: None, tmp_path: Path
) -> None:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with (
        pytest.raises(KeyboardInterrupt),
        library_errors(),
        embedded(tmp_path / "spill") as con,
    ):
        con.execute(
            "SELECT count(*) FROM range(20000) a, range(20000) b WHERE hash(a.range + b.range) = 7"
        ).fetchall()
    assert not (tmp_path / "spill").exists()


def test_an_interruption_inside_a_function_of_ours_is_one_too(tmp_path: Path) -> None:
    def interrupted(values: pa.Array) -> pa.Array:
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        library_errors(),
        embedded(tmp_path / "spill") as con,
    ):
        con.create_function("ours", interrupted, ["VARCHAR"], "VARCHAR", type="arrow")  # type: ignore[call-overload]
        con.execute("SELECT ours('x')").fetchall()


def test_a_cell_that_is_no_number_stops_no_reading_of_a_csv_file(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("u,r\n1,2\n2,five\n")
    columns = "header=true, auto_detect=false, columns={'u': 'VARCHAR', 'r': 'VARCHAR'}"
    with embedded(tmp_path / "spill") as con:
        read = f"SELECT u, TRY_CAST(r AS DOUBLE) FROM read_csv('{tmp_path / 'log.csv'}', {columns})"
        assert sorted(con.execute(read).fetchall()) == [("1", 2.0), ("2", None)]


def test_nothing_is_fetched_from_a_network_and_the_folder_is_private(tmp_path: Path) -> None:
    with embedded(tmp_path / "spill") as con:
        assert con.execute("SELECT current_setting('autoinstall_known_extensions')").fetchall() == [
            (False,)
        ]
        assert [oct(path.stat().st_mode & 0o777) for path in (tmp_path / "spill").iterdir()] == [
            "0o700"
        ]


def test_the_database_draws_no_progress_bar_of_its_own_even_in_an_interactive_session(
    tmp_path: Path,
) -> None:
    """DuckDB takes a program without a file for somebody at a prompt, and turns its bar on."""
    code = (
        "import sys; from pathlib import Path; from synthrec.data.reader import embedded\n"
        "with embedded(Path(sys.argv[1])) as con: print(con.execute(\"SELECT current_setting('enable_progress_bar')\").fetchone())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "(False,)\n"
