"""The one door: charged first, each charge one draw, each batch one gradient, and what it is given
are pure functions.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthrec.conformance.answers import CHARGE, QUICK, NullLedger, RecordingNoise
from synthrec.data.catalogue import Catalogue
from synthrec.data.schema import Schema
from synthrec.errors import BudgetError, PlanError
from synthrec.model.measurements import measure
from synthrec.model.train import Means, train
from synthrec.privacy.ledger import Ledger
from synthrec.privacy.mechanisms import GaussianSum
from synthrec.privacy.plan import BLOCK
from synthrec.privacy.session import Session
from synthrec.progress import Progress
from tests.model.small import STEPS, make_log, make_plan, prepared
from tests.privacy.small import Rows, opened

SUM = GaussianSum(name="items", purpose="", unit="", sensitivity=1.0, noise_multiplier=1.0)
Source = tuple[Schema, Catalogue]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return prepared(tmp_path_factory.mktemp("source"))


def ask(session: Session, name: str = "items") -> np.ndarray:
    return session.noisy_sum(name, Rows([np.zeros((2, 3))]), lambda rows: rows, size=3).values


def test_what_was_asked_before_or_is_not_in_the_plan_is_refused_and_no_noise_is_drawn() -> None:
    noise, ledger = RecordingNoise(), NullLedger()
    session = opened(ledger, measurements=(SUM,), noise=noise)
    ask(session)
    with pytest.raises(PlanError, match="asked once"):
        ask(session)
    with pytest.raises(StopIteration):
        ask(session, "another")
    assert noise.draws == {"items": 1} and len(ledger.entries) == 1


def stepping(source: Source) -> tuple[Session, Iterator[np.ndarray], NullLedger]:
    ledger = NullLedger()
    session = Session(make_plan(source[0]), ledger=ledger, charge=CHARGE)
    return (
        session,
        session.critic_batches(make_log(), lambda users: np.ones((users.users, 2))),
        ledger,
    )


def test_a_batch_has_one_gradient_and_a_gradient_one_batch(source: Source) -> None:
    session, batches, ledger = stepping(source)
    with pytest.raises(PlanError, match="once for each charge"):
        session.noisy_gradient(np.zeros(2))
    next(batches)
    session.noisy_gradient(np.zeros(2))
    with pytest.raises(PlanError, match="once for each charge"):  # a second draw for one charge
        session.noisy_gradient(np.zeros(2))
    next(batches)
    with pytest.raises(PlanError, match="every batch"):  # a step whose noise was left out
        next(batches)
    assert [entry.event.count for entry in ledger.entries] == [BLOCK]


def test_as_many_batches_are_drawn_as_steps_are_charged_and_planned(source: Source) -> None:
    session, batches, ledger = stepping(source)
    drawn = [session.noisy_gradient(np.zeros(2)) for _ in batches]
    assert (
        len(drawn)
        == session.plan.training.steps
        == sum(entry.event.count for entry in ledger.entries)
    )  # type: ignore[union-attr]


def test_a_training_draws_noise_once_for_each_entry_and_step(source: Source) -> None:
    noise, ledger = RecordingNoise(), NullLedger()
    train(
        make_log(),
        catalogue=source[1],
        schema=source[0],
        means=Means(effort=QUICK, seed=0),
        progress=Progress(),
        session=Session(make_plan(source[0]), ledger=ledger, charge=CHARGE, noise=noise),
    )
    charged = Counter[str]()
    for entry in ledger.entries:
        charged[entry.mechanism] += entry.event.count
    assert noise.draws == charged and charged["game"] == STEPS


def test_noise_of_a_step_has_the_scale_that_is_charged(source: Source) -> None:
    asked: list[float] = []

    class Asked(RecordingNoise):
        def gradient(self, summed: np.ndarray, *, scale: float) -> np.ndarray:
            asked.append(scale)
            return summed

    ledger = NullLedger()
    session = Session(make_plan(source[0]), ledger=ledger, charge=CHARGE, noise=Asked())
    for _ in session.critic_batches(make_log(), lambda users: np.zeros((users.users, 2))):
        session.noisy_gradient(np.zeros(2))
    training = session.plan.training
    assert training is not None
    assert set(asked) == {ledger.entries[0].event.noise_multiplier * training.clip_norm}


def test_what_a_session_is_given_are_pure_functions_of_a_block_of_users(source: Source) -> None:
    """They can be sent to another process, and a user's row is the same there, in any block: an
    engine may call them on its partitions.
    """
    seen: dict[str, Any] = {}

    class Watching(Session):
        def noisy_sum(self, name: str, users: Any, vectors: Any, **shape: Any) -> Any:
            seen[name] = (users, vectors)
            return super().noisy_sum(name, users, vectors, **shape)

    plan = make_plan(source[0])
    measure(
        make_log(),
        catalogue=source[1],
        schema=source[0],
        session=Watching(plan, ledger=NullLedger(), charge=CHARGE),
        progress=Progress(),
        effort=QUICK,
    )
    assert seen.keys() == {each.name for each in plan.measurements}
    for name, (users, vectors) in seen.items():
        elsewhere = pickle.loads(pickle.dumps(vectors))  # noqa: S301
        whole, block = (
            dense(each(part))
            for each, part in ((vectors, users), (elsewhere, users.select(np.arange(7, 11))))
        )
        assert np.array_equal(whole[7:11], block), name
        assert dense(vectors(users.select(np.zeros(0, dtype=np.int64)))).shape == (
            0,
            block.shape[1],
        ), name


def dense(rows: Any) -> np.ndarray:
    return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows)


def test_a_session_past_the_cap_is_never_opened_and_leaves_the_ledger_as_it_was(
    source: Source, tmp_path: Path
) -> None:
    path, plan = tmp_path / "l.jsonl", make_plan(source[0])
    words = {"plan": plan, "source": "s", "release_id": "r", "kind": "release"}
    with (
        pytest.raises(BudgetError, match="epsilon_cap"),
        Session.open(path, cap=plan.epsilon / 2, **words),
    ):  # type: ignore[arg-type]
        pass
    assert not path.exists()
    with (
        Session.open(path, cap=plan.epsilon + 1, **words) as session,
        pytest.raises(BudgetError, match="one process"),
    ):  # type: ignore[arg-type]
        assert isinstance(session.ledger, Ledger)
        with Session.open(path, cap=plan.epsilon + 1, **words):  # type: ignore[arg-type]
            pass
