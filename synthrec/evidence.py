"""What an audit has at hand: the people by the part they play, the synthetic log, and the claim; of a release, or of any tool's tables.

Guarantees: nothing is written outside `private/`, nothing is trained, nothing is told about anybody.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synthrec.audit.claimed import bound_of_claim
from synthrec.audit.people import People
from synthrec.audit.record import AttackBound
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.opening import is_open
from synthrec.data.parquet import bounded_batches
from synthrec.data.roles import MOST_SHARE, TRAINS, Role, load_or_create_key
from synthrec.data.schema import Schema, Users
from synthrec.data.source import read_log, share_users
from synthrec.errors import DataError, ReleaseError, SchemaError
from synthrec.folder import Folder
from synthrec.model.artifact import Artifact
from synthrec.progress import Progress

SMALL = 0.01            # of the claim's delta: at the largest smaller one of its profile epsilon gets its lower bound


@dataclass(frozen=True)
class Claim:
    """What is said of a synthetic log: public. `profile`: (delta, epsilon) pairs that are claimed besides."""

    epsilon: float
    delta: float
    bound: AttackBound
    profile: tuple[tuple[float, float], ...] = ()

    def for_bound(self) -> tuple[float, float]:
        """The delta, and epsilon there, at which to ask for a lower bound: at a large delta nothing can be proved of few users."""
        small = [pair for pair in self.profile if pair[0] <= SMALL * self.delta and np.isfinite(pair[1])]
        return max(small, default=(self.delta, self.epsilon))


@dataclass(frozen=True)
class Tables:
    """Any tool's synthetic log, and who was in its training: paths, or tables. Without reference users, some holdout users are them."""

    synthetic: Any
    members: Any
    holdout: Any
    reference: Any = None
    synthetic_users: Path | None = None     # the user table of the synthetic log, where the schema declares attributes
    fair_coins: bool = False        # members and holdout users were told apart by a fair coin each


@dataclass(frozen=True, repr=False, eq=False)
class Evidence:
    """Everybody, what the log declares, and the claim; `release_id` of a release of ours. Private."""

    schema: Schema
    catalogue: Catalogue
    people: People
    claim: Claim | None
    release_id: str | None = None
    sacrificial: bool = False       # a second run of the release's plan, which kept users back, in place of the release

    @property
    def scale(self) -> tuple[float, float] | None:
        """Lowest and highest rating; None without ratings."""
        rating = self.schema.rating
        return None if rating is None else (float(rating.levels[0]), float(rating.levels[-1]))

    def fingerprint(self) -> str:
        """Private, to know the same evidence again: of logs that are read whole, whatever the order; of how many events users of the others
        have; of who was coined, and of what the columns mean.

        Which events of a bounded user were kept is drawn anew at each reading.
        """
        people, seen = self.people, hashlib.sha256()
        for log in (people.train_whole, people.test, people.synthetic):
            for column in (np.diff(log.offsets), log.item, log.rating, log.time, *(codes for _, codes in sorted(log.attributes.items()))):
                seen.update(b"-" if column is None else np.sort(np.asarray(column)))
        for log in (people.holdout, people.reference):
            seen.update(np.sort(np.diff(log.offsets)))
        seen.update(f"{len(people.coined)} {int(np.count_nonzero(people.coined))} {self.schema.model_dump_json()}".encode())
        return seen.hexdigest()


def collect(folder: Folder, *, log: Any, progress: Progress) -> Evidence:
    """Of a release. Raises ReleaseError without private/ or a synthetic log, DataError for another log than the release's."""
    artifact, origin, release = Artifact.load(folder.share), folder.origin(), folder.record()
    schema = origin.placed(artifact.schema)
    if not folder.events.exists():
        raise ReleaseError("an audit needs a synthetic log in share/", found="no events.parquet",
                           remedy="Make the release with `synthrec run`, or sample one: "
                                  "synthrec sample RELEASE --users N --out RELEASE/share/events.parquet")
    for path in (folder.events, folder.users):
        _require_bounded(path)
    with progress.stage("read for the audit", total=3) as advance:
        real = read_real(folder, log=log, schema=schema, catalogue=artifact.catalogue, share=origin.audit_share, bounded=False)
        advance(1)
        bounded = read_real(folder, log=log, schema=schema, catalogue=artifact.catalogue, share=origin.audit_share, bounded=True)
        advance(1)
        table = folder.users if folder.users.exists() else None
        synthetic = read_log(folder.events, _with_table(schema, table), artifact.catalogue, spill=folder.spill, events_per_user=None)
        advance(1)
    trained, whole = EventLog.open(folder.bounded), real.users_with(*TRAINS)
    require_source(trained, whole, schema=schema)
    assert trained.role is not None
    people = People(trained=trained, coined=np.asarray(trained.role) == Role.AUDIT, holdout=bounded.users_with(Role.HOLDOUT),
                    reference=bounded.users_with(Role.REFERENCE), test=real.users_with(Role.TEST), train_whole=whole, synthetic=synthetic,
                    items=artifact.catalogue.size, events_per_user=schema.privacy.events_per_user)
    claim = None if release.not_private else Claim(release.epsilon, release.delta, release.bound, release.profile)
    return Evidence(schema=schema, catalogue=artifact.catalogue, people=people, claim=claim, release_id=release.release_id)


def _require_bounded(path: Path) -> None:
    """Raise ReleaseError for a synthetic table that unpacks to more than one can."""
    try:
        for _ in bounded_batches(path) if path.exists() else ():
            pass
    except (OSError, ValueError, pa.ArrowException):
        raise ReleaseError("a synthetic log must be as synthrec writes it",
                           found=f"a {path.name} that unpacks to something else",
                           remedy="See what `synthrec inspect` says of the release.") from None


