"""One population cut into the parts of an audit; strangers pose as a synthetic log that leaks
nobody.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from synthrec.audit.splits import AuditSplits
from synthrec.audit.verdict import Policy, policy
from synthrec.data.eventlog import EventLog

ITEMS = 300


@pytest.fixture(scope="session")
def limits() -> Policy:
    return policy()


@pytest.fixture(scope="session")
def cast(everybody: EventLog) -> Callable[..., AuditSplits]:
    """Random roles for some of everybody; `synthetic` is the strangers unless another log is given."""

    def make(
        rng: np.random.Generator,
        *,
        trained: int = 400,
        holdout: int = 200,
        reference: int = 120,
        strangers: int = 480,
        synthetic: EventLog | None = None,
    ) -> AuditSplits:
        order = rng.permutation(everybody.users)
        ends = np.cumsum((trained, holdout, reference, strangers))
        logs = [everybody.select(part) for part in np.split(order, ends)[:4]]
        return AuditSplits(
            trained=logs[0],
            coined=rng.random(trained) < 0.5,
            holdout=logs[1],
            reference=logs[2],
            test=logs[2],
            train_whole=logs[0],
            synthetic=logs[3] if synthetic is None else synthetic,
            items=ITEMS,
            events_per_user=10_000,
        )

    return make
