"""How often a quick audit says LEAK of a synthetic log that leaks nobody.

    python -m benchmarks.audit_level --audits 70

Each audit draws its people anew from one log: members, holdout users, reference users, and strangers of
the same kind who pose as synthetic users, whole and with every column. So nothing of any member is in
the synthetic log, and whatever is called a leak is a false alarm. The logs: purchases and cancellations
in baskets with prices and quantities (simulated), ratings by half stars (simulated), MovieLens 100K
where it is at hand. The verdict is that of `synthrec audit`, from attacks, controls and disclosure;
figures of use and likeness decide nothing and are left out. What is finished is kept below
benchmarks/.cache for the code as it is: a killed run goes on where it was. Writes audit_level.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hashes import code_hash
from benchmarks.logs import CACHE, HERE, config_of, data_folder
from synthrec.audit import intervals
from synthrec.audit.cache import Kept
from synthrec.audit.record import AuditRecord
from synthrec.audit.splits import AuditSplits
from synthrec.auditing import AuditInputs, run_audit
from synthrec.data.catalogue import Catalogue
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.progress import Progress

MEMBERS, HOLDOUT, REFERENCE, SYNTHETIC = 200, 120, 90, 400
WORLD_USERS, ITEMS = 3_000, 200
ALARMS = ("LEAK DETECTED", "CLAIM REFUTED")
PAGE = HERE / "audit_level.md"
Source = tuple[Any, Schema]


def basket_log(folder: Path) -> Source:
    """Typed events in baskets."""
    from tests.data.typed import CONFIG, prepared, shop

    prepared(folder)
    return shop(users=WORLD_USERS, seed=1), Schema.parse(CONFIG, folder=folder)


def half_star_log(folder: Path) -> Source:
    """Ratings by half stars."""
    world, rng = simulate(users=WORLD_USERS, items=ITEMS, seed=2), np.random.default_rng(2)
    shifted = world.events["rating"] + rng.uniform(-0.75, 0.75, len(world.events))
    stars = np.clip(np.rint(2 * shifted) / 2, 0.5, 5.0)
    config = replace(world, events=world.events.assign(rating=stars)).write(folder)
    text = config.read_text(encoding="utf-8").replace(
        "min = 1, max = 5, step = 1", "min = 0.5, max = 5, step = 0.5"
    )
    return str(folder / "events.csv"), Schema.parse(text, folder=folder)


def movielens_log(_: Path) -> Source:
    """A public log of real people."""
    data = data_folder()
    return str(data / "ml-100k.csv.gz"), Schema.parse(config_of("ml-100k"), folder=data)


LOGS: dict[str, Callable[[Path], Source]] = {
    "baskets (simulated)": basket_log,
    "half stars (simulated)": half_star_log,
    "MovieLens 100K": movielens_log,
}


def verdicts(make: Callable[[Path], Source], *, seeds: list[int]) -> Iterator[AuditRecord]:
    """One audit a seed, of people drawn by it."""
    with tempfile.TemporaryDirectory() as scratch:
        log, schema = make(Path(scratch))
        catalogue, most = Catalogue.read(schema), schema.privacy.events_per_user
        everybody = read_log(
            log, schema, catalogue, spill=Path(scratch) / "spill", events_per_user=most
        )
        sizes = np.cumsum([MEMBERS, HOLDOUT, REFERENCE, SYNTHETIC])
        for seed in seeds:
            order = np.random.default_rng(seed).permutation(everybody.users)[: sizes[-1]]
            trained, holdout, reference, strangers = (
                everybody.select(part) for part in np.split(order, sizes[:-1])
            )
            nobody = everybody.select(order[:0])
            people = AuditSplits(
                trained=trained,
                coined=np.zeros(MEMBERS, dtype=bool),
                holdout=holdout,
                reference=reference,
                test=nobody,
                train_whole=nobody,
                synthetic=strangers,
                items=catalogue.size,
                events_per_user=most,
            )
            yield run_audit(
                AuditInputs(schema=schema, catalogue=catalogue, people=people, claim=None),
                arms={},
                effort="quick",
                kept=Kept(Path(scratch) / "parts" / str(seed)),
                progress=Progress(),
            )


def done(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """What was finished before, by log and seed."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {(row["log"], row["seed"]): row for row in map(json.loads, lines)}


def page(rows: list[dict[str, Any]], *, audits: int) -> str:
    """The table and how to have it again."""
    lines = [
        "# How often an innocent log is called a leak",
        "",
        f"`python -m benchmarks.audit_level --audits {audits}`: {MEMBERS} members, {HOLDOUT} holdout and {REFERENCE} reference users, "
        f"{SYNTHETIC} strangers as synthetic users, drawn anew in each audit. Intervals: Clopper and Pearson, 95 %.",
        "",
        "| log | audits | called a leak | share | interval | inconclusive | processor s each |",
        "|---|---:|---:|---:|---|---:|---:|",
    ]
    names = list(dict.fromkeys(row["log"] for row in rows))
    for name, some in [
        *((name, [row for row in rows if row["log"] == name]) for name in names),
        ("**all**", rows),
    ]:
        said = Counter(row["verdict"] for row in some)
        alarms = sum(said[verdict] for verdict in ALARMS)
        share = intervals.clopper_pearson(alarms, n=len(some))
        each = sum(row["seconds"] for row in some) / max(1, len(some))
        lines.append(
            f"| {name} | {len(some)} | {alarms} | {share.value:.1%} | {share.low:.1%} to {share.high:.1%} | "
            f"{said['INCONCLUSIVE']} | {each:.1f} |"
        )
    alarms_said = [
        f"- {row['log']}, seed {row['seed']}: {row['reason']}"
        for row in rows
        if row["verdict"] in ALARMS
    ]
    return "\n".join(
        [*lines, "", *(["The false alarms:", "", *alarms_said] if alarms_said else [])]
    )


def main() -> None:
    """Run what is missing, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--audits", type=int, default=70, help="of each log")
    parser.add_argument("--logs", nargs="+", choices=list(LOGS), default=list(LOGS))
    parser.add_argument("--no-page", action="store_true", help="print only")
    asked = parser.parse_args()
    key = code_hash(("audit",), ours=("audit_level.py",))[:12]
    path = CACHE / "audit-level" / f"{key}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in asked.logs:
        if name == "MovieLens 100K" and not (data_folder() / "ml-100k.csv.gz").exists():
            print(f"{name} is left out: set SYNTHREC_SHARED_DATA to the folder that holds it")
            continue
        missing = [seed for seed in range(asked.audits) if (name, seed) not in done(path)]
        started = time.process_time()
        for seed, record in zip(missing, verdicts(LOGS[name], seeds=missing), strict=True):
            row = {
                "log": name,
                "seed": seed,
                "verdict": record.verdict.value,
                "reason": record.reason,
                "seconds": time.process_time() - started,
            }
            with path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
            print(f"{name}, {seed}: {record.verdict.value}, {row['seconds']:.0f} s", flush=True)
            started = time.process_time()
    wanted = [
        row
        for (name, seed), row in done(path).items()
        if name in asked.logs and seed < asked.audits
    ]
    text = page(wanted, audits=asked.audits)
    print(text)
    if not asked.no_page:
        PAGE.write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
