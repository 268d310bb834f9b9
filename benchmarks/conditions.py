"""Do synthetic groups follow the real ones: mean rating and genre shares by gender and age band,
beside users who ignore attributes?

    python -m benchmarks.conditions ml-100k [--epsilon 8] [--seeds 0 1 2] [--model gan]

Arms: the generator as released; the same release with the differences of groups set to zero, so
that nothing else moves; and a generator at the same epsilon that never measured groups and gave
their budget to the rest. Errors are against the real training log cut at K: means over groups of at
least 20 real users, weighted by their users. The mean rating is also compared after each log's own
overall mean is taken out, for its error is that of another measurement and the same in all groups.
"Half of the real users" is one random half against the other: what chance alone makes of half as
many users. Prints Markdown, kept in benchmarks/conditions.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.logs import Split, load
from synthrec.data.columns import ItemSet
from synthrec.data.eventlog import EventLog
from synthrec.model.artifact import Artifact
from synthrec.model.recipe import game, measures, plan_release
from synthrec.model.sampling import generate
from synthrec.model.train import Means, train
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.plan import Model, Plan, solve_plan
from synthrec.privacy.session import Session
from synthrec.progress import Progress

ATTRIBUTES = ("gender", "age")
MIN_USERS, HALVES, SAMPLING_SEED = 20, 10, 1_000
FIGURES = ("mean rating", "mean rating, overall mean taken out", "genre shares (total variation)")
Errors = dict[str, np.ndarray]


def known_by(
    log: EventLog, *, words: np.ndarray, attribute: str, code: int
) -> tuple[int, float, np.ndarray]:
    """A group's users, mean rating and shares of genres."""
    assert log.rating is not None
    part = log.select(np.flatnonzero(log.attributes[attribute] == code))
    shares = words[part.item].sum(axis=0)
    return part.users, float(np.mean(part.rating)), shares / shares.sum()


def errors(made: EventLog, *, real: EventLog, words: np.ndarray, sizes: dict[str, int]) -> Errors:
    """FIGURES of each attribute, means over its groups."""
    assert made.rating is not None and real.rating is not None
    offset, found = float(np.mean(made.rating) - np.mean(real.rating)), Errors()
    for attribute, size in sizes.items():
        rows, users = [], []
        for code in range(size):
            if (count := int((real.attributes[attribute] == code).sum())) < MIN_USERS:
                continue
            (_, rating, shares), (_, wanted, truth) = (
                known_by(log, words=words, attribute=attribute, code=code) for log in (made, real)
            )
            rows.append(
                (
                    abs(rating - wanted),
                    abs(rating - wanted - offset),
                    0.5 * np.abs(shares - truth).sum(),
                )
            )
            users.append(count)
        found[attribute] = np.average(rows, axis=0, weights=users)
    return found


def genre_words(split: Split) -> np.ndarray:
    """Which genre each item has. Shapes: -> float64[V, words]."""
    name, declared = next(
        (name, each)
        for name, each in split.schema.item_attributes.items()
        if isinstance(each, ItemSet)
    )
    cells = [
        set((cell or "").split(declared.separator)) - {""}
        for cell in split.catalogue.attributes[name].to_pylist()
    ]
    return np.array(
        [[float(word in cell) for word in sorted(set().union(*cells))] for cell in cells]
    )


def trained(split: Split, *, plan: Plan, seed: int) -> Artifact:
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder) / "l.jsonl") as ledger:
        session = Session(
            plan,
            ledger=ledger,
            charge=Charge(source=split.name, release_id="conditions", kind="release"),
        )
        return train(
            split.bounded,
            catalogue=split.catalogue,
            schema=split.schema,
            session=session,
            means=Means(seed=seed),
            progress=Progress(),
        )


def without_groups(split: Split, *, epsilon: float, model: Model) -> Plan:
    """The plan of a generator that never asks how groups differ, at the same epsilon."""
    schema = split.schema
    return solve_plan(
        model=model,
        epsilon=epsilon,
        delta=split.delta,
        population=schema.source.population,
        events_per_user=split.events_per_user,
        game=game(schema, model=model),
        measures=tuple(each for each in measures(schema, model=model) if each.name != "groups"),
    )


def cell(split: Split, *, epsilon: float, model: Model, seed: int) -> dict[str, Errors]:
    """All arms of one split."""
    words = genre_words(split)
    asked = {
        "words": words,
        "sizes": {name: split.schema.user_attributes[name].size for name in ATTRIBUTES},
    }

    def scored(artifact: Artifact) -> Errors:
        log = EventLog.concat(
            list(
                generate(
                    artifact,
                    users=split.synthetic_users,
                    rng=np.random.default_rng(seed + SAMPLING_SEED),
                )
            )
        )
        return errors(log, real=split.bounded, **asked)  # type: ignore[arg-type]

    told = trained(
        split,
        plan=plan_release(split.schema, epsilon=epsilon, delta=split.delta, model=model),
        seed=seed,
    )
    found = {"groups as measured": scored(told)}
    told.generator.effect.zero_()
    found["the same release, attributes ignored"] = scored(told)
    found["groups never measured"] = scored(
        trained(split, plan=without_groups(split, epsilon=epsilon, model=model), seed=seed)
    )
    users, rng, halves = split.bounded.users, np.random.default_rng(seed), []
    for _ in range(HALVES):
        order = rng.permutation(users)
        one, other = (
            split.bounded.select(part) for part in (order[: users // 2], order[users // 2 :])
        )
        halves.append(errors(one, real=other, **asked))  # type: ignore[arg-type]
    found["half of the real users"] = {
        name: np.mean([half[name] for half in halves], axis=0) for name in ATTRIBUTES
    }
    return found


def table(cells: list[dict[str, Errors]]) -> str:
    """Means over seeds, as Markdown."""
    lines = [
        "| error of | by | " + " | ".join(cells[0]) + " |",
        "|---|---|" + "---:|" * len(cells[0]),
    ]
    for place, figure in enumerate(FIGURES):
        for attribute in ATTRIBUTES:
            shown = [
                f"{np.mean([each[arm][attribute][place] for each in cells]):.4f}"
                for arm in cells[0]
            ]
            lines.append(f"| {figure} | {attribute} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("log", choices=["ml-100k"])
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--epsilon", type=float, default=8.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--model", choices=["gan", "moments"], default="gan")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    cells = []
    for seed in asked.seeds:
        cells.append(
            cell(
                load(asked.log, seed=seed, data=asked.data),
                epsilon=asked.epsilon,
                model=asked.model,
                seed=seed,
            )
        )
        print(f"seed {seed}\n\n{table(cells[-1:])}\n", flush=True)
    print(
        f"{asked.log}, eps {asked.epsilon:g}, model {asked.model}, mean of seeds {asked.seeds}\n\n{table(cells)}"
    )


if __name__ == "__main__":
    main()
