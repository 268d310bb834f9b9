"""A small simulated log with its configuration: what most commands are tried on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from synthrec.data.simulator import simulate


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    simulate(users=300, items=60, seed=5).write(folder, events_per_user=30)
    return folder


@pytest.fixture
def owned(simulated: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(simulated, tmp_path / "log"))
