"""A small log made of arrays, its schema and catalogue, a plan, and ways to look into a training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from synthrec import training
from synthrec.conformance.answers import QUICK, FrozenNoise, NullLedger, Replies, clipped_sums
from synthrec.conformance.subject import Subject
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.model import recipe
from synthrec.model import train as one_training
from synthrec.model.artifact import Artifact
from synthrec.model.measurements import Estimates, measure
from synthrec.model.recipe import plan_release
from synthrec.model.train import Means, train
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.mechanisms import LATTICE
from synthrec.privacy.plan import Model, Plan
from synthrec.privacy.session import Session
from synthrec.progress import Progress
from synthrec.training import Instruments

__all__ = ["Replies", "clipped_sums"]

ITEMS, K, USERS, STEPS = 40, 20, 90, 23
START = 1_704_067_200  # 2024-01-01 UTC
CONFIG = f"""
[source]
name = "small log"
population = 2000
ledger = "small.ledger.jsonl"
epsilon_cap = 20.0
[privacy]
events_per_user = {K}
unit = "user_id"
[columns]
user_id   = {{ role = "user" }}
item_id   = {{ role = "item", catalogue = "items.csv" }}
rating    = {{ type = "ordinal", min = 1, max = 5, step = 1 }}
timestamp = {{ type = "datetime", unit = "s", zone = "Europe/Berlin", min = "2024-01-01", max = "2024-12-31" }}
[users]
table = "users.csv"
gender = {{ type = "categorical", values = ["F", "M"] }}
region = {{ type = "categorical", values = ["north", "south", "west"] }}
[items]
independent_of_log = true
genres = {{ type = "set", separator = "|" }}
year   = {{ type = "numeric" }}
"""
CHARGE = Charge(source="small log", release_id="r1", kind="release")


def prepared(folder: Path) -> tuple[Schema, Catalogue]:
    """Schema and catalogue on disk."""
    rng = np.random.default_rng(0)
    genres = np.array(["Drama", "War", "Comedy"])
    items = pd.DataFrame(
        {
            "item_id": np.arange(ITEMS) + 1,
            "year": rng.integers(1960, 2020, ITEMS),
            "genres": ["|".join(rng.choice(genres, 2, replace=False)) for _ in range(ITEMS)],
        }
    )
    items.to_csv(folder / "items.csv", index=False)
    (folder / "synthrec.toml").write_text(CONFIG, encoding="utf-8")
    schema = Schema.load(folder / "synthrec.toml")
    return schema, Catalogue.read(schema)


def make_log(*, users: int = USERS, seed: int = 0) -> EventLog:
    """Random users; the last one is alone in picking the last item."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, K + 1, users)
    items = [np.sort(rng.permutation(ITEMS - 1)[:count]) for count in counts]
    items[-1][-1] = ITEMS - 1
    total = int(counts.sum())
    user = np.repeat(np.arange(users), counts)
    time = START + rng.integers(0, 360 * 86_400, total)
    return EventLog(
        offsets=np.concatenate(([0], np.cumsum(counts))),
        item=np.concatenate(items).astype(np.int32),
        rating=rng.integers(1, 6, total).astype(np.float32),
        time=time[np.lexsort((time, user))].astype(np.int64),
        attributes={
            "gender": rng.integers(0, 3, users).astype(np.int16),
            "region": rng.integers(0, 4, users).astype(np.int16),
        },
    )


def one_user(
    *, events: int, rating: float | None = None, item: int | None = None, seed: int = 0
) -> EventLog:
    """A user of any size, who may pick an item again and again, at one moment."""
    rng = np.random.default_rng(seed)
    return EventLog(
        offsets=np.array([0, events]),
        item=(np.arange(events) % ITEMS if item is None else np.full(events, item)).astype(
            np.int32
        ),
        rating=(rng.integers(1, 6, events) if rating is None else np.full(events, rating)).astype(
            np.float32
        ),
        time=np.full(events, START, dtype=np.int64),
        attributes={
            "gender": np.array([2], dtype=np.int16),
            "region": np.array([9], dtype=np.int16),
        },
    )


def without(log: EventLog, user: int) -> EventLog:
    """The log without one user."""
    return log.select(np.delete(np.arange(log.users), user))


PLANS: dict[tuple[Model, str], Plan] = {}


def make_plan(schema: Schema, *, model: Model = "gan") -> Plan:
    """A plan with few steps; solved once for equal schemas, wherever they lie."""
    key = (
        model,
        schema.model_dump_json(exclude={"folder": True, "source": {"ledger", "epsilon_cap"}}),
    )
    plan = PLANS.get(key) or PLANS.setdefault(
        key, plan_release(schema, epsilon=5.0, delta=1e-4, model=model)
    )
    if plan.training is None:
        return plan
    return plan.model_copy(
        update={"training": plan.training.model_copy(update={"steps": STEPS, "fakes_per_step": 16})}
    )


SOLVED: dict[str, Plan] = {}


def solve_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal questions for a plan get the answer of the first: solving is the greater part of a
    small fit.
    """
    honest = recipe.solve_plan

    def solve(**asked: Any) -> Plan:
        key = repr(sorted(asked.items()))
        if key not in SOLVED:
            SOLVED[key] = honest(**asked)
        return SOLVED[key]

    monkeypatch.setattr(recipe, "solve_plan", solve)


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer synthetic users in what a training does unless it is told: they are post-processing."""
    means = partial(Means, effort=QUICK)
    monkeypatch.setattr(one_training, "Means", means)
    monkeypatch.setattr(training, "Instruments", partial(Instruments, means=means()))


def trained(
    log: EventLog, folder: Path, *, plan: Plan | None = None, seed: int = 0
) -> tuple[Artifact, Ledger]:
    """One training with fixed initialisation, and the ledger that it wrote."""
    schema, catalogue = prepared(folder)
    torch.manual_seed(seed)
    with Ledger.open(schema.ledger_path) as ledger:
        session = Session(plan or make_plan(schema), ledger=ledger, charge=CHARGE)
        found = train(
            log,
            catalogue=catalogue,
            schema=schema,
            session=session,
            means=Means(effort=QUICK, seed=seed),
            progress=Progress(),
        )
    return found, ledger


def measured(
    log: EventLog, source: tuple[Schema, Catalogue], *, plan: Plan, replies: Replies
) -> tuple[Estimates, FrozenNoise]:
    """Estimates from frozen answers (in the unit of their measurement), and the source of noise
    that gave them.
    """
    schema, catalogue = source
    noise = FrozenNoise(
        replies={
            name: values * (LATTICE / plan.measurement(name).sensitivity)
            for name, values in replies.items()
        }
    )
    found = measure(
        log,
        catalogue=catalogue,
        schema=schema,
        session=Session(plan, ledger=NullLedger(), charge=CHARGE, noise=noise),
        progress=Progress(),
        effort=QUICK,
    )
    return found, noise


def subject_of(schema: Schema, catalogue: Catalogue, *, plan: Plan | None = None) -> Subject:
    """A subject of the conformance suite without a table, for checks that are handed their logs."""
    return Subject(
        name="small log",
        schema=schema,
        catalogue=catalogue,
        plan=plan or make_plan(schema),
        events=pd.DataFrame(),
        edge_case_users={},
    )
