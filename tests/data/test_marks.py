"""What events say besides who, what and when: read as declared, bounded per user, kept beside the
events, written as the log writes it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from synthrec.data.columns import EventCategory, EventNumber
from synthrec.data.eventlog import EventLog, exact, is_exact
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.data.writer import write_log
from synthrec.errors import SchemaError
from tests.data.typed import CONFIG, K, config, prepared, shop


def read(
    frame: pd.DataFrame,
    folder: Path,
    text: str = CONFIG,
    *,
    most: int | None = None,
    store: Path | None = None,
) -> EventLog:
    schema, catalogue = prepared(folder, text)
    return read_log(
        frame, schema, catalogue, spill=folder / "spill", events_per_user=most, store=store
    )


def test_the_schema_tells_what_each_mark_is_and_serves_all_of_them() -> None:
    schema = Schema.parse(CONFIG)
    schema.require_served()
    assert (
        schema.kind is not None
        and schema.kind.name == "action"
        and schema.kind.follows == {"cancel": "buy"}
    )
    assert schema.basket is not None and schema.basket.name == "basket"
    assert (list(schema.details), list(schema.marks_of("item")), list(schema.marks_of("user"))) == (
        ["quantity"],
        ["price"],
        ["country"],
    )
    assert (
        schema.several
        and schema.rating is None
        and list(schema.marks) == ["action", "quantity", "price", "basket", "country"]
    )
    assert Schema.model_validate_json(schema.model_dump_json()).model_dump() == schema.model_dump()


def test_an_audit_reads_numbers_as_they_are_beside_their_bins(tmp_path: Path) -> None:
    frame = shop(users=40)
    schema, catalogue = prepared(tmp_path)
    given = {"spill": tmp_path / "spill", "events_per_user": None}
    log = read_log(frame, schema, catalogue, numbers=True, **given)
    assert sorted(log.marks[exact("price")]) == pytest.approx(sorted(frame["price"]))
    assert len(np.unique(log.marks[exact("price")])) > len(np.unique(log.marks["price"]))
    assert sum(map(is_exact, log.marks)) == 2, "price and quantity"
    assert not any(map(is_exact, read_log(frame, schema, catalogue, **given).marks))


def test_a_log_written_and_read_again_is_the_same_log(tmp_path: Path) -> None:
    frame = shop(users=60)
    schema, catalogue = prepared(tmp_path)
    log = read(frame, tmp_path)
    write_log(
        tmp_path / "again.parquet",
        [log],
        schema=schema,
        catalogue=catalogue,
        metadata={},
        rng=np.random.default_rng(0),
    )
    table = pq.read_table(tmp_path / "again.parquet")
    assert table.column_names == [*frame.columns]
    assert {
        name: str(table.schema.field(name).type)
        for name in ("quantity", "price", "basket", "action")
    } == {"quantity": "int64", "price": "double", "basket": "string", "action": "string"}
    written = table.to_pandas()
    assert (written.groupby("basket")["timestamp"].nunique() == 1).all() and (
        written.groupby("basket")["user_id"].nunique() == 1
    ).all()
    assert (written.groupby("item_id")["price"].nunique() == 1).all() and written["price"].round(
        2
    ).equals(written["price"])
    assert (np.sign(written["quantity"]) == np.where(written["action"] == "buy", 1, -1)).all()
    assert len(written) == len(frame) and written["basket"].nunique() == frame["basket"].nunique()
    assert written["country"].isna().mean() == pytest.approx((frame["country"] == "XX").mean())
    again = read(written, tmp_path)
    assert [*again.marks] == [*log.marks]
    for name in ("action", "quantity", "price", "country"):
        assert (
            np.bincount(again.marks[name], minlength=40)
            == np.bincount(log.marks[name], minlength=40)
        ).all()


def test_rows_outside_the_declared_domain_are_dropped_one_by_one(tmp_path: Path) -> None:
    frame = shop(users=30)
    odd = frame.head(4).copy()
    odd["action"] = ["return", None, "buy", "buy"]
    odd["quantity"] = odd["quantity"].astype(object)
    odd.iloc[2, odd.columns.get_loc("quantity")] = 1_000_000
    odd.iloc[3, odd.columns.get_loc("basket")] = None
    with_odd = pd.concat([frame.assign(quantity=frame["quantity"].astype(object)), odd]).astype(
        {"quantity": str}
    )
    assert len(read(with_odd, tmp_path).item) == len(frame)


def test_without_repeats_a_user_has_each_item_and_type_once(tmp_path: Path) -> None:
    frame = shop(users=40)
    log = read(pd.concat([frame, frame]), tmp_path, config(("repeats = true", "repeats = false")))
    assert len(log.item) == len(frame.drop_duplicates(["user_id", "item_id", "action"]))


def test_a_user_of_a_thousand_events_keeps_k_and_changes_nobody_else(tmp_path: Path) -> None:
    frame = shop(users=20)
    busy = pd.concat([frame.head(1)] * 1_000).assign(user_id="99")
    log = read(pd.concat([frame, busy]), tmp_path, most=K)
    assert log.activity.max() == K and log.users == 21


def test_marks_follow_their_events_through_select_concat_keep_and_the_disk(tmp_path: Path) -> None:
    log = read(shop(users=25), tmp_path, store=tmp_path / "store")
    log.save(tmp_path / "saved")
    again = EventLog.open(tmp_path / "saved")
    assert all(
        (again.marks[name] == codes).all() and again.marks[name].dtype == codes.dtype
        for name, codes in log.marks.items()
    )
    backwards = log.select(np.arange(25)[::-1])
    assert (
        EventLog.concat([backwards, log]).select(np.arange(25)[::-1]).marks["quantity"]
        == log.marks["quantity"]
    ).all()
    kept = log.keep(log.item % 2 == 0)
    assert (kept.marks["price"] == log.marks["price"][log.item % 2 == 0]).all() and len(
        kept.offsets
    ) == len(log.offsets)
    assert repr(log) == "EventLog(private)"


@pytest.mark.parametrize(
    "column",
    [
        EventNumber(name="q", min=-100, max=100, bins=30, scale="log"),
        EventNumber(name="q", min=0.01, max=90.0, bins=40, scale="log"),
        EventNumber(name="q", min=0.0, max=90.0, bins=40, scale="log", decimals=2),
        EventNumber(name="q", min=1, max=9, bins=8),
        EventNumber(name="q", min=0, max=5, bins=50, scale="log"),
        EventNumber(name="q", min=-2.0, max=2.0, bins=7, decimals=1),
    ],
)
def test_a_number_of_a_bin_lies_in_that_bin_and_on_the_columns_grid(column: EventNumber) -> None:
    codes = np.tile(np.arange(column.size + 1), 200).astype(np.int16)
    values = column.decode(codes, np.random.default_rng(0))
    assert (column.encode(values) == codes).all()
    known = values.drop_null().to_numpy()
    assert known.min() >= column.min and known.max() <= column.max
    if column.grid is not None:
        assert known / column.grid == pytest.approx(np.rint(known / column.grid), abs=1e-6)


def test_follows_must_name_values_and_no_chain_of_them() -> None:
    for follows in ({"cancel": "sell"}, {"gone": "buy"}, {"cancel": "buy", "buy": "view"}):
        with pytest.raises(ValueError, match="follows names values"):
            EventCategory(name="action", values=("buy", "cancel", "view"), follows=follows)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        (
            'type = "id", groups = "events", format = "text" }',
            'type = "id" }\nsession = { type = "id" }',
            "session",
        ),
        ('of = "user" }', 'of = "user", follows = { ES = "PT" } }', "country"),
    ],
)
def test_what_is_not_served_of_marks_is_named(old: str, new: str, place: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.parse(config((old, new))).require_served()
    assert place in caught.value.found
