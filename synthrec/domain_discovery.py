"""Settle what the schema leaves open, by paid looks at the log: the first thing that is asked of
it, before any measurement.

    open schema, log -> noisy unions and histograms (ledger) -> released values and bounds -> the
    same schema, settled

Guarantees: each look is charged before the log is touched for it (rules: nothing unpaid, mechanism
with entry); what leaves is the released values, bounds and the noisy coverage. Afterwards the log
is read anew with the settled schema: what lies outside is dropped or becomes "other", per user, by
rule.
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
from synthrec.data.open_domains import PaidColumn, filled, paid_columns, vocabulary
from synthrec.data.open_domains_reader import OpenedLog, open_log
from synthrec.data.schema import Schema
from synthrec.errors import DataError, SchemaError
from synthrec.model.recipe import COVERAGE
from synthrec.privacy.mechanisms import Measurement
from synthrec.privacy.session import Session
from synthrec.progress import Progress

# chance that any empty bin of a grid stands out of the noise: one is enough for bounds that are of
# no use
FALSE_BIN = 1e-4


@dataclass(frozen=True)
class SettledSchema:
    """A schema without open ends, and a sentence on what each look found; both public."""

    schema: Schema
    said: tuple[str, ...] = ()


def discover_domains(
    log: Any,
    schema: Schema,
    catalogue: Catalogue | None,
    *,
    session: Session,
    spill: Path,
    role_key: bytes,
    audit_share: float,
    exclude_users: Path | None,
    progress: Progress,
) -> SettledSchema:
    """Fill in every column that says "dp"; a schema without such columns comes back as it is, the
    log unread. `catalogue`: None where items are such a column.

    Raises: DataError before anything is charged if the log cannot be read; after it, if nothing
    stands out of the noise.
    """
    if not paid_columns(schema):
        return SettledSchema(schema)
    if not all(column.is_open for column in paid_columns(schema)):
        raise SchemaError(
            "a schema is settled once",
            found="one that a release has settled already",
            remedy="Start from the configuration: Schema.load(...).",
        )
    said = list[str]()
    with (
        open_log(
            log,
            schema,
            catalogue,
            spill=spill,
            role_key=role_key,
            audit_share=audit_share,
            exclude_users=exclude_users,
            progress=progress,
        ) as opened,
        progress.stage("settle", total=len(paid_columns(schema))) as advance,
    ):
        for column in paid_columns(schema):
            words, covered = (_bounds if column.bounded else _values)(
                opened, column, session=session
            )
            schema = filled(schema, column, words)
            found = next(each for each in paid_columns(schema) if each.label == column.label)
            said.append(paid_declaration(found, plan=session.plan, covered=covered))
            advance(1, note=column.label)
    return SettledSchema(schema, tuple(said))


def _values(
    opened: OpenedLog, column: PaidColumn, *, session: Session
) -> tuple[dict[str, Any], str]:
    """Values that enough users hold, and of items what they cover."""
    most = session.plan.opening(column.label).most_keys
    assert most is not None
    found = session.select_partitions(column.label, lambda: opened.key_sets(column, most=most))
    whole = len(found.keys) > 0 and are_whole_numbers(pa.array(found.keys, pa.string()))
    words = vocabulary(column, found.keys, weights=found.weights, whole=whole)
    return words, _covered(opened, column, found.keys, session=session) if isinstance(
        column.column, Item
    ) else ""


def _covered(
    opened: OpenedLog, column: PaidColumn, keys: tuple[str, ...], *, session: Session
) -> str:
    """A paid figure: noisy covered events over noisy events."""
    found = session.histogram(
        COVERAGE, lambda: opened.covered(column, keys, most=session.plan.events_per_user), size=2
    )
    held, all_of_them = found.values
    if all_of_them <= 3 * found.noise_std:
        return COVERED_UNKNOWN
    margin = 1.96 * found.noise_std * np.sqrt(2) / all_of_them
    return COVERED.format(share=float(np.clip(held / all_of_them, 0, 1)), margin=margin)


def _bounds(
    opened: OpenedLog, column: PaidColumn, *, session: Session
) -> tuple[dict[str, Any], str]:
    """The smallest range that holds every bin which stands out of the noise."""
    found = session.histogram(
        column.label, lambda: opened.histograms(column), size=len(column.grid()) - 1
    )
    return column.bounds(**_range(found, name=column.name)), ""


def _range(found: Measurement, *, name: str) -> dict[str, int]:
    outstanding = np.flatnonzero(
        found.values > found.noise_std * norm.isf(FALSE_BIN / len(found.values))
    )
    if len(outstanding) == 0:
        raise DataError(
            f"{name} must have values that enough users share roughly",
            found="none that stand out of the noise",
            remedy="What was charged stays charged. Declare min and max, raise epsilon, or leave the column out.",
        )
    return {"first": int(outstanding[0]), "last": int(outstanding[-1])}
