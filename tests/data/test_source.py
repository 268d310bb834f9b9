"""Reading and bounding: every format gives the same log, and no rule looks beyond one user."""

from __future__ import annotations

import gzip
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventWriter
from synthrec.data.reader import columns_of, read_log
from synthrec.data.schema import Schema
from synthrec.data.splits import Role
from tests.conftest import shared_data
from tests.data import small
from tests.data.small import CONFIG, START, config, events, people, read, without_tables

SLOW = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _csv(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False)
    return path


def _folder(frame: pd.DataFrame, path: Path) -> Path:
    (folder := path / "log").mkdir()
    frame[:50].to_csv(folder / "a.csv", index=False)
    frame[50:90][["rating", "timestamp", "user_id", "item_id"]].to_csv(
        folder / "b.csv.gz", index=False
    )  # another order of columns
    frame[90:].to_parquet(folder / "c.parquet")
    return folder


def _jsonl(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_json(path / "log.jsonl", orient="records", lines=True)
    return path / "log.jsonl"


def _parquet(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_parquet(path / "log.parquet")
    return path / "log.parquet"


FORMATS = {
    "csv": lambda frame, path: _csv(frame, path / "log.csv"),
    "csv.gz": lambda frame, path: str(_csv(frame, path / "log.csv.gz")),
    "semicolons": lambda frame, path: (
        frame.to_csv(path / "log.csv", index=False, sep=";"),
        path / "log.csv",
    )[1],
    "byte order mark": lambda frame, path: (
        frame.to_csv(path / "log.csv", index=False, encoding="utf-8-sig"),
        path / "log.csv",
    )[1],
    "parquet": _parquet,
    "json lines": _jsonl,
    "folder": _folder,
    "glob": lambda frame, path: str(_folder(frame, path) / "*"),
    "pandas": lambda frame, path: frame,
    "pandas text": lambda frame, path: frame.astype(str),
    "pandas mixed": lambda frame, path: frame.assign(
        item_id=frame["item_id"]
        .astype(object)
        .where(frame["item_id"] > 3, frame["item_id"].astype(str))
    ),
    "pandas floats": lambda frame, path: frame.astype(float),
    "polars": lambda frame, path: polars.DataFrame(frame.to_dict("list")),
    "polars lazy": lambda frame, path: polars.DataFrame(frame.to_dict("list")).lazy(),
    "arrow": lambda frame, path: pa.Table.from_pandas(frame),
    "arrow batches": lambda frame, path: pa.RecordBatchReader.from_batches(
        pa.Table.from_pandas(frame).schema, pa.Table.from_pandas(frame).to_batches(max_chunksize=30)
    ),
    "ibis": lambda frame, path: ibis.memtable(frame),
}


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_log(form: str, tmp_path: Path) -> None:
    frame = events()
    expected = sorted(
        [
            sorted(
                (float(t), float(i - 1), float(r))
                for i, r, t in zip(own["item_id"], own["rating"], own["timestamp"], strict=True)
            ),
            [0 if user % 2 else 1, user // 10],
        ]
        for user, own in frame.groupby("user_id")
    )
    log = read(FORMATS[form](frame, tmp_path), tmp_path)
    assert [[rows, codes] for rows, codes in people(log)] == expected
    assert (log.offsets.dtype, log.item.dtype, log.rating.dtype, log.time.dtype) == (
        np.int64,
        np.int32,
        np.float32,
        np.int64,
    )


def test_a_folder_may_also_hold_the_catalogue_the_user_table_and_the_ledger(tmp_path: Path) -> None:
    text = config(("items.csv", "films.csv"))
    small.write_tables(tmp_path)
    (tmp_path / "films.csv").write_bytes((tmp_path / "items.csv").read_bytes())
    (tmp_path / "small.ledger.jsonl").write_text("")
    _csv(events(), tmp_path / "log.csv")
    for log in (tmp_path, str(tmp_path / "*.csv")):
        assert people(read(log, tmp_path, text)) == people(read(events(), tmp_path, text))
    (tmp_path / "films.csv").unlink()
    assert columns_of(tmp_path) == tuple((name, "text") for name in events().columns)


def test_columns_of_names_columns_and_physical_types(tmp_path: Path) -> None:
    frame = events()
    assert columns_of(FORMATS["csv"](frame, tmp_path)) == tuple(
        (name, "text") for name in frame.columns
    )
    assert columns_of(FORMATS["parquet"](frame, tmp_path)) == tuple(
        (name, "int64") for name in frame.columns
    )
    assert columns_of(ibis.memtable(frame))[0] == ("user_id", "int64")


def test_a_user_with_ten_thousand_events_keeps_at_most_k(tmp_path: Path) -> None:
    (tmp_path / "many.csv").write_text("item_id\n" + "\n".join(str(item) for item in range(10_000)))
    text = without_tables().replace("items.csv", "many.csv")
    busy = pd.DataFrame(
        {"user_id": 1, "item_id": np.arange(10_000), "rating": 3, "timestamp": START}
    )
    log = read(
        pd.concat([busy, busy, events().assign(user_id=2)]), tmp_path, text, events_per_user=7
    )
    assert sorted(log.activity.tolist()) == [7, 7]


def test_which_events_a_user_keeps_is_a_fair_draw(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(4_000), 4),
            "item_id": np.tile([1, 2, 3, 4], 4_000),
            "rating": np.tile([1, 5, 1, 5], 4_000),
            "timestamp": START + np.tile([0, 1, 2, 3], 4_000),
        }
    )
    kept = np.bincount(read(frame, tmp_path, without_tables(), events_per_user=1).item, minlength=4)
    assert np.abs(kept - 1_000).max() < 5.5 * np.sqrt(4_000 * 0.25 * 0.75)  # false alarm below 1e-6
    assert kept.sum() == 4_000


def test_bounding_in_parts_is_bounding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.concat([events(), events(seed=1)])
    options = {"events_per_user": 5, "role_key": b"k" * 32}
    whole = read(frame, tmp_path, **options)
    monkeypatch.setattr("synthrec.data.reader.ROWS_AT_ONCE", 30)
    parts = read(frame, tmp_path, **options)
    assert parts.activity.tolist() == whole.activity.tolist() == [5] * 20
    assert all(len(set(parts.item[start : start + 5])) == 5 for start in parts.offsets[:-1])


def test_users_come_in_an_order_that_tells_nothing_of_the_file(tmp_path: Path) -> None:
    frame = events(users=300, per_user=1).assign(item_id=np.repeat([1, 2, 3], 100))
    item = read(frame, tmp_path, without_tables()).item
    assert abs(np.corrcoef(item, np.arange(300))[0, 1]) < 0.3


def test_rows_of_a_null_user_are_dropped_however_null_is_written(tmp_path: Path) -> None:
    frame = events(users=3)
    for null in (None, np.nan, float("nan")):
        assert (
            len(
                read(
                    frame.assign(user_id=frame["user_id"].where(frame["user_id"] != 2, null)),
                    tmp_path,
                ).offsets
            )
            == 3
        )
    for word in ("", "NaN", "null", "None", "  "):
        text = frame.assign(user_id=frame["user_id"].astype(str).where(frame["user_id"] != 2, word))
        assert len(read(_csv(text, tmp_path / "log.csv"), tmp_path).offsets) == 3


def test_one_person_is_one_unit_even_if_the_export_wrote_the_id_as_a_float(tmp_path: Path) -> None:
    frame = events(users=1, per_user=4)
    log = frame.assign(user_id=["7", "7.0", " 7", "7.00"])
    assert np.diff(
        read(_csv(log, tmp_path / "log.csv"), tmp_path, events_per_user=2).offsets
    ).tolist() == [2]


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        ("rating", 3.5),
        ("rating", 6),
        ("rating", 0),
        ("rating", np.nan),
        ("rating", np.inf),
        ("rating", 1e300),
        ("rating", -1e300),
        ("rating", "five"),
        ("rating", None),
        ("item_id", 99),
        ("item_id", None),
        ("item_id", "x"),
        ("timestamp", 0),
        ("timestamp", START - 1),
        ("timestamp", 1e300),
        ("timestamp", "soon"),
        ("timestamp", np.nan),
    ],
)
def test_a_row_outside_the_declared_domain_is_dropped_and_nothing_else(
    column: str, bad: object, tmp_path: Path
) -> None:
    frame = events(users=4)
    frame[column] = frame[column].astype(object)
    frame.loc[5, column] = bad
    expected = people(read(frame.drop(index=5), tmp_path))
    assert people(read(frame, tmp_path)) == expected
    assert people(read(_csv(frame, tmp_path / "log.csv"), tmp_path)) == expected


