"""`make bench`: the README's table, from the public logs in the folder that SYNTHREC_SHARED_DATA names (or ../shared/data).

Runs the protocol on seeds 0 to 2 at epsilon 8, cell by cell; a cell whose file is there is not run again. Ends with the means.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SEEDS = (0, 1, 2)
LOGS = ("ml-100k", "ml-1m")


def main() -> None:
    """Fill the missing cells, print the table."""
    data = Path(os.environ.get("SYNTHREC_SHARED_DATA", HERE.parent.parent / "shared" / "data"))
    for log in LOGS:
        missing = [seed for seed in SEEDS if not _cell(log, seed).exists()]
        if not missing:
            continue
        if not (data / f"{log}.csv.gz").exists():
            sys.exit(f"{log}.csv.gz is needed to run the missing cells: set SYNTHREC_SHARED_DATA to the folder that holds it")
        command = [sys.executable, str(HERE / "protocol.py"), log, "--data", str(data), "--seeds", *map(str, missing)]
        subprocess.run(command, check=True)
    print(table())


def table() -> str:
    """Mean over seeds of each arm, as Markdown; an arm that fails a realism limit on the mean over seeds is struck out."""
    lines = ["| log | arm | RMSE | gap closed | ranking gap closed | worst realism figure / its limit |", "|---|---|---:|---:|---:|---|"]
    for log in LOGS:
        cells = [json.loads(_cell(log, seed).read_text(encoding="utf-8"))["ladder"] for seed in SEEDS if _cell(log, seed).exists()]
        for arms in zip(*cells, strict=True):
            lines.append(_row(log, arms))
    return "\n".join(lines)


def _row(log: str, arms: tuple[dict, ...]) -> str:     # type: ignore[type-arg]
    def mean(field: str) -> float | None:
        return None if arms[0][field] is None else float(np.mean([arm[field]["value"] for arm in arms]))

    rmse, gap, rank = mean("rmse"), mean("gap_closed"), mean("ranking_gap_closed")
    shares = {limit["name"]: float(np.mean([arm["realism"][place]["distance"] for arm in arms])) / limit["limit"]
              for place, limit in enumerate(arms[0]["realism"])}
    worst = max(shares, key=shares.__getitem__, default="")
    name = arms[0]["name"]
    if shares and shares[worst] > 1:
        name = f"~~{name}~~"
    numbers = [f"{rmse:.4f}" if rmse else "", *(f"{share:.0%}" if share is not None else "" for share in (gap, rank))]
    return f"| {log} | {name} | {' | '.join(numbers)} | {f'{worst}: {shares[worst]:.2f}' if worst else ''} |"


def _cell(log: str, seed: int) -> Path:
    return RESULTS / f"{log}-eps8-seed{seed}.json"


if __name__ == "__main__":
    main()
