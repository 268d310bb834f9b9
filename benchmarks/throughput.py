"""Speed and memory on small and large catalogues: fit, then sample to Parquet, each in a process of
its own.

    python benchmarks/throughput.py --items 3700 100000 --users 3000 --draw 20000

The logs are simulated. Seconds are of the whole call (`pipeline.fit`, `pipeline.sample`: reading,
verifying, drawing, writing), not of starting Python. On a machine that others use too, events per
second of processor time say more than events per second.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.model import calibration
from synthrec.model.artifact import Artifact
from synthrec.model.item_choice import DENSE_ITEMS
from synthrec.pipeline import fit, sample

CUT_USERS = 60
MUST = {3_700: 300_000, 100_000: 150_000}  # events a second


def main() -> None:
    """One row of figures for each catalogue."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--items", type=int, nargs="+", default=[3_700, 100_000])
    parser.add_argument("--users", type=int, default=3_000, help="of the log that is fitted")
    parser.add_argument("--draw", type=int, default=20_000, help="synthetic users")
    parser.add_argument("--stage", nargs=2, metavar=("STAGE", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.stage:
        print(json.dumps(STAGES[asked.stage[0]](Path(asked.stage[1]), asked.draw)))
        return
    print(
        "| items | fit, s (processor) | fit, GiB | sample, events/s | events per processor second | sample, GiB | must, events/s |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|")
    cuts: list[str] = []
    for items in asked.items:
        with tempfile.TemporaryDirectory() as folder:
            simulate(users=asked.users, items=items, seed=5).write(folder)
            trained, drawn, cut = (
                _alone(stage, folder=folder, draw=asked.draw) for stage in STAGES
            )
        print(
            f"| {items:,} | {trained['seconds']:.0f} ({trained['processor']:.0f}) | {trained['peak_gib']:.2f} | "
            f"{drawn['events'] / drawn['seconds']:,.0f} | {drawn['events'] / drawn['processor']:,.0f} | {drawn['peak_gib']:.2f} | "
            f"{MUST.get(items, 0):,} |",
            flush=True,
        )
        if items > DENSE_ITEMS:
            cuts.append(
                f"{items:,} items: the thinned race moves a share of {cut['mean_1']:.5f} of a user's picks to other items (at most "
                f"{cut['most_1']:.4f}), of tastes twice as strong {cut['mean_2']:.5f} (at most {cut['most_2']:.4f})."
            )
    print("", *cuts, sep="\n")


def _alone(stage: str, *, folder: str, draw: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--draw", str(draw), "--stage", stage, folder]
    found: dict[str, float] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    )
    return found


def _timed(work: Callable[[], object]) -> dict[str, float]:
    seconds, processor = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": time.perf_counter() - seconds,
        "processor": time.process_time() - processor,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def _fit(folder: Path, draw: int) -> dict[str, float]:
    schema = Schema.load(folder / "synthrec.toml")
    return _timed(
        lambda: fit(
            str(folder / "events.csv"), schema=schema, epsilon=8, delta=1e-5, out=folder / "release"
        )
    )


def _sample(folder: Path, draw: int) -> dict[str, float]:
    out = folder / "drawn.parquet"
    found = _timed(lambda: sample(folder / "release", users=draw, out=out, seed=1))
    return found | {"events": float(pq.ParquetFile(out).metadata.num_rows)}


def _cut(folder: Path, draw: int) -> dict[str, float]:
    """Share of a user's picks that the thinned race moves to other items, as trained and with
    tastes twice as strong.
    """
    artifact = Artifact.load(folder / "release" / "share")
    rng = np.random.default_rng(0)
    conditions = calibration.draw(artifact.estimates, users=CUT_USERS, rng=rng)
    latent = rng.standard_normal((CUT_USERS, len(artifact.generator.scale)))
    tilt = calibration.behave(
        artifact.generator, latent, conditions=conditions, estimates=artifact.estimates
    ).tilt.astype(np.float32)
    found, sampler = {}, artifact.tables.sampler
    for strength in (1, 2):
        centre = np.repeat(strength * tilt @ sampler.centre.T, np.diff(sampler.cells.start), axis=1)
        excess = strength * tilt @ sampler.offset.T
        moved = []
        for rate in (excess, np.minimum(excess, sampler.cap(strength * tilt)[:, None])):
            share = np.diff(sampler.ends) * np.exp(centre + rate)
            moved.append(share / share.sum(axis=1, keepdims=True))
        distance = np.abs(moved[0] - moved[1]).sum(axis=1) / 2
        found |= {
            f"mean_{strength}": float(distance.mean()),
            f"most_{strength}": float(distance.max()),
        }
    return found


STAGES: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "fit": _fit,
    "sample": _sample,
    "cut": _cut,
}

if __name__ == "__main__":
    main()