def test_the_window_includes_its_last_day_and_ends_with_it(tmp_path: Path) -> None:
    last = pd.Timestamp("2024-12-31 23:59:59", tz="UTC").timestamp()
    frame = events(users=1, per_user=2).assign(timestamp=[last, last + 1])
    assert read(frame, tmp_path).time.tolist() == [last]


@pytest.mark.parametrize(
    "bad", ["infinity", "-infinity", "294247-01-10", "2024-13-01", "1e300", "epoch", "now", ""]
)
def test_odd_times_are_outside_the_window(bad: str, tmp_path: Path) -> None:
    text = config(('unit = "s"', 'unit = "iso"'))
    frame = events(users=1, per_user=2).assign(timestamp=["2024-07-01", bad])
    assert len(read(frame, tmp_path, text).item) == 1


def test_huge_float_ids_are_ids_like_others(tmp_path: Path) -> None:
    frame = events(users=1, per_user=3).assign(user_id=[1e300, 1.5, 7.0])
    assert len(read(frame, tmp_path).offsets) == 4


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_come_in_seconds_whatever_the_unit(unit: str, tmp_path: Path) -> None:
    factor = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[unit]
    frame = events(users=5)
    log = read(
        frame.assign(timestamp=frame["timestamp"] * factor),
        tmp_path,
        config(('unit = "s"', f'unit = "{unit}"')),
    )
    assert people(log) == people(read(frame, tmp_path))


