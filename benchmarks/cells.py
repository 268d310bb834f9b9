"""A cell is one log, split seed, epsilon and arm: run once in a process of its own, kept below
`.cache/`, skipped while nothing changed.

`key` says what a cell's figures depend on: the code of the rooms that the arm uses (comments and
docstrings left out), the configuration, the log's file. A cell is locked while it runs, so two
processes side by side share the work; a crash frees the lock.

    python -m benchmarks.cells ml-100k 0 8 synthrec         one cell, in this process
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hashes import code_hash, text_hash
from benchmarks.logs import CACHE, HERE, split_hash
from synthrec.audit.record import RealismLimit
from synthrec.audit.scores import RatingErrors
from synthrec.audit.utility import NOTHING, POPULARITY, REAL, ArmScores

RUNGS = (NOTHING, POPULARITY, REAL)  # what the cell of arm "real" holds; it depends on no epsilon
THREADS = "1"
PACKAGES = ("numpy", "scipy", "torch", "opacus", "opendp", "dp-accounting", "scikit-learn")


@dataclass(frozen=True)
class Cell:
    """One run. `epsilon` is None for the real log."""

    log: str
    seed: int
    epsilon: float | None
    arm: str

    @property
    def name(self) -> str:
        """For file names and people."""
        return f"{self.log}-seed{self.seed}-" + (
            self.arm if self.epsilon is None else f"eps{self.epsilon:g}-{self.arm}"
        )

    @property
    def path(self) -> Path:
        """Where its facts are; the figures per test user lie beside it."""
        return CACHE / "cells" / f"{self.name}.json"

    def key(self, *, data: Path | None = None) -> str:
        """What its figures depend on, as a hash."""
        rooms = ("data", "audit") if self.arm == REAL else ("data", "audit", "privacy", "model")
        ours = (
            ("logs.py", "protocol.py")
            if self.arm == REAL
            else ("logs.py", "protocol.py", "arms.py")
        )
        return text_hash(code_hash(rooms, ours=ours), self.name, split_hash(self.log, data=data))[
            :16
        ]

    def done(self, *, data: Path | None = None) -> bool:
        """Is there a result of this very code and these settings?"""
        return self.path.exists() and self.facts()["key"] == self.key(data=data)

    def facts(self) -> dict[str, Any]:
        """What was written down about the run, no figures per user."""
        found: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return found

    def scores(self) -> dict[str, ArmScores]:
        """The figures per test user, to be paired with another cell's of the same split."""
        with np.load(self.path.with_suffix(".npz"), allow_pickle=False) as stored:
            names = RUNGS if self.arm == REAL else (self.arm,)
            return {
                name: _unpacked(stored, name=name, realism=self.facts()["realism"])
                for name in names
            }


def run_apart(cell: Cell, *, data: Path | None = None) -> bool:
    """Run a cell in a process of its own, so that its peak memory is its own; False if it failed."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), THREADS)
    epsilon = "none" if cell.epsilon is None else f"{cell.epsilon:g}"
    command = [
        sys.executable,
        "-m",
        "benchmarks.cells",
        cell.log,
        str(cell.seed),
        epsilon,
        cell.arm,
        *([str(data)] if data else []),
    ]
    return (
        subprocess.run(command, cwd=HERE.parent, env=os.environ | threads, check=False).returncode
        == 0
    )


@contextmanager
def claimed(cell: Cell) -> Iterator[bool]:
    """Hold the cell while it runs; False inside if another process holds it."""
    lock = cell.path.with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def run(cell: Cell, *, data: Path | None = None) -> None:
    """Train, sample, score, write down."""
    import torch

    from benchmarks import arms, logs, protocol

    torch.set_num_threads(int(THREADS))
    key, spent = cell.key(data=data), {}
    split = logs.load(cell.log, seed=cell.seed, data=data)
    questions = protocol.Questions.of(split, seed=cell.seed)
    facts: dict[str, Any] = {
        "key": key,
        "log": cell.log,
        "seed": cell.seed,
        "epsilon": shown(cell.epsilon),
        "arm": cell.arm,
        "delta": split.delta,
        "population": split.schema.source.population,
        "events": len(split.bounded.item),
    }
    if cell.arm == REAL:
        started = time.perf_counter()
        found = questions.ladder_ends()
    else:
        assert cell.epsilon is not None
        with tempfile.TemporaryDirectory() as folder:
            made = arms.make_arm(
                cell.arm, split=split, epsilon=cell.epsilon, seed=cell.seed, spill=Path(folder)
            )
        spent = {
            "fit": round(made.fit_seconds, 1),
            "fit_cpu": round(made.fit_cpu_seconds, 1),
            "sample": round(made.sample_seconds, 1),
        }
        facts["fit_peak_gib"] = round(made.fit_peak_gib, 2)
        started = time.perf_counter()
        found = {cell.arm: questions.score(made.found, name=cell.arm)}
    facts["seconds"] = spent | {"score": round(time.perf_counter() - started, 1)}
    facts |= {
        "peak_gib": round(arms.peak_gib(), 2),
        "threads": int(THREADS),
        "commit": commit(),
        "versions": versions(),
        "realism": [limit.model_dump(mode="json") for limit in found[cell.arm].realism],
    }
    write_whole(cell.path.with_suffix(".npz"), lambda path: np.savez(path, **_packed(found)))
    write_whole(
        cell.path, lambda path: path.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    )


def shown(epsilon: float | None) -> float | str | None:
    """Epsilon as JSON can hold it."""
    return "inf" if epsilon is not None and math.isinf(epsilon) else epsilon


def write_whole(path: Path, write: Any) -> None:
    """Write beside the place and move there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    write(beside)
    beside.replace(path)


def commit() -> str:
    """The commit that the code comes from, "+" where the working tree differs."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    found = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def versions() -> dict[str, str]:
    """Of Python and of what the figures depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def _packed(found: dict[str, ArmScores]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, arm in found.items():
        if arm.errors is not None:
            arrays |= {
                f"{name}.{part}": getattr(arm.errors, part)
                for part in RatingErrors.__dataclass_fields__
            }
        if arm.ndcg is not None:
            arrays[f"{name}.ndcg"] = arm.ndcg
    return arrays


def _unpacked(stored: Any, *, name: str, realism: list[dict[str, Any]]) -> ArmScores:
    errors = {
        part: stored[f"{name}.{part}"]
        for part in RatingErrors.__dataclass_fields__
        if f"{name}.{part}" in stored
    }
    return ArmScores(
        name=name,
        label=name,
        errors=RatingErrors(**errors) if errors else None,
        ndcg=stored[f"{name}.ndcg"] if f"{name}.ndcg" in stored else None,
        realism=tuple(RealismLimit(**limit) for limit in realism),
    )


if __name__ == "__main__":
    log_, seed_, epsilon_, arm_, *data_ = sys.argv[1:]
    run(
        Cell(log_, int(seed_), None if epsilon_ == "none" else float(epsilon_), arm_),
        data=Path(data_[0]) if data_ else None,
    )
