"""One look at the simulated log: what open columns ("dp") ask before all else, as installed, with every answer frozen.

Every look charges, reads, clips and adds up as in a release; what it then finds is exchanged for the subject's own domain, so that one
log's settled schema must be any other's. No file of an owner is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from synthrec import settle
from synthrec.conformance.answers import CHARGE, Free
from synthrec.conformance.subject import KEY, Subject
from synthrec.data.columns import Datetime
from synthrec.data.opening import KeySets, PaidColumn, filled, paid_columns, reopened
from synthrec.data.schema import Schema
from synthrec.privacy import mechanisms
from synthrec.privacy.ledger import Ledger
from synthrec.privacy.mechanisms import Measurement
from synthrec.privacy.opening import Opening, Union
from synthrec.progress import Progress

SUPPOSED_ITEMS = 120
YEAR_FROM, YEAR_TO = 1_578_700_800, 1_605_000_000      # in January and in November of 2020
Move = dict[Any, int]   # what a look was about to add noise to, by value or by place


@dataclass
class Looked:
    """What looks at one log let out, all answers frozen, and what each was about to add noise to."""

    released: str = ""
    sums: dict[str, Move] = field(default_factory=dict)


def look(subject: Subject, events: pd.DataFrame, *, ledger: Ledger | Free) -> Looked:
    """Settle the subject's schema, opened again, on a log; nothing where no column is open."""
    found = Looked()
    if not subject.plan.openings:
        return found
    schema = reopened(subject.schema)
    catalogue = None if schema.item_column.is_open else subject.catalogue
    with TemporaryDirectory(prefix="synthrec-") as scratch, _answered(subject.schema, found):
        settled = settle.settle(events, schema, catalogue, plan=subject.plan, ledger=ledger, charge=CHARGE, spill=Path(scratch),     # type: ignore[arg-type]
                                role_key=KEY, audit_share=0.0, exclude_users=None, progress=Progress())
    found.released = f"{settled.schema.model_dump_json()} {settled.said}"
    return found


def supposed(schema: Schema) -> Schema:
    """A schema whose open columns are given a domain that no log has been asked for."""
    for column in paid_columns(schema):
        if not column.is_open:
            continue
        if not column.bounded:
            many = SUPPOSED_ITEMS if column.section == "columns" and column.name == schema.item else 3
            schema = filled(schema, column, {"values": tuple(f"value {place}" for place in range(1, many + 1))})
        else:
            low, high = (YEAR_FROM, YEAR_TO) if isinstance(column.column, Datetime) else (1.0, 1_000.0)
            schema = filled(schema, column, column.bounds(first=_bin(column, low), last=_bin(column, high)))
    return schema


@contextmanager
def _answered(schema: Schema, found: Looked) -> Iterator[None]:
    """Inside, looks find the domain of `schema`; `found` gets what each was about to add noise to."""
    union, total, noise = settle.noisy_union, settle.noisy_sum, mechanisms._add_noise
    answers = {column.label: column for column in paid_columns(schema)}
    added: list[np.ndarray] = []

    def watched(sums: np.ndarray, *, scale: float) -> np.ndarray:
        added.append(sums.copy())
        return noise(sums, scale=scale)

    def named(read: Callable[[], KeySets], *, plan: Opening, **options: Any) -> Union:
        names: list[str] = []

        def reading() -> KeySets:
            sets = read()
            blocks = list(sets.blocks)
            names.extend(sets.keys[place] for place in np.unique(np.concatenate([block.indices for block in blocks])))
            return KeySets(keys=sets.keys, blocks=blocks)

        entry, sums = union(reading, plan=plan, **options).entry, (added.pop() if added else np.zeros(0))
        found.sums[plan.name] = dict(zip(names, sums.tolist(), strict=True))
        keys = tuple(sorted(str(value) for value in answers[plan.name].column.values or ()))      # type: ignore[union-attr]
        return Union(keys=keys, weights=np.ones(len(keys)), entry=entry)

    def summed(blocks: Any, *, plan: Opening, size: int, **options: Any) -> Measurement:
        measured = total(blocks, plan=plan, size=size, **options)
        found.sums[plan.name] = dict(enumerate(added.pop().tolist()))
        values = np.full(size, 1e12)
        if plan.name in answers:
            values[:] = 0.0
            values[_ends(answers[plan.name])] = 1e12
        return Measurement(values=values, noise_std=measured.noise_std, entry=measured.entry)

    with patch.object(settle, "noisy_union", named), patch.object(settle, "noisy_sum", summed), \
            patch.object(mechanisms, "_add_noise", watched):
        yield


def _ends(column: PaidColumn) -> list[int]:
    held = column.column
    if isinstance(held, Datetime):
        return [_bin(column, held.min_seconds), _bin(column, held.max_seconds)]
    return [_bin(column, held.min), _bin(column, held.max)]        # type: ignore[union-attr, arg-type]


def _bin(column: PaidColumn, value: float) -> int:
    grid = column.grid()
    return int(np.clip(np.searchsorted(grid, value, side="right") - 1, 0, len(grid) - 2))
