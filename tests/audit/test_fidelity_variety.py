"""The figures of variety are those of their definitions, and logs of one user or none have them
too.
"""

from __future__ import annotations

import numpy as np
import pytest

from synthrec.audit.fidelity.structure import cosines, effective_number, repeated_users, variety_of
from synthrec.data.eventlog import EventLog


def test_figures_agree_with_their_definitions_on_four_users() -> None:
    log = EventLog(
        offsets=np.array([0, 2, 4, 5, 6]),
        item=np.array([0, 1, 1, 0, 2, 2], dtype=np.int32),
        rating=np.array([5, 1, 1, 5, 3, 4], dtype=np.float32),
    )
    assert cosines(log, items=4) == pytest.approx(
        np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    )
    found = variety_of(log, items=4)
    assert found["items in effect"] == pytest.approx(3) and found["catalogue used"] == 0.75
    assert found["directions in effect"] == pytest.approx(2) and found[
        "nearest other user, median"
    ] == pytest.approx(1)
    assert found["any two users"] == pytest.approx(1 / 3)
    assert repeated_users(log) == 0.5  # the first two; the others rate differently
    assert effective_number(np.zeros(3)) == 0 and effective_number(np.ones(7)) == pytest.approx(7)


def test_logs_of_one_user_or_none_have_figures_too(train: EventLog) -> None:
    for few in (train.select(np.array([0])), train.select(np.array([], dtype=np.int64))):
        assert np.isfinite(list(variety_of(few, items=300).values())).all()
