"""Does `synthrec plan --simulate` foretell what a release brings? Simulated figures beside measured
ones, for the public logs: `simulated_plan.md`.

    python -m benchmarks.simulated_plan         takes up levels that were simulated before
"""

from __future__ import annotations

import json
import math

from benchmarks.logs import CACHE, DELTAS, HERE, config_of, data_folder
from synthrec.data.schema import Schema
from synthrec.progress import Progress
from synthrec.report.plan_page import SimulatedPlan
from synthrec.simulate_plan import simulate_plan

LOGS = ("ml-100k", "ml-1m")
NEAR = 0.12  # of the measured figure
HEAD = """# What a simulated plan foretells

`python -m benchmarks.simulated_plan`: gap closed by people who never lived (`synthrec plan --simulate`), beside the measured figure of
the same configuration and epsilon (`results/`, arm synthrec, three splits). Marked where they differ by more than 12 points.

| log | epsilon | ratings, simulated | measured | ranking, simulated | measured |
|---|---|---:|---:|---:|---:|
"""


def simulated(log: str) -> SimulatedPlan:
    """The simulation by a log's configuration; nothing of the log is read."""
    schema = Schema.parse(config_of(log), folder=data_folder())
    return simulate_plan(
        schema, delta=DELTAS[log], parts=CACHE / "simulated-plans" / log, progress=Progress()
    )


def rows(log: str, plan: SimulatedPlan) -> list[str]:
    """A line of the table for each epsilon that was measured."""
    lines = []
    for level in plan.levels:
        epsilon = f"{level.epsilon:g}"
        path = HERE / "results" / f"{log}-eps{epsilon}.json"
        if not path.exists():
            continue
        arm = json.loads(path.read_text(encoding="utf-8"))["arms"]["synthrec"]
        cells = []
        for found, name in (
            (level.ratings, "gap_closed"),
            (level.ranking, "ranking_gap_closed"),
        ):
            measured = arm[name]["value"]
            far = found is None or abs(found - measured) > NEAR
            said = "-" if found is None else f"{100 * found:.0f} %{' (far)' if far else ''}"
            cells += [said, f"{100 * measured:.0f} %"]
        shown = epsilon if math.isfinite(level.epsilon) else "no noise"
        lines.append(f"| {log} | {shown} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Write the table; what is said below it stays."""
    path = HERE / "simulated_plan.md"
    below = path.read_text(encoding="utf-8").partition("\n\n## ")[2] if path.exists() else ""
    lines = [line for log in LOGS for line in rows(log, simulated(log))]
    text = HEAD + "\n".join(lines) + "\n"
    path.write_text(text + (f"\n## {below}" if below else ""), encoding="utf-8")


if __name__ == "__main__":
    main()
