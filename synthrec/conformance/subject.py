"""What the suite runs on: a schema, its catalogue, its plan, and a simulated log that fits them,
with awkward people in it whom no reader would let through.

Without a configuration it is the simulator's log. For an owner's configuration or a release it is a
log drawn at random in the declared domain: no file of the owner but the configuration and the
public catalogue is opened, and everything is written below one folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import Identifier
from synthrec.data.eventlog import EventLog
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.data.splits import TRAINS, role_of
from synthrec.data.writer import FIRST_ID, event_table, user_table
from synthrec.errors import PlanError
from synthrec.model.recipe import plan_release
from synthrec.privacy.plan import Model, Plan

LIMIT = np.iinfo(np.int16).max


def random_users(
    schema: Schema, *, items: int, users: int, most: int, rng: np.random.Generator
) -> EventLog:
    """Users with 1 to `most` events, popular items more often, every code of the domain and "other"
    in turn.
    """
    chance = 1 / np.arange(3, items + 3)
    pace = np.log(rng.random((users, items))) / chance  # an exponential race: no item twice
    counts = rng.integers(1, min(most, items) + 1, users)
    item = np.concatenate(
        [np.sort(np.argsort(-row)[:count]) for row, count in zip(pace, counts, strict=True)]
    ).astype(np.int32)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    user = np.repeat(np.arange(users), counts)
    time = None
    if schema.time is not None:
        time = rng.integers(schema.time.min_seconds, schema.time.max_seconds + 1, len(item))
        time = time[np.lexsort((time, user))].astype(np.int64)
    rating = (
        None
        if schema.rating is None
        else rng.choice(schema.rating.levels, len(item)).astype(np.float32)
    )
    attributes = {
        name: rng.integers(0, each.size + 1, users).astype(np.int16)
        for name, each in schema.user_attributes.items()
    }
    return EventLog(
        offsets=offsets,
        item=item,
        rating=rating,
        time=time,
        marks=random_marks(schema, item=item, user=user, rng=rng),
        attributes=attributes,
    )


def one_user(
    schema: Schema,
    *,
    items: int,
    events: int,
    rng: np.random.Generator,
    rating: float | None = None,
    item: int | None = None,
    code: int | None = None,
) -> EventLog:
    """A user of any size, who may do the same again and again, at one moment.

    Args:
        rating: place on the scale, 0 its lowest and 1 its highest level, any other number beyond;
        None draws levels. code: of every mark and attribute, also one that no domain holds; None
        draws some.
    """
    picked = (np.arange(events) % items if item is None else np.full(events, item)).astype(np.int32)
    levels = None if schema.rating is None else schema.rating.levels
    rated = None
    if levels is not None:
        drawn = (
            rng.choice(levels, events)
            if rating is None
            else np.full(events, levels[0] + rating * (levels[-1] - levels[0]))
        )
        rated = drawn.astype(np.float32)
    marks = random_marks(schema, item=picked, user=np.zeros(events, dtype=np.int64), rng=rng)
    if code is not None:
        marks = {
            name: np.full(events, min(code, LIMIT)).astype(codes.dtype)
            for name, codes in marks.items()
        }
    attributes = {
        name: np.array([each.size if code is None else min(code, LIMIT)], dtype=np.int16)
        for name, each in schema.user_attributes.items()
    }
    time = None if schema.time is None else np.full(events, schema.time.min_seconds, dtype=np.int64)
    return EventLog(
        offsets=np.array([0, events], dtype=np.int64),
        item=picked,
        rating=rated,
        time=time,
        marks=marks,
        attributes=attributes,
    )


def random_marks(
    schema: Schema, *, item: np.ndarray, user: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """What belongs to an item is the same at all its events, what belongs to a user at all of
    theirs; baskets hold about four events.
    """
    found: dict[str, np.ndarray] = {}
    for name, column in schema.marks.items():
        if isinstance(column, Identifier):
            found[name] = (np.arange(len(item)) // 4 % 30_000).astype(np.int32)
            continue
        owner = {"item": item, "user": user}.get(
            getattr(column, "of", None) or "", np.arange(len(item))
        )
        codes = rng.integers(0, column.size, int(owner.max(initial=0)) + 1)
        found[name] = codes[owner].astype(np.int16)
    return found


USERS, ITEMS, SEED = 400, 120, 1
# declared for the simulated log, so that its plan asks for everything; a wrong figure costs utility
# only
POPULATION = 6_000
EPSILON, DELTA_PART = 8.0, 0.06
# of the events that are kept of a user: an ordinary user has no more, so that one who has all of
# them shows
MAX_PART_OF_K = 0.75
HEAVY = 10_000  # events of the heaviest user
MAX_SIMULATED_K = 200  # events of simulated users, where the schema allows more
AUDIT_SHARE = 0.3
KEY = b"conformance, nobody's roles key."


@dataclass(frozen=True, repr=False)
class Subject:
    """A source that nobody is in.

    `events`: the log's table, every cell as text. `edge_case_users`: for each kind of neighbour,
    the ids of the users who leave.
    """

    name: str
    schema: Schema
    catalogue: Catalogue
    plan: Plan
    events: pd.DataFrame
    edge_case_users: dict[str, frozenset[str]]

    def without(self, kind: str) -> pd.DataFrame:
        """The log without the users of one kind."""
        return self.events[~self.events[self.schema.user].isin(self.edge_case_users[kind])]

    def read(self, events: pd.DataFrame, *, audit_share: float = 0.0) -> EventLog:
        """A bounded log, as `fit` reads it."""
        return read_log(
            events,
            self.schema,
            self.catalogue,
            spill=self.schema.folder / "spill",
            role_key=KEY,
            audit_share=audit_share,
            events_per_user=self.schema.privacy.events_per_user,
        )


def simulated(
    folder: Path, *, epsilon: float = EPSILON, delta: float | None = None, model: Model = "gan"
) -> Subject:
    """The simulator's log with the plan that it would be released by."""
    world = simulate(users=USERS, items=ITEMS, seed=SEED)
    schema = Schema.load(world.write(folder, events_per_user=40))
    schema = schema.model_copy(
        update={"source": schema.source.model_copy(update={"population": POPULATION})}
    )
    plan = plan_release(
        schema, epsilon=epsilon, delta=delta or DELTA_PART / POPULATION, model=model
    )
    return _with_awkward(
        "the simulated log and its own plan",
        schema,
        Catalogue.read(schema),
        plan,
        world.events.astype(str),
    )


