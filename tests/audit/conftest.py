"""Logs that the audit's tests share: simulated ones, read straight into arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synthrec.data.eventlog import EventLog
from synthrec.data.simulator import SimulatedLog, simulate


def log_of(simulated: SimulatedLog) -> EventLog:
    """User b of the log is row b of the simulator's users, item v row v of its items."""
    rows = pd.Series(range(len(simulated.users)), index=simulated.users["user_id"])
    columns = pd.Series(range(len(simulated.items)), index=simulated.items["item_id"])
    user = rows[simulated.events["user_id"]].to_numpy()
    order = np.argsort(user, kind="stable")
    counts = np.bincount(user, minlength=len(simulated.users))
    return EventLog(
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        item=columns[simulated.events["item_id"]].to_numpy()[order].astype(np.int32),
        rating=simulated.events["rating"].to_numpy()[order].astype(np.float32),
        time=simulated.events["timestamp"].to_numpy()[order],
    )


@pytest.fixture(scope="session")
def simulated() -> SimulatedLog:
    return simulate(users=1_200, items=300, seed=11)


@pytest.fixture(scope="session")
def everybody(simulated: SimulatedLog) -> EventLog:
    """All 1,200 users; arrays are read-only, so an audit that writes into a log fails."""
    log = log_of(simulated)
    for column in (log.offsets, log.item, log.rating, log.time):
        column.flags.writeable = False
    return log


@pytest.fixture(scope="session")
def train(everybody: EventLog) -> EventLog:
    return everybody.select(np.arange(0, 1_000))


@pytest.fixture(scope="session")
def test_users(everybody: EventLog) -> EventLog:
    return everybody.select(np.arange(1_000, 1_200))


@pytest.fixture()
def rng() -> np.random.Generator:
    return np.random.default_rng(2024)
