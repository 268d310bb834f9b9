"""Typed events: each user moves what is measured of them by the declared norm at most, all of it is
paid, and what is drawn keeps the schema's word.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthrec.audit.fidelity import measure_fidelity
from synthrec.conformance.answers import QUICK, FrozenNoise
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.data.writer import event_table
from synthrec.model import event_sampling, event_types
from synthrec.model.artifact import Artifact
from synthrec.model.event_sampling import rising
from synthrec.model.event_types import Rules, first_interactions, mark_vectors
from synthrec.model.recipe import Effort, plan_release
from synthrec.model.sampling import generate
from synthrec.model.statistic import Known, Statistic
from synthrec.model.train import Means, train
from synthrec.privacy.ledger import Charge, Ledger, events_of
from synthrec.privacy.mechanisms import LATTICE, Measurement, Noise
from synthrec.privacy.plan import Plan
from synthrec.privacy.session import Session
from synthrec.progress import Progress
from tests.data.typed import CONFIG, ITEMS, START, K, config, prepared, shop
from tests.model.small import Replies, clipped_sums

Shop = tuple[Schema, Catalogue, EventLog]
CHARGE = Charge(source="small shop", release_id="r1", kind="release")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    schema, catalogue = prepared(folder)
    return (
        schema,
        catalogue,
        read_log(shop(users=120), schema, catalogue, spill=folder / "spill", events_per_user=K),
    )


def planned(schema: Schema, *, epsilon: float = 8.0) -> Plan:
    return plan_release(schema, epsilon=epsilon, delta=1e-4, model="moments")


def odd_user(
    events: int,
    *,
    item: int | None = None,
    kind: int = 0,
    quantity: int = 0,
    baskets: int = 1,
    seed: int = 0,
) -> EventLog:
    """A user of any size, with codes that no domain holds."""
    rng = np.random.default_rng(seed)
    code = np.full(events, quantity)
    return EventLog(
        offsets=np.array([0, events]),
        item=(rng.integers(0, ITEMS, events) if item is None else np.full(events, item)).astype(
            np.int32
        ),
        time=np.full(events, START, dtype=np.int64),
        marks={
            "action": np.full(events, kind, dtype=np.int16),
            "quantity": code.astype(np.int16),
            "price": code.astype(np.int16),
            "basket": (np.arange(events) % baskets).astype(np.int32),
            "country": code.astype(np.int16),
        },
    )


def neighbours(log: EventLog) -> Iterator[tuple[EventLog, EventLog, EventLog]]:
    """(log, the log without a user, that user): ordinary users, then odd ones."""
    for user in (0, 7, 119):
        yield log, log.select(np.delete(np.arange(120), user)), log.select(np.array([user]))
    odd = [
        odd_user(1),
        odd_user(K, kind=1),
        odd_user(10_000),
        odd_user(1_000, item=3),
        odd_user(1_000, item=3, kind=1, quantity=900),
        odd_user(500, quantity=-5),
        odd_user(10_000, baskets=10_000),
        odd_user(K, item=0, quantity=32_000, baskets=K),
        odd_user(0),
    ]
    rest = log.select(np.arange(30))
    for user in odd:
        yield (
            EventLog.concat([rest.select(np.arange(11)), user, rest.select(np.arange(11, 30))]),
            rest,
            user,
        )


def most_moved(real: Shop) -> dict[str, float]:
    """Per measurement, the longest move of the clipped sum in declared norms; infinite if others'
    parts moved with it.
    """
    schema, catalogue, log = real
    plan, replies, most = planned(schema), Replies(), dict[str, float]()
    for whole, rest, user in neighbours(log):
        sums = [
            clipped_sums(part, schema=schema, catalogue=catalogue, plan=plan, replies=replies)
            for part in (whole, rest, user)
        ]
        for name, total in sums[0].items():
            move = float(np.linalg.norm((total - sums[1][name]).astype(np.float64))) / LATTICE
            alone = (total - sums[1][name] == sums[2][name]).all()
            most[name] = max(most.get(name, 0.0), move if alone else np.inf)
    return most


def test_a_user_moves_every_measurement_by_at_most_the_declared_norm_and_nobody_elses_part(
    real: Shop,
) -> None:
    most = most_moved(real)
    assert set(most) == {"activity", "marks", "items", "tastes", "habits", "times"}
    assert all(0.1 < move <= 1.0 for move in most.values()), most


def test_a_column_may_be_called_as_a_table_of_types_is(tmp_path: Path) -> None:
    prepared(tmp_path)
    schema = Schema.parse(CONFIG.replace("quantity", "first"), folder=tmp_path)
    known = Known(schema, planned(schema), ITEMS, ())
    noisy = Measurement(
        values=np.arange(float(event_types.MARKS.size(known))),
        noise_std=0.0,
        entry=Charge(source="s", release_id="r", kind="release").entry(
            mechanism="marks", event=planned(schema).measurement("marks").event
        ),
    )
    found = event_types.MARKS.decode(known, noisy)
    assert found["habits.first"].tolist() == [1, 0]
    assert found["habits.details/first"].shape == (2, schema.details["first"].size)


def test_marks_and_habits_are_within_their_norms_before_any_clipping(real: Shop) -> None:
    schema, _, log = real
    plan = planned(schema)
    for whole, _, user in neighbours(log):
        for part in (whole, user):
            mark = mark_vectors(part, schema=schema, most=K / event_types.WHOLE_PART).toarray()
            habit = event_types.habit_vectors(part, schema=schema, edges=(1, 4, 9, K + 1))
            for name, rows in (("marks", mark), ("habits", habit)):
                assert (
                    np.linalg.norm(rows, axis=1) <= plan.measurement(name).sensitivity * (1 + 1e-9)
                ).all(), name


HONEST_HABITS, HONEST_MARKS = event_types.habit_vectors, event_types.mark_vectors


def centred(log: EventLog, **options: Any) -> np.ndarray:
    """A saboteur: subtracts the mean over all users."""
    found = HONEST_HABITS(log, **options)
    return found - found.mean(axis=0)


def popular(log: EventLog, **options: Any) -> Any:
    """A saboteur: divides by the number of users."""
    return HONEST_MARKS(log, **options) / (log.users)


@pytest.mark.parametrize(
    ("name", "place", "saboteur"),
    [("habits", "habit_vectors", centred), ("marks", "mark_vectors", popular)],
)
def test_a_vector_that_depends_on_other_users_is_caught(
    name: str, place: str, saboteur: Any, real: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_types, place, saboteur)
    assert most_moved(real)[name] == np.inf


def trained(
    real: Shop,
    folder: Path,
    *,
    log: EventLog | None = None,
    epsilon: float = 8.0,
    seed: int = 0,
    noise: Noise | None = None,
    effort: Effort = QUICK,
) -> tuple[Artifact, Ledger]:
    schema, catalogue, everybody = real
    folder.mkdir(exist_ok=True)
    with Ledger.open(folder / "ledger.jsonl") as ledger:
        session = Session(
            planned(schema, epsilon=epsilon), ledger=ledger, charge=CHARGE, noise=noise
        )
        found = train(
            everybody if log is None else log,
            catalogue=catalogue,
            schema=schema,
            session=session,
            means=Means(effort=effort, seed=seed),
            progress=Progress(),
        )
    return found, ledger


def test_a_training_charges_what_its_plan_lists(real: Shop, tmp_path: Path) -> None:
    artifact, ledger = trained(real, tmp_path)
    assert events_of(ledger.entries) == artifact.plan.events()
    assert [entry.mechanism for entry in ledger.entries] == [
        plan.name for plan in artifact.plan.measurements
    ]


def differs(real: Shop, folder: Path) -> set[str]:
    """What differs between releases from the log, from it without a user, and from half of it, all
    answers being the same.
    """
    _, _, log = real
    replies, outputs = Replies(), []
    for place, part in enumerate((log, log.select(np.arange(119)), log.select(np.arange(60)))):
        artifact, _ = trained(
            real, folder / str(place), log=part, noise=FrozenNoise(replies=replies)
        )
        artifact.save(folder / str(place))
        outputs.append(
            {
                path.name: path.read_bytes()
                for path in (folder / str(place)).iterdir()
                if path.name.startswith("generator")
            }
        )
    return {name for name in outputs[0] for other in outputs[1:] if outputs[0][name] != other[name]}


def test_with_all_answers_frozen_a_release_is_the_same_with_and_without_a_user(
    real: Shop, tmp_path: Path
) -> None:
    assert differs(real, tmp_path) == set()


@pytest.mark.parametrize("part", ["items", "people"])
def test_an_unpaid_path_is_caught(
    part: str, real: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saboteurs: the price of an item, or the countries, as the log itself has them."""
    honest = Statistic.ask

    def peeking(self: Statistic, session: Session, logs: Any, known: Known) -> Known:
        known, events = honest(self, session, logs, known), logs["events"]
        if self.name != "habits":
            return known
        prices = np.bincount(events.item, events.marks["price"], ITEMS).astype(np.int16)
        countries = np.bincount(events.marks["country"], minlength=3) / len(events.item)
        return known.adding(
            {"habits.items/price": prices}
            if part == "items"
            else {"habits.people/country": countries}
        )

    monkeypatch.setattr(Statistic, "ask", peeking)
    assert differs(real, tmp_path)


