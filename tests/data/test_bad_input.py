"""Bad input stops with one message of rule, finding and remedy, that holds no cell of the log;
nothing is left behind.
"""

from __future__ import annotations

import gzip
import re
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthrec.data.catalogue import Catalogue
from synthrec.data.check import diagnose
from synthrec.data.eventlog import EventLog
from synthrec.data.reader import columns_of, read_log
from synthrec.data.schema import Schema
from synthrec.errors import DataError, SchemaError, SynthrecError
from tests.data import small
from tests.data.small import CONFIG, START, config, events

MARK = "zqx"


def marked(**changes: object) -> pd.DataFrame:
    """A log each of whose cells carries the mark where it can."""
    frame = events().astype(str)
    frame["user_id"] = f"{MARK}user" + frame["user_id"]
    frame["comment"] = f"{MARK}secret"
    return frame.assign(**changes)


def marked_csv(path: Path, frame: pd.DataFrame | None = None) -> Path:
    (marked() if frame is None else frame).to_csv(path, index=False)
    return path


def spoiled_gzip(path: Path, spoil: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(spoil(gzip.compress(marked().to_csv(index=False).encode())))
    return path


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


HEADER = "user_id,item_id,rating,timestamp\n"
ROW = f"{MARK}u,1,3,{START}\n"
BROKEN_FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "nothing.csv", "nothing at"),
    "empty": (lambda folder: written(folder / "log.csv", ""), "an empty file"),
    "empty gzip": (
        lambda folder: written(folder / "log.csv.gz", gzip.compress(b"")),
        "something else",
    ),
    "empty folder": (lambda folder: (folder / "logs").mkdir() or folder / "logs", "nothing at"),
    "header only": (lambda folder: written(folder / "log.csv", HEADER), "a header only"),
    "truncated gzip": (
        lambda folder: spoiled_gzip(folder / "log.csv.gz", lambda data: data[: len(data) // 2]),
        "truncated or damaged",
    ),
    "gzip without its end": (
        lambda folder: spoiled_gzip(folder / "log.csv.gz", lambda data: data[:-8]),
        "truncated or damaged",
    ),
    "gzip with a wrong checksum": (
        lambda folder: spoiled_gzip(folder / "log.csv.gz", lambda data: data[:-8] + bytes(8)),
        "damaged",
    ),
    "no gzip at all": (lambda folder: written(folder / "log.csv.gz", HEADER + ROW), "damaged"),
    "binary": (lambda folder: written(folder / "log.csv", bytes(range(256)) * 9), "not UTF-8"),
    "latin-1": (
        lambda folder: written(
            folder / "log.csv", (HEADER + ROW.replace("u", "é")).encode("latin-1")
        ),
        "a column without any",
    ),
    "too many fields": (
        lambda folder: written(folder / "log.csv", HEADER + ROW + f"{MARK}u,1,3,{START},{MARK}\n"),
        "damaged content",
    ),
    "too few fields": (
        lambda folder: written(folder / "log.csv", HEADER + ROW + f"{MARK}u,1\n"),
        "damaged content",
    ),
    "open quote": (
        lambda folder: written(folder / "log.csv", HEADER + ROW + f'"{MARK}u,1,3,{START}\n'),
        "damaged content",
    ),
    "no header": (lambda folder: written(folder / "log.csv", ROW * 3), "found numbers"),
    "column twice": (
        lambda folder: written(folder / "log.csv", HEADER.replace("rating", "Item_ID") + ROW),
        "stands there twice",
    ),
    "parquet in name": (lambda folder: written(folder / "log.parquet", ROW * 3), "damaged content"),
    "json in name": (lambda folder: written(folder / "log.jsonl", ROW * 3), "damaged content"),
    "json list": (
        lambda folder: written(folder / "log.jsonl", f'["{MARK}"]\n'),
        "another JSON value",
    ),
    "spreadsheet": (lambda folder: written(folder / "log.xlsx", ROW), "log.xlsx"),
    "no suffix": (lambda folder: written(folder / "log", ROW), "found log"),
}


def refused(log: object, folder: Path, text: str = CONFIG, **options: object) -> SynthrecError:
    """The error of reading; it and all its causes are free of the mark, and the folder holds what
    it held.
    """
    schema, catalogue = small.prepared(folder, text)
    before = sorted(folder.rglob("*"))
    with pytest.raises(SynthrecError) as caught:
        read_log(
            log,
            schema,
            catalogue,
            spill=folder / "spill",
            store=folder / "store",
            events_per_user=5,
            **options,
        )
    assert sorted(folder.rglob("*")) == before
    error = caught.value
    assert error.exit_code == 2 and all((error.rule, error.found, error.remedy))
    assert MARK not in str(error) and error.__suppress_context__ | (error.__context__ is None)
    assert MARK not in "".join(traceback.format_exception(error))
    return error


@pytest.mark.parametrize("broken", BROKEN_FILES)
def test_a_broken_file_is_refused_without_a_word_of_its_content(
    broken: str, tmp_path: Path
) -> None:
    make, found = BROKEN_FILES[broken]
    assert found in str(refused(make(tmp_path), tmp_path))


def test_what_is_neither_a_path_nor_a_table_is_refused(tmp_path: Path) -> None:
    for log in ([{"user_id": MARK}], {"user_id": [MARK]}, 7, None):
        assert "found a " in str(refused(log, tmp_path))


def test_one_broken_file_among_good_ones_is_refused(tmp_path: Path) -> None:
    (folder := tmp_path / "log").mkdir()
    marked_csv(folder / "a.csv")
    spoiled_gzip(folder / "b.csv.gz", lambda data: data[:100])
    assert "b.csv.gz" in str(refused(folder, tmp_path))


@pytest.mark.parametrize("name", ["user_id", "item_id", "rating", "timestamp"])
def test_a_missing_column_is_named_and_no_other(name: str, tmp_path: Path) -> None:
    frame = marked().drop(columns=name).rename(columns={"comment": f"{MARK}column"})
    for log in (marked_csv(tmp_path / "log.csv", frame), frame):
        assert f"no column {name}." in str(refused(log, tmp_path)) + "."


def test_a_configuration_that_lists_two_names_which_differ_in_letter_case_is_refused(
    tmp_path: Path,
) -> None:
    text = config(("[users]", 'Rating = { type = "numeric", min = 1, max = 5, bins = 4 }\n[users]'))
    frame = marked(Rating="3")
    frame.to_json(tmp_path / "log.jsonl", orient="records", lines=True)
    for log in (tmp_path / "log.jsonl", frame):
        assert "differ in letter case" in str(refused(log, tmp_path, text))


def test_a_file_without_header_whose_first_row_is_text_gives_no_cell_away(tmp_path: Path) -> None:
    error = refused(written(tmp_path / "log.csv", f"{MARK}a,{MARK}b,{MARK}c\n" * 3), tmp_path)
    assert "no column user_id, item_id, rating, timestamp" in str(error)


def test_unlisted_columns_are_dropped_and_said_once(tmp_path: Path) -> None:
    schema, catalogue = small.prepared(tmp_path)
    frame = events().assign(note="x", price=1)
    (folder := tmp_path / "log").mkdir()
    frame[:80].to_csv(folder / "a.csv", index=False)
    frame[80:].to_parquet(folder / "b.parquet")
    for log in (folder, frame):
        heard = small.RecordingProgress()
        found = read_log(
            log, schema, catalogue, spill=tmp_path / "spill", events_per_user=None, progress=heard
        )
        assert heard.lines == [
            "Columns that the configuration does not list are dropped: note, price."
        ]
        assert small.people(found) == small.people(small.read(events(), tmp_path))


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("user_id", "", "a column without any"),
        ("item_id", MARK, "no id in common"),
        ("rating", MARK, "a column without any number"),
        ("rating", "7", "no number on that scale"),
        ("timestamp", MARK, "a column without any readable time"),
        ("timestamp", "77", "none in that window"),
    ],
)
def test_a_wholly_unusable_column_is_named(
    column: str, value: str, found: str, tmp_path: Path
) -> None:
    frame = marked(**{column: value})
    for log in (marked_csv(tmp_path / "log.csv", frame), frame):
        error = refused(log, tmp_path)
        assert found in error.found and column in error.rule
        assert value == "" or value not in str(error).replace("1970", "")


