"""A log without ratings trains, is paid for, and gives synthetic users who rate nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from synthrec.conformance.answers import QUICK
from synthrec.data.catalogue import Catalogue
from synthrec.data.schema import Schema
from synthrec.model.artifact import Artifact
from synthrec.model.recipe import plan_release
from synthrec.model.sampling import generate
from synthrec.model.train import Means, train
from synthrec.privacy.ledger import Charge, Ledger, events_of
from synthrec.privacy.plan import Model
from synthrec.privacy.session import Session
from synthrec.progress import Progress
from tests.model.small import CONFIG, make_log, prepared


def without_ratings(folder: Path) -> tuple[Schema, Catalogue]:
    _, catalogue = prepared(folder)
    lines = [line for line in CONFIG.splitlines() if not line.startswith("rating")]
    return Schema.parse("\n".join(lines), folder=folder), catalogue


@pytest.mark.parametrize("model", ["marginals", "moments", "gan"])
def test_a_log_without_ratings_trains_and_charges_what_its_plan_lists(
    model: Model, tmp_path: Path
) -> None:
    schema, catalogue = without_ratings(tmp_path)
    plan = plan_release(schema, epsilon=5.0, delta=1e-4, model=model)
    assert not plan.has("ratings")
    if plan.training is not None:
        plan = plan.model_copy(
            update={
                "training": plan.training.model_copy(update={"steps": 20, "fakes_per_step": 16})
            }
        )
    log = dataclasses.replace(make_log(), rating=None)
    with Ledger.open(schema.ledger_path) as ledger:
        session = Session(
            plan, ledger=ledger, charge=Charge(source="s", release_id="r", kind="release")
        )
        artifact = train(
            log,
            catalogue=catalogue,
            schema=schema,
            session=session,
            means=Means(effort=QUICK, seed=0),
            progress=Progress(),
        )
    sums = tuple(entry for entry in ledger.entries if entry.mechanism != "game")
    assert events_of(sums) == plan.events()[: len(sums)] and len(sums) == len(plan.measurements)
    artifact.save(tmp_path)
    again = Artifact.load(tmp_path)
    assert not again.tables.rated and not again.estimates.frame.rated
    one, other = (
        list(generate(each, users=30, rng=np.random.default_rng(3))) for each in (artifact, again)
    )
    assert one[0].rating is None and (one[0].item == other[0].item).all()


def test_ratings_logs_keep_their_plan(tmp_path: Path) -> None:
    rated, _ = prepared(tmp_path)
    names = {
        each.name
        for each in plan_release(rated, epsilon=5.0, delta=1e-4, model="moments").measurements
    }
    assert names == {"activity", "ratings", "items", "tastes", "attributes", "groups", "times"}
