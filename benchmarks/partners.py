"""The people of an audit from a public log, and the synthetic logs of a release and of the simpler
methods, made once and kept.

Users are drawn by seed: 55 % train, 20 % score, 25 % belong to other organisations (holdout and
reference). Kept below `.cache/`, by a hash of the code and the log that they depend on.

    python -m benchmarks.partners ml-100k 0 8       make and keep
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import arms, logs
from benchmarks.hashes import code_hash, text_hash
from synthrec.audit.splits import AuditSplits
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.model.item_features import catalogue_features

SHARES = {"trained": 0.55, "test": 0.20, "holdout": 0.15, "reference": 0.10}
MADE = ("synthrec", "moments", "marginals")
BOUNDED = ("trained", "holdout", "reference")  # at K; test users and the ceiling are not


@dataclass(frozen=True)
class Case:
    """What `benchmarks.panel` measures on; `simpler` holds the DP baselines' logs."""

    schema: Schema
    people: AuditSplits
    simpler: dict[str, EventLog]
    features: np.ndarray

    @property
    def scale(self) -> tuple[float, float] | None:
        """Lowest and highest rating, if there are ratings."""
        rating = self.schema.rating
        return None if rating is None else (float(rating.levels[0]), float(rating.levels[-1]))


def load(name: str, *, seed: int, epsilon: float, data: Path | None = None) -> Case:
    """From the cache, or made now."""
    code = text_hash(
        code_hash(("data", "privacy", "model"), ours=("arms.py", "partners.py")),
        logs.split_hash(name, data=data),
    )
    place = logs.CACHE / "partners" / f"{name}-seed{seed}-eps{epsilon:g}-{code[:8]}"
    schema = _schema(name, data=data)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=place.parent, prefix=".making-"))
        try:
            _make(name, schema=schema, seed=seed, epsilon=epsilon, data=data, into=fresh)
            fresh.rename(place)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    kept = {
        path.name: EventLog.open(path)
        for path in place.iterdir()
        if path.is_dir() and path.name != "spill"
    }
    catalogue, trained = Catalogue.read(schema), kept["trained"]
    people = AuditSplits(
        trained=trained,
        coined=np.zeros(trained.users, dtype=bool),
        holdout=kept["holdout"],
        reference=kept["reference"],
        test=kept["test"],
        train_whole=kept["train_whole"],
        synthetic=kept["synthrec"],
        items=catalogue.size,
        events_per_user=schema.privacy.events_per_user,
    )
    simpler = {name: kept[name] for name in MADE if name != "synthrec"}
    return Case(
        schema=schema,
        people=people,
        simpler=simpler,
        features=catalogue_features(catalogue, schema).values,
    )


def _schema(name: str, *, data: Path | None) -> Schema:
    """The log's own, for the population that trains."""
    schema = Schema.parse(logs.config_of(name), folder=logs.data_folder(data))
    population = round(SHARES["trained"] * schema.source.population)
    return schema.model_copy(
        update={"source": schema.source.model_copy(update={"population": population})}
    )


def _make(
    name: str, *, schema: Schema, seed: int, epsilon: float, data: Path | None, into: Path
) -> None:
    catalogue = Catalogue.read(schema)
    events = pd.read_csv(logs.data_folder(data) / f"{name}.csv.gz", low_memory=False)
    users = np.random.default_rng(seed).permutation(np.sort(events[schema.user].dropna().unique()))
    ends = np.rint(np.cumsum(list(SHARES.values())) * len(users)).astype(int)
    parts = dict(zip(SHARES, np.split(users, ends[:-1]), strict=True))
    read = {}
    for part, most in (
        *((part, schema.privacy.events_per_user) for part in BOUNDED),
        ("test", None),
        ("train_whole", None),
    ):
        mine = events[events[schema.user].isin(parts["trained" if part == "train_whole" else part])]
        read[part] = logs.in_lasting_order(
            read_log(mine, schema, catalogue, spill=into / "spill", events_per_user=most)
        )
        read[part].save(into / part)
    split = logs.Split(
        name=name,
        schema=schema,
        catalogue=catalogue,
        delta=logs.delta_of(name, schema),
        train=read["train_whole"],
        test=read["test"],
        bounded=read["trained"],
    )
    for arm in MADE:
        made = arms.make_arm(
            arm, split=split, epsilon=epsilon, seed=seed, spill=into / "spill"
        ).found
        assert isinstance(made, EventLog)
        made.save(into / arm)


if __name__ == "__main__":
    load(sys.argv[1], seed=int(sys.argv[2]), epsilon=float(sys.argv[3]))
