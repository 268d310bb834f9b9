"""A training that died is continued: nothing is charged twice, nothing runs unpaid, and epsilon is
what it would have been.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthrec import pipeline
from synthrec.conformance import open_domains
from synthrec.conformance.record import Conformance
from synthrec.data.schema import Schema
from synthrec.errors import BudgetError, DataError, ReleaseError, SchemaError
from synthrec.model import adversarial, artifact
from synthrec.model import checkpoint as kept
from synthrec.model.checkpoint import Checkpoint
from synthrec.privacy.ledger import Ledger, events_of, head_path
from synthrec.privacy.mechanisms import SystemNoise
from synthrec.privacy.plan import Plan
from synthrec.progress import Progress
from synthrec.release import Folder, left_folders
from synthrec.synthesizer import Synthesizer
from tests.conftest import REPOSITORY
from tests.model.small import STEPS, make_log, make_plan, quick
from tests.test_guarantees import USERS, frame, put

BUDGET: dict[str, Any] = {"epsilon": 5.0, "delta": 1e-4, "audit_share": 0.0, "device": "cpu"}


class Killed(BaseException):
    """As if the process had been killed: nobody catches it."""


class Listener(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


@pytest.fixture
def schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Schema:
    """A small log whose plan has few steps."""
    quick(monkeypatch)
    found = put(make_log(users=USERS), tmp_path / "log", epsilon_cap="20.0")
    monkeypatch.setattr(
        pipeline, "plan_release", lambda schema, *, model, **_: make_plan(schema, model=model)
    )
    return found


def fitted(schema: Schema, out: Path, **more: Any) -> Path:
    return pipeline.fit(frame(make_log(users=USERS)), schema=schema, out=out, **BUDGET, **more)


def died(schema: Schema, out: Path, monkeypatch: pytest.MonkeyPatch, *, at_step: int) -> Folder:
    """What a run leaves that is killed in the middle of a step of the game."""
    honest, steps = adversarial.PrivateCritic.step, iter(range(STEPS + 1))

    def step(self: Any, *batch: Any) -> None:
        if next(steps) == at_step:
            raise Killed
        honest(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(adversarial.PrivateCritic, "step", step)
        with pytest.raises(Killed):
            fitted(schema, out)
    (left,) = left_folders(out)
    return left


def charged(schema: Schema) -> dict[str, list[Any]]:
    """The events of each account."""
    accounts: dict[str, list[Any]] = {}
    for entry in Ledger.read(schema.ledger_path).entries:
        accounts.setdefault(entry.release_id, []).append((entry.mechanism, entry.event))
    return accounts


@pytest.mark.parametrize("at_step", [0, 5, 10, 19, 22])
def test_a_continued_training_charges_what_an_uninterrupted_one_does(
    at_step: int, schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    died(schema, tmp_path / "out", monkeypatch, at_step=at_step)
    ran: list[int] = []
    honest = adversarial.PrivateCritic.step
    with monkeypatch.context() as patch:
        patch.setattr(
            SystemNoise, "lattice", lambda *_, **__: pytest.fail("a measurement was drawn twice")
        )
        patch.setattr(
            adversarial.PrivateCritic,
            "step",
            lambda self, *batch: (ran.append(1), honest(self, *batch))[1],
        )
        pipeline.resume(schema=schema, out=tmp_path / "out", **BUDGET)
    assert len(ran) == STEPS - min(STEPS, 10 * (1 + at_step // 10))  # lost steps stay lost
    fitted(schema, tmp_path / "whole")
    first, second = charged(schema).values()
    assert first == second
    records = [Synthesizer.load(tmp_path / name).record for name in ("out", "whole")]
    assert (
        records[0].epsilon == records[1].epsilon
        and not (tmp_path / "out" / "private" / "checkpoint").exists()
    )
    assert left_folders(tmp_path / "out") == ()


def test_the_game_goes_on_from_the_last_kept_block(
    schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = died(schema, tmp_path / "out", monkeypatch, at_step=15)
    state = Checkpoint(left.checkpoint, None).state("game")  # type: ignore[arg-type]
    assert state is not None and state["done"] == [10]
    seen: list[Any] = []
    honest = adversarial.GanState.restore

    def restore(self: Any, arrays: Any) -> None:
        honest(self, arrays)
        seen.append({name: array.copy() for name, array in self.state().items()})  # they live on

    monkeypatch.setattr(adversarial.GanState, "restore", restore)
    pipeline.resume(schema=schema, out=tmp_path / "out", **BUDGET)
    assert seen[0].keys() | {"done"} == state.keys()
    assert all(np.array_equal(seen[0][name], state[name]) for name in seen[0])


def test_resume_without_charge_is_caught(
    schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = died(schema, tmp_path / "out", monkeypatch, at_step=15)
    whole, plan = schema.ledger_path.read_bytes().splitlines(keepends=True), make_plan(schema)
    for lines in (len(whole) - 2, 3):  # of a block that is kept, and of a measurement
        schema.ledger_path.write_bytes(b"".join(whole[:lines]))
        head_path(schema.ledger_path).unlink(missing_ok=True)
        with pytest.raises(BudgetError, match="must be paid for"):
            pipeline.resume(schema=schema, out=tmp_path / "out", **BUDGET)
    assert left.is_resumable and plan.training is not None
    schema.ledger_path.write_bytes(b"".join(whole))
    monkeypatch.setattr(
        Checkpoint, "charged_steps", lambda self, *_, **__: STEPS
    )  # the saboteur: says that all is paid
    pipeline.resume(schema=schema, out=tmp_path / "out", **BUDGET)
    assert (
        sum(event.count for name, event in next(iter(charged(schema).values())) if name == "game")
        < STEPS
    )


def test_a_measurement_that_was_charged_and_lost_is_not_drawn_again(
    schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = died(schema, tmp_path / "out", monkeypatch, at_step=3)
    next(left.checkpoint.glob("measured-*")).unlink()
    before = schema.ledger_path.read_bytes()
    with pytest.raises(BudgetError, match=r"never drawn twice.*charged, and its value lost"):
        pipeline.resume(schema=schema, out=tmp_path / "out", **BUDGET)
    assert schema.ledger_path.read_bytes() == before and left.path.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epsilon": 4.0}, "plan"),
        ({"audit_share": 0.1}, "audit share"),
        ({"kind": "trial"}, "kind"),
        ({"exclude_users": "file"}, "list of opt outs"),
    ],
)
def test_another_plan_or_share_or_list_is_refused_and_charges_nothing(
    change: dict[str, Any],
    said: str,
    schema: Schema,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    died(schema, tmp_path / "out", monkeypatch, at_step=15)
    before = schema.ledger_path.read_bytes()
    if "exclude_users" in change:
        (tmp_path / "gone.txt").write_text("1\n", encoding="utf-8")
        change = {"exclude_users": tmp_path / "gone.txt"}
    if "epsilon" in change:
        other: Plan = make_plan(schema).model_copy(update={"epsilon": 4.0})
        monkeypatch.setattr(pipeline, "plan_release", lambda *_, **__: other)
    with pytest.raises(ReleaseError, match=f"found another {said}"):
        pipeline.resume(schema=schema, out=tmp_path / "out", **BUDGET | change)
    assert schema.ledger_path.read_bytes() == before


def test_what_a_dead_run_left_is_said_and_where_nothing_is_left_resume_says_so(
    schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ReleaseError, match="found none"):
        pipeline.resume(schema=schema, out=tmp_path / "out", **BUDGET)
    left, listener = died(schema, tmp_path / "out", monkeypatch, at_step=15), Listener()
    fitted(schema, tmp_path / "out", progress=listener)
    assert any(left.path.name in line and "--resume" in line for line in listener.said)
    with pytest.raises(ReleaseError, match="must not exist yet"):
        pipeline.resume(schema=schema, out=tmp_path / "out", **BUDGET)


@pytest.mark.parametrize(
    "name", ["begun.json", "start.safetensors", "game.safetensors", "measured-*"]
)
@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 40])
def test_a_damaged_checkpoint_is_one_message(
    name: str, content: bytes, schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = died(schema, tmp_path / "out", monkeypatch, at_step=15)
    next(left.checkpoint.glob(name)).write_bytes(content)
    with pytest.raises((ReleaseError, BudgetError)):
        pipeline.resume(schema=schema, out=tmp_path / "out", **BUDGET)


def test_a_checkpoint_holds_no_state_of_a_random_generator_and_no_user(
    schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = died(schema, tmp_path / "out", monkeypatch, at_step=15)
    state = Checkpoint(left.checkpoint, None).state("game") or {}  # type: ignore[arg-type]
    assert {name.split(".")[0] for name in state} == {
        "done",
        "mean",
        "deviation",
        "critic",
        "critic_moments",
        "moments",
        "generator",
        "average",
    }
    assert all(USERS not in array.shape for array in state.values())
    assert left.private.stat().st_mode & 0o777 == 0o700
    assert {path.name.split("-")[0] for path in left.checkpoint.iterdir()} == {
        "begun.json",
        kept.START,
        kept.GAME,
        "measured",
    }


def test_run_goes_on_from_where_the_training_of_a_run_died(
    schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    died(schema, tmp_path / "out", monkeypatch, at_step=15)
    pipeline.run(
        frame(make_log(users=USERS)),
        schema=schema,
        out=tmp_path / "out",
        mechanism=False,
        again=True,
        **BUDGET,
    )
    assert len(charged(schema)) == 1 and (tmp_path / "out" / "share" / "report.html").exists()
    assert Synthesizer.load(tmp_path / "out").record.synthetic_users > 0


@pytest.mark.parametrize("failing", ["verify_mechanism", "audit"])
def test_a_run_that_fails_after_its_training_says_that_the_release_stands_and_is_finished_without_a_charge(
    failing: str, schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, ran, listener = put(make_log(users=USERS), tmp_path / "log"), list[str](), Listener()
    monkeypatch.setattr(
        pipeline, "verify_mechanism", lambda **_: ran.append("verify_mechanism") or CHECKED
    )
    for name in ("audit", "report"):
        monkeypatch.setattr(pipeline, name, lambda *_, name=name, **__: ran.append(name))
    for error in (ReleaseError("a rule", found="a fault", remedy="Mend it."), KeyboardInterrupt()):
        out = tmp_path / type(error).__name__

        def broken(*_: Any, error: BaseException = error, **__: Any) -> None:
            raise error

        def run(out: Path = out, **more: Any) -> None:
            pipeline.run(
                frame(make_log(users=USERS)),
                schema=found,
                out=out,
                progress=listener,
                **BUDGET | more,
            )

        with monkeypatch.context() as patch:
            patch.setattr(pipeline, failing, broken)
            with pytest.raises(type(error)) as caught:
                run()
        said = f"{caught.value} {' '.join(listener.said)}"
        assert (
            "stands" in said and "--resume" in said and "synthrec audit RELEASE --log LOG" in said
        )
        before, ran[:] = found.ledger_path.read_bytes(), []
        monkeypatch.setattr(pipeline, "fit", lambda *_, **__: pytest.fail("it was trained again"))
        for change, what in (
            ({"audit_share": 0.1}, "audit share"),
            ({"exclude_users": schema.folder / "users.csv"}, "list of opt-outs"),
        ):
            with pytest.raises(ReleaseError, match=f"found another {what}"):
                run(again=True, **change)
        run(again=True)
        steps = ["verify_mechanism", "audit", "report"]
        assert ran == steps[steps.index(failing) :] and found.ledger_path.read_bytes() == before
        monkeypatch.setattr(pipeline, "fit", FIT)


FIT = pipeline.fit
CHECKED = Conformance(
    synthrec_version="0", subject="", model="gan", epsilon=5.0, delta=1e-4, checks=(), seconds=1.0
)


def long_words(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(artifact, "LARGEST_WORDS", 1000)


def no_subject(patch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ReleaseError("a rule", found="a fault", remedy="Mend it.")

    patch.setattr(open_domains, "look", fails)


def one_item(_: pytest.MonkeyPatch) -> None:
    pass


@pytest.mark.parametrize("trouble", [long_words, no_subject, one_item])
def test_what_would_fail_after_the_training_stops_a_run_before_it_is_charged(
    trouble: Any, schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble(monkeypatch)
    if trouble is one_item:
        items = schema.folder / "items.csv"
        items.write_text(
            "".join(items.read_text(encoding="utf-8").splitlines(keepends=True)[:2]),
            encoding="utf-8",
        )
    with pytest.raises((ReleaseError, SchemaError, DataError)):
        pipeline.run(frame(make_log(users=USERS)), schema=schema, out=tmp_path / "out", **BUDGET)
    assert not schema.ledger_path.exists() and not (tmp_path / "out").exists()


RUN = """
import sys, time
from pathlib import Path
import pytest
from synthrec import pipeline
from synthrec.data.schema import Schema
from synthrec.model import adversarial
from synthrec.privacy.plan import Plan
from tests.model.small import make_log, quick
from tests.test_guarantees import USERS, frame
patch = pytest.MonkeyPatch()
quick(patch)
plan = Plan.model_validate_json(Path(sys.argv[3]).read_text())
pipeline.plan_release = lambda schema, **_: plan
honest = adversarial.PrivateCritic.step
def slow(self, *batch):
    time.sleep(0.2)
    honest(self, *batch)