@pytest.mark.parametrize(
    ("declared", "real"), [("s", "ms"), ("ms", "s"), ("s", "us"), ("ns", "s"), ("us", "ns")]
)
def test_a_wrong_time_unit_is_named_with_the_right_one(
    declared: str, real: str, tmp_path: Path
) -> None:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[real]
    frame = marked(timestamp=(events()["timestamp"] * per_second).astype(str))
    error = refused(
        marked_csv(tmp_path / "log.csv", frame),
        tmp_path,
        config(('unit = "s"', f'unit = "{declared}"')),
    )
    assert f'The values look like unit = "{real}"' in str(error)


def test_numbers_declared_as_iso_and_timestamps_declared_as_numbers_are_refused(
    tmp_path: Path,
) -> None:
    native = events().assign(timestamp=pd.Timestamp("2024-07-01"))
    assert 'Say unit = "iso"' in str(refused(native, tmp_path))
    native.assign(timestamp=pd.Timestamp("2024-07-01", tz="UTC").as_unit("ns")).to_parquet(
        tmp_path / "log.parquet"
    )
    assert 'Say unit = "iso"' in str(refused(tmp_path / "log.parquet", tmp_path))
    iso = config(('unit = "s"', 'unit = "iso"'))
    assert "a column of numbers" in str(refused(events(), tmp_path, iso))
    assert "without any readable time" in str(
        refused(marked_csv(tmp_path / "log.csv"), tmp_path, iso)
    )