def read_real(folder: Folder, *, log: Any, schema: Schema, catalogue: Catalogue, share: float, bounded: bool) -> EventLog:
    """The release's source with everybody's role, opt-outs left out."""
    return read_log(log, schema, catalogue, spill=folder.spill, events_per_user=schema.privacy.events_per_user if bounded else None,
                    role_key=load_or_create_key(folder.roles_key), audit_share=share,
                    exclude_users=folder.opt_outs if folder.opt_outs.exists() else None)


def collect_tables(tables: Tables, *, schema: Schema, private: Path, epsilon: float | None, delta: float | None,
                   progress: Progress) -> Evidence:
    """Of another tool's synthetic log. Raises DataError for a table that cannot be read as the schema says, or half a claim."""
    if (epsilon is None) != (delta is None):
        raise DataError("a claim has an epsilon and a delta", found="one of the two", remedy="Give both, or neither.")
    if epsilon is not None and delta is not None and not (0 <= epsilon < np.inf and 0 <= delta < 1):
        raise DataError("a claim has a finite epsilon of at least 0 and a delta in [0, 1)", found=f"{epsilon:g} and {delta:g}",
                        remedy="Give the tool's claim per user, or none.")
    schema.require_served()
    schema.require_declared()
    if is_open(schema):
        raise SchemaError("an audit of tables needs every domain declared", found='a column that says "dp"',
                          remedy="Give its values, catalogue or bounds: nothing is paid for in an audit.")
    _require_apart(tables, schema=schema, spill=private / "spill")
    catalogue, most = Catalogue.read(schema), schema.privacy.events_per_user
    key = load_or_create_key(private / "roles.key")

    def read(table: Any, *, bounded: bool, share: float | None = None) -> EventLog:
        return read_log(table, schema, catalogue, spill=private / "spill", events_per_user=most if bounded else None,
                        role_key=None if share is None else key, audit_share=share or 0.0)

    with progress.stage("read for the audit", total=4) as advance:
        trained, train_whole = read(tables.members, bounded=True, share=MOST_SHARE), read(tables.members, bounded=False)
        advance(1)
        outside, whole = (read(tables.holdout, bounded=bounded, share=MOST_SHARE) for bounded in (True, False))
        advance(1)
        reference = None if tables.reference is None else read(tables.reference, bounded=True)
        advance(1)
        synthetic = read_log(tables.synthetic, _with_table(schema, tables.synthetic_users), catalogue, spill=private / "spill",
                             events_per_user=None)
        advance(1)
    known = [] if reference is None else [Role.REFERENCE]
    apart = [Role.MEMBER, Role.AUDIT, Role.HOLDOUT, *known]     # drawn anew, and alike among members: no tool of ours gave these roles
    assert trained.role is not None
    people = People(
        trained=trained, coined=np.isin(trained.role, apart) & tables.fair_coins, train_whole=train_whole, synthetic=synthetic,
        holdout=outside.users_with(*apart), reference=outside.users_with(Role.REFERENCE) if reference is None else reference,
        test=whole.users_with(Role.TEST), items=catalogue.size, events_per_user=most)
    claim = None if epsilon is None or delta is None else Claim(epsilon, delta, bound_of_claim(epsilon=epsilon, delta=delta))
    return Evidence(schema=schema, catalogue=catalogue, people=people, claim=claim)


def _require_apart(tables: Tables, *, schema: Schema, spill: Path) -> None:
    """Whoever was in training must not pose as somebody who was not: attacks would find less than there is."""
    parts = {"members": tables.members, "holdout": tables.holdout, "reference": tables.reference}
    for one, other in combinations([name for name, table in parts.items() if table is not None], 2):
        if share_users(parts[one], parts[other], schema, spill=spill):
            raise DataError(f"{one} and {other} must be different people", found="somebody in both",
                            remedy="Cut the log by user, so that all events of a user are in one table.")


def _with_table(schema: Schema, table: Path | None) -> Schema:
    """Synthetic users are not in the table of the real ones, but in one of their own, or in none."""
    users = Users() if table is None else schema.users.model_copy(update={"table": str(table.absolute())})
    return schema.model_copy(update={"users": users})


def require_source(trained: EventLog, whole: EventLog, *, schema: Schema) -> None:
    """Raise DataError unless the users of `trained` were made from those of `whole`."""
    if not _same_people(trained, whole, most=schema.privacy.events_per_user):
        raise DataError("an audit must see the log that the release was made from", found="another log", remedy="Name that log with --log.")


def _same_people(bounded: EventLog, whole: EventLog, *, most: int) -> bool:
    """Were the bounded users made from these? Whoever has fewer than `most` events must have the very same items, whatever the order."""
    items = 1 + max(int(log.item.max(initial=0)) for log in (bounded, whole))

    def fingerprints(log: EventLog) -> np.ndarray:
        draws = np.random.default_rng(0).integers(2**63, size=items, dtype=np.uint64)
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(draws[np.asarray(log.item)], dtype=np.uint64)))
        sizes = np.diff(log.offsets)
        found = sums[log.offsets[1:]] - sums[log.offsets[:-1]]      # wraps around, which is well defined
        return np.sort(np.where(sizes < most, found, 0))

    one, other = fingerprints(bounded), fingerprints(whole)
    return len(one) == len(other) and bool((one == other).all())
