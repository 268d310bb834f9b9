"""Which files a path, glob or folder means, what format each has and which columns it names.

Guarantees: only the header of a CSV file, the key names of a JSON file and the schema of a Parquet
file are looked at (`require_header` compares a header with some rows, to refuse one that is a row);
no message holds a header that was not asked for, since the first line of a file without header is a
row.
"""

from __future__ import annotations

import csv
import glob
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthrec.errors import DataError

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".inter": "csv",  # RecBole's atomic files
    ".user": "csv",
    ".item": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}
FORMATS = "CSV, Parquet or JSON lines (.csv, .csv.gz, .tsv, .parquet, .jsonl, .jsonl.gz)"
DELIMITERS = (",", "\t", ";", "|")
ONE_COLUMN = "Separate columns by a comma, tab, semicolon or |: the first line shows none of them."
JSON_LINES_FOR_NAMES = 1_000
MAX_LINE = 1 << 20
LINES_BELOW_A_HEADER = 1_000
MAX_CELL = 1 << 16
MAX_NAME = 60
VALUE = re.compile(
    r"@|://|\d{1,4}[-/.:]\d{1,2}\b|\b[0-9a-fA-F]{8}-|\d{5}|[.!?] "
)  # mail, address, date, uuid, ...
NOT_TEXT = re.compile(r"[\ud800-\udfff]")  # what stands for bytes that are not UTF-8
_CHUNK = 1 << 20


@dataclass(frozen=True)
class TableFile:
    """One readable file: its format and the columns it names."""

    path: Path
    format: str  # csv | parquet | json
    columns: tuple[str, ...]
    types: tuple[str, ...]  # physical types; "text" throughout for CSV and JSON lines
    delimiter: str = ","

    def require(self, wanted: Iterable[str]) -> None:
        """Raise DataError that names the columns of `wanted` which the file lacks."""
        require_columns(wanted, self.columns, where=self.path.name)


def require_columns(wanted: Iterable[str], present: Iterable[str], *, where: str) -> None:
    """Raise DataError that names the wanted columns which are not present."""
    present = tuple(present)
    absent = [name for name in wanted if name not in set(present)]
    if not absent:
        return
    alike = {_plain_name(name): name for name in present}
    renamed = [
        f"{alike[_plain_name(name)]} for {name}" for name in absent if _plain_name(name) in alike
    ]
    remedy = (
        "Correct the names in the configuration (an id has one name in log, catalogue and user table), "
        "or check that the first line holds column names."
    )
    if renamed:
        remedy = f"Write {', '.join(renamed)} in the configuration, as the file does."
    elif len(present) == 1:
        remedy = ONE_COLUMN
    raise DataError(
        f"{where} must have every column that the configuration names",
        found=f"no column {', '.join(absent)}",
        remedy=remedy,
    )


def _plain_name(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold()) or name


def find_files(
    log: Path | str, *, beside: Iterable[Path | None] = (), where: str = "the log"
) -> tuple[TableFile, ...]:
    """Files that a path, a glob or a folder stands for, in order of name. Raises DataError.

    A folder and a glob leave out `beside` (the catalogue, the user table, the ledger) and files
    that are called users, items or ledger.
    """
    if not isinstance(log, (str, Path)):
        raise DataError(
            f"{where} must be a path, a glob, a folder or a pandas, polars, Arrow or Ibis table",
            found=f"a {type(log).__name__}",
            remedy="Convert it to one of these.",
        )
    path = Path(log)
    with file_errors(path):
        if str(log).strip() == "":
            paths = []  # an unset variable of a shell is not the folder that one stands in
        elif path.is_dir():
            paths = _events_only(
                [
                    inner
                    for inner in path.iterdir()
                    if _format(inner) and inner.is_file() and not inner.name.startswith(".")
                ],
                beside,
            )
        elif path.exists():
            paths = [path]
        else:
            root = next(parent for parent in path.parents if parent.exists())  # no pattern either
            found = (root / name for name in glob.glob(str(path.relative_to(root)), root_dir=root))
            paths = _events_only([inner for inner in found if inner.is_file()], beside)
    if not paths:
        raise DataError(
            f"{where} must be a file, a glob or a folder with files",
            found=f"nothing at {str(log) or 'an empty path'}",
            remedy=f"Give the path of {FORMATS} files.",
        )
    return tuple(open_file(path) for path in paths)


def open_file(path: Path) -> TableFile:
    """Look at one file's format and column names. Raises DataError if it is missing, empty, corrupt
    or of no known format.
    """
    path, kind = path.absolute(), _format(path)  # Arrow would take a first ~ for the home folder
    if kind is None:
        raise DataError(
            f"a table must be one of {FORMATS}",
            found=f"{path.name}",
            remedy="Rename the file, or save it as one of these (from a spreadsheet: CSV UTF-8).",
        )
    if NOT_TEXT.search(str(path)):
        raise DataError(
            "the path of a table must be UTF-8, all folders included",
            found="another encoding",
            remedy="Rename the file or its folder.",
        )
    with file_errors(path):
        if path.stat().st_size == 0:
            raise DataError(
                f"{path.name} must hold a table",
                found="an empty file",
                remedy="Give a file with rows.",
            )
        if kind == "parquet":
            schema = pq.read_schema(path)
            return TableFile(
                path,
                kind,
                _distinct(schema.names, path),
                tuple(str(column.type) for column in schema),
            )
        _verify_gzip(path)
        if kind == "json":
            names = _json_names(path)
            return TableFile(path, kind, names, ("text",) * len(names))
        names, delimiter = _csv_header(path)
        return TableFile(path, kind, names, ("text",) * len(names), delimiter)


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn what libraries say about a broken file into DataError, without their quotations."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError(
            f"{path.name} must be a whole gzip file",
            found="a truncated or damaged one",
            remedy="Copy or export it again.",
        ) from None
    except (
        csv.Error,
        ValueError,
        RecursionError,
        pa.ArrowException,
    ):  # ValueError: bad UTF-8, bad JSON, endless numbers
        raise DataError(
            f"{path.name} must be a readable table in UTF-8",
            found="damaged content, or another format than its name says",
            remedy="Export it again.",
        ) from None
    except OSError as error:
        raise DataError(
            "every input must be a readable file",
            found=f"{path.name}: {error.strerror or 'unreadable'}",
            remedy="Check the path (those in a configuration start from its folder) and the permissions.",
        ) from None