def test_one_persons_values_never_stop_the_reading(tmp_path: Path) -> None:
    frame = marked()
    odd = pd.DataFrame(
        {
            "user_id": ["", "nan", MARK, "\x00", "é" * 5_000, "'; DROP TABLE judged; --", '"'],
            "item_id": "1",
            "rating": "3",
            "timestamp": str(START),
        }
    )
    rating = pd.DataFrame(
        {
            "user_id": "odd",
            "item_id": "2",
            "rating": ["", "NaN", "1e999", "-", "3,5", "0x3"],
            "timestamp": str(START),
        }
    )
    log = small.read(marked_csv(tmp_path / "log.csv", pd.concat([frame, odd, rating])), tmp_path)
    assert log.users == 20 + 4


def test_rows_that_are_each_unusable_for_another_reason_leave_nothing_to_use(
    tmp_path: Path,
) -> None:
    frame = pd.DataFrame(
        {"user_id": ["a", "b"], "item_id": [1, 99], "rating": [9, 3], "timestamp": START}
    )
    assert "none that satisfies all declarations" in str(refused(frame, tmp_path))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("item_id,title,genres,year\n1,a,b,1990\n1,b,c,1991\n", "duplicate ids"),
        ("item_id,title,genres,year\n7,a,b,1990\n7.0,b,c,1991\n", "duplicate ids"),
        ("item_id,title,genres,year\n", "none"),
        ("item_id,title,genres,year\n1,a,b,1990\n,b,c,1991\n", "an item without one"),
        ("item_id,title,genres\n1,a,b\n", "no column year"),
        ("title,genres,year\n1,a,b\n", "no column item_id"),
        ("item_id,title,genres,year\n1,a,b,soon\n2,a,b,later\n", "none in items.csv"),
        ("item_id,title,genres,year\n1,a,b\n", "damaged content"),
        ("", "an empty file"),
    ],
)
def test_a_catalogue_that_cannot_serve_is_refused(content: str, found: str, tmp_path: Path) -> None:
    schema = Schema.parse(CONFIG, folder=small.write_tables(tmp_path))
    written(tmp_path / "items.csv", content)
    with pytest.raises(DataError, match=found):
        Catalogue.read(schema)
    (tmp_path / "items.csv").unlink()
    with pytest.raises(DataError, match=r"items\.csv: No such file"):
        Catalogue.read(schema)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (f"user_id,age\n{MARK},3\n", "no column gender"),
        (f"user_id,gender,age\n{MARK},{MARK}\n", "damaged content"),
        ("", "an empty file"),
    ],
)
def test_a_user_table_that_cannot_serve_is_refused(
    content: str, found: str, tmp_path: Path
) -> None:
    schema, catalogue = small.prepared(tmp_path)
    written(tmp_path / "users.csv", content)
    with pytest.raises(DataError, match=found) as caught:
        read_log(
            marked(),
            schema,
            catalogue,
            spill=tmp_path / "spill",
            store=tmp_path / "store",
            events_per_user=5,
        )
    assert MARK not in "".join(traceback.format_exception(caught.value))
    assert not (tmp_path / "store").exists() and not (tmp_path / "spill").exists()
    (tmp_path / "users.csv").unlink()
    with pytest.raises(DataError, match="the user table must be a file"):
        read_log(marked(), schema, catalogue, spill=tmp_path / "spill", events_per_user=5)


