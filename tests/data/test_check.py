"""The operator's diagnostics are exact, marked, and for the operator alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from synthrec.data.check import MARK, diagnose
from synthrec.errors import DataError
from tests.data import small
from tests.data.small import START, events


def test_each_row_counts_for_the_first_reason_that_holds(tmp_path: Path) -> None:
    schema, catalogue = small.prepared(tmp_path)
    bad = pd.DataFrame(
        {
            "user_id": [None, None, 1, 1, 2, 2, 3],
            "item_id": [1, 99, 99, 99, 1, 1, 1],
            "rating": [3, 9, 3, 9, 9, 3, 3],
            "timestamp": [START, 0, START, 0, START, 0, START],
        }
    )
    good = events(users=19).assign(user_id=lambda frame: frame["user_id"] + 3)
    twice = good[:5]
    before = sorted(tmp_path.iterdir())
    found = diagnose(pd.concat([good, bad, twice]), schema, catalogue, spill=tmp_path / "spill")
    assert found.dropped == {
        "no user": 2,
        "item not in the catalogue": 2,
        "rating off the declared scale": 1,
        "time outside the declared window": 1,
    }
    assert (found.rows, found.users, found.repeated) == (len(good) + 12, 22, 5)
    assert (found.usable_events, found.usable_users) == (len(good) + 1, 20)
    assert found.kept_at[10] == 1.0 and found.kept_at[5] == (19 * 5 + 1) / (19 * 8 + 1)
    assert found.suggested_events_per_user == 10 and found.activity[0.5] == 8
    assert sum(found.ratings.values()) == found.usable_events
    assert found.other == {"gender": 2, "age": 2}  # users 21 and 22 are not in the table
    assert sorted(tmp_path.iterdir()) == before


def test_every_line_says_that_it_is_private_and_the_record_prints_nothing(tmp_path: Path) -> None:
    schema, catalogue = small.prepared(tmp_path)
    found = diagnose(events(), schema, catalogue, spill=tmp_path / "spill")
    lines = found.lines()
    assert all(line.startswith(MARK) for line in lines) and any("160" in line for line in lines)
    assert repr(found) == str(found) == "Diagnostics(private)"


def test_a_log_without_anything_usable_is_diagnosed_all_the_same(tmp_path: Path) -> None:
    schema, catalogue = small.prepared(tmp_path)
    frame = pd.DataFrame(
        {"user_id": ["a", "b"], "item_id": [1, 99], "rating": [9, 3], "timestamp": START}
    )
    found = diagnose(frame, schema, catalogue, spill=tmp_path / "spill")
    assert found.usable_events == 0 and found.lines()
    with pytest.raises(DataError, match="no id in common"):
        diagnose(frame.assign(item_id="x"), schema, catalogue, spill=tmp_path / "spill")
