"""The logs of the benchmark, split by users: public ones from files, simulated ones from the
simulator. None is private.

A split is made once and kept below `.cache/`, memory-mapped from there on, so that an arm's memory
is its own. Public logs: 10 % of the users, drawn by seed, are test users, the others train.
Simulated: exactly the named number of users train, and 2,000 further users of the same world are
test users, so that intervals are as wide at 1,000 users as at 200,000. Worlds from `WORLD` on chose
no constant.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.hashes import code_hash, file_hash, text_hash
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
DELTAS = {"ml-100k": 1e-4, "ml-1m": 1e-5, "onlineretail": 1e-4, "retailrocket": 1e-4}
SIMULATED = "simulated-"
TEST_SHARE, TEST_USERS = 0.1, 2_000
ITEMS, WORLD = 800, 500
SCORED_POPULATION = 20_000  # synthetic users scored are twice the population, at most twice this


@dataclass(frozen=True)
class Split:
    """One log, its users split by one seed. `train` is unbounded, `bounded` has at most K events a
    user.
    """

    name: str
    schema: Schema
    catalogue: Catalogue
    delta: float
    train: EventLog
    test: EventLog
    bounded: EventLog

    @property
    def events_per_user(self) -> int:
        """K."""
        return self.schema.privacy.events_per_user

    @property
    def scale(self) -> tuple[float, float] | None:
        """Lowest and highest rating, if there are ratings."""
        rating = self.schema.rating
        return None if rating is None else (float(rating.levels[0]), float(rating.levels[-1]))

    @property
    def synthetic_users(self) -> int:
        """How many synthetic users are scored in every arm."""
        return 2 * min(self.schema.source.population, SCORED_POPULATION)


def load(name: str, *, seed: int, data: Path | None = None) -> Split:
    """The split of a log, from the cache or made now."""
    folder = CACHE / "splits" / f"{name}-seed{seed}-{split_hash(name, data=data)[:8]}"
    if not folder.exists():
        _made_whole(folder, lambda fresh: _make(name, seed=seed, data=data, into=fresh))
    text = (folder / "synthrec.toml").read_text(encoding="utf-8")
    schema = Schema.parse(text, folder=_source(name, split=folder, data=data))
    logs = {part: EventLog.open(folder / part) for part in ("train", "test", "bounded")}
    return Split(
        name=name,
        schema=schema,
        catalogue=Catalogue.read(schema),
        delta=delta_of(name, schema),
        **logs,
    )


def simulated_size(name: str) -> tuple[int, int]:
    """Users in training and items of `simulated-USERS` or `simulated-USERSxITEMS`."""
    users, _, items = name.removeprefix(SIMULATED).partition("x")
    return int(users), int(items or ITEMS)


def split_hash(name: str, *, data: Path | None = None) -> str:
    """What a split depends on besides its seed: the code that reads, and the log's file and
    declarations.
    """
    code = code_hash(("data",), ours=("logs.py",))
    return (
        text_hash(code)
        if is_simulated(name)
        else text_hash(code, config_of(name), file_hash(data_folder(data) / f"{name}.csv.gz"))
    )


def is_simulated(name: str) -> bool:
    """Does the log come from the simulator, not from a file?"""
    return name.startswith(SIMULATED)


def config_of(name: str) -> str:
    """The declarations of a public log."""
    return (HERE / "configs" / f"{name}.toml").read_text(encoding="utf-8")


def delta_of(name: str, schema: Schema) -> float:
    """The protocol's delta: fixed for MovieLens, else a tenth of 1 / population."""
    return DELTAS.get(name, 0.1 / schema.source.population)


def data_folder(asked: Path | None = None) -> Path:
    """Where the public logs are: as asked, or as SYNTHREC_SHARED_DATA says, or beside the
    repository.
    """
    return asked or Path(
        os.environ.get("SYNTHREC_SHARED_DATA", HERE.parent.parent / "shared" / "data")
    )


def _source(name: str, *, split: Path, data: Path | None) -> Path:
    return split if is_simulated(name) else data_folder(data)


def _made_whole(folder: Path, make: Callable[[Path], None]) -> None:
    """Make a folder elsewhere and move it: nobody sees half of it, and of two makers one wins."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    try:
        make(fresh)
        if not folder.exists():
            fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _make(name: str, *, seed: int, data: Path | None, into: Path) -> None:
    text, train, test = (
        _simulated(name, seed=seed, into=into)
        if is_simulated(name)
        else _public(name, seed=seed, data=data)
    )
    (into / "synthrec.toml").write_text(text, encoding="utf-8")
    schema = Schema.parse(text, folder=_source(name, split=into, data=data))
    catalogue = Catalogue.read(schema)
    started = time.perf_counter()
    for part, frame, most in (
        ("bounded", train, schema.privacy.events_per_user),
        ("train", train, None),
        ("test", test, None),
    ):
        in_lasting_order(
            read_log(frame, schema, catalogue, spill=into / "spill", events_per_user=most)
        ).save(into / part)
        if part == "bounded":
            (into / "read_seconds.txt").write_text(
                f"{time.perf_counter() - started:.1f}", encoding="utf-8"
            )


def in_lasting_order(log: EventLog) -> EventLog:
    """The same users in an order that follows from what they did: reading shuffles them anew each
    time, and figures are paired by place.
    """
    columns = [column for column in (log.item, log.rating, log.time) if column is not None]
    keys = [
        hashlib.sha256(b"".join(column[first:last].tobytes() for column in columns)).digest()
        for first, last in pairwise(log.offsets)
    ]
    return log.select(np.array(sorted(range(len(keys)), key=keys.__getitem__)))


def _public(name: str, *, seed: int, data: Path | None) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    text = config_of(name)
    user = Schema.parse(text, folder=data_folder(data)).user
    events = pd.read_csv(data_folder(data) / f"{name}.csv.gz", low_memory=False)
    users = np.sort(events[user].unique())
    test = np.random.default_rng(seed).permutation(users)[: round(TEST_SHARE * len(users))]
    is_test = events[user].isin(test)
    return text, events[~is_test], events[is_test]


def _simulated(name: str, *, seed: int, into: Path) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """User table and catalogue go to files, as an owner has them; events stay a frame."""
    users, items = simulated_size(name)
    world = simulate(users=users + TEST_USERS, items=items, seed=WORLD + seed)
    config = replace(world, events=world.events[:0]).write(into)
    text = config.read_text(encoding="utf-8")
    declared = f"population = {users + TEST_USERS} "
    assert declared in text
    test = world.users["user_id"].to_numpy()[
        np.random.default_rng(seed).permutation(users + TEST_USERS)[:TEST_USERS]
    ]
    is_test = world.events["user_id"].isin(test)
    return (
        text.replace(declared, f"population = {users} "),
        world.events[~is_test],
        world.events[is_test],
    )
