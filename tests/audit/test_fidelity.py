"""Other real users are as faithful as halves of the real ones; every trick moves the row that is
there for it beyond all halves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from synthrec.audit.fidelity import marginals, measure, measure_fidelity, structure
from synthrec.audit.fidelity.measure import dealt_anew
from synthrec.audit.record import Fidelity
from synthrec.data.eventlog import EventLog
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.data.simulator import AGE_BANDS, GENDERS, SimulatedLog
from tests.data.typed import ITEMS as SHOP_ITEMS
from tests.data.typed import K as SHOP_K
from tests.data.typed import prepared, shop

K, ITEMS = 120, 300
Saboteur = Callable[[EventLog, np.random.Generator], EventLog]


@pytest.fixture(scope="module")
def schema(simulated: SimulatedLog, tmp_path_factory: pytest.TempPathFactory) -> Schema:
    return Schema.load(
        dataclasses.replace(simulated, events=simulated.events[:0]).write(
            tmp_path_factory.mktemp("log")
        )
    )


@pytest.fixture(scope="module")
def world(simulated: SimulatedLog, everybody: EventLog) -> EventLog:
    """800 users, with gender and age band."""
    gender = np.array([GENDERS.index(each) for each in simulated.users["gender"]], dtype=np.int16)
    codes = {band: code for code, band in enumerate(AGE_BANDS)}
    band = np.array(
        [codes.get(each, len(codes)) for each in simulated.users["age_band"]], dtype=np.int16
    )
    return dataclasses.replace(everybody, attributes={"gender": gender, "age_band": band}).select(
        np.arange(800)
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer draws, and fewer users where every one is compared with every other."""
    monkeypatch.setattr(measure, "FEW_USERS", 200)
    monkeypatch.setattr(measure, "DRAWS", 6)


def table(
    synthetic: EventLog, *, real: EventLog, schema: Schema, floor: EventLog | None = None
) -> dict[str, Fidelity]:
    rows = measure_fidelity(
        synthetic,
        real=real,
        floor=floor,
        schema=schema,
        items=ITEMS,
        events_per_user=K,
        rng=np.random.default_rng(3),
    )
    return {f"{row.topic}: {row.name}": row for row in rows}


def beyond(found: dict[str, Fidelity]) -> set[str]:
    return {name for name, row in found.items() if row.distance > row.halves_highest}


def test_the_log_itself_is_at_or_below_its_halves_in_every_row(
    world: EventLog, schema: Schema
) -> None:
    found = table(world, real=world, schema=schema)
    assert len(found) > 30 and {row.topic for row in found.values()} == {
        "popularity",
        "activity",
        "ratings",
        "time",
        "sessions",
        "attributes",
        "co-occurrence",
        "spectrum",
        "variety",
    }
    ratio = {name: row.distance / max(row.halves, 1e-3) for name, row in found.items()}
    assert beyond(found) == set() and np.mean(list(ratio.values())) < 0.95, ratio


def test_other_real_users_are_told_apart_by_hardly_any_row(world: EventLog, schema: Schema) -> None:
    """Level: a row is beyond all six halves by chance in about one of seven splits or fewer; of
    forty rows, eight are allowed.
    """
    found = table(
        world.select(np.arange(400)), real=world.select(np.arange(400, 800)), schema=schema
    )
    assert len(beyond(found)) <= 8, beyond(found)


def with_flat_popularity(log: EventLog, rng: np.random.Generator) -> EventLog:
    return dataclasses.replace(log, item=rng.integers(0, ITEMS, len(log.item)).astype(np.int32))


def with_shuffled_times(log: EventLog, rng: np.random.Generator) -> EventLog:
    return dataclasses.replace(log, time=rng.permutation(log.time))


def with_even_times(log: EventLog, rng: np.random.Generator) -> EventLog:
    return dataclasses.replace(
        log, time=rng.integers(log.time.min(), log.time.max(), len(log.item))
    )


def with_constant_ratings(log: EventLog, rng: np.random.Generator) -> EventLog:
    return dataclasses.replace(log, rating=np.full(len(log.item), 4, dtype=np.float32))


def with_shuffled_ratings(log: EventLog, rng: np.random.Generator) -> EventLog:
    return dataclasses.replace(log, rating=rng.permutation(log.rating))


def with_equal_activity(log: EventLog, rng: np.random.Generator) -> EventLog:
    return log.keep(np.arange(len(log.item)) - log.offsets[log.user_of_event()] < 30)


def with_shuffled_items(log: EventLog, rng: np.random.Generator) -> EventLog:
    return dealt_anew(log, rng=rng)


def with_clones_of_one_user(log: EventLog, rng: np.random.Generator) -> EventLog:
    return log.select(np.zeros(log.users, dtype=np.int64))


