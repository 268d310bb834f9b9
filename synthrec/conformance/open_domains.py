"""Looks at open columns ("dp"): replayed with and without a user, moved by one, noised, and silent
on what one user alone holds.

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
import scipy.sparse as sp
from scipy import stats

from synthrec.conformance.answers import CHARGE, NullLedger, RecordingNoise
from synthrec.conformance.noise import Unpleasant, sum_checks
from synthrec.conformance.record import Check, judged
from synthrec.conformance.statistics import FALSE_ALARM, draws_for_scale
from synthrec.conformance.subject import KEY, Subject
from synthrec.data.columns import Datetime
from synthrec.data.open_domains import KeySets, PaidColumn, filled, paid_columns, reopened
from synthrec.data.schema import Schema
from synthrec.domain_discovery import discover_domains
from synthrec.privacy.ledger import Charge, Entry, Ledger
from synthrec.privacy.mechanisms import LATTICE, Measurement, Noise
from synthrec.privacy.partition_selection import Partitions, PartitionSelection
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
        settled = discover_domains(
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


ORDINARY = 15  # neighbours who are no odd ones, beside those who are
SIZE = 1_000  # values of a union, cells of a sum, whose noise is collected
TRIES = 400  # unions over what one user alone holds


def look_checks(subject: Subject) -> list[Check]:
    """All checks of looks; none where no column is open."""
    if not subject.plan.openings:
        return []
    return [
        *_replayed(subject),
        *_moved(subject),
        *(check for plan in subject.plan.openings for check in _noised(plan, subject=subject)),
    ]


def _replayed(subject: Subject) -> list[Check]:
    whole = look(subject, subject.events, ledger=NullLedger())
    return [
        judged(
            "replay",
            "looks, without {leaver}",
            low=0,
            high=0,
            statistic=look(subject, subject.without(kind), ledger=NullLedger()).released
            != whole.released,
            leaver=kind,
        )
        for kind in subject.edge_case_users
    ]


def _moved(subject: Subject) -> list[Check]:
    """One odd user at a time beside the ordinary ones, and the ordinary ones without one of them."""
    user = subject.schema.user
    odd = [ids for kind, ids in subject.edge_case_users.items() if kind.startswith("a user: ")]
    base = subject.events[~subject.events[user].isin(frozenset().union(*odd))]
    neighbours = [
        pd.concat([base, subject.events[subject.events[user].isin(ids)]], ignore_index=True)
        for ids in odd
    ]
    neighbours += [base[base[user] != gone] for gone in base[user].unique()[:ORDINARY]]
    without = look(subject, base, ledger=NullLedger()).sums
    longest = {plan.name: 0.0 for plan in subject.plan.openings}
    for log in neighbours:
        for name, sums in look(subject, log, ledger=NullLedger()).sums.items():
            longest[name] = max(longest[name], _distance(sums, without[name]))
    return [
        judged(
            "sensitivity",
            "{look}",
            statistic=move,
            low=0.01,
            high=1.0,
            look=name,
            neighbours=len(neighbours),
        )
        for name, move in longest.items()
    ]


def _distance(one: Move, two: Move) -> float:
    moves = [float(one.get(key, 0) - two.get(key, 0)) for key in one.keys() | two.keys()]
    return float(np.linalg.norm(moves)) / LATTICE


def _noised(plan: PartitionSelection, *, subject: Subject) -> list[Check]:
    """Draws of the installed noise; of a union, on values that everybody holds, and what is named
    of one user's own.
    """
    repeats, noise = range(2 + draws_for_scale() // SIZE), Unpleasant()
    if plan.most_keys is None:
        _session(subject, noise=noise).histogram(
            plan.name, lambda: [np.zeros((1, SIZE))], size=SIZE
        )
        again = [
            _session(subject).histogram(plan.name, lambda: [np.zeros((1, SIZE))], size=SIZE)
            for _ in repeats
        ]
        draws = np.array([found.values for found in again])
        return [
            _once(noise, plan=plan),
            *sum_checks(draws, name=plan.name, std=_std(plan, again[0].entry)),
        ]
    users = int(np.ceil(plan.threshold + 10 * plan.noise_std))
    held = sp.vstack([sp.eye(SIZE, format="csr")] * users, format="csr")
    draws = np.full((len(repeats), SIZE), np.nan)
    for row in draws:
        found = _union(held, plan=plan, subject=subject)
        row[: len(found.weights)] = found.weights - users
    named = sum(
        len(_union(sp.csr_matrix(np.ones((1, alone))), plan=plan, subject=subject).weights) > 0
        for alone in (1, plan.most_keys)
        for _ in range(TRIES // 2)
    )
    most = stats.binom.isf(FALSE_ALARM, TRIES, plan.extra_delta)
    _union(held, plan=plan, subject=subject, noise=noise)
    return [
        _once(noise, plan=plan),
        *sum_checks(draws, name=plan.name, std=_std(plan, found.entry)),
        judged(
            "noise",
            "{look}, one user's own",
            statistic=named,
            low=0,
            high=most,
            look=plan.name,
            tries=TRIES,
        ),
    ]


def _once(noise: Unpleasant, *, plan: PartitionSelection) -> Check:
    return judged(
        "noise",
        "{look} is drawn once",
        statistic=noise.draws[plan.name],
        low=1,
        high=1,
        look=plan.name,
    )


def _std(plan: PartitionSelection, entry: Entry) -> float:
    """Of the noise, as charged."""
    return plan.sensitivity * entry.event.noise_multiplier


def _session(subject: Subject, *, noise: Noise | None = None) -> Session:
    return Session(subject.plan, ledger=NullLedger(), charge=CHARGE, noise=noise)


def _union(
    block: sp.csr_matrix, *, plan: PartitionSelection, subject: Subject, noise: Noise | None = None
) -> Partitions:
    sets = KeySets(keys=[f"{place:06d}" for place in range(block.shape[1])], blocks=[block])
    return _session(subject, noise=noise).select_partitions(plan.name, lambda: sets)
