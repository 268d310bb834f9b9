"""Singling out: predicates read off the synthetic log that describe exactly one person.

A predicate joins two or three facts of one synthetic user: that somebody has an item; or has it
with this rating, in this window of four weeks. Each synthetic user gives up to three that share no
fact, of facts drawn from the rarest third of theirs by the synthetic log; kept are those that
describe no more synthetic users than there are for each real one. A real user is singled out when
some predicate describes them and nobody else of a log of real users. Logs of trained and of holdout
users have the same size, since a predicate is the likelier to describe just one the fewer there are
to describe: rates depend on that size, and only their excess is of interest. The random attacker
joins the same facts across synthetic users.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy import sparse

from synthrec.audit import profiles
from synthrec.audit.disclosure.common import DATE_ERROR_SECONDS, risk_of
from synthrec.audit.record import Risk
from synthrec.data.eventlog import EventLog

GROUPS = 3  # predicates of one synthetic user
RARE_PART = 3  # one in so many of a user's facts counts as rare
WINDOW_SECONDS = 2 * DATE_ERROR_SECONDS
_AT_ONCE = 4_000  # predicates matched at once


def singling_out(
    trained: EventLog,
    *,
    holdout: EventLog,
    synthetic: EventLog,
    copies: int,
    rng: np.random.Generator,
) -> Iterable[Risk]:
    """A risk for two items, for three, and for two with what else the events say.

    `trained` and `holdout` have equally many users; `copies`: how many synthetic users there are
    for each real one.
    """
    logs = (trained, holdout, synthetic)
    yield from (
        _risk(logs, facts=size, detailed=False, copies=copies, setting=f"{size} items", rng=rng)
        for size in (2, 3)
    )
    words = (("rating", "rating"), ("four weeks", "time"))
    told = [word for word, column in words if all(getattr(log, column) is not None for log in logs)]
    if told:
        yield _risk(
            logs,
            facts=2,
            detailed=True,
            copies=copies,
            setting=f"2 items with {' and '.join(told)}",
            rng=rng,
        )


def _risk(
    logs: tuple[EventLog, EventLog, EventLog],
    *,
    facts: int,
    detailed: bool,
    copies: int,
    setting: str,
    rng: np.random.Generator,
) -> Risk:
    sets = _fact_sets(logs, detailed=detailed)
    return singled_out_by(sets, facts=facts, copies=copies, setting=setting, rng=rng)


def singled_out_by(
    sets: Sequence[sparse.csr_array],
    *,
    facts: int,
    copies: int,
    setting: str,
    rng: np.random.Generator,
) -> Risk:
    """By any facts of trained, holdout and synthetic users. Shapes: [B, facts] each."""
    trained, holdout, synthetic = sets
    predicates = _predicates(synthetic, facts=facts, rng=rng)
    predicates = predicates[[len(who) <= copies for who in _described(predicates, by=synthetic)]]
    shuffled = rng.permuted(predicates, axis=0)
    attack, control, random = (
        _singled_out(who, by=real)
        for who, real in ((predicates, trained), (predicates, holdout), (shuffled, trained))
    )
    return risk_of("singling out", setting=setting, attack=attack, control=control, random=random)


def _fact_sets(logs: tuple[EventLog, ...], *, detailed: bool) -> list[sparse.csr_array]:
    """Which users have which facts, numbered alike in all logs. Shapes: float32[B, facts] each."""
    columns: list[list[np.ndarray]] = [[log.item for log in logs]]
    if detailed:
        ratings = [log.rating for log in logs if log.rating is not None]
        weeks = [log.time // WINDOW_SECONDS for log in logs if log.time is not None]
        columns += [column for column in (ratings, weeks) if len(column) == len(logs)]
    code = np.zeros(sum(len(log.item) for log in logs), dtype=np.int64)
    for parts in columns:
        values, place = np.unique(np.concatenate(parts), return_inverse=True)
        code = np.unique(code * len(values) + place, return_inverse=True)[1]
    ends = np.cumsum([len(log.item) for log in logs])
    facts = int(code.max(initial=-1)) + 1
    return [
        profiles.as_ones(
            sparse.csr_array(
                (np.ones(len(codes), dtype=np.float32), codes, np.array(log.offsets)),
                shape=(log.users, facts),
            )
        )
        for log, codes in zip(logs, np.split(code, ends[:-1]), strict=True)
    ]


def _predicates(synthetic: sparse.csr_array, *, facts: int, rng: np.random.Generator) -> np.ndarray:
    """Rare facts of each synthetic user in groups. Shapes: int[Q, facts]."""
    having = np.bincount(synthetic.indices, minlength=synthetic.shape[1])
    counts = np.diff(synthetic.indptr)
    user = np.repeat(np.arange(synthetic.shape[0]), counts)
    rarity = profiles.rank_within(user, by=having[synthetic.indices], rng=rng)
    rare = np.minimum(counts, np.maximum(facts, -(-counts // RARE_PART)))
    # rare ones first, at random
    order = profiles.rank_within(user, by=(rarity >= rare[user]).astype(np.int64), rng=rng)
    whole = np.minimum(GROUPS, rare // facts) * facts  # facts that fill a group
    kept = order < whole[user]
    return np.asarray(
        synthetic.indices[kept][np.lexsort((order[kept], user[kept]))].reshape(-1, facts)
    )


def _described(predicates: np.ndarray, *, by: sparse.csr_array) -> Iterator[np.ndarray]:
    """The users whom each predicate describes. Shapes: int[Q, facts] -> Q times int[<= B]."""
    columns, facts = by.T.tocsr(), predicates.shape[1]
    for first in range(0, len(predicates), _AT_ONCE):
        some = predicates[first : first + _AT_ONCE]
        asked = sparse.csr_array(
            (
                np.ones(some.size, dtype=np.float32),
                some.ravel(),
                np.arange(0, some.size + 1, facts),
            ),
            shape=(len(some), by.shape[1]),
        )
        met = asked @ columns
        for start, end in zip(met.indptr[:-1], met.indptr[1:], strict=True):
            yield met.indices[start:end][met.data[start:end] == facts]


def _singled_out(predicates: np.ndarray, *, by: sparse.csr_array) -> np.ndarray:
    """Whom some predicate alone describes. Shapes: bool[B]."""
    alone = [who[0] for who in _described(predicates, by=by) if len(who) == 1]
    return np.isin(np.arange(by.shape[0]), alone)
