"""The thresholds of an audit: a versioned file of the package, read before anything is scored and hashed into the record."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from pydantic import Field

from synthrec.audit.figure import Record


class Policy(Record):
    """What is called a leak, and what is too little to say anything."""

    version: int
    confidence: float = Field(gt=0, lt=1)   # of every interval; 1 less this is how often all attacks together may raise a false alarm
    leak_auc: float                 # a leak: an attack's lower limit lies above this; planted leaks are found by the same rule
    least_users_per_class: int      # trained and holdout users each, and reference users for a pass; fewer say nothing
    power: float                    # a planted leak counts as found when this share of its draws was flagged
    leak_risk: float                # a leak: the lower limit of a risk beyond control lies above this
    leak_replay_items: float        # a leak: trained users' longest shared run is longer than holdout users' by more than this

    def numbers(self) -> dict[str, float]:
        """As a record keeps it."""
        return {name: float(value) for name, value in self}


@cache
def policy() -> Policy:
    """The package's policy."""
    return Policy.model_validate_json(_text())


@cache
def policy_sha256() -> str:
    """Of the file, byte for byte."""
    return hashlib.sha256(_text().encode()).hexdigest()


def _text() -> str:
    return files("synthrec.audit").joinpath("policy.json").read_text(encoding="utf-8")