def test_iso_times_without_offset_are_in_the_declared_zone(tmp_path: Path) -> None:
    text = config(('unit = "s", zone = "UTC"', 'unit = "iso", zone = "Europe/Madrid"'))
    frame = events(users=1, per_user=4)
    written = [
        "2024-07-01T10:00:00",
        "2024-07-01 10:00:00",
        "2024-07-01T08:00:00Z",
        "2024-07-01T10:00:00+02:00",
    ]
    moment = pd.Timestamp("2024-07-01T08:00:00Z").timestamp()
    native = pd.Series(pd.to_datetime(["2024-07-01T10:00:00"] * 4))
    for times in (written, native, native.dt.tz_localize("Europe/Madrid")):
        assert read(frame.assign(timestamp=times), tmp_path, text).time.tolist() == [moment] * 4
    parquet = _parquet(frame.assign(timestamp=native), tmp_path)
    assert read(parquet, tmp_path, text).time.tolist() == [moment] * 4


def test_half_stars_are_levels_and_quarter_stars_are_not(tmp_path: Path) -> None:
    frame = events(users=1, per_user=4).assign(rating=[0.5, 4.5, 0.75, "2.50"])
    log = read(
        frame, tmp_path, config(("min = 1, max = 5, step = 1", "min = 0.5, max = 5, step = 0.5"))
    )
    assert sorted(log.rating.tolist()) == [0.5, 2.5, 4.5]


def test_a_repeated_user_and_item_is_kept_once_at_random(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(500), 2),
            "item_id": 1,
            "rating": np.tile([1, 5], 500),
            "timestamp": START,
        }
    )
    log = read(frame, tmp_path, without_tables())
    assert len(log.item) == 500
    assert abs((log.rating == 1).sum() - 250) < 5.5 * np.sqrt(500 / 4)


def test_attributes_follow_the_user_and_strangers_in_the_table_are_ignored(tmp_path: Path) -> None:
    schema, catalogue = small.prepared(tmp_path)
    (tmp_path / "users.csv").write_text(
        "user_id,gender,age\n1,F,35\n2,X,\n2.0,X,\n900,F,1\n901,M,2\n3,M,100\n,M,50\n"
    )
    frame = (
        events(users=4)
        .assign(
            item_id=lambda frame: frame["item_id"].where(frame["user_id"] > 9, frame["user_id"])
        )
        .drop_duplicates(["user_id", "item_id"])
    )
    log = read_log(frame, schema, catalogue, spill=tmp_path / "spill", events_per_user=None)
    found = {
        int(item) + 1: (int(log.attributes["gender"][user]), int(log.attributes["age"][user]))
        for user, item in enumerate(log.item)
    }
    assert found == {1: (0, 3), 2: (2, 10), 3: (1, 9), 4: (2, 10)}


def test_opt_outs_go_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "gone.txt").write_text("user_id\n1\n 2 \n3.0\n777\n\n")
    frame = events(users=5)
    assert people(read(frame, tmp_path, exclude_users=tmp_path / "gone.txt")) == people(
        read(frame[frame["user_id"] > 3], tmp_path)
    )
    everybody = pd.DataFrame({"user_id": frame["user_id"].unique()})
    everybody.to_csv(tmp_path / "all.txt", index=False)
    with pytest.raises(Exception, match="nobody left after opt-outs"):
        read(frame, tmp_path, exclude_users=tmp_path / "all.txt")


