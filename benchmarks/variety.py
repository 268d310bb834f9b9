"""Variety of synthetic users beside real ones, spread over split seeds, and what became of the
game.

    python -m benchmarks.variety ml-100k --epsilons 8 1 --seeds 0 1 2

One training a seed and epsilon, on the protocol's training users. `other real users` compares two
halves of the real log, each with as many users as the other columns allow. Prints Markdown, kept in
benchmarks/variety.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.arms import SAMPLING_SEED, plan_arm
from benchmarks.logs import Split, load
from synthrec.audit.fidelity.structure import repeated_users, variety_of
from synthrec.audit.profiles import cut
from synthrec.data.eventlog import EventLog
from synthrec.model.sampling import generate
from synthrec.model.train import Means, train
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.session import Session
from synthrec.progress import Progress

ARM = "synthrec"
MAX_USERS = 2_000


def synthetic(split: Split, *, epsilon: float, seed: int) -> tuple[EventLog, str]:
    """A synthetic log as the benchmark draws it, and what became of the game."""
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder) / "l.jsonl") as ledger:
        session = Session(
            plan_arm(ARM, schema=split.schema, epsilon=epsilon, delta=split.delta),
            ledger=ledger,
            charge=Charge(source=split.name, release_id=ARM, kind="release"),
        )
        artifact = train(
            split.bounded,
            catalogue=split.catalogue,
            schema=split.schema,
            session=session,
            means=Means(seed=seed),
            progress=Progress(),
        )
    log = EventLog.concat(
        list(
            generate(
                artifact,
                users=split.synthetic_users,
                rng=np.random.default_rng(SAMPLING_SEED + seed),
            )
        )
    )
    return log, artifact.game or "none"


class Compared(NamedTuple):
    """One figure of a real log beside that of a synthetic one."""

    name: str
    real: float
    synthetic: float


def compared(one: EventLog, other: EventLog, *, split: Split) -> list[Compared]:
    """Every figure for both logs, on equally many users; the other log cut at K random events a
    user.
    """
    rng = np.random.default_rng(0)
    users = min(MAX_USERS, *(log.users for log in (one, other)))
    drawn, truth = (log.select(rng.permutation(log.users)[:users]) for log in (one, other))
    truth = cut(truth, events_per_user=split.schema.privacy.events_per_user, rng=rng)
    found, expected = (
        variety_of(log, items=split.catalogue.size) | {"whole users twice": repeated_users(log)}
        for log in (drawn, truth)
    )
    return [Compared(name=name, real=expected[name], synthetic=found[name]) for name in found]


def halves(split: Split) -> list[Compared]:
    """Real users beside other real users."""
    order = np.random.default_rng(0).permutation(split.bounded.users)
    return compared(split.bounded.select(order[::2]), split.train.select(order[1::2]), split=split)


def shown(found: list[list[Compared]], place: int) -> str:
    """The first log's figure, mean and range over seeds, and the real one."""
    real, mine = (
        np.array([getattr(each[place], side) for each in found]) for side in ("real", "synthetic")
    )
    spread = f" ({mine.min():.3g} to {mine.max():.3g})" if len(found) > 1 else ""
    return f"{mine.mean():.3g}{spread} / {real.mean():.3g}"


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("log")
    parser.add_argument("--epsilons", nargs="+", type=float, default=[8.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    splits = {seed: load(asked.log, seed=seed) for seed in asked.seeds}
    columns = {"other real users": [halves(split) for split in splits.values()]}
    games: list[str] = []
    for epsilon in asked.epsilons:
        made = [
            (split, *synthetic(split, epsilon=epsilon, seed=seed)) for seed, split in splits.items()
        ]
        columns[f"synthrec, epsilon {epsilon:g}"] = [
            compared(log, split.train, split=split) for split, log, _ in made
        ]
        games.append(f"epsilon {epsilon:g}: " + ", ".join(game for *_, game in made))
    print(
        f"| {asked.log}: synthetic (lowest to highest seed) / real | "
        + " | ".join(columns)
        + " |\n|---|"
        + "---:|" * len(columns)
    )
    for place, figure in enumerate(columns["other real users"][0]):
        print(
            f"| {figure.name} | "
            + " | ".join(shown(found, place) for found in columns.values())
            + " |"
        )
    print("\nThe game: " + "; ".join(games))


if __name__ == "__main__":
    main()