@pytest.fixture(scope="module")
def drawn(real: Shop, tmp_path_factory: pytest.TempPathFactory) -> tuple[EventLog, pd.DataFrame]:
    artifact, _ = trained(real, tmp_path_factory.mktemp("drawn"), epsilon=np.inf, effort=Effort())
    log = EventLog.concat(list(generate(artifact, users=1_500, rng=np.random.default_rng(1))))
    ids = 10_000_000_001 + np.arange(1_500)
    return log, event_table(
        log, ids, schema=artifact.schema, catalogue=artifact.catalogue, text_times=False
    ).to_pandas()


def test_what_the_schema_declares_holds_for_every_synthetic_event(
    drawn: tuple[EventLog, pd.DataFrame],
) -> None:
    log, frame = drawn
    assert (log.activity <= K).all() and (log.activity >= 1).all()
    assert (frame.groupby("user_id")["timestamp"].diff().dropna() >= 0).all()
    assert (frame.groupby("basket")["timestamp"].nunique() == 1).all() and (
        frame.groupby("basket")["user_id"].nunique() == 1
    ).all()
    assert (frame.groupby("item_id")["price"].nunique() == 1).all() and (
        frame["price"].between(0.5, 50)
    ).all()
    assert (frame.fillna("none").groupby("user_id")["country"].nunique() == 1).all()
    assert ((frame["quantity"] < 0) == (frame["action"] == "cancel")).all() and frame[
        "quantity"
    ].abs().between(1, 100).all()
    bought = frame[frame["action"] == "buy"].groupby(["user_id", "item_id"])["timestamp"].min()
    cancelled = frame[frame["action"] == "cancel"].set_index(["user_id", "item_id"])["timestamp"]
    assert (
        len(cancelled) and (cancelled.to_numpy() > bought.reindex(cancelled.index).to_numpy()).all()
    )


