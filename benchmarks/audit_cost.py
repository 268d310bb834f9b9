"""What a quick audit costs: processor seconds and memory, over people and over the catalogue.

    python -m benchmarks.audit_cost --users 3000 9000 --items 800 --wide 20000

The logs are simulated; of each, seven people in ten are members, the others holdout users, and twice as
many strangers of the same world pose as synthetic users. Each audit runs in a process of its own, on one
thread. Seconds are of the processor and of the whole call (`pipeline.audit_tables`: reading, attacks,
controls, disclosure, use, likeness); on a shared machine only ratios within one run say much. Prints
Markdown, kept in benchmarks/audit_cost.md.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.logs import CACHE
from synthrec.auditing import Tables
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.pipeline import audit_tables

MEMBERS, SYNTHETIC = 0.7, 2  # share of the people; synthetic users for each of them
MAX_WIDE_USERS = 2_000  # people beside a wide catalogue
PARTS = ("members", "holdout", "synthetic")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def made(*, users: int, items: int) -> Path:
    """The tables of one audit, kept between runs."""
    folder = CACHE / "audit-cost" / f"{users}x{items}"
    if not (folder / "synthetic.csv").exists():
        world = simulate(users=(1 + SYNTHETIC) * users, items=items, seed=7)
        world.write(folder)
        (folder / "events.csv").unlink()
        ids = world.users["user_id"].to_numpy()
        cuts = np.split(ids, (round(MEMBERS * users), users))
        for name, some in zip(PARTS, cuts, strict=True):
            chosen = world.events[world.events["user_id"].isin(some)]
            chosen.to_csv(folder / f"{name}.csv", index=False)
    return folder


def audited(folder: Path, *, profile: Path | None) -> dict[str, float | str]:
    """One quick audit in this process, and what it cost."""
    schema = Schema.load(folder / "synthrec.toml")
    tables = Tables(**{name: str(folder / f"{name}.csv") for name in PARTS})
    watch = cProfile.Profile()
    before, started = time.process_time(), time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        if profile is not None:
            watch.enable()
        record = audit_tables(tables, schema=schema, out=Path(out))
        watch.disable()
    if profile is not None:
        with profile.open("w", encoding="utf-8") as stream:
            pstats.Stats(watch, stream=stream).sort_stats("cumulative").print_stats(90)
    return {
        "processor": time.process_time() - before,
        "seconds": time.perf_counter() - started,
        "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "verdict": record.verdict.value,
    }


def alone(users: int, items: int, *, profile: Path | None) -> dict[str, float | str]:
    """The same in a process of its own."""
    more = [] if profile is None else ["--profile", str(profile / f"{users}x{items}.txt")]
    command = ["--one", str(made(users=users, items=items)), *more]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.audit_cost", *command],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ONE_THREAD},
    )
    found: dict[str, float | str] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """One row an audit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--users", type=int, nargs="*", default=[3_000, 9_000])
    parser.add_argument("--items", type=int, default=800)
    parser.add_argument("--wide", type=int, nargs="*", default=[20_000], help="further catalogues")
    parser.add_argument("--profile", type=Path, help="a folder for profiles")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(audited(asked.one, profile=asked.profile)))
        return
    print("| people | items | processor s | of it s per 1,000 people | GiB | verdict |")
    print("|---:|---:|---:|---:|---:|---|")
    sizes = [(users, asked.items) for users in asked.users]
    for users, items in [*sizes, *((MAX_WIDE_USERS, wide) for wide in asked.wide)]:
        cost = alone(users, items, profile=asked.profile)
        each = 1_000 * float(cost["processor"]) / users
        print(
            f"| {users:,} | {items:,} | {cost['processor']:.0f} | {each:.1f} | {cost['gib']:.2f} | "
            f"{cost['verdict']} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