def with_independent_attributes(log: EventLog, rng: np.random.Generator) -> EventLog:
    return dataclasses.replace(
        log, attributes={name: rng.permutation(codes) for name, codes in log.attributes.items()}
    )


def with_one_gender(log: EventLog, rng: np.random.Generator) -> EventLog:
    return dataclasses.replace(
        log, attributes=log.attributes | {"gender": np.zeros(log.users, dtype=np.int16)}
    )


SABOTEURS: list[tuple[Saboteur, set[str]]] = [
    (
        with_flat_popularity,
        {
            f"popularity: {name}"
            for name in (
                "events of each item",
                "events of each item, in bits",
                "events of each item, real from synthetic",
                "how unequal items are",
                "the 75 most popular items",
            )
        }
        | {"variety: items in effect", "ratings: mean of each item"},
    ),
    (
        with_shuffled_times,
        {
            "sessions: gap between events, by octaves",
            "sessions: sessions of a user, by octaves",
            "sessions: events of a session, by octaves",
            "time: start of history, in 32 parts of the window",
        },
    ),
    (with_even_times, {"time: hour by weekday", "time: hour", "time: weekday"}),
    (
        with_constant_ratings,
        {
            f"ratings: {name}"
            for name in (
                "levels",
                "mean",
                "standard deviation",
                "mean of each item",
                "variance within users",
                "variance of users' means",
            )
        },
    ),
    (with_shuffled_ratings, {"ratings: mean of each item", "ratings: variance of users' means"}),
    (
        with_equal_activity,
        {
            "activity: events of a user, cut at K",
            "activity: events of a user",
            "activity: mean events of a user",
        },
    ),
    (
        with_shuffled_items,
        {
            "co-occurrence: lift of pairs of the 100 most popular items",
            "co-occurrence: how far pairs are from independent",
            "spectrum: squared singular values of the user-item matrix",
            "spectrum: share of directions 2 to 51",
            "spectrum: the same from the second to number 51",
            "variety: directions in effect",
            "variety: nearest other user, median",
        },
    ),
    (
        with_clones_of_one_user,
        {
            "variety: items in effect",
            "variety: catalogue used",
            "variety: directions in effect",
            "variety: nearest other user, lower quartile",
            "variety: nearest other user, upper quartile",
            "variety: any two users",
            "variety: whole users twice",
            "attributes: gender and age_band",
        },
    ),
    (with_one_gender, {"attributes: gender", "attributes: gender and age_band"}),
]


ALONE = {
    "with_shuffled_times": {"time", "sessions"},
    "with_even_times": {"time", "sessions"},
    "with_one_gender": {"attributes"},
    "with_constant_ratings": {"ratings"},
    "with_shuffled_ratings": {"ratings"},
}  # topics that a trick leaves all others out of


@pytest.mark.parametrize(
    ("saboteur", "caught_by"), SABOTEURS, ids=lambda each: getattr(each, "__name__", "")
)
def test_each_trick_moves_its_rows_and_leaves_the_others(
    saboteur: Saboteur, caught_by: set[str], world: EventLog, schema: Schema
) -> None:
    found = table(saboteur(world, np.random.default_rng(1)), real=world, schema=schema)
    told = beyond(found)
    assert caught_by <= set(found) and caught_by <= told, caught_by - told
    assert {name.split(":")[0] for name in told} <= ALONE.get(
        saboteur.__name__, {name.split(":")[0] for name in found}
    )


def test_attributes_drawn_one_by_one_show_in_pairs_only(world: EventLog, schema: Schema) -> None:
    """In the simulated world gender and age go together a little; here they are made to go together
    fully.
    """
    gender = world.attributes["gender"]
    tied = dataclasses.replace(world, attributes={"gender": gender, "age_band": gender * 2})
    told = beyond(
        table(with_independent_attributes(tied, np.random.default_rng(1)), real=tied, schema=schema)
    )
    assert told == {"attributes: gender and age_band"}


def test_the_floor_is_the_log_that_is_given_or_items_dealt_anew(
    world: EventLog, schema: Schema
) -> None:
    real = world.select(np.arange(200))
    without, given = (
        table(world, real=real, schema=schema),
        table(world, real=real, schema=schema, floor=real),
    )
    assert (
        without["popularity: events of each item"].floor is None
        and given["popularity: events of each item"].floor is not None
    )
    lift = "co-occurrence: lift of pairs of the 100 most popular items"
    assert without[lift].floor > 0.9 and given[lift].floor < 0.8
    bare = table(
        world, real=real, schema=schema, floor=EventLog(offsets=real.offsets, item=real.item)
    )
    assert (
        bare["ratings: mean"].floor is None
        and bare["popularity: events of each item"].floor is not None
    )


