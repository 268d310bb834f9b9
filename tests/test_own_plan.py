from __future__ import annotations

from pathlib import Path

import pytest

from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.errors import PlanError
from synthrec.model.recipe import plan_release
from synthrec.training import require_own_plan


def test_a_plan_for_few_users_which_asks_for_no_pairs_is_its_schemas_own_and_another_is_not(
    tmp_path: Path,
) -> None:
    simulate(users=200, items=40, seed=5).write(tmp_path, events_per_user=30)
    schema = Schema.load(tmp_path / "synthrec.toml")
    plan = plan_release(schema, epsilon=8, delta=1e-4, model="gan")
    assert not plan.has("pairs"), "the case of this test"
    require_own_plan(schema, plan)
    without = plan.model_copy(update={"measurements": plan.measurements[1:]})
    with pytest.raises(PlanError, match="set of measurements"):
        require_own_plan(schema, without)
