"""Other people's tools on the same split: each in a virtual environment of its own, same protocol.
Optional, not in `make bench`.

    python -m benchmarks.peers mst ctgan                    ML-100K, seed 0, epsilon 8 python -m
    benchmarks.peers mst --rows-per-user 20       user-level by group privacy: at most 20 rows a
    user, epsilon / 20 for each python -m benchmarks.peers aim --audit FOLDER           tables for
    `synthrec audit`: half of the users, by a fair coin each, are members

The easier task: these tools protect rows, not users. They see the bounded train log as a flat table
of user, item and rating, all three as categories, and give back as many rows; rows with one user
value make one user. Where a user keeps at most c rows, a row-level epsilon of E / c at delta / (c
exp(E)) is user-level (E, delta) by group privacy (Dwork and Roth 2014, theorem 2.2 and lemma 2.2):
that is what `--rows-per-user` asks for. The first use of a peer downloads a gigabyte or more.
benchmarks/peers.md says what was run, and what not.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.cells import versions, write_whole
from benchmarks.figures import Seed, mean_over, statistics
from benchmarks.logs import CACHE, DELTAS, HERE, Split, config_of, data_folder, load
from benchmarks.protocol import Questions
from benchmarks.tables import BEGIN, END, outside
from synthrec.audit import profiles
from synthrec.data.eventlog import EventLog

COLUMNS = ["user", "item", "rating"]
RESULTS, PAGE = HERE / "results" / "peers.json", HERE / "peers.md"


@dataclass(frozen=True)
class Peer:
    """What to install, and what to run there: a script that knows `table`, `epsilon`, `delta`,
    `folder` and sets `found`.
    """

    packages: tuple[str, ...]
    private: bool
    script: str


_BEFORE = """
import sys, warnings, pandas
warnings.simplefilter("ignore")
table, folder, epsilon, delta = pandas.read_csv(sys.argv[1]), sys.argv[3], float(sys.argv[4]), float(sys.argv[5])
"""
_AFTER = """
found.to_csv(sys.argv[2], index=False)
"""
_SMARTNOISE = """
from snsynth import Synthesizer
synthesizer = Synthesizer.create({options})
found = synthesizer.fit_sample(table, categorical_columns=list(table.columns), preprocessor_eps=0.0)
"""
PEERS = {
    "mst": Peer(
        ("smartnoise-synth==1.0.8",),
        True,
        _SMARTNOISE.format(options='"mst", epsilon=epsilon, delta=delta'),
    ),
    "aim": Peer(
        ("smartnoise-synth==1.0.8",),
        True,
        _SMARTNOISE.format(options='"aim", epsilon=epsilon, delta=delta'),
    ),
    "dpctgan": Peer(
        ("smartnoise-synth==1.0.8",),
        True,
        _SMARTNOISE.format(
            options='"dpctgan", epsilon=epsilon, delta=delta, epochs=20, batch_size=1000, cuda=False'
        ),
    ),
    "ctgan": Peer(
        ("ctgan",),
        False,
        """
from ctgan import CTGAN
model = CTGAN(epochs=3, batch_size=5000, pac=1, enable_gpu=False)
model.fit(table, list(table.columns))
found = model.sample(len(table))
""",
    ),
    "mostlyai": Peer(
        ("mostlyai-engine",),
        True,
        """