def test_shares_of_types_repeats_baskets_and_numbers_are_as_measured(
    real: Shop, drawn: tuple[EventLog, pd.DataFrame]
) -> None:
    schema, catalogue, log = real
    rows = measure_fidelity(
        drawn[0],
        real=log,
        floor=None,
        schema=schema,
        items=catalogue.size,
        events_per_user=K,
        rng=np.random.default_rng(0),
    )
    found = {each.name: each for each in rows if each.topic in ("events", "attributes")}
    assert len(found) >= 10
    assert all(
        each.distance <= each.halves + 0.12
        for name, each in found.items()
        if not name.startswith("which")
    ), found
    assert (
        found["cancel after buy"].synthetic == 1.0
        and found["basket at one moment"].synthetic == 1.0
    )
    assert found["price the item's most common one"].synthetic == 1.0


def of_no_repeats(folder: Path, *, epsilon: float) -> pd.DataFrame:
    """Who did what to which item in a synthetic log whose schema rules repeats out."""
    schema, catalogue = prepared(folder, config(("repeats = true", "repeats = false")))
    log = read_log(shop(users=120), schema, catalogue, spill=folder / "spill", events_per_user=K)
    artifact, _ = trained((schema, catalogue, log), folder, epsilon=epsilon)
    synthetic = EventLog.concat(list(generate(artifact, users=300, rng=np.random.default_rng(2))))
    return pd.DataFrame(
        {
            "user": synthetic.user_of_event(),
            "item": synthetic.item,
            "kind": synthetic.marks["action"],
        }
    )


def test_without_repeats_no_type_comes_twice_on_an_item(tmp_path: Path) -> None:
    assert not of_no_repeats(tmp_path, epsilon=8.0).duplicated().any()


def test_without_repeats_another_type_still_follows_on_an_item(tmp_path: Path) -> None:
    """Without noise: among 120 users, noise at epsilon 8 hides what follows in one log of thirty,
    and then nothing does.
    """
    frame = of_no_repeats(tmp_path, epsilon=np.inf)
    assert not frame.duplicated().any() and frame.duplicated(["user", "item"]).any()


def test_a_draw_that_forgets_what_was_had_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        event_sampling, "_allowed", lambda had, *, rules: np.ones(had.shape, dtype=bool)
    )
    monkeypatch.setattr(event_sampling, "LARGEST_PACE", 1e6)
    assert of_no_repeats(tmp_path, epsilon=np.inf).duplicated().any()


def test_an_artifact_read_again_draws_the_same_events(real: Shop, tmp_path: Path) -> None:
    artifact, _ = trained(real, tmp_path)
    artifact.save(tmp_path)
    one, other = (
        next(generate(each, users=50, rng=np.random.default_rng(5)))
        for each in (artifact, Artifact.load(tmp_path))
    )
    assert (
        all((one.marks[name] == other.marks[name]).all() for name in one.marks)
        and (one.time == other.time).all()
    )


def test_a_visit_is_the_first_event_on_an_item_and_moments_rise_within_the_window(
    real: Shop,
) -> None:
    schema, _, log = real
    first = first_interactions(log)
    pairs = first.user_of_event().astype(np.int64) * ITEMS + first.item
    assert (
        len(np.unique(pairs))
        == len(pairs)
        == len(np.unique(log.user_of_event().astype(np.int64) * ITEMS + log.item))
    )
    seconds, user = np.array([5, 5, 5, 9, 2, 10, 10]), np.array([0, 0, 0, 0, 1, 1, 1])
    assert rising(seconds, user=user, last=10).tolist() == [5, 6, 7, 9, 2, 9, 10]
    assert Rules.of(schema).leader.tolist() == [-1, 0]
