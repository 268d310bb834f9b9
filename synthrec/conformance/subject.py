"""What the suite runs on: a schema, its catalogue, its plan, and a simulated log that fits them, with awkward people in it.

Without a configuration it is the simulator's log. For an owner's configuration or a release it is a log drawn at random in the declared
domain: no file of the owner but the configuration and the public catalogue is opened, and everything is written below one folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from synthrec.conformance.people import one_user, random_users
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.data.sink import FIRST_ID, event_table, user_table
from synthrec.data.source import read_log
from synthrec.errors import PlanError
from synthrec.model.recipe import plan_release
from synthrec.privacy.plan import Model, Plan

USERS, ITEMS, SEED = 400, 120, 1
POPULATION = 6_000          # declared for the simulated log, so that its plan asks for everything; a wrong figure costs utility only
EPSILON, DELTA_PART = 8.0, 0.06
LONGEST_PART = 0.75         # of the events that are kept of a user: an ordinary user has no more, so that one who has all of them shows
HEAVY = 10_000              # events of the heaviest user
LONGEST_K = 200             # events of simulated users, where the schema allows more
KEY = b"conformance, nobody's roles key."


@dataclass(frozen=True, repr=False)
class Subject:
    """A source that nobody is in.

    `events`: the log's table, every cell as text. `awkward`: for each kind of neighbour, the ids of the users who leave.
    """

    name: str
    schema: Schema
    catalogue: Catalogue
    plan: Plan
    events: pd.DataFrame
    awkward: dict[str, frozenset[str]]

    def without(self, kind: str) -> pd.DataFrame:
        """The log without the users of one kind."""
        return self.events[~self.events[self.schema.user].isin(self.awkward[kind])]

    def read(self, events: pd.DataFrame, *, audit_share: float = 0.0) -> EventLog:
        """A bounded log, as `fit` reads it."""
        return read_log(events, self.schema, self.catalogue, spill=self.schema.folder / "spill", role_key=KEY, audit_share=audit_share,
                        events_per_user=self.schema.privacy.events_per_user)


def simulated(folder: Path, *, epsilon: float = EPSILON, delta: float | None = None, model: Model = "gan") -> Subject:
    """The simulator's log with the plan that it would be released by."""
    world = simulate(users=USERS, items=ITEMS, seed=SEED)
    schema = Schema.load(world.write(folder, events_per_user=40))
    schema = schema.model_copy(update={"source": schema.source.model_copy(update={"population": POPULATION})})
    plan = plan_release(schema, epsilon=epsilon, delta=delta or DELTA_PART / POPULATION, model=model)
    return _with_awkward("the simulated log and its own plan", schema, Catalogue.read(schema), plan, world.events.astype(str))


def fitted(folder: Path, *, name: str, schema: Schema, catalogue: Catalogue, plan: Plan) -> Subject:
    """A log drawn at random that fits a schema, whose own files are not opened."""
    if not plan.is_private:
        raise PlanError("a mechanism is checked with its noise", found="a plan without noise", remedy="Choose a finite epsilon.")
    users = None if schema.users.table is None else schema.users.model_copy(update={"table": "users.parquet"})
    here = schema.model_copy(update={
        "folder": folder, "source": schema.source.model_copy(update={"ledger": "simulated.ledger.jsonl"}),
        **({} if users is None else {"users": users})})
    rng = np.random.default_rng(SEED)
    log = random_users(here, items=catalogue.size, users=USERS, most=min(LONGEST_K, here.privacy.events_per_user), rng=rng)
    ids = FIRST_ID + 1 + np.arange(USERS)
    if users is not None:
        pq.write_table(user_table(log, ids, schema=here, rng=rng), folder / "users.parquet")
    events = event_table(log, ids, schema=here, catalogue=catalogue, text_times=True).to_pandas()
    return _with_awkward(name, here, catalogue, plan, events.astype(str).where(events.notna(), ""))


def _with_awkward(name: str, schema: Schema, catalogue: Catalogue, plan: Plan, events: pd.DataFrame) -> Subject:
    """The events, in which nobody holds the last item or has as many as are kept, and after them the awkward users."""
    last = str(catalogue.ids[-1].as_py())
    events = events[events[schema.item] != last]
    events = events[events.groupby(schema.user).cumcount() < max(1, LONGEST_PART * schema.privacy.events_per_user)]
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
        "extreme value": pd.concat([_changed(some, {place: value}) for place, value in extreme.items()] + [some]),
        "not a number": pd.concat([_changed(some, {column: "nan"}) for column in schema.kept_columns] + [some]),
    }
    awkward = {"an ordinary user": frozenset(ids[3:4]), "a third of all users": frozenset(ids[::3])}
    parts = [events]
    for place, (kind, rows) in enumerate(kinds.items()):
        user = f"{FIRST_ID * 2 + place}"
        parts.append(_changed(rows, {column: user for column in {schema.user, schema.privacy.unit}}))
        awkward[f"a user: {kind}"] = frozenset([user])
    return Subject(name=name, schema=schema, catalogue=catalogue, plan=plan, events=pd.concat(parts, ignore_index=True), awkward=awkward)


def _changed(rows: pd.DataFrame, values: dict[str, str]) -> pd.DataFrame:
    """The rows with other cells; `assign` takes no column of any name."""
    found = rows.copy()
    for column, value in values.items():
        found[column] = value
    return found


def neighbours(subject: Subject) -> list[tuple[EventLog, EventLog, EventLog]]:
    """(log, the log without a user, that user), 26 times: ordinary users, and odd ones that no reader would let through."""
    schema, size = subject.schema, subject.catalogue.size
    rng, most = np.random.default_rng(SEED + 1), schema.privacy.events_per_user
    found = []
    for place in range(14):
        log = random_users(schema, items=size, users=30, most=min(LONGEST_K, most), rng=rng)
        gone = (0, 29, place)[place % 3]
        found.append((log, log.select(np.delete(np.arange(30), gone)), log.select(np.array([gone]))))
    odd = [
        dict(events=0), dict(events=1), dict(events=most, rating=1.0), dict(events=most, rating=0.0), dict(events=HEAVY),
        dict(events=HEAVY, rating=1.0, item=size - 1), dict(events=500, rating=np.nan), dict(events=7, rating=np.inf),
        dict(events=3, rating=1e30), dict(events=size, rating=1.0), dict(events=100, rating=100.0), dict(events=500, code=900)]
    for place, options in enumerate(odd):
        user = one_user(schema, items=size, rng=rng, **options)
        rest = random_users(schema, items=size, users=30, most=min(LONGEST_K, most), rng=rng)
        found.append((EventLog.concat([rest.select(np.arange(place)), user, rest.select(np.arange(place, 30))]), rest, user))
    return found