from mostlyai import engine
from mostlyai.engine.domain import DifferentialPrivacyConfig
engine.split(tgt_data=table.astype(str), workspace_dir=folder, model_type="TABULAR")
private = DifferentialPrivacyConfig(max_epsilon=epsilon, delta=delta)
engine.analyze(workspace_dir=folder, value_protection=True, differential_privacy=private)
engine.encode(workspace_dir=folder)
engine.train(workspace_dir=folder, max_training_time=10, differential_privacy=private)
engine.generate(workspace_dir=folder, sample_size=len(table))
found = pandas.read_parquet(folder + "/SyntheticData")
""",
    ),
}


def main() -> None:
    """Parse, run, score, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("peers", nargs="+", choices=sorted(PEERS))
    parser.add_argument("--log", default="ml-100k")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epsilon", type=float, default=8.0)
    parser.add_argument(
        "--rows-per-user", type=int, help="cap a user's rows at this and ask for user-level privacy"
    )
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="the most that one peer may take"
    )
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument(
        "--audit",
        type=Path,
        metavar="FOLDER",
        help="score nothing; write members, holdout users and the synthetic log",
    )
    asked = parser.parse_args()
    if asked.audit is not None:
        return audit_tables(
            asked.peers[0],
            log=asked.log,
            folder=asked.audit,
            data=asked.data,
            seed=asked.seed,
            epsilon=asked.epsilon,
            minutes=asked.minutes,
        )
    split = load(asked.log, seed=asked.seed, data=asked.data)
    for name in asked.peers:
        found = run_peer(
            name,
            split=split,
            seed=asked.seed,
            epsilon=asked.epsilon,
            rows_per_user=asked.rows_per_user,
            minutes=asked.minutes,
        )
        print(json.dumps(found, indent=1))
        kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        level = f"user-level, {asked.rows_per_user} rows" if asked.rows_per_user else "row-level"
        kept[
            f"{name} {asked.log} seed {asked.seed} eps {asked.epsilon:g} {level if PEERS[name].private else 'not private'}"
        ] = found
        write_whole(
            RESULTS,
            lambda beside, kept=kept: beside.write_text(
                json.dumps(kept, indent=1) + "\n", encoding="utf-8"
            ),
        )
        before, after = outside(PAGE.read_text(encoding="utf-8"))
        PAGE.write_text(f"{before}{BEGIN}\n{table(kept)}\n{END}{after}", encoding="utf-8")


def run_peer(
    name: str, *, split: Split, seed: int, epsilon: float, rows_per_user: int | None, minutes: float
) -> dict[str, Any]:
    """One peer's figures, or why there are none."""
    log, delta = split.bounded, split.delta
    if rows_per_user:
        log = profiles.cut(log, events_per_user=rows_per_user, rng=np.random.default_rng(seed))
        epsilon, delta = epsilon / rows_per_user, delta / (rows_per_user * math.exp(epsilon))
    table = pd.DataFrame(
        {"user": log.user_of_event(), "item": log.item, "rating": log.rating}
    ).astype(int)
    started = time.perf_counter()
    try:
        made = made_by(name, table, epsilon=epsilon, delta=delta, minutes=minutes)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        stopped = isinstance(error, subprocess.TimeoutExpired)
        return {"failed": f"stopped after {minutes:g} minutes" if stopped else "it raised an error"}
    seconds = round(time.perf_counter() - started, 1)
    found = score(as_log(made, split=split), questions=Questions.of(split, seed=seed), name=name)
    about = {
        "row_epsilon": epsilon,
        "row_delta": delta,
        "seconds": seconds,
        "packages": PEERS[name].packages,
        "versions": versions(),
    }
    return about | found


def made_by(
    name: str, rows: pd.DataFrame, *, epsilon: float, delta: float, minutes: float
) -> pd.DataFrame:
    """What a peer makes of rows, in an environment of its own. Raises subprocess's errors."""
    python, folder = environment(PEERS[name].packages), CACHE / "peers" / name
    shutil.rmtree(folder / "work", ignore_errors=True)
    (folder / "work").mkdir(parents=True)
    rows.to_csv(folder / "in.csv", index=False)
    words = [
        str(folder / "in.csv"),
        str(folder / "out.csv"),
        str(folder / "work"),
        repr(epsilon),
        repr(delta),
    ]
    subprocess.run(
        [str(python), "-c", _BEFORE + PEERS[name].script + _AFTER, *words],
        check=True,
        timeout=60 * minutes,
        stdout=subprocess.DEVNULL,
    )
    return pd.read_csv(folder / "out.csv")


