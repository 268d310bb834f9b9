"""Two real processes want the last of a source's budget: the ledger gives it to one of them, and
stays whole.

Both have passed their imports before either begins, and whoever has been told that there is enough
waits for the other to be told so too:
without the lock both would be, which the saboteur shows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.errors import BudgetError
from synthrec.privacy.budget import balance_of
from synthrec.privacy.ledger import Ledger
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow
DELTA, EPSILON = 1e-4, 4.0
CHILD = """
import sys, time, types
from pathlib import Path
from click.testing import CliRunner
import torch
from synthrec import pipeline, storage
from synthrec.cli.main import cli
from synthrec.privacy import session
place, me, held, *words = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "locked", *sys.argv[4:]

def meet(where, seconds):
    (place / f"{where}-{me}").touch()
    end = time.monotonic() + seconds
    while len(list(place.glob(f"{where}-*"))) < 2 and time.monotonic() < end:
        time.sleep(0.02)

def enough(*asked, **more):
    honest(*asked, **more)
    meet("enough", 3)

honest, session.require_budget = session.require_budget, enough
if not held:
    storage.fcntl = types.SimpleNamespace(flock=lambda *_: None, LOCK_EX=0, LOCK_NB=0)
meet("begin", 60)
for _ in range(300):
    said = CliRunner().invoke(cli, words)
    if "one process at a time" not in said.output:
        break
    time.sleep(0.1)
print(said.exit_code, said.output)
"""


def raced(folder: Path, *, cap: float, held: bool = True) -> tuple[list[str], Schema]:
    """What two fits of one source say, begun at one moment."""
    simulate(users=200, items=20, seed=5).write(folder, events_per_user=20)
    config = folder / "synthrec.toml"
    text = config.read_text(encoding="utf-8")
    lines = [
        f"epsilon_cap = {cap}" if line.startswith("epsilon_cap") else line
        for line in text.splitlines()
    ]
    config.write_text("\n".join(lines), encoding="utf-8")
    words = [
        (
            "fit",
            folder / "events.csv",
            "--config",
            config,
            "--epsilon",
            EPSILON,
            "--delta",
            DELTA,
            "--model",
            "marginals",
            "--device",
            "cpu",
            "--quiet",
            "--out",
            folder / f"release-{me}",
        )
        for me in "ab"
    ]
    children = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                CHILD,
                str(folder),
                me,
                "locked" if held else "unlocked",
                *map(str, each),
            ],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        for me, each in zip("ab", words, strict=True)
    ]
    said = [child.communicate(timeout=120)[0] for child in children]
    return sorted(said), Schema.load(config)


def spent(schema: Schema) -> float:
    return balance_of(Ledger.read(schema.ledger_path).entries, delta=DELTA).epsilon


def test_the_last_of_the_budget_goes_to_one_of_two_processes(tmp_path: Path) -> None:
    said, schema = raced(tmp_path, cap=5.0)
    assert [line[0] for line in said] == ["0", "2"] and "epsilon_cap = 5" in said[1], said
    assert len(list(tmp_path.glob("release-*"))) == 1 and spent(schema) <= EPSILON
    assert len({entry.release_id for entry in Ledger.read(schema.ledger_path).entries}) == 1


def test_where_there_is_enough_for_two_both_are_charged_under_the_cap(tmp_path: Path) -> None:
    said, schema = raced(tmp_path, cap=8.0)
    assert [line[0] for line in said] == ["0", "0"], said
    assert (
        EPSILON < spent(schema) <= 8.0
        and len({entry.release_id for entry in Ledger.read(schema.ledger_path).entries}) == 2
    )


def test_without_the_lock_both_would_spend_it(tmp_path: Path) -> None:
    """The saboteur: past the cap, or a ledger that does not verify."""
    said, schema = raced(tmp_path, cap=5.0, held=False)
    assert all("epsilon_cap" not in line for line in said), "neither was told that it is too much"
    with pytest.raises(BudgetError, match="unbroken chain"):
        spent(schema)