def _events_only(paths: list[Path], beside: Iterable[Path | None]) -> list[Path]:
    others = {path.resolve() for path in beside if path is not None}
    names = {"users", "items", "ledger"}
    return sorted(
        path
        for path in paths
        if path.resolve() not in others and not set(path.name.lower().split(".")) & names
    )


def _format(path: Path) -> str | None:
    packed = path.suffix.lower() == ".gz"
    kind = SUFFIXES.get((path.with_suffix("") if packed else path).suffix.lower())
    return None if packed and kind == "parquet" else kind


def _text(path: Path) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
    return path.open("r", encoding="utf-8-sig", errors="surrogateescape", newline="")


def _verify_gzip(path: Path) -> None:
    """Read the whole stream once: DuckDB does not compare the checksum."""
    if path.suffix.lower() == ".gz":
        with gzip.open(path) as stream:
            while stream.read(_CHUNK):
                pass


def _csv_header(path: Path) -> tuple[tuple[str, ...], str]:
    with _text(path) as stream:
        line = stream.readline(MAX_LINE).rstrip("\r\n")
    delimiter = max(DELIMITERS, key=line.count)
    names = next(csv.reader([line], delimiter=delimiter), [])
    header, utf8 = "Add a header line.", "Save it as UTF-8 (from a spreadsheet: CSV UTF-8)."
    indexed = "Name it, or export without the table's index (pandas: index=False)."
    printable = bool(names) and all(name.isprintable() for name in names)
    for wrong, found, remedy in (
        ("\0" in line or NOT_TEXT.search(line), "bytes that are not UTF-8", utf8),
        (not printable, "something else (binary data)", header),
        (any(_is_number(name) for name in names), "numbers", header),
        (not all(name.strip() for name in names), "a column without name", indexed),
    ):
        if wrong:
            raise DataError(
                f"the first line of {path.name} must hold column names", found=found, remedy=remedy
            )
    return _distinct(names, path), delimiter


def require_header(file: TableFile) -> None:
    """Raise DataError, which quotes nothing, if the first line of a CSV file seems to be a row: its
    cells must not be taken for names.

    They do if one looks like a value, or stands again in its own column near the file's beginning.
    Names of JSON fields must be distinct here, not in `open_file`: one person's rows may have their
    own.
    """
    if file.format == "json":
        _distinct(file.columns, file.path)
    if file.format != "csv":
        return
    if len(file.columns) == 1:
        raise DataError(
            f"{file.path.name} must have at least two columns",
            found="a single column",
            remedy=ONE_COLUMN,
        )
    below: list[list[str]] = []
    # a cell may be long
    with file_errors(file.path), _text(file.path) as stream, suppress(csv.Error):
        lines = islice(iter(lambda: stream.readline(MAX_CELL), ""), LINES_BELOW_A_HEADER)
        for row in csv.reader(lines, delimiter=file.delimiter):
            below += [row] if tuple(row) != file.columns else []
    again = any(
        name == cell for row in below for name, cell in zip(file.columns, row, strict=False)
    )
    if again or any(_looks_like_a_value(name) for name in file.columns):
        raise DataError(
            f"the first line of {file.path.name} must hold column names",
            found="what seems to be a row of values",
            remedy="Add a header line; or, if these are names, rename those that look like dates, addresses, numbers or ids.",
        )


def _looks_like_a_value(name: str) -> bool:
    digits, letters = sum(each.isdigit() for each in name), sum(each.isalpha() for each in name)
    return (
        VALUE.search(name) is not None
        or len(name) > MAX_NAME
        or (digits >= 2 and digits >= letters)
    )


def _json_names(path: Path) -> tuple[str, ...]:
    names: dict[str, None] = {}
    with _text(path) as stream:
        ended = True
        for line in islice(iter(lambda: stream.readline(MAX_LINE), ""), JSON_LINES_FOR_NAMES):
            whole, ended = ended and len(line) < MAX_LINE, line.endswith("\n")
            row: Any = {}
            if whole and line.strip():
                with suppress(RecursionError):
                    row = json.loads(line, parse_int=str)
            if not isinstance(row, dict):
                raise DataError(
                    f"{path.name} must hold one JSON object a line",
                    found="another JSON value",
                    remedy='Write JSON lines, one object with named fields per event (pandas: orient="records", lines=True).',
                )
            names.update(dict.fromkeys(name for name in row if not NOT_TEXT.search(name)))
    return tuple(names)


def _distinct(names: Iterable[str], path: Path) -> tuple[str, ...]:
    # DuckDB's names ignore case, so `ID` and `id` would be one column to it, and none is empty
    names = tuple(names)
    unnamed = not all(name.strip() for name in names)
    if unnamed or any(times > 1 for times in Counter(name.casefold() for name in names).values()):
        raise DataError(
            f"the columns of {path.name} must have distinct names (letter case does not count)",
            found="a column without name" if unnamed else "a name that stands there twice",
            remedy="Rename it.",
        )
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
