"""Looks at open columns on the simulated log: honest ones pass, and each seeded bug is caught by
the check that is named for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthrec import domain_discovery
from synthrec.conformance.accounting import unpaid
from synthrec.conformance.open_domains import (
    _moved,
    _noised,
    _replayed,
    look,
    look_checks,
    supposed,
)
from synthrec.conformance.record import Check
from synthrec.conformance.subject import Subject, fitted
from synthrec.data.catalogue import Catalogue
from synthrec.data.open_domains import is_open, reopened
from synthrec.data.schema import Schema
from synthrec.model.recipe import plan_release
from synthrec.privacy import partition_selection, session
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.mechanisms import LATTICE, SystemNoise
from tests.test_settle import CONFIG, DELTA

ITEMS = "vocabulary of item_id"
HONEST_UNIT, HONEST_NOISE = partition_selection.unit_weights, SystemNoise.lattice


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    schema = Schema.parse(CONFIG)
    here = supposed(schema)
    return fitted(
        tmp_path_factory.mktemp("supposed"),
        name="open",
        schema=here,
        catalogue=Catalogue.read(here),
        plan=plan_release(schema, epsilon=8, delta=DELTA, model="marginals"),
    )


def failed(checks: list[Check]) -> set[str]:
    return {f"{check.topic}: {check.name}" for check in checks if not check.passed}


def noised(subject: Subject) -> list[Check]:
    return _noised(subject.plan.openings[0], subject=subject)


def test_a_supposed_domain_closes_every_open_column_and_opens_again() -> None:
    schema = Schema.parse(CONFIG)
    assert is_open(schema) and not is_open(supposed(schema))
    assert reopened(supposed(schema)).model_dump_json() == schema.model_dump_json()


def test_honest_looks_pass_and_every_one_of_them_is_asked(subject: Subject) -> None:
    checks = look_checks(subject)
    assert failed(checks) == set()
    assert {plan.name for plan in subject.plan.openings} <= {
        check.name for check in checks if check.topic == "sensitivity"
    }


@pytest.mark.parametrize(
    ("owner", "name", "saboteur", "asked", "named"),
    [
        (
            partition_selection,
            "union_threshold",
            lambda **_: 0.0,
            noised,
            f"noise: {ITEMS}, one user's own",
        ),
        (
            session,
            "unit_weights",
            lambda block, *, most_keys: HONEST_UNIT(block, most_keys=most_keys) * 2.0,
            _moved,
            None,
        ),
        (
            session,
            "lattice_sum",
            lambda block, *, norm: (
                np.asarray((block > 0).sum(axis=0)).ravel().astype(np.int64) * LATTICE
            ),
            _moved,
            f"sensitivity: {ITEMS}",
        ),
        (
            SystemNoise,
            "lattice",
            lambda self, name, total, *, scale: HONEST_NOISE(self, name, total, scale=scale / 2),
            noised,
            f"noise: {ITEMS}",
        ),
        (
            domain_discovery,
            "vocabulary",
            lambda column, keys, **_: {"values": tuple(sorted(SEEN))},
            _replayed,
            "replay: looks, without a user: unique item",
        ),
    ],
)
def test_a_look_that_breaks_a_rule_is_caught(
    owner: Any,
    name: str,
    saboteur: Any,
    asked: Callable[[Subject], list[Check]],
    named: str | None,
    subject: Subject,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner, name, saboteur)
    if name == "vocabulary":
        remember_keys(monkeypatch)
    found = failed(asked(subject))
    assert named in found if named else found == set(), (
        found
    )  # weights that are too large are clipped by the sum itself


SEEN: set[str] = set()


def remember_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = domain_discovery.OpenedLog.key_sets

    def remembering(self: Any, column: Any, *, most: int) -> Any:
        sets = honest(self, column, most=most)
        SEEN.clear()
        SEEN.update(str(key) for key in sets.keys)
        return sets

    monkeypatch.setattr(domain_discovery.OpenedLog, "key_sets", remembering)


def test_a_look_whose_threshold_is_not_charged_is_missed_by_the_ledger(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(name: str) -> int:
        with Ledger.open(tmp_path / name) as ledger:
            look(subject, subject.events, ledger=ledger)
        return unpaid(
            subject.plan.model_copy(update={"measurements": (), "training": None}), ledger.entries
        )

    assert lacking("honest") == 0
    honest = Charge.entry
    monkeypatch.setattr(
        Charge, "entry", lambda self, *, extra_delta=0.0, **words: honest(self, **words)
    )
    assert lacking("sabotaged") > 0