def audit_tables(
    name: str, *, log: str, folder: Path, data: Path, seed: int, epsilon: float, minutes: float
) -> None:
    """Members, holdout users, what the peer makes of the members, and a configuration without the
    columns that peers do not see.
    """
    folder.mkdir(parents=True)
    events = pd.read_csv(data / f"{log}.csv.gz")[["user_id", "item_id", "rating"]]
    users = np.sort(events["user_id"].unique())
    is_member = events["user_id"].isin(users[np.random.default_rng(seed).random(len(users)) < 0.5])
    names = dict(zip(events.columns, COLUMNS, strict=True))
    made = made_by(
        name,
        events[is_member].rename(columns=names),
        epsilon=epsilon,
        delta=DELTAS[log],
        minutes=minutes,
    )
    back = made.rename(columns={mine: theirs for theirs, mine in names.items()})
    for part, rows in (
        ("members", events[is_member]),
        ("holdout", events[~is_member]),
        ("synthetic", back),
    ):
        rows.to_csv(folder / f"{part}.csv", index=False)
    lines = config_of(log).replace('"ml-', f'"{data}/ml-').splitlines()
    kept = [
        line
        for line in lines
        if not line.startswith(("timestamp =", "table =", "gender =", "age ="))
        and line != "[users]"
    ]
    (folder / "synthrec.toml").write_text("\n".join(kept) + "\n", encoding="utf-8")


def table(kept: dict[str, Any]) -> str:
    """All runs, one a line; a log that breaks a realism limit is struck out."""
    rows = [
        "| peer | RMSE by factors | RMSE by biases | RMSE gap closed | ranking gap closed | rows that repeat a pair | seconds |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, found in kept.items():
        if "failed" in found:
            rows.append(f"| {name} | {found['failed']} | | | | | |")
            continue
        broken = any(distance > limit for distance, limit in found["realism"].values())
        rows.append(
            f"| {f'~~{name}~~' if broken else name} | {found['rmse']['value']:.4f} | {found['bias_rmse']['value']:.4f} | "
            f"{found['gap_closed']['value']:.0%} | {found['ranking_gap_closed']['value']:.0%} | {found['repeated_pairs']:.0%} | "
            f"{found['seconds']:g} |"
        )
    return "\n".join(rows)


def score(log: EventLog, *, questions: Questions, name: str) -> dict[str, Any]:
    """Figures, realism, and how often a user has an item twice."""
    arms = questions.ladder_ends() | {name: questions.score(log, name=name)}
    seed = Seed(arms=arms, weights=questions.weights)
    found: dict[str, Any] = {
        what: mean_over([seed], statistic).rounded()
        for what, statistic in statistics(arms[name]).items()
    }
    found["repeated_pairs"] = round(
        1 - profiles.pattern(log, items=questions.split.catalogue.size).nnz / len(log.item), 4
    )
    return found | {
        "realism": {
            limit.name: [round(limit.distance, 4), limit.limit] for limit in arms[name].realism
        }
    }


def as_log(rows: pd.DataFrame, *, split: Split) -> EventLog:
    """Rows as a log: what names no item of the catalogue or has no number is dropped."""
    rows = rows[COLUMNS].apply(pd.to_numeric, errors="coerce").dropna()
    rows = rows[(rows["item"] >= 0) & (rows["item"] < split.catalogue.size)].sort_values(
        "user", kind="stable"
    )
    counts = rows.groupby("user", sort=True).size().to_numpy()
    scale = split.scale or (0.0, 1.0)
    return EventLog(
        offsets=np.concatenate(([0], np.cumsum(counts))),
        item=rows["item"].to_numpy(np.int32),
        rating=np.clip(np.rint(rows["rating"].to_numpy(np.float32)), *scale),
    )


def environment(packages: tuple[str, ...]) -> Path:
    """The Python of an environment that holds these packages and nothing of ours; made once."""
    folder = CACHE / "peers" / "environments" / "-".join(packages).replace("=", "")
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "--prefer-binary", *packages],
            check=True,
        )
        (folder / "whole").touch()
    return python


if __name__ == "__main__":
    main()
