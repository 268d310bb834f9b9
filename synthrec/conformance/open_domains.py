"""One look at the simulated log: what open columns ("dp") ask before all else, as installed, with
every answer frozen.

Every look charges, reads, clips and adds up as in a release; what it then finds is exchanged for
the subject's own domain, so that one log's settled schema must be any other's. No file of an owner
is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from synthrec.conformance.answers import CHARGE, RecordingNoise
from synthrec.conformance.subject import KEY, Subject
from synthrec.data.columns import Datetime
from synthrec.data.open_domains import KeySets, PaidColumn, filled, paid_columns, reopened
from synthrec.data.schema import Schema
from synthrec.domain_discovery import settle
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.mechanisms import Measurement
from synthrec.privacy.partition_selection import Partitions
from synthrec.privacy.plan import Plan
from synthrec.privacy.session import Session
from synthrec.progress import Progress

SUPPOSED_ITEMS = 120
YEAR_FROM, YEAR_TO = 1_578_700_800, 1_605_000_000  # in January and in November of 2020
Move = dict[Any, int]  # what a look was about to add noise to, by value or by place


@dataclass
class DomainTrace:
    """What looks at one log let out, all answers frozen, and what each was about to add noise to."""

    released: str = ""
    sums: dict[str, Move] = field(default_factory=dict)


def look(subject: Subject, events: pd.DataFrame, *, ledger: Ledger) -> DomainTrace:
    """Settle the subject's schema, opened again, on a log; nothing where no column is open."""
    if not subject.plan.openings:
        return DomainTrace()
    schema = reopened(subject.schema)
    session = Looking(
        subject.plan, ledger=ledger, charge=CHARGE, noise=RecordingNoise(), schema=subject.schema
    )
    catalogue = None if schema.item_column.is_open else subject.catalogue
    with TemporaryDirectory(prefix="synthrec-") as scratch:
        settled = settle(
            events,
            schema,
            catalogue,
            session=session,
            spill=Path(scratch),
            role_key=KEY,
            audit_share=0.0,
            exclude_users=None,
            progress=Progress(),
        )
    return DomainTrace(
        released=f"{settled.schema.model_dump_json()} {settled.said}", sums=session.sums
    )


def supposed(schema: Schema) -> Schema:
    """A schema whose open columns are given a domain that no log has been asked for."""
    for column in paid_columns(schema):
        if not column.is_open:
            continue
        if not column.bounded:
            many = (
                SUPPOSED_ITEMS if column.section == "columns" and column.name == schema.item else 3
            )
            schema = filled(
                schema, column, {"values": tuple(f"value {place}" for place in range(1, many + 1))}
            )
        else:
            low, high = (
                (YEAR_FROM, YEAR_TO) if isinstance(column.column, Datetime) else (1.0, 1_000.0)
            )
            schema = filled(
                schema, column, column.bounds(first=_bin(column, low), last=_bin(column, high))
            )
    return schema


class Looking(Session):
    """Answers each look by the domain of a schema; `sums` gets what each was about to add noise to."""

    def __init__(
        self, plan: Plan, *, ledger: Ledger, charge: Charge, noise: RecordingNoise, schema: Schema
    ) -> None:
        self._recording = noise
        super().__init__(plan, ledger=ledger, charge=charge, noise=noise)
        self._answers = {column.label: column for column in paid_columns(schema)}
        self.sums: dict[str, Move] = {}

    def select_partitions(self, name: str, read: Callable[[], KeySets]) -> Partitions:
        """The values of the schema."""
        names: list[str] = []

        def reading() -> KeySets:
            sets = read()
            blocks = list(sets.blocks)
            names.extend(
                sets.keys[place]
                for place in np.unique(np.concatenate([block.indices for block in blocks]))
            )
            return KeySets(keys=sets.keys, blocks=blocks)

        entry, total = (
            super().select_partitions(name, reading).entry,
            self._recording.totals.get(name, np.zeros(0)),
        )
        self.sums[name] = dict(zip(names, total.tolist(), strict=True))
        keys = tuple(sorted(str(value) for value in self._answers[name].column.values or ()))  # type: ignore[union-attr]
        return Partitions(keys=keys, weights=np.ones(len(keys)), entry=entry)

    def histogram(self, name: str, read: Callable[[], Iterable[Any]], *, size: int) -> Measurement:
        """The bounds of the schema."""
        measured = super().histogram(name, read, size=size)
        self.sums[name] = dict(enumerate(self._recording.totals[name].tolist()))
        values = np.full(size, 1e12)
        if name in self._answers:
            values[:] = 0.0
            values[_ends(self._answers[name])] = 1e12
        return Measurement(values=values, noise_std=measured.noise_std, entry=measured.entry)


def _ends(column: PaidColumn) -> list[int]:
    held = column.column
    if isinstance(held, Datetime):
        return [_bin(column, held.min_seconds), _bin(column, held.max_seconds)]
    return [_bin(column, held.min), _bin(column, held.max)]  # type: ignore[union-attr, arg-type]


def _bin(column: PaidColumn, value: float) -> int:
    grid = column.grid()
    return int(np.clip(np.searchsorted(grid, value, side="right") - 1, 0, len(grid) - 2))
