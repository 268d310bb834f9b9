"""Utility by the protocol of a fixed split: one cell (log, split seed, epsilon, model) per call, one JSON file per cell.

    python benchmarks/protocol.py ml-100k --data FOLDER --epsilon 8 --seeds 0 1 2 --models gan moments marginals

Users are split by seed, 10 % test; a generator is trained on the others, bounded; twice the population of synthetic users is drawn
and scored. The logs are public, so the fixed split and these figures are no one's secret; each training still runs by its plan.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from synthrec.audit.utility import ArmInput, measure_utility
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.data.source import read_log
from synthrec.model.generation import generate
from synthrec.model.train import train
from synthrec.pipeline import plan_release
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.progress import Progress

HERE = Path(__file__).parent
DELTAS = {"ml-100k": 1e-4, "ml-1m": 1e-5}
TEST_SHARE = 0.1


def split_frames(path: Path, *, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and test events of a public log."""
    events = pd.read_csv(path)
    users = np.sort(events["user_id"].unique())
    test = np.random.default_rng(seed).permutation(users)[: round(TEST_SHARE * len(users))]
    is_test = events["user_id"].isin(test)
    return events[~is_test], events[is_test]


def cell(name: str, *, data: Path, seed: int, epsilon: float, models: list[str]) -> dict[str, object]:
    """All arms of one split at one epsilon."""
    text = (HERE / "configs" / f"{name}.toml").read_text(encoding="utf-8")
    schema = Schema.parse(text, folder=data)
    catalogue = Catalogue.read(schema)
    train_frame, test_frame = split_frames(data / f"{name}.csv.gz", seed=seed)
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        spill = Path(folder)

        def read(frame: pd.DataFrame, most: int | None) -> EventLog:
            return read_log(frame, schema, catalogue, spill=spill / "spill", events_per_user=most)

        real, test, bounded = read(train_frame, None), read(test_frame, None), read(train_frame, schema.privacy.events_per_user)
        arms = {}
        for model in models:
            started = time.perf_counter()
            plan = plan_release(schema, epsilon=epsilon, delta=DELTAS[name], model=model)
            charge = Charge(source=name, release_id=model, kind="release")
            with Ledger.open(spill / f"{model}.jsonl") as ledger:
                artifact = train(bounded, catalogue=catalogue, schema=schema, plan=plan, ledger=ledger, charge=charge, device="cpu",
                                 rng=np.random.default_rng(seed), progress=Progress())
            rng = np.random.default_rng(seed + 1000)
            log = EventLog.concat(list(generate(artifact, users=2 * len(real.offsets) - 2, rng=rng)))
            seconds[model] = round(time.perf_counter() - started, 1)
            arms[model] = ArmInput(log=log, label=model, epsilon=epsilon, ledger_kind="release")
        utility = measure_utility(train=real, test=test, arms=arms, items=catalogue.size, scale=(1.0, 5.0),
                                  events_per_user=schema.privacy.events_per_user, rng=np.random.default_rng(seed))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"log": name, "seed": seed, "epsilon": epsilon, "delta": DELTAS[name], "seconds": seconds, "peak_gib": round(peak, 2),
            "ladder": [arm.model_dump(mode="json") for arm in utility.ladder]}


def show(found: dict[str, object]) -> None:
    """One line per arm."""
    for arm in found["ladder"]:     # type: ignore[attr-defined]
        closed = arm["gap_closed"]
        gap = f"{closed['value']:6.1%} [{closed['low']:.1%}, {closed['high']:.1%}]" if closed else ""
        rank = f"{arm['ranking_gap_closed']['value']:6.1%}" if arm["ranking_gap_closed"] else ""
        limits = " ".join(f"{'' if limit['passed'] else 'FAIL '}{limit['name'].split(' (')[0]} {limit['distance']:.3f}"
                          for limit in arm["realism"])
        rmse = f"{arm['rmse']['value']:.4f}" if arm["rmse"] else "  -   "
        bias = f"{arm['bias_rmse']:.4f}" if arm["bias_rmse"] else "  -   "
        print(f"{found['log']} seed {found['seed']} eps {found['epsilon']} {arm['name']:10} RMSE {rmse} bias {bias} "
              f"gap {gap} ranking {rank} | {limits}", flush=True)


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", choices=sorted(DELTAS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epsilon", type=float, default=8.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", default=["gan", "moments", "marginals"])
    parser.add_argument("--out", type=Path, default=HERE / "results")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    for seed in asked.seeds:
        found = cell(asked.log, data=asked.data, seed=seed, epsilon=asked.epsilon, models=asked.models)
        show(found)
        (asked.out / f"{asked.log}-eps{asked.epsilon:g}-seed{seed}.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        print("seconds", found["seconds"], "peak GiB", found["peak_gib"], flush=True)


if __name__ == "__main__":
    main()
