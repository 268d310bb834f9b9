"""How synthetic times compare with real ones, beside two halves of the real users and with less
noise.

    python -m benchmarks.times ml-100k [--epsilons 8 3 1 inf] [--seeds 0 1 2]

Only what times need is measured (activity and times, with the noise that a whole release's plan
gives them), from all users of the public log; twice the population is drawn. Distances are total
variations. Against the unbounded log, except that `bounded` says how far the log cut at K lies from
it, which no synthetic log can undo. Prints Markdown, kept in benchmarks/times.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from synthrec.audit.fidelity import behaviour
from synthrec.audit.fidelity import behaviour as of_time
from synthrec.audit.profiles import cut
from synthrec.audit.realism import total_variation
from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import Datetime
from synthrec.data.eventlog import EventLog
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.model.generator import Shares, draw_conditions
from synthrec.model.measurements import activity_vectors
from synthrec.model.recipe import plan_release
from synthrec.model.statistic import activity_edges, project_to_simplex
from synthrec.model.time_sampling import draw_times
from synthrec.model.time_stats import SIZE, time_tables, time_vectors
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.session import Session

HERE = Path(__file__).parent
DELTAS = {"ml-100k": 1e-4, "onlineretail": 1e-5}
CHUNK_USERS = 1000
HALVES = 10


def histograms(log: EventLog, *, column: Datetime) -> dict[str, np.ndarray]:
    """What is compared, as counts; as the audit counts them."""
    hour, rhythm = of_time.hours(log, column=column), behaviour.rhythm(log)
    return {
        "hour by weekday": hour,
        "hour": hour.reshape(7, 24).sum(axis=0),
        "weekday": hour.reshape(7, 24).sum(axis=1),
        "start of history": of_time.starts(log, column=column),
        "events per 30 days": of_time.months(log, column=column),
        "gap between events (octaves)": rhythm.gap,
        "sessions per user (octaves)": rhythm.per_user,
        "events per session (octaves)": rhythm.per_session,
    }


def distances(one: EventLog, other: EventLog, *, column: Datetime) -> dict[str, float]:
    """Total variation of each histogram."""
    mine, yours = histograms(one, column=column), histograms(other, column=column)
    return {name: total_variation(mine[name], other=yours[name]) for name in mine}


def synthetic(
    bounded: EventLog, *, schema: Schema, epsilon: float, delta: float, rng: np.random.Generator
) -> EventLog:
    """Times of twice the population, through the plan of a whole release."""
    plan, column = plan_release(schema, epsilon=epsilon, delta=delta), schema.time
    assert column is not None
    edges = activity_edges(plan.events_per_user)
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder) / "l.jsonl") as ledger:
        session = Session(
            plan,
            ledger=ledger,
            charge=Charge(source=schema.source.name, release_id="times", kind="release"),
        )
        counts = session.noisy_sum(
            "activity", bounded, partial(activity_vectors, edges=edges), size=len(edges) - 1
        ).values
        vectors, activity = (
            partial(time_vectors, column=column, events_per_user=plan.events_per_user),
            project_to_simplex(counts),
        )
        asked = session.noisy_sum("times", bounded, vectors, size=SIZE)
    tables = time_tables(asked.values, noise_std=asked.noise_std)
    parts = []
    for done in range(0, 2 * plan.population, CHUNK_USERS):
        events = draw_conditions(
            min(CHUNK_USERS, 2 * plan.population - done),
            shares=Shares(edges, activity, {}),
            most=plan.events_per_user,
            rng=rng,
        ).events
        when = draw_times(events, tables=tables, column=column, rng=rng)
        parts.append(
            EventLog(
                offsets=np.concatenate(([0], np.cumsum(events))),
                item=np.zeros(len(when), dtype=np.int32),
                time=when,
            )
        )
    return EventLog.concat(parts)


def halves(log: EventLog, *, column: Datetime, rng: np.random.Generator) -> dict[str, float]:
    """How far two random halves of the real users lie apart."""
    order = rng.permutation(log.users)
    return distances(log.select(order[::2]), log.select(order[1::2]), column=column)


def mean(draw: Callable[[int], dict[str, float]], times: int) -> dict[str, float]:
    found = [draw(place) for place in range(times)]
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("log", choices=sorted(DELTAS))
    parser.add_argument("--epsilons", nargs="+", type=float, default=[8.0, 3.0, 1.0, np.inf])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    data = Path(os.environ.get("SYNTHREC_SHARED_DATA", HERE.parent.parent / "shared" / "data"))
    schema = Schema.parse(
        (HERE / "configs" / f"{asked.log}.toml").read_text(encoding="utf-8"), folder=data
    )
    column, catalogue = schema.time, Catalogue.read(schema)
    assert column is not None
    with tempfile.TemporaryDirectory() as folder:
        real = read_log(
            data / f"{asked.log}.csv.gz",
            schema,
            catalogue,
            spill=Path(folder) / "spill",
            events_per_user=None,
        )
        rng, most = np.random.default_rng(0), schema.privacy.events_per_user
        rows = {
            "two halves of the real users": mean(
                lambda seed: halves(real, column=column, rng=rng), HALVES
            ),
            f"real cut at K = {most}": mean(
                lambda seed: distances(
                    cut(real, events_per_user=most, rng=rng), real, column=column
                ),
                3,
            ),
        }
        for epsilon in asked.epsilons:
            started = time.perf_counter()
            rows[
                "synthetic, " + (f"epsilon {epsilon:g}" if np.isfinite(epsilon) else "no noise")
            ] = mean(
                lambda seed, epsilon=epsilon: distances(  # type: ignore[misc]
                    synthetic(
                        cut(
                            real, events_per_user=most, rng=np.random.default_rng(asked.seeds[seed])
                        ),
                        schema=schema,
                        epsilon=epsilon,
                        delta=DELTAS[asked.log],
                        rng=np.random.default_rng(asked.seeds[seed]),
                    ),
                    real,
                    column=column,
                ),
                len(asked.seeds),
            )
            print(
                f"# {epsilon:g}: {(time.perf_counter() - started) / len(asked.seeds):.1f} s a seed",
                flush=True,
            )
    names = list(next(iter(rows.values())))
    print(f"\n| {asked.log} | " + " | ".join(rows) + " |\n|---|" + "---:|" * len(rows))
    for name in names:
        print(f"| {name} | " + " | ".join(f"{row[name]:.3f}" for row in rows.values()) + " |")


if __name__ == "__main__":
    main()