adversarial.PrivateCritic.step = slow
pipeline.fit(frame(make_log(users=USERS)), schema=Schema.load(Path(sys.argv[1])), out=Path(sys.argv[2]), epsilon=5.0, delta=1e-4,
             audit_share=0.0, device="cpu")
"""


def test_a_real_kill_in_the_middle_of_the_game_and_a_resume_charge_what_an_uninterrupted_run_does(
    schema: Schema, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    plan = tmp_path / "plan.json"
    plan.write_text(make_plan(schema).model_dump_json(), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(schema.folder / "synthrec.toml"), str(out), str(plan)],
        cwd=REPOSITORY,
    )
    for _ in until(120):
        place = next(tmp_path.glob(".out.partial-*/private/checkpoint/game.safetensors"), None)
        if place is not None:
            break
    assert left_folders(out) == (), "it is alive"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists() and len(left_folders(out)) == 1
    before = next(iter(charged(schema).values()))
    pipeline.resume(schema=schema, out=out, **BUDGET)
    fitted(schema, tmp_path / "whole")
    first, second = charged(schema).values()
    assert len(before) < len(first) and first == second
    entries = Ledger.read(schema.ledger_path).entries
    assert len(events_of(entries)) == 2 * len(first)
    shutil.rmtree(out)


def until(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.1)
    pytest.fail("it took too long")
