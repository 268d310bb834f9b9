"""An event log: choosing, joining and saving users, against the plain way of doing it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthrec.data.eventlog import EventLog
from synthrec.data.splits import Role
from synthrec.errors import DataError

COUNTS = st.lists(st.integers(0, 5), max_size=8)


def a_log(counts: list[int], *, role: bool = True) -> EventLog:
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    events = int(offsets[-1])
    return EventLog(
        offsets=offsets,
        item=np.arange(events, dtype=np.int32),
        rating=np.arange(events, dtype=np.float32) / 2,
        time=np.arange(events, dtype=np.int64) * 7,
        attributes={"a/b": np.arange(len(counts), dtype=np.int16)},
        role=(np.arange(len(counts)) % 5).astype(np.int8) if role else None,
    )


def users(log: EventLog) -> list[tuple[object, ...]]:
    return [
        (
            log.item[start:stop].tolist(),
            log.rating[start:stop].tolist(),
            log.time[start:stop].tolist(),
            int(log.attributes["a/b"][place]),
            None if log.role is None else int(log.role[place]),
        )
        for place, (start, stop) in enumerate(zip(log.offsets[:-1], log.offsets[1:], strict=True))
    ]


@given(COUNTS, st.data())
def test_choosing_users_takes_their_events_in_the_order_asked_for(
    counts: list[int], data: st.DataObject
) -> None:
    log = a_log(counts)
    chosen = data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=10)) if counts else []
    found = log.select(np.array(chosen, dtype=int))
    assert users(found) == [users(log)[place] for place in chosen]
    assert found.offsets.dtype == np.int64 and found.item.dtype == np.int32
    assert users(log.users_with(Role.HOLDOUT)) == [
        user for user in users(log) if user[-1] == Role.HOLDOUT
    ]
    assert log.user_of_event().tolist() == [
        place for place, count in enumerate(counts) for _ in range(count)
    ]


@given(COUNTS, COUNTS)
def test_joining_keeps_every_user(left: list[int], right: list[int]) -> None:
    assert users(EventLog.concat([a_log(left), a_log(right)])) == users(a_log(left)) + users(
        a_log(right)
    )
    assert EventLog.concat([a_log(left), a_log(right, role=False)]).role is None


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(counts=COUNTS, role=st.booleans())
def test_a_saved_log_opens_as_it_was(counts: list[int], role: bool, tmp_path: Path) -> None:
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    log = a_log(counts, role=role)
    log.save(folder)
    assert users(EventLog.open(folder)) == users(log)


def test_a_damaged_or_foreign_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        EventLog.open(tmp_path)
    for name, content in (
        ("item.npy", b""),
        ("item.npy", b"\x93NUMPY"),
        ("log.json", b"[]"),
        ("log.json", b'{"format_version": 2}'),
    ):
        folder = tmp_path / f"{name}-{len(content)}"
        a_log([1, 2]).save(folder)
        (folder / name).write_bytes(content)
        with pytest.raises(DataError, match="missing or damaged"):
            EventLog.open(folder)


def test_opening_never_runs_a_pickle(tmp_path: Path) -> None:
    a_log([1, 2]).save(tmp_path / "log")
    np.save(tmp_path / "log" / "item.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="missing or damaged"):
        EventLog.open(tmp_path / "log")