def test_a_person_with_several_accounts_is_one_unit(tmp_path: Path) -> None:
    text = config(
        ('unit = "user_id"', 'unit = "person"'), ("[users]", 'person = { role = "unit" }\n[users]')
    )
    frame = events(users=6).assign(
        person=lambda frame: "p" + ((frame["user_id"] + 1) // 2).astype(str)
    )
    log = read(frame, tmp_path, text, events_per_user=4)
    assert log.activity.tolist() == [4, 4, 4]
    (tmp_path / "gone.txt").write_text("1\n")
    assert (
        len(read(frame, tmp_path, text, exclude_users=tmp_path / "gone.txt").offsets) == 3
    )  # the person, with both accounts


@SLOW
@given(data=st.data())
def test_bounding_is_idempotent_and_ignores_the_order_of_rows(
    data: st.DataObject, tmp_path: Path
) -> None:
    rows = data.draw(
        st.lists(
            st.tuples(st.integers(1, 4), st.integers(0, 14), st.integers(0, 6)),
            min_size=1,
            max_size=60,
        )
    )
    frame = pd.DataFrame([(1, 1, 1), *rows], columns=["user_id", "item_id", "rating"]).assign(
        timestamp=START
    )
    text = without_tables()
    keep = data.draw(st.integers(1, 8))
    once = read(frame, tmp_path, text, events_per_user=keep)
    valid = frame[
        frame["item_id"].between(1, small.ITEMS) & frame["rating"].between(1, 5)
    ].drop_duplicates(["user_id", "item_id"])
    assert sorted(once.activity) == sorted(np.minimum(valid.groupby("user_id").size(), keep))
    user = once.user_of_event()
    again = pd.DataFrame(
        {"user_id": user, "item_id": once.item + 1, "rating": once.rating, "timestamp": once.time}
    )
    assert people(read(again, tmp_path, text, events_per_user=keep)) == people(once)
    whole = people(read(valid, tmp_path, text))
    shuffled = valid.sample(frac=1, random_state=data.draw(st.integers(0, 99)))
    assert people(read(shuffled, tmp_path, text)) == whole


def test_adding_a_user_changes_no_other_users_events_or_role(tmp_path: Path) -> None:
    frame = events(users=30)
    options = {"role_key": b"k" * 32, "audit_share": 0.5}
    less, more = (read(log, tmp_path, **options) for log in (frame[frame["user_id"] < 30], frame))

    def rows(log: small.EventLog) -> set[tuple[object, ...]]:
        return {
            (int(log.role[user]), *log.item[log.offsets[user] : log.offsets[user + 1]].tolist())
            for user in range(len(log.role))
        }

    assert rows(less) < rows(more)
    assert {Role.MEMBER, Role.HOLDOUT} < set(more.role.tolist())


def test_a_store_holds_the_same_log_mapped_and_spill_is_emptied(tmp_path: Path) -> None:
    frame = events()
    log = read(frame, tmp_path, store=tmp_path / "bounded", role_key=b"k" * 32, audit_share=0.5)
    assert isinstance(log.item, np.memmap)
    assert people(log) == people(read(frame, tmp_path))
    assert not (tmp_path / "spill").exists()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "other").write_text("not ours")
    schema, catalogue = small.prepared(tmp_path)
    read_log(frame, schema, catalogue, spill=tmp_path / "kept", events_per_user=1)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["other"]


def test_batches_fill_memory_and_store_alike(tmp_path: Path) -> None:
    for store in (None, tmp_path / "store"):
        writer = EventWriter(np.array([2, 1]), store=store, rating=True, time=False)
        for rows in ([0, 1], [2]):
            writer.append(
                item=pa.array(rows), rating=pa.array(rows, pa.float32()), time=pa.nulls(len(rows))
            )
        log = writer.finish(attributes={"a/b": np.array([1, 0], np.int16)}, role=None)
        assert (
            log.item.tolist() == [0, 1, 2]
            and log.offsets.tolist() == [0, 2, 3]
            and log.attributes["a/b"].tolist() == [1, 0]
        )
        assert log.time is None


def test_a_log_without_ratings_and_times_is_read_too(tmp_path: Path) -> None:
    text = "\n".join(
        line
        for line in without_tables().splitlines()
        if not line.startswith(("rating", "timestamp"))
    )
    log = read(events()[["user_id", "item_id"]], tmp_path, text)
    assert log.rating is None and log.time is None and len(log.item) == 160


def test_real_ratings_are_read_whole(tmp_path: Path) -> None:
    folder = shared_data("ml-100k.csv.gz").parent
    text = (
        CONFIG.replace("items.csv", "ml-100k.items.csv.gz")
        .replace("users.csv", "ml-100k.users.csv.gz")
        .replace("2024-01-01", "1997-09-01")
        .replace("2024-12-31", "1998-05-01")
        .replace("genres = ", "class = ")
        .replace('"|"', '" "')
        .replace("year ", "release_year ")
        .replace("title ", "movie_title ")
    )
    schema = Schema.parse(text, folder=folder)
    catalogue = Catalogue.read(schema)
    log = read_log(
        folder / "ml-100k.csv.gz", schema, catalogue, spill=tmp_path, events_per_user=None
    )
    assert (len(log.item), log.users, catalogue.size) == (100_000, 943, 1_682)
    with gzip.open(folder / "ml-100k.csv.gz", "rt") as stream:
        frame = pd.read_csv(stream)
    assert log.rating.sum() == frame["rating"].sum() and log.time.sum() == frame["timestamp"].sum()
    assert (log.attributes["gender"] == 0).sum() == 273
