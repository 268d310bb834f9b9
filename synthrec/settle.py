"""Settle what the schema leaves open, by paid looks at the log: the first thing that is asked of it, before any measurement.

    open schema, log -> noisy unions and histograms (ledger) -> released values and bounds -> the same schema, settled

Guarantees: each look is charged before the log is touched for it (rules 4, 5); what leaves is the released values, bounds and the noisy
coverage. Afterwards the log is read anew with the settled schema: what lies outside is dropped or becomes "other", per user, by rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import norm

from synthrec.claim import COVERED, COVERED_UNKNOWN, paid_declaration
from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import Item
from synthrec.data.identifiers import are_whole_numbers
from synthrec.data.opened import OpenedLog, open_log
from synthrec.data.opening import PaidColumn, filled, paid_columns, vocabulary
from synthrec.data.schema import Schema
from synthrec.errors import DataError, SchemaError
from synthrec.model.recipe import COVERAGE
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.mechanisms import Measurement, noisy_sum
from synthrec.privacy.opening import noisy_union
from synthrec.privacy.plan import Plan
from synthrec.progress import Progress

FALSE_BIN = 1e-4        # chance that any empty bin of a grid stands out of the noise: one is enough for bounds that are of no use


@dataclass(frozen=True)
class Settled:
    """A schema without open ends, and a sentence on what each look found; both public."""

    schema: Schema
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Paying:
    plan: Plan
    ledger: Ledger
    charge: Charge


def settle(log: Any, schema: Schema, catalogue: Catalogue | None, *, plan: Plan, ledger: Ledger, charge: Charge, spill: Path,
           role_key: bytes, audit_share: float, exclude_users: Path | None, progress: Progress) -> Settled:
    """Fill in every column that says "dp"; a schema without such columns comes back as it is, the log unread. `catalogue`: None where items
    are such a column.

    Raises: DataError before anything is charged if the log cannot be read; after it, if nothing stands out of the noise.
    """
    if not paid_columns(schema):
        return Settled(schema)
    if not all(column.is_open for column in paid_columns(schema)):
        raise SchemaError("a schema is settled once", found="one that a release has settled already",
                          remedy="Start from the configuration: Schema.load(...).")
    paying, said = _Paying(plan, ledger, charge), list[str]()
    with open_log(log, schema, catalogue, spill=spill, role_key=role_key, audit_share=audit_share, exclude_users=exclude_users,
                  progress=progress) as opened, progress.stage("settle", total=len(paid_columns(schema))) as advance:
        for column in paid_columns(schema):
            words, covered = (_bounds if column.bounded else _values)(opened, column, paying=paying)
            schema = filled(schema, column, words)
            found = next(each for each in paid_columns(schema) if each.label == column.label)
            said.append(paid_declaration(found, plan=plan, covered=covered))
            advance(1, note=column.label)
    return Settled(schema, tuple(said))


def _values(opened: OpenedLog, column: PaidColumn, *, paying: _Paying) -> tuple[dict[str, Any], str]:
    """Values that enough users hold, and of items what they cover."""
    look = paying.plan.opening(column.label)
    assert look.most_keys is not None
    most = look.most_keys
    found = noisy_union(lambda: opened.key_sets(column, most=most), plan=look, ledger=paying.ledger, charge=paying.charge)
    whole = len(found.keys) > 0 and are_whole_numbers(pa.array(found.keys, pa.string()))
    words = vocabulary(column, found.keys, weights=found.weights, whole=whole)
    return words, _covered(opened, column, found.keys, paying=paying) if isinstance(column.column, Item) else ""


def _covered(opened: OpenedLog, column: PaidColumn, keys: tuple[str, ...], *, paying: _Paying) -> str:
    """A paid figure: noisy covered events over noisy events."""
    look = paying.plan.opening(COVERAGE)
    held, all_of_them = noisy_sum(opened.covered(column, keys, most=paying.plan.events_per_user), plan=look, size=2,
                                  ledger=paying.ledger, charge=paying.charge).values
    if all_of_them <= 3 * look.noise_std:
        return COVERED_UNKNOWN
    margin = 1.96 * look.noise_std * np.sqrt(2) / all_of_them
    return COVERED.format(share=float(np.clip(held / all_of_them, 0, 1)), margin=margin)


def _bounds(opened: OpenedLog, column: PaidColumn, *, paying: _Paying) -> tuple[dict[str, Any], str]:
    """The smallest range that holds every bin which stands out of the noise."""
    bins = len(column.grid()) - 1
    found = noisy_sum(opened.histograms(column), plan=paying.plan.opening(column.label), size=bins, ledger=paying.ledger,
                      charge=paying.charge)
    return column.bounds(**_range(found, name=column.name)), ""


def _range(found: Measurement, *, name: str) -> dict[str, int]:
    outstanding = np.flatnonzero(found.values > found.noise_std * norm.isf(FALSE_BIN / len(found.values)))
    if len(outstanding) == 0:
        raise DataError(f"{name} must have values that enough users share roughly", found="none that stand out of the noise",
                        remedy="What was charged stays charged. Declare min and max, raise epsilon, or leave the column out.")
    return {"first": int(outstanding[0]), "last": int(outstanding[-1])}
