"""How far a synthetic log is from the release's measurements: brute force, and logs that are not
like them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from synthrec.data.eventlog import EventLog
from synthrec.model.artifact import Artifact
from synthrec.model.measured_fit import MeasurementFit
from synthrec.model.sampling import generate
from tests.model.small import make_log, quick, trained


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        return trained(make_log(), tmp_path_factory.mktemp("faithful"))[0]


def distances(artifact: Artifact, *logs: EventLog) -> dict[str, float]:
    tally = MeasurementFit(artifact.estimates)
    for log in logs:
        tally.add(log)
    return tally.distances()


def test_the_distances_are_total_variations_and_chunks_add_up(artifact: Artifact) -> None:
    log = EventLog.concat(list(generate(artifact, users=400, rng=np.random.default_rng(1))))
    found = distances(artifact, log)
    assert found == distances(artifact, log.select(np.arange(150)), log.select(np.arange(150, 400)))
    share = np.bincount(log.item, minlength=len(artifact.estimates.frame.popularity)) / len(
        log.item
    )
    assert found["items"] == pytest.approx(
        np.abs(share - artifact.estimates.frame.popularity).sum() / 2, abs=6e-4
    )
    assert {"items", "activity", "ratings", "attribute gender"} <= set(found) and all(
        0 <= each <= 1 for each in found.values()
    )


def test_what_was_drawn_from_the_measurements_is_near_and_another_log_far(
    artifact: Artifact,
) -> None:
    log = EventLog.concat(list(generate(artifact, users=2_000, rng=np.random.default_rng(1))))
    near = distances(artifact, log)
    assert near["activity"] < 0.05 and near["attribute gender"] < 0.05
    assert log.rating is not None
    flat = dataclasses.replace(
        log,
        item=np.zeros_like(log.item),
        rating=np.full_like(log.rating, artifact.estimates.levels[0]),
    )
    far = distances(artifact, flat)
    assert far["items"] > 0.5 > near["items"] and far["ratings"] > 0.3 > near["ratings"]


def test_nothing_is_said_of_nobody(artifact: Artifact) -> None:
    assert distances(artifact) == {}


def test_the_log_that_was_trained_on_is_never_read(artifact: Artifact, tmp_path: Path) -> None:
    """The same artifact, read again from share/ alone, says the same."""
    artifact.save(tmp_path)
    log = EventLog.concat(list(generate(artifact, users=50, rng=np.random.default_rng(1))))
    assert distances(Artifact.load(tmp_path), log) == distances(artifact, log)
