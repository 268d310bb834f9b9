"""The comparison as a curve over users, on simulated logs whose truth is neither linear nor
Gaussian, and what a fit costs.

    python -m benchmarks.curve                              1,000 to 200,000 users, epsilon 8, delta
    a tenth of 1 / users, seed 0 python -m benchmarks.curve --users 1000 3000            some of
    them python -m benchmarks.curve --costs                      fit at 10,000 users over catalogues
    of 800 to 6,400 items python -m benchmarks.curve --table                      run nothing

Every log has 2,000 test users besides those who train. At most 40,000 synthetic users are scored,
and the ceiling learns from at most 40,000 real ones. Cells are kept and shared as in `python -m
benchmarks`; results go to benchmarks/results, the table to ablation.md.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks import tables
from benchmarks.__main__ import plan_cells, report, run_pending
from benchmarks.logs import SIMULATED, data_folder

USERS, COST_USERS, COST_ITEMS = (
    (1_000, 3_000, 10_000, 50_000, 200_000),
    10_000,
    (800, 1_600, 3_200, 6_400),
)
ARMS = ("moments", "synthrec", "game-off", "pairs-only", "critic-without-data")
EPSILON = 8.0


def main() -> None:
    """Parse, run what is missing, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.curve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--users", nargs="+", type=int, default=list(USERS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--costs", action="store_true", help="catalogue sizes instead of numbers of users"
    )
    parser.add_argument("--table", action="store_true", help="run nothing")
    asked = parser.parse_args()
    logs = [f"{SIMULATED}{users}" for users in asked.users]
    if asked.costs:
        logs, asked.arms = (
            [f"{SIMULATED}{COST_USERS}x{items}" for items in COST_ITEMS],
            ["synthrec"],
        )
    failures = []
    if not asked.table:
        failures = run_pending(
            plan_cells(logs, asked.seeds, [EPSILON], asked.arms), data=data_folder()
        )
        report(logs, [EPSILON], asked.seeds, asked.arms, data=None)
    tables.rewrite()
    print(tables.curve_block())
    if failures:
        sys.exit("failed: " + ", ".join(cell.name for cell in failures))


if __name__ == "__main__":
    main()
