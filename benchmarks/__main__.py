"""`make bench`: every cell of the protocol that is missing, then results, and the tables of the
README, benchmarks/README.md and benchmarks/ablation.md.

    python -m benchmarks                        ML-100K and ML-1M, seeds 0 to 2, epsilon 8, 3, 1 and
    without DP python -m benchmarks --quick                seed 0 at epsilon 3: under 20 minutes
    python -m benchmarks --logs ml-1m --seeds 0 --epsilons 8 inf --arms synthrec moments python -m
    benchmarks --table                from benchmarks/results alone: rewrites the three pages

Seeds 0 to 2 are reported and go to benchmarks/results; others (100 and above) are for choosing
constants and are only printed. Start it twice to use two cores: a cell that the other process is
running is left to it.
"""

from __future__ import annotations

import argparse
import sys
from itertools import groupby
from pathlib import Path

from benchmarks import results, tables
from benchmarks.arms import ARMS
from benchmarks.cells import Cell, claimed, run_apart
from benchmarks.hashes import code_hash
from benchmarks.logs import data_folder, is_simulated
from synthrec.audit.utility import REAL

LOGS = ("ml-100k", "ml-1m")
SEEDS, EPSILONS = (0, 1, 2), (8.0, 3.0, 1.0, float("inf"))


def main() -> None:
    """Parse, run what is missing, write."""
    asked = _parse()
    if not asked.table:
        for log in asked.logs:
            if not is_simulated(log) and not (asked.data / f"{log}.csv.gz").exists():
                sys.exit(
                    f"{log}.csv.gz is needed to run cells: name its folder by --data or SYNTHREC_SHARED_DATA"
                )
        cells = plan_cells(asked.logs, asked.seeds, asked.epsilons, asked.arms)
        failures = run_pending(cells, data=asked.data)
        report(asked.logs, asked.epsilons, asked.seeds, asked.arms, data=asked.data)
        if failures:
            sys.exit("failed: " + ", ".join(cell.name for cell in failures))
    tables.rewrite()


def plan_cells(
    logs: list[str], seeds: list[int], epsilons: list[float], arms: list[str]
) -> list[Cell]:
    """Every cell asked for, the real log of a split before its arms. Without noise nothing can
    stand in for the critics' noise.
    """
    cells = []
    for log in logs:
        for seed in seeds:
            cells.append(Cell(log, seed, None, REAL))
            cells += [
                Cell(log, seed, epsilon, arm)
                for epsilon in epsilons
                for arm in arms
                if not (arm == "critic-without-data" and epsilon == float("inf"))
            ]
    return cells


def pending(cells: list[Cell], *, data: Path) -> list[Cell]:
    """Cells to run. What results hold is enough where they hold all arms asked for; else arms are
    to be paired, from the cache or anew.
    """
    found: list[Cell] = []
    needed: set[tuple[str, int]] = set()
    arms = [cell for cell in cells if cell.arm != REAL]
    for (log, seed, _), group in groupby(
        arms, key=lambda cell: (cell.log, cell.seed, cell.epsilon)
    ):
        together = list(group)
        if not all(results.recorded(cell, data=data) for cell in together):
            needed.add((log, seed))
            found += [cell for cell in together if not cell.done(data=data)]
    ends = [
        cell
        for cell in cells
        if cell.arm == REAL and (cell.log, cell.seed) in needed and not cell.done(data=data)
    ]
    return sorted(ends + found, key=cells.index)


def run_pending(cells: list[Cell], *, data: Path) -> list[Cell]:
    """Run what is missing, one process each; returns the cells that failed."""
    failures = []
    for cell in pending(cells, data=data):
        with claimed(cell) as mine:
            if not mine or cell.done(data=data):
                continue
            print(f"{cell.name} ...", end=" ", flush=True)
            if run_apart(cell, data=data):
                facts = cell.facts()
                print(
                    ", ".join(
                        f"{what} {seconds:g} s" for what, seconds in facts["seconds"].items()
                    ),
                    f"peak {facts['peak_gib']:g} GiB",
                    flush=True,
                )
            else:
                failures.append(cell)
    return failures


def report(
    logs: list[str],
    epsilons: list[float],
    seeds: list[int],
    arms: list[str],
    *,
    data: Path | None,
    folder: Path = results.RESULTS,
) -> None:
    """Print what the cells say; keep it if the seeds are the reported ones."""
    code_hash.cache_clear()  # cells made while somebody edited the code are not of this code
    reported = all(seed in SEEDS for seed in seeds)
    for log in logs:
        for epsilon in epsilons:
            found = results.collect(
                log,
                epsilon=epsilon,
                seeds=SEEDS if reported else seeds,
                arms=ARMS if reported else arms,
                data=data,
            )
            if found is not None:
                print(tables.lines(found), flush=True)
                if reported:
                    results.write(found, data=data, folder=folder)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="seed 0 at epsilon 3")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument(
        "--logs",
        nargs="+",
        default=list(LOGS),
        metavar="LOG",
        help="a log with a file in configs/, or simulated-USERS",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--epsilons", nargs="+", type=float, default=list(EPSILONS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--data", type=Path, default=data_folder())
    asked = parser.parse_args()
    if asked.quick:
        asked.seeds, asked.epsilons = [0], [3.0]
    return asked


if __name__ == "__main__":
    main()
