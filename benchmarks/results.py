"""One small JSON file per log and epsilon: what the tables are generated from. No figures
per user.

A file is made of finished cells whose key is of the code as it is. Arms that the cache does not
hold are kept from the file that is there if their keys are still the ones: a fresh clone does not
forget. An arm of other code than today's leaves the file when it is next written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cells import Cell, shown, write_whole
from benchmarks.figures import Seed, differences, mean_over, statistics
from benchmarks.logs import HERE, load
from benchmarks.protocol import Questions, binding
from synthrec.audit.utility import REAL, ArmScores

RESULTS = HERE / "results"
OURS = "synthrec"
ABOUT_A_RUN = (
    "key",
    "seconds",
    "fit_peak_gib",
    "peak_gib",
    "threads",
    "events",
    "commit",
    "versions",
)


def place(log: str, epsilon: float, *, folder: Path = RESULTS) -> Path:
    """The file of one log and epsilon."""
    return folder / f"{log}-eps{epsilon:g}.json"


def collect(
    log: str, *, epsilon: float, seeds: Sequence[int], arms: Iterable[str], data: Path | None = None
) -> dict[str, Any] | None:
    """What the finished cells say, each arm over the seeds that it has; None while the real log's
    cells or all arms are missing.
    """
    real = [seed for seed in seeds if Cell(log, seed, None, REAL).done(data=data)]
    cells = {
        arm: [cell for seed in real if (cell := Cell(log, seed, epsilon, arm)).done(data=data)]
        for arm in arms
    }
    cells = {arm: found for arm, found in cells.items() if found}
    if not cells:
        return None
    everything = [cell for found in cells.values() for cell in found]
    whole = {
        seed: _seed(log, seed, [cell for cell in everything if cell.seed == seed], data=data)
        for seed in real
        if any(cell.seed == seed for cell in everything)
    }
    first = everything[0].facts()
    found = {
        "log": log,
        "epsilon": shown(epsilon),
        "delta": first["delta"],
        "population": first["population"],
        "arms": {},
        "differences": {},
    }
    for rung in ("nothing", "popularity", REAL):
        found["arms"][rung] = _figures(list(whole.values()), rung) | {"seeds": list(whole)}
    found["arms"][REAL]["runs"] = {str(seed): _about(Cell(log, seed, None, REAL)) for seed in whole}
    for arm, done in cells.items():
        having = [whole[cell.seed] for cell in done]
        found["arms"][arm] = _figures(having, arm) | {
            "seeds": [cell.seed for cell in done],
            "runs": {str(cell.seed): _about(cell) for cell in done},
            "realism": {
                str(cell.seed): _realism(having[index].arms[arm], epsilon=epsilon)
                for index, cell in enumerate(done)
            },
        }
    for arm in cells:
        both = [seed for seed in whole.values() if arm in seed.arms and OURS in seed.arms]
        if arm != OURS and both:
            pairs = differences(both[0].arms[OURS], both[0].arms[arm])
            found["differences"][arm] = {
                name: mean_over(both, statistic).rounded() for name, statistic in pairs.items()
            }
    return found


def write(found: dict[str, Any], *, data: Path | None = None, folder: Path = RESULTS) -> Path:
    """Keep what was collected, and of what was kept before the arms that still hold."""
    path = place(found["log"], float(found["epsilon"]), folder=folder)
    before = read(found["log"], float(found["epsilon"]), folder=folder)
    if before is not None:
        found = _with_kept(found, before, data=data)
    write_whole(
        path, lambda beside: beside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    )
    return path


def read(log: str, epsilon: float, *, folder: Path = RESULTS) -> dict[str, Any] | None:
    """What was kept, if anything."""
    path = place(log, epsilon, folder=folder)
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def recorded(cell: Cell, *, data: Path | None = None, folder: Path = RESULTS) -> bool:
    """Does a kept file hold this cell as the code is now?"""
    kept = None if cell.epsilon is None else read(cell.log, cell.epsilon, folder=folder)
    runs = ((kept or {}).get("arms", {}).get(cell.arm) or {}).get("runs", {})
    return str(cell.seed) in runs and runs[str(cell.seed)]["key"] == cell.key(data=data)


def failed(limits: dict[str, Any]) -> list[str]:
    """The realism limits that strike a file out."""
    return [
        name
        for name, limit in limits.items()
        if limit["binding"] and limit["distance"] > limit["limit"]
    ]


def _with_kept(
    found: dict[str, Any], before: dict[str, Any], *, data: Path | None
) -> dict[str, Any]:
    """Arms of the earlier file that have more seeds than now collected, all of them of the code as
    it is.
    """

    def holds(arm: str) -> bool:
        epsilon, runs = float(before["epsilon"]), before["arms"].get(arm, {}).get("runs", {})
        return bool(runs) and all(
            run["key"] == Cell(before["log"], int(seed), epsilon, arm).key(data=data)
            for seed, run in runs.items()
        )

    arms, pairs = dict(found["arms"]), dict(found["differences"])
    for arm, kept in before["arms"].items():
        if holds(arm) and len(kept["seeds"]) > len(arms.get(arm, {}).get("seeds", [])):
            arms[arm] = kept
            if holds(OURS) and arm in before["differences"]:
                pairs[arm] = before["differences"][arm]
    return found | {"arms": arms, "differences": pairs}


def _seed(log: str, seed: int, cells: Sequence[Cell], *, data: Path | None) -> Seed:
    arms: dict[str, ArmScores] = dict(Cell(log, seed, None, REAL).scores())
    for cell in cells:
        arms |= cell.scores()
    return Seed(arms=arms, weights=Questions.of(load(log, seed=seed, data=data), seed=seed).weights)


def _figures(seeds: Sequence[Seed], arm: str) -> dict[str, Any]:
    return {
        name: mean_over(seeds, statistic).rounded()
        for name, statistic in statistics(seeds[0].arms[arm]).items()
    }


def _about(cell: Cell) -> dict[str, Any]:
    facts = cell.facts()
    return {name: facts[name] for name in ABOUT_A_RUN if name in facts}


def _realism(arm: ArmScores, *, epsilon: float) -> dict[str, Any]:
    return {
        limit.name: {
            "distance": round(limit.distance, 4),
            "limit": limit.limit,
            "binding": binding(limit.name, epsilon=epsilon),
        }
        for limit in arm.realism
    }
