"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import pytest

from synthrec.privacy import accounting

# solving for the noise of a plan is the greater part of a small fit: equal plans are solved once
accounting._composed = lru_cache(maxsize=128)(accounting._composed.__wrapped__)

REPOSITORY = Path(__file__).resolve().parents[1]


def shared_data(name: str) -> Path:
    """A real data set that lies beside the repository (never in it); the test is skipped where it
    is not at hand.
    """
    folder = Path(os.environ.get("SYNTHREC_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    path = folder / name
    if not path.exists():
        pytest.skip(f"{name} is not at hand (set SYNTHREC_SHARED_DATA to the folder that holds it)")
    return path