def test_rows_that_do_not_apply_are_left_out(world: EventLog, schema: Schema) -> None:
    implicit = EventLog(offsets=world.offsets, item=world.item)
    assert {row.topic for row in table(implicit, real=world, schema=schema).values()} == {
        "popularity",
        "activity",
        "co-occurrence",
        "spectrum",
        "variety",
    }
    assert table(world.select(np.array([0])), real=world, schema=schema) == {}


def test_typed_events_have_rows_of_their_own_and_saboteurs_move_them(tmp_path: Path) -> None:
    schema, catalogue = prepared(tmp_path)
    read = read_log(
        shop(users=300), schema, catalogue, spill=tmp_path / "spill", events_per_user=None
    )
    log = read.select(
        np.lexsort((read.activity, read.time[read.offsets[:-1]]))
    )  # reading deals users anew each time

    def rows(synthetic: EventLog) -> dict[str, Fidelity]:
        return {
            row.name: row
            for row in measure_fidelity(
                synthetic,
                real=log,
                floor=None,
                schema=schema,
                items=SHOP_ITEMS,
                events_per_user=SHOP_K,
                rng=np.random.default_rng(3),
            )
        }

    assert len(beyond(rows(log))) <= 1
    rng = np.random.default_rng(1)

    def told(name: str, codes: np.ndarray) -> set[str]:
        return beyond(rows(dataclasses.replace(log, marks={**log.marks, name: codes})))

    def shuffled(name: str) -> set[str]:
        return told(name, rng.permutation(log.marks[name]))

    assert "cancel after buy" in shuffled("action")
    assert {"action", "order of action on an item", "which action a user has"} <= told(
        "action", np.zeros_like(log.marks["action"])
    )
    assert "quantity by type" in told("quantity", np.zeros_like(log.marks["quantity"]))
    assert {"price the item's most common one"} <= shuffled("price") and "price" not in shuffled(
        "price"
    )
    assert {"events per basket", "basket at one moment"} <= shuffled("basket")
    assert "country" in told("country", np.zeros_like(log.marks["country"]))
    once = log.keep(
        np.isin(
            np.arange(len(log.item)),
            np.unique(
                log.user_of_event().astype(np.int64) * SHOP_ITEMS + log.item, return_index=True
            )[1],
        )
    )
    assert {"events of a visit", "visits of more than one event"} <= beyond(rows(once))


def test_divergences_are_those_of_scipy_and_gini_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 30, (2, 50)) + 1
    assert marginals.jensen_shannon(one, other) == pytest.approx(
        jensenshannon(one, other, base=2) ** 2
    )
    assert marginals.kullback_leibler(one, other=other) == pytest.approx(
        entropy(one, other, base=2)
    )
    disjoint = np.array([1, 0, 2, 0]), np.array([0, 3, 0, 0])
    assert (
        marginals.jensen_shannon(*disjoint) == 1.0
        and marginals.kullback_leibler(disjoint[0], other=disjoint[1]) == np.inf
    )
    assert marginals.jensen_shannon(one, np.zeros(50)) == 1.0 and marginals.jensen_shannon(
        one, 3 * one
    ) == pytest.approx(0)
    pairs = np.abs(one[:, None] - one[None, :]).mean() / (2 * one.mean())
    assert marginals.gini(one) == pytest.approx(pairs) and marginals.gini(
        np.ones(9)
    ) == pytest.approx(0)
    assert (
        marginals.gini(np.zeros(4)) == 0
        and marginals.missed(np.array([9, 8, 0, 1]), np.array([9, 1, 8, 0]), top=2) == 0.5
    )


def test_lift_and_singular_values_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    has = rng.random((40, 8)) < 0.4
    log = EventLog(
        offsets=np.concatenate(([0], np.cumsum(has.sum(axis=1)))),
        item=np.nonzero(has)[1].astype(np.int32),
    )
    top = np.array([5, 0, 3])
    found = structure.log_lift(log, top=top, items=8)
    pairs = [(5, 0), (5, 3), (0, 3)]
    expected = [
        np.log(
            ((has[:, a] & has[:, b]).sum() + 0.5) / (has[:, a].sum() * has[:, b].sum() / 40 + 0.5)
        )
        for a, b in pairs
    ]
    assert found == pytest.approx(expected)
    one, other = rng.normal(size=(2, 30))
    assert structure.correlation(one, other) == pytest.approx(np.corrcoef(one, other)[0, 1])
    assert structure.correlation(one, np.ones(30)) == 0
    squares = np.linalg.svd(has.astype(float), compute_uv=False) ** 2
    assert structure.energy(log, items=8)[:8] == pytest.approx(
        squares / squares.sum()
    ) and structure.energy(log, items=8).sum() == pytest.approx(1)
