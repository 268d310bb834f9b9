"""What a training writes into the ledger is what its plan lists, ahead of use, in blocks of at most
ten steps. Teeth included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthrec.conformance.accounting import unpaid
from synthrec.model import dp_sgd
from synthrec.privacy.accounting import Accountant
from synthrec.privacy.ledger import Entry, Ledger, events_of
from synthrec.privacy.mechanisms import SystemNoise
from synthrec.privacy.plan import BLOCK, Plan
from tests.model.small import STEPS, make_log, make_plan, prepared, quick, trained

HONEST_BATCHES = SystemNoise.batches


def is_paid_in_full(plan: Plan, entries: Sequence[Entry]) -> bool:
    """Do the entries hold the plan's measurements once each and all steps of its game, in blocks of
    at most ten?
    """
    return unpaid(plan, entries) == 0


@pytest.mark.parametrize("model", ["gan", "moments", "marginals"])
def test_a_training_charges_what_its_plan_lists(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    schema, _ = prepared(tmp_path)
    plan = make_plan(schema, model=model)
    _, ledger = trained(make_log(), tmp_path, plan=plan)
    entries = Ledger.read(schema.ledger_path).entries
    assert ledger.entries == entries and is_paid_in_full(plan, entries)
    assert Accountant(events_of(entries)).epsilon(plan.delta) == plan.accountant().epsilon(
        plan.delta
    )
    assert not is_paid_in_full(plan, entries[:-1]) and not is_paid_in_full(plan, entries[1:])


def test_a_block_that_is_not_charged_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    honest = Ledger.charge
    seen: list[str] = []

    def forgetful(self: Ledger, entry: Entry) -> Entry:
        seen.append(entry.mechanism)
        return (
            entry if seen.count("game") == 2 and entry.mechanism == "game" else honest(self, entry)
        )

    monkeypatch.setattr(Ledger, "charge", forgetful)
    schema, _ = prepared(tmp_path)
    plan = make_plan(schema)
    _, ledger = trained(make_log(), tmp_path, plan=plan)
    assert not is_paid_in_full(plan, ledger.entries)


def steps_are_paid_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """At every step, has the ledger on disk been charged for at least that many?"""
    quick(monkeypatch)
    schema, _ = prepared(tmp_path)
    paid: list[int] = []
    honest = dp_sgd.PrivateCritic.step

    def watched(self: Any, *batch: Any) -> None:
        paid.append(
            sum(
                entry.event.count
                for entry in Ledger.read(schema.ledger_path).entries
                if entry.mechanism == "game"
            )
        )
        honest(self, *batch)

    monkeypatch.setattr(dp_sgd.PrivateCritic, "step", watched)
    trained(make_log(), tmp_path)
    return len(paid) == STEPS and all(
        step <= charged < step + BLOCK for step, charged in enumerate(paid, start=1)
    )


def test_every_step_is_paid_for_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert steps_are_paid_ahead(tmp_path, monkeypatch)


def test_paying_afterwards_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, held = Ledger.charge, list[Entry]()

    def late(self: Ledger, entry: Entry) -> Entry:
        if entry.mechanism == "game":
            held.append(entry)
            return honest(self, held.pop(0)) if len(held) > 1 else entry
        return honest(self, entry)

    monkeypatch.setattr(Ledger, "charge", late)
    assert not steps_are_paid_ahead(tmp_path, monkeypatch)


@pytest.mark.parametrize(("crash_at", "charged"), [(0, 10), (12, 20), (22, 23)])
def test_a_crash_in_the_game_has_spent_the_block_it_was_in(
    crash_at: int, charged: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)

    def crashing(self: SystemNoise, users: int, **options: Any) -> Iterator[np.ndarray]:
        for step, batch in enumerate(HONEST_BATCHES(self, users, **options)):
            if step == crash_at:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(SystemNoise, "batches", crashing)
    with pytest.raises(KeyboardInterrupt):
        trained(make_log(), tmp_path)
    schema, _ = prepared(tmp_path)
    entries = Ledger.read(schema.ledger_path).entries
    assert sum(entry.event.count for entry in entries if entry.mechanism == "game") == charged
    with Ledger.open(schema.ledger_path) as ledger:  # and the lock is free again
        assert ledger.entries == entries


def test_the_game_samples_and_noises_by_the_plan_that_it_is_charged_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    asked: list[dict[str, Any]] = []

    def watched(self: SystemNoise, users: int, **options: Any) -> Iterator[np.ndarray]:
        asked.append({name: options[name] for name in ("sampling_rate", "steps")})
        return HONEST_BATCHES(self, users, **options)

    monkeypatch.setattr(SystemNoise, "batches", watched)
    _, ledger = trained(make_log(), tmp_path)
    event = next(entry.event for entry in ledger.entries if entry.mechanism == "game")
    assert asked == [{"sampling_rate": event.sampling_rate, "steps": STEPS}]