def fitted(folder: Path, *, name: str, schema: Schema, catalogue: Catalogue, plan: Plan) -> Subject:
    """A log drawn at random that fits a schema, whose own files are not opened."""
    if not plan.is_private:
        raise PlanError(
            "a mechanism is checked with its noise",
            found="a plan without noise",
            remedy="Choose a finite epsilon.",
        )
    users = (
        None
        if schema.users.table is None
        else schema.users.model_copy(update={"table": "users.parquet"})
    )
    here = schema.model_copy(
        update={
            "folder": folder,
            "source": schema.source.model_copy(update={"ledger": "simulated.ledger.jsonl"}),
            **({} if users is None else {"users": users}),
        }
    )
    rng = np.random.default_rng(SEED)
    log = random_users(
        here,
        items=catalogue.size,
        users=USERS,
        most=min(MAX_SIMULATED_K, here.privacy.events_per_user),
        rng=rng,
    )
    ids = FIRST_ID + 1 + np.arange(USERS)
    if users is not None:
        pq.write_table(user_table(log, ids, schema=here, rng=rng), folder / "users.parquet")
    events = event_table(log, ids, schema=here, catalogue=catalogue, text_times=True).to_pandas()
    return _with_awkward(name, here, catalogue, plan, events.astype(str).where(events.notna(), ""))


