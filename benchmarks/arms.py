"""The arms: private methods that see the same bounded log and spend the same total epsilon. One
function makes any of them.

- bias-only: noisy item counts and rating sums handed straight to a recommender; no synthetic log;
- marginals, moments: the generator's own simpler models (`plan_release(model=...)`);
- synthrec: the product, as `synthrec fit` trains it;
- game-off: synthrec without what it learns by playing (neither pairs of items nor the game), its
  budget given to the other measurements;
- pairs-only: synthrec without the critic that is trained by DP-SGD; its budget goes to the
  measurements and to pairs;
- critic-without-data: synthrec whose critics meet nobody. Pairs and every step of the game get the
  noise that they would have got, and
  an empty log; everything else is as planned and sees the log. What this arm gains, noise and prior
  gave.

The ablations are made here, of public functions; nothing inside `synthrec/` knows of them.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from benchmarks.logs import Split
from synthrec.audit.recommenders import FACTORS, Factorisation
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.model.artifact import Artifact
from synthrec.model.item_counts import estimate_items, item_vectors
from synthrec.model.item_features import catalogue_features
from synthrec.model.measurements import rating_vectors
from synthrec.model.recipe import measures, plan_release
from synthrec.model.sampling import generate
from synthrec.model.statistic import project_to_simplex
from synthrec.model.train import Means, train
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.mechanisms import Measurement
from synthrec.privacy.plan import Model, Plan, solve_plan
from synthrec.privacy.session import Session
from synthrec.progress import Progress

ARMS = (
    "bias-only",
    "marginals",
    "moments",
    "synthrec",
    "game-off",
    "pairs-only",
    "critic-without-data",
)
PLAYED = ("pairs",)  # measurements that are a critic's step by another name: no part of "game off"
SAMPLING_SEED = 1_000  # apart from the seed of training


@dataclass(frozen=True, repr=False, eq=False)
class ItemBiases:
    """A recommender without a log: item means, if there are ratings, and a list by popularity."""

    model: Factorisation | None
    popularity: np.ndarray


@dataclass(frozen=True, repr=False, eq=False)
class Made:
    """What an arm made, and what it cost."""

    found: EventLog | ItemBiases
    fit_seconds: float
    fit_cpu_seconds: float  # what a fit takes on a machine that has nothing else to do
    sample_seconds: float
    fit_peak_gib: float


def make_arm(name: str, *, split: Split, epsilon: float, seed: int, spill: Path) -> Made:
    """Train one arm on the split's bounded log and draw its synthetic users (none for bias-only)."""
    plan = plan_arm(name, schema=split.schema, epsilon=epsilon, delta=split.delta)
    charge = Charge(source=split.name, release_id=name, kind="release")
    started, cpu_started = time.perf_counter(), time.process_time()
    with Ledger.open(spill / f"{name}.ledger.jsonl") as ledger:
        fitted = _fit(name, split=split, plan=plan, ledger=ledger, charge=charge, seed=seed)
    cost = {
        "fit_seconds": time.perf_counter() - started,
        "fit_cpu_seconds": time.process_time() - cpu_started,
        "fit_peak_gib": peak_gib(),
    }
    if isinstance(fitted, ItemBiases):
        return Made(fitted, sample_seconds=0.0, **cost)
    started = time.perf_counter()
    log = EventLog.concat(
        list(
            generate(
                fitted, users=split.synthetic_users, rng=np.random.default_rng(SAMPLING_SEED + seed)
            )
        )
    )
    return Made(log, sample_seconds=time.perf_counter() - started, **cost)


def plan_arm(name: str, *, schema: Schema, epsilon: float, delta: float) -> Plan:
    """The arm's plan: its total is epsilon at delta, whatever it asks."""
    if name in get_args(Model):
        return plan_release(schema, epsilon=epsilon, delta=delta, model=name)  # type: ignore[arg-type]
    if name in ("synthrec", "critic-without-data"):
        return plan_release(schema, epsilon=epsilon, delta=delta, model="gan")
    asked = measures(schema, model="gan")
    if name == "bias-only":
        kept = [measure for measure in asked if measure.name in ("ratings", "items")]
    elif name == "game-off":
        kept = [measure for measure in asked if measure.name not in PLAYED]
    elif name == "pairs-only":
        planned = plan_release(schema, epsilon=epsilon, delta=delta, model="gan")
        kept = [measure for measure in asked if planned.has(measure.name)]
    else:
        raise ValueError(f"arm must be one of {', '.join(ARMS)}, found {name}")
    return solve_plan(
        model="gan",
        epsilon=epsilon,
        delta=delta,
        population=schema.source.population,
        events_per_user=schema.privacy.events_per_user,
        measures=kept,
        game=None,
    )


def peak_gib() -> float:
    """The most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _fit(
    name: str, *, split: Split, plan: Plan, ledger: Ledger, charge: Charge, seed: int
) -> Artifact | ItemBiases:
    session = (NobodyForTheCritics if name == "critic-without-data" else Session)(
        plan, ledger=ledger, charge=charge
    )
    if name == "bias-only":
        return _item_biases(split, session=session)
    return train(
        split.bounded,
        catalogue=split.catalogue,
        schema=split.schema,
        session=session,
        means=Means(seed=seed),
        progress=Progress(),
    )


def _item_biases(split: Split, *, session: Session) -> ItemBiases:
    """Item counts and means as the model estimates them, from noisy sums with the whole budget."""
    rating, items, log = split.schema.rating, split.catalogue.size, split.bounded
    features = catalogue_features(split.catalogue, split.schema)
    if rating is None:
        sums = session.noisy_sum(
            "items", log, partial(item_vectors, items=items, centre=0.0, unit=1.0), size=items
        )
        return ItemBiases(
            model=None, popularity=estimate_items(sums, features=features)[0].astype(np.float32)
        )
    shares = project_to_simplex(
        session.noisy_sum(
            "ratings", log, partial(rating_vectors, levels=rating.levels), size=rating.size
        ).values
    )
    mean, unit = float(shares @ rating.levels), float(rating.levels[-1] - rating.levels[0]) / 4
    sums = session.noisy_sum(
        "items", log, partial(item_vectors, items=items, centre=mean, unit=unit), size=2 * items
    )
    count, deviation = estimate_items(sums, features=features)
    model = Factorisation(
        mean=mean,
        item_bias=unit * deviation,
        item_factors=np.zeros((items, FACTORS), dtype=np.float32),
    )
    return ItemBiases(model=model, popularity=count.astype(np.float32))


class NobodyForTheCritics(Session):
    """Pairs and the game are asked of nobody, with their charges and their noise; all else of the
    log that is given.
    """

    def noisy_sum(self, name: str, users: Any, vectors: Any, **shape: Any) -> Measurement:
        """See `Session.noisy_sum`."""
        return super().noisy_sum(
            name, _nobody(users) if name in PLAYED else users, vectors, **shape
        )

    def critic_batches(self, users: Any, vectors: Any) -> Iterator[np.ndarray]:
        """See `Session.critic_batches`."""
        return super().critic_batches(_nobody(users), vectors)


def _nobody(log: EventLog) -> EventLog:
    return log.select(np.zeros(0, dtype=np.int64))
