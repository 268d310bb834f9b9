"""A measurement is added in one file and the list: it is planned, paid for, kept and told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synthrec import forecast
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.errors import ReleaseError
from synthrec.model import measurements, recipe
from synthrec.model.artifact import TENSORS, WORDS, Artifact, read_words
from synthrec.model.format import differences, layout
from synthrec.model.recipe import plan_release
from synthrec.model.statistic import Known, Statistic, Tensor, project_to_simplex
from synthrec.privacy.mechanisms import Measurement
from tests.model.small import make_log, trained

# the one file


def parity_vectors(users: EventLog) -> np.ndarray:
    return np.eye(2)[users.activity % 2]


def decode(known: Known, noisy: Measurement) -> Known:
    return known.adding({"parity.shares": project_to_simplex(noisy.values)})


PARITY = Statistic(
    name="parity",
    purpose="how many users have an odd number of events",
    unit="users",
    share=0.01,
    sensitivity=lambda schema: 1.0,
    noise_words="users with an even and with an odd number of events",
    vectors=lambda known: parity_vectors,
    size=lambda known: 2,
    decode=decode,
    tensors=lambda known: {
        "parity.shares": Tensor("F64", (2,), "paid", known.planned("parity"), holds="shares")
    },
)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list."""
    longer = (*measurements.STATISTICS, PARITY)
    for module in (measurements, recipe):
        monkeypatch.setattr(module, "STATISTICS", longer)
    monkeypatch.setitem(forecast.UNIT_WORDS, PARITY.name, PARITY.noise_words)


def test_a_measurement_of_one_file_is_planned_paid_for_kept_and_read_again(
    listed: None, source: tuple[Schema, Catalogue], tmp_path: Path
) -> None:
    schema, catalogue = source
    plan = plan_release(schema, epsilon=5.0, delta=1e-4, model="marginals")
    said = dict(forecast.forecast(plan, catalogue=catalogue))
    (noise,) = (lines for heading, lines in said.items() if heading.startswith("Noise"))
    assert noise[-1].startswith("parity") and noise[-1].endswith(PARITY.noise_words)

    artifact, ledger = trained(make_log(), tmp_path, plan=plan)
    assert ledger.entries[-1].mechanism == "parity"
    assert ledger.entries[-1].event == plan.measurement("parity").event
    (tmp_path / "share").mkdir()
    artifact.save(tmp_path / "share")
    again = Artifact.load(tmp_path / "share").estimates
    assert (again["parity.shares"] == artifact.estimates["parity.shares"]).all()
    assert again["parity.shares"].sum() == pytest.approx(1)

    words, _ = read_words(tmp_path / "share" / WORDS)
    tensors = layout(words, items=catalogue.size)
    assert tensors["parity.shares"].paid_by == ("parity",)
    assert differences(tmp_path / "share" / TENSORS, layout=tensors) == ()


def test_a_release_with_a_measurement_that_is_not_listed_is_refused(
    source: tuple[Schema, Catalogue], tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measurements, "STATISTICS", (*measurements.STATISTICS, PARITY))
        patch.setattr(recipe, "STATISTICS", measurements.STATISTICS)
        plan = plan_release(source[0], epsilon=5.0, delta=1e-4, model="marginals")
        trained(make_log(), tmp_path, plan=plan)[0].save(tmp_path)
    with pytest.raises(ReleaseError, match=r"parity\.shares: a tensor that no release has"):
        Artifact.load(tmp_path)
