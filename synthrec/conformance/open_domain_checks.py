"""Looks at open columns ("dp"): replayed with and without a user, moved by one, noised, and silent
on what one user alone holds.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy import stats

from synthrec.conformance.answers import CHARGE, NullLedger
from synthrec.conformance.draws import Unpleasant
from synthrec.conformance.noise import sum_checks
from synthrec.conformance.open_domains import Move, look
from synthrec.conformance.record import Check, judged
from synthrec.conformance.statistics import FALSE_ALARM, draws_for_scale
from synthrec.conformance.subject import Subject
from synthrec.data.open_domains import KeySets
from synthrec.privacy.ledger import Entry
from synthrec.privacy.mechanisms import LATTICE, Noise
from synthrec.privacy.partition_selection import Partitions, PartitionSelection
from synthrec.privacy.session import Session

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
            f"looks, without {kind}",
            low=0,
            high=0,
            asked="settled schemas that differ",
            statistic=look(subject, subject.without(kind), ledger=NullLedger()).released
            != whole.released,
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
            name,
            statistic=move,
            low=0.01,
            high=1.0,
            asked=f"longest move of the clipped sum over {len(neighbours)} neighbours, in declared norms",
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
            f"{plan.name}, one user's own",
            statistic=named,
            low=0,
            high=most,
            asked=f"times of {TRIES} that something was named which one user alone holds",
        ),
    ]


def _once(noise: Unpleasant, *, plan: PartitionSelection) -> Check:
    return judged(
        "noise",
        f"{plan.name} is drawn once",
        statistic=noise.draws[plan.name],
        low=1,
        high=1,
        asked="draws for one charge, of a look that comes out far below 0",
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