def test_a_list_of_opt_outs_that_is_missing_stops_everything(tmp_path: Path) -> None:
    assert "No such file" in str(refused(marked(), tmp_path, exclude_users=tmp_path / "gone.txt"))
    assert "damaged" in str(
        refused(marked(), tmp_path, exclude_users=written(tmp_path / "bad.txt", b"\xff\xfe\x00"))
    )


def test_a_spill_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    schema, catalogue = small.prepared(tmp_path)
    with pytest.raises(DataError, match="temporary files must be writable"):
        read_log(
            marked(), schema, catalogue, spill=tmp_path / "items.csv" / "spill", events_per_user=5
        )


def test_a_store_that_exists_or_cannot_be_made_is_refused(tmp_path: Path) -> None:
    schema, catalogue = small.prepared(tmp_path)
    for store in (tmp_path, tmp_path / "items.csv" / "store"):
        with pytest.raises(DataError, match="reading and storing"):
            read_log(
                marked(),
                schema,
                catalogue,
                spill=tmp_path / "spill",
                store=store,
                events_per_user=5,
            )
        assert (tmp_path / "items.csv").exists()


def test_missing_declarations_are_listed_at_once_before_any_file_is_opened(tmp_path: Path) -> None:
    text = config(
        ("population = 50", 'population = "?"'),
        ("min = 1, max = 5", 'min = "?", max = "?"'),
        ('["F", "M"]', '"?"'),
    )
    with pytest.raises(SchemaError) as caught:
        Schema.parse(text, folder=tmp_path / "nowhere")
    assert re.sub(" = [^;]+", "", caught.value.found) == (
        "4 missing: [source] population; [columns] rating, min; [columns] rating, max; [users] gender, values"
    )


def test_looking_at_columns_and_diagnosing_give_no_cell_away_either(tmp_path: Path) -> None:
    schema, catalogue = small.prepared(tmp_path)
    for broken, (make, _) in BROKEN_FILES.items():
        (folder := tmp_path / broken).mkdir()
        path = make(folder)
        for look in (
            lambda path=path: columns_of(path),
            lambda path=path: diagnose(path, schema, catalogue, spill=tmp_path / "spill"),
        ):
            try:
                look()
            except SynthrecError as error:
                assert MARK not in "".join(traceback.format_exception(error))
    assert MARK not in repr(diagnose(marked(), schema, catalogue, spill=tmp_path / "spill"))


def test_what_holds_private_values_prints_none(tmp_path: Path) -> None:
    log = small.read(marked(), tmp_path)
    assert repr(log) == str(log) == f"{log!r}" == "EventLog(private)"
    assert not [name for name in dir(log) if name in ("__len__", "__iter__", "n", "size", "shape")]
    assert str(log.users) not in repr(log) and isinstance(EventLog.users, property)
    assert not any(
        isinstance(value, np.ndarray) and value.dtype.kind in "OSU" for value in vars(log).values()
    )