def _with_awkward(
    name: str, schema: Schema, catalogue: Catalogue, plan: Plan, events: pd.DataFrame
) -> Subject:
    """The events, in which nobody holds the last item or has as many as are kept, and after them
    the awkward users.
    """
    last = str(catalogue.ids[-1].as_py())
    events = events[events[schema.item] != last]
    events = events[
        events.groupby(schema.user).cumcount()
        < max(1, MAX_PART_OF_K * schema.privacy.events_per_user)
    ]
    ids = events[schema.user].unique()
    some = events.iloc[:1]
    lonely = _changed(some, {schema.item: last})
    other = {column: "nonsense" for column in schema.kept_columns}
    values = [column for column in (schema.rating, schema.time) if column is not None]
    extreme = {column.name: "1e308" for column in values} | {schema.item: "99999999999999999999"}
    kinds = {
        "no valid events": pd.concat([_changed(some, other)] * 3),
        "longest": events.iloc[np.resize(np.arange(len(events)), HEAVY)],
        "unique item": lonely,
        "extreme value": pd.concat(
            [_changed(some, {place: value}) for place, value in extreme.items()] + [some]
        ),
        "not a number": pd.concat(
            [_changed(some, {column: "nan"}) for column in schema.kept_columns] + [some]
        ),
    }
    ordinary = [
        user for user in ids if role_of([user], key=KEY, audit_share=AUDIT_SHARE)[0] in TRAINS
    ][:1]
    edge_case_users = {
        "an ordinary user": frozenset(ordinary),
        "a third of all users": frozenset(ids[::3]),
    }
    parts = [events]
    candidates = [f"{FIRST_ID * 2 + place}" for place in range(100)]
    training = np.isin(
        role_of(candidates, key=KEY, audit_share=AUDIT_SHARE), TRAINS
    )  # nobody else is in anything
    for user, (kind, rows) in zip(
        np.asarray(candidates)[training].tolist(), kinds.items(), strict=False
    ):
        parts.append(
            _changed(rows, {column: user for column in {schema.user, schema.privacy.unit}})
        )
        edge_case_users[f"a user: {kind}"] = frozenset([user])
    return Subject(
        name=name,
        schema=schema,
        catalogue=catalogue,
        plan=plan,
        events=pd.concat(parts, ignore_index=True),
        edge_case_users=edge_case_users,
    )


def _changed(rows: pd.DataFrame, values: dict[str, str]) -> pd.DataFrame:
    """The rows with other cells; `assign` takes no column of any name."""
    found = rows.copy()
    for column, value in values.items():
        found[column] = value
    return found


def neighbours(subject: Subject) -> list[tuple[EventLog, EventLog, EventLog]]:
    """(log, the log without a user, that user), 26 times: ordinary users, and odd ones that no
    reader would let through.
    """
    schema, size = subject.schema, subject.catalogue.size
    rng, most = np.random.default_rng(SEED + 1), schema.privacy.events_per_user
    found = []
    for place in range(14):
        log = random_users(schema, items=size, users=30, most=min(MAX_SIMULATED_K, most), rng=rng)
        gone = (0, 29, place)[place % 3]
        found.append(
            (log, log.select(np.delete(np.arange(30), gone)), log.select(np.array([gone])))
        )
    odd: list[dict[str, Any]] = [
        dict(events=0),
        dict(events=1),
        dict(events=most, rating=1.0),
        dict(events=most, rating=0.0),
        dict(events=HEAVY),
        dict(events=HEAVY, rating=1.0, item=size - 1),
        dict(events=500, rating=np.nan),
        dict(events=7, rating=np.inf),
        dict(events=3, rating=1e30),
        dict(events=size, rating=1.0),
        dict(events=100, rating=100.0),
        dict(events=500, code=900),
    ]
    for place, options in enumerate(odd):
        user = one_user(schema, items=size, rng=rng, **options)
        rest = random_users(schema, items=size, users=30, most=min(MAX_SIMULATED_K, most), rng=rng)
        found.append(
            (
                EventLog.concat(
                    [rest.select(np.arange(place)), user, rest.select(np.arange(place, 30))]
                ),
                rest,
                user,
            )
        )
    return found
