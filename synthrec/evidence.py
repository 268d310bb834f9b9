"""What an audit has at hand, and what it makes of it: tables from the real log by role, the synthetic log, the proved bound.

Private throughout: figures computed here are not differentially private and stay below private/ (rule 14).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthrec import __version__
from synthrec.audit.behaviour import measure_behaviour
from synthrec.audit.membership import audit_membership
from synthrec.audit.record import AuditRecord, Membership, Utility, Verdict
from synthrec.audit.utility import ArmInput, measure_utility
from synthrec.audit.verdict import POLICY, conclude
from synthrec.data.eventlog import EventLog
from synthrec.data.roles import Role, load_or_create_key
from synthrec.data.schema import Schema, Users
from synthrec.data.source import read_log
from synthrec.errors import DataError, ReleaseError
from synthrec.folder import Folder
from synthrec.model.artifact import Artifact
from synthrec.progress import Progress
from synthrec.report.record import ReleaseRecord


@dataclass(frozen=True, repr=False, eq=False)
class Evidence:
    """The real log by role (unbounded, and bounded at K alike for all), the members that were trained on, the synthetic log."""

    started: float
    schema: Schema
    artifact: Artifact
    release: ReleaseRecord
    real: EventLog
    bounded: EventLog
    trained_on: EventLog
    synthetic: EventLog


def collect(folder: Folder, *, log: Any, progress: Progress) -> Evidence:
    """Read everything. Raises ReleaseError without private/ or a synthetic log, DataError for another log than the release's."""
    started = time.perf_counter()
    artifact, origin, release = Artifact.load(folder.share), folder.origin(), folder.record()
    schema = artifact.schema.model_copy(update={"folder": origin.config_folder})
    if not folder.events.exists():
        raise ReleaseError("an audit needs a synthetic log in share/", found="no events.parquet",
                           remedy="Make the release with `synthrec run`, or sample one: "
                                  "synthrec sample RELEASE --users N --out RELEASE/share/events.parquet")
    key = load_or_create_key(folder.roles_key)
    opt_outs = folder.opt_outs if folder.opt_outs.exists() else None

    def read(most: int | None) -> EventLog:
        return read_log(log, schema, artifact.catalogue, spill=folder.spill, events_per_user=most, role_key=key,
                        audit_share=origin.audit_share, exclude_users=opt_outs)

    with progress.stage("read for the audit", total=3) as advance:
        real = read(None)
        advance(1)
        bounded = read(schema.privacy.events_per_user)
        advance(1)
        synthetic = read_log(folder.events, schema.model_copy(update={"users": Users()}), artifact.catalogue, spill=folder.spill,
                             events_per_user=None)
        advance(1)
    trained_on = EventLog.open(folder.bounded)
    if not _same_people(trained_on, real.users_with(Role.MEMBER), most=schema.privacy.events_per_user):
        raise DataError("an audit must see the log that the release was made from", found="another log", remedy="Name that log with --log.")
    return Evidence(started=started, schema=schema, artifact=artifact, release=release, real=real, bounded=bounded, trained_on=trained_on,
                    synthetic=synthetic)


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


def weigh(folder: Folder, *, evidence: Evidence, arms: Mapping[str, ArmInput], progress: Progress) -> AuditRecord:
    """Utility, attack, control and verdict as one record."""
    rng = np.random.default_rng()
    with progress.stage("score utility and attack", total=2) as advance:
        utility = _utility(evidence, arms=arms, rng=rng)
        advance(1)
        membership = _membership(evidence, rng=rng)
        advance(1)
    behaviour = measure_behaviour(evidence.synthetic, real=evidence.trained_on, schema=evidence.schema, rng=rng)
    verdict, reason = ((membership.verdict, membership.reason) if membership is not None
                       else conclude(None, control=None, bound=None))
    return AuditRecord(release_id=evidence.release.release_id, synthrec_version=__version__, policy=POLICY, utility=utility,
                       membership=membership, behaviour=behaviour, verdict=Verdict(verdict), reason=reason,
                       seconds=time.perf_counter() - evidence.started)


def _utility(evidence: Evidence, *, arms: Mapping[str, ArmInput], rng: np.random.Generator) -> Utility | None:
    rating = evidence.schema.rating
    test = evidence.real.users_with(Role.TEST)
    if len(test.offsets) < 2:
        return None
    release = evidence.release
    mine = ArmInput(log=evidence.synthetic, label="synthrec", epsilon=release.epsilon, ledger_kind="release")
    return measure_utility(train=evidence.real.users_with(Role.MEMBER), test=test, arms={**arms, "synthrec": mine},
                           items=evidence.artifact.catalogue.size,
                           scale=None if rating is None else (float(rating.levels[0]), float(rating.levels[-1])),
                           events_per_user=release.events_per_user, rng=rng)


def _membership(evidence: Evidence, *, rng: np.random.Generator) -> Membership | None:
    members = evidence.trained_on       # the very events that were used; the others were drawn by the same rule
    holdout, reference = (evidence.bounded.users_with(role) for role in (Role.HOLDOUT, Role.REFERENCE))
    if min(len(log.offsets) for log in (members, holdout, reference)) < 2:
        return None
    return audit_membership(members=members, holdout=holdout, reference=reference, synthetic=evidence.synthetic,
                            items=evidence.artifact.catalogue.size, bound=evidence.release.bound, rng=rng)
