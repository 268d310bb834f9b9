"""What a sample is asked for really holds in it: users, activity, items and window; and groups keep
what distinguishes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.filters import Scope
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.errors import ConditionError
from synthrec.model.artifact import Artifact, filterable
from synthrec.model.generator import Shares
from synthrec.model.recipe import plan_release
from synthrec.model.sampling import generate
from synthrec.model.train import Means, train
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.session import Session
from synthrec.progress import Progress
from tests.model.small import make_plan, prepared

HALVES = Shares(
    edges=(1, 4, 16, 21),
    activity=np.array([0.5, 0.3, 0.2]),
    attributes={"gender": np.array([0.3, 0.69, 0.01])},
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventLog, Artifact]:
    """A simulated log and a generator trained on it without noise, so that only the model stands
    between them.
    """
    folder = tmp_path_factory.mktemp("simulated")
    schema = Schema.load(simulate(users=1500, items=400, seed=7).write(folder, events_per_user=100))
    catalogue = Catalogue.read(schema)
    log = read_log(
        str(folder / "events.csv"), schema, catalogue, spill=folder / "spill", events_per_user=100
    )
    plan = plan_release(schema, epsilon=float("inf"), delta=1e-4, model="moments")
    with Ledger.open(folder / "l.jsonl") as ledger:
        session = Session(
            plan, ledger=ledger, charge=Charge(source="s", release_id="r", kind="release")
        )
        artifact = train(
            log,
            catalogue=catalogue,
            schema=schema,
            session=session,
            means=Means(seed=0),
            progress=Progress(),
        )
    return log, artifact


def drawn(artifact: Artifact, *, users: int = 400, **words: object) -> EventLog:
    scope = Scope.parse(artifact.schema, artifact.catalogue, **words)  # type: ignore[arg-type]
    return EventLog.concat(
        list(generate(artifact, users=users, rng=np.random.default_rng(3), scope=scope))
    )


def test_every_condition_holds_in_the_sample_all_at_once(
    simulated: tuple[EventLog, Artifact],
) -> None:
    _, artifact = simulated
    log = drawn(
        artifact,
        where=["gender=F", "age_band=18-24,25-34", "events=5..25"],
        items=["genres=Comedy,Drama", "year=1960.."],
        start="2024-02-01",
        end="2024-03-15",
    )
    table = artifact.catalogue.attributes.take(log.item).to_pandas()
    assert (log.attributes["gender"] == 0).all() and set(log.attributes["age_band"]) == {1, 2}
    counts = log.activity
    assert counts.min() >= 5 and counts.max() <= 25 and len(counts) == 400
    assert table["genres"].str.contains("Comedy|Drama").all() and (table["year"] >= 1960).all()
    assert log.time is not None and log.rating is not None
    assert log.time.min() >= 1_706_745_600 and log.time.max() < 1_710_547_200
    same_user = np.diff(log.user_of_event()) == 0
    assert (np.diff(log.time)[same_user] >= 0).all() and set(log.rating) <= {1, 2, 3, 4, 5}
    assert all(
        len(np.unique(log.item[a:b])) == b - a
        for a, b in zip(log.offsets, log.offsets[1:], strict=False)
    )


def test_users_have_no_more_events_than_items_match(simulated: tuple[EventLog, Artifact]) -> None:
    _, artifact = simulated
    rare = Scope.parse(
        artifact.schema, artifact.catalogue, items=["genres=Musical", "year=..1970"]
    ).items
    assert rare is not None and len(rare) < 40
    log = drawn(artifact, items=["genres=Musical", "year=..1970"])
    assert log.activity.max() <= len(rare) and set(log.item) <= set(rare.tolist())


def test_without_conditions_the_sample_is_the_same_as_ever(
    simulated: tuple[EventLog, Artifact],
) -> None:
    _, artifact = simulated
    one = EventLog.concat(list(generate(artifact, users=50, rng=np.random.default_rng(3))))
    two = drawn(artifact, users=50)
    assert np.array_equal(one.item, two.item) and np.array_equal(one.time, two.time)  # type: ignore[arg-type]


def group_means(log: EventLog, artifact: Artifact) -> Iterator[tuple[int, np.ndarray]]:
    """For each age band with enough users: shares of genres and mean rating against all users',
    what a group is known by.
    """
    text = artifact.catalogue.attributes["genres"].to_pylist()
    words = sorted({word for cell in text for word in cell.split("|")})
    has = np.array([[word in cell.split("|") for word in words] for cell in text], dtype=np.float64)

    def known_by(part: EventLog) -> np.ndarray:
        assert part.rating is not None
        return np.append(has[part.item].mean(axis=0), part.rating.mean() / 4)

    for code in range(5):
        users = np.flatnonzero(log.attributes["age_band"] == code)
        if len(users) > 60:
            yield code, known_by(log.select(users)) - known_by(log)


def test_simulated_groups_differ_as_the_real_ones_do(simulated: tuple[EventLog, Artifact]) -> None:
    real, artifact = simulated
    truth = dict(group_means(real, artifact))
    whole = drawn(artifact, users=3000)
    found = dict(group_means(whole, artifact))
    assert len(truth) >= 3
    both = [code for code in truth if code in found]
    wanted, got = (np.concatenate([each[code] for code in both]) for each in (truth, found))
    assert np.corrcoef(wanted, got)[0, 1] > 0.7 and 0.4 < (wanted @ got) / (wanted @ wanted) < 1.5
    artifact.generator.effect, kept = artifact.generator.effect * 0, artifact.generator.effect
    try:
        without = dict(group_means(drawn(artifact, users=3000), artifact))
    finally:
        artifact.generator.effect = kept
    assert np.linalg.norm(got - wanted) < 0.7 * np.linalg.norm(
        np.concatenate([without[code] for code in both]) - wanted
    )


def test_a_sample_of_one_group_behaves_like_that_group_in_a_sample_of_all(
    simulated: tuple[EventLog, Artifact],
) -> None:
    _, artifact = simulated
    everybody = drawn(artifact, users=6000)
    young = drawn(artifact, users=2000, where=["age_band=under 18"])
    picked = [
        np.bincount(log.item, minlength=400) / len(log.item)
        for log in (
            young,
            everybody.select(np.flatnonzero(everybody.attributes["age_band"] == 0)),
            everybody.select(np.flatnonzero(everybody.attributes["age_band"] == 4)),
        )
    ]
    assert np.abs(picked[0] - picked[1]).sum() < 0.5 * np.abs(picked[0] - picked[2]).sum()


def test_shares_within_a_scope_are_the_measured_ones_cut_and_scaled() -> None:
    scope = Scope(where={"gender": np.array([1.0, 0.5, 0.0])}, events=(2, 15))
    plan = make_plan_without_noise()
    found = HALVES.within(scope, plan=plan)
    assert found.attributes["gender"] == pytest.approx(np.array([0.3, 0.345, 0]) / 0.645)
    assert found.edges == (2, 4, 16, 16) and found.activity == pytest.approx(
        np.array([0.25, 0.3, 0]) / 0.55
    )
    assert HALVES.within(Scope(), plan=plan).activity is HALVES.activity


def make_plan_without_noise() -> object:
    class Plan:
        population = 1000
        measurements = [
            type("Sum", (), {"name": name, "noise_std": 0.0}) for name in ("attributes", "activity")
        ]

    return Plan()


@pytest.mark.parametrize(
    "scope",
    [
        Scope(where={"gender": np.array([0.0, 0.0, 1.0])}),
        Scope(where={"gender": np.array([0.02, 0.0, 0.0])}),
    ],
)
def test_a_group_within_the_noise_of_its_measurement_is_refused_and_said(
    scope: Scope, tmp_path: Path
) -> None:
    schema, _ = prepared(tmp_path)
    plan = make_plan(schema)
    floor = plan.measurement("attributes").noise_std / plan.population
    shares = Shares(
        edges=HALVES.edges,
        activity=HALVES.activity,
        attributes={"gender": np.array([0.3, 0.7 - floor / 2, floor / 2])},
    )
    with pytest.raises(ConditionError, match="noise alone makes"):
        shares.within(
            Scope(
                where={name: part * (floor if part[0] else 1) for name, part in scope.where.items()}
            ),
            plan=plan,
        )


def test_a_release_keeps_of_the_catalogue_what_items_are_chosen_by_and_no_titles(
    tmp_path: Path,
) -> None:
    schema = Schema.load(simulate(users=30, items=40, seed=1).write(tmp_path))
    assert filterable(Catalogue.read(schema), schema).attributes.column_names == ["genres", "year"]
