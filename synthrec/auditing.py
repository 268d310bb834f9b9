"""An audit from end to end: what is known of a release, or of any tool's tables, becomes an audit's
record, each part of it kept when it is finished.

Guarantees: figures computed on real people are private and stay below `private/` (rule: audits are
not private). What is trained for the audit only (simpler private methods at the release's epsilon
that a generator must beat, and a second run of the plan of a release that kept nobody back) is
charged to the source's ledger as `internal` and listed in the release before its output is there;
what is there is whole, found again by the next audit, which charges nothing, and decides nothing
but "do not release" (rule: one ledger per source). Open columns are not looked at again: such a training starts from
what the release has paid for and published.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from synthrec import __version__
from synthrec.audit.attacks import run_attacks
from synthrec.audit.cache import Kept
from synthrec.audit.disclosure import measure_disclosure
from synthrec.audit.epsilon_bounds import bound_of_claim, one_run_lower_bound
from synthrec.audit.fidelity import measure_fidelity
from synthrec.audit.learning_curves import (
    measure_augmentation,
    measure_cold_items,
    measure_cold_start,
)
from synthrec.audit.panel import measure_panel
from synthrec.audit.record import (
    AttackBound,
    AuditedUtility,
    AuditRecord,
    Curve,
    Disclosure,
    Fidelity,
    LowerBound,
    Membership,
    Panel,
    Split,
    Utility,
)
from synthrec.audit.record import (
    Effort as Effort,
)
from synthrec.audit.splits import AuditSplits, Knowledge
from synthrec.audit.utility import ArmInput, measure_utility
from synthrec.audit.verdict import conclude, groups_differ, policy, policy_sha256
from synthrec.claim import PROFILE_DELTAS, with_internal_runs
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.files_io import bounded_batches
from synthrec.data.open_domains import is_open
from synthrec.data.reader import read_log, share_users
from synthrec.data.schema import Schema, Users
from synthrec.data.splits import MAX_SHARE, TRAINS, Role, load_or_create_key
from synthrec.errors import DataError, ReleaseError, SchemaError
from synthrec.model.artifact import Artifact
from synthrec.model.item_features import catalogue_features
from synthrec.model.recipe import plan_release
from synthrec.model.sampling import generate
from synthrec.model.train import train
from synthrec.privacy.plan import Model, Plan
from synthrec.privacy.session import Session
from synthrec.progress import Progress
from synthrec.release import Folder
from synthrec.storage import disk_errors, whole_folder

# of the claim's delta: at the largest smaller one of its profile epsilon gets its lower bound
SMALL = 0.01


@dataclass(frozen=True)
class PrivacyClaim:
    """What is said of a synthetic log: public. `profile`: (delta, epsilon) pairs that are claimed
    besides.
    """

    epsilon: float
    delta: float
    bound: AttackBound
    profile: tuple[tuple[float, float], ...] = ()

    def for_bound(self) -> tuple[float, float]:
        """The delta, and epsilon there, at which to ask for a lower bound: at a large delta nothing
        can be proved of few users.
        """
        small = [
            pair for pair in self.profile if pair[0] <= SMALL * self.delta and np.isfinite(pair[1])
        ]
        return max(small, default=(self.delta, self.epsilon))


@dataclass(frozen=True)
class Tables:
    """Any tool's synthetic log, and who was in its training: paths, or tables. Without reference
    users, some holdout users are them.
    """

    synthetic: Any
    members: Any
    holdout: Any
    reference: Any = None
    synthetic_users: Path | None = (
        None  # the user table of the synthetic log, where the schema declares attributes
    )
    fair_coins: bool = False  # members and holdout users were told apart by a fair coin each


@dataclass(frozen=True)
class Choices:
    """The owner's: columns that the intruder knows and that are inferred (none: all), and whether a
    leak within the claim is fine.
    """

    known: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    within_claim_is_fine: bool = False


NO_CHOICES = Choices()


@dataclass(frozen=True, repr=False, eq=False)
class AuditInputs:
    """Everybody, what the log declares, and the claim; `release_id` of a release of ours. Private."""

    schema: Schema
    catalogue: Catalogue
    people: AuditSplits
    claim: PrivacyClaim | None
    release_id: str | None = None
    sacrificial: bool = (
        False  # a second run of the release's plan, which kept users back, in place of the release
    )
    choices: Choices = NO_CHOICES

    def chosen(self, choices: Choices) -> AuditInputs:
        """With what the owner chose. Raises SchemaError for a column that nothing is declared of."""
        schema = self.schema
        names = [("item", schema.item)] + [
            (name, column.name)
            for name, column in (("rating", schema.rating), ("time", schema.time))
            if column is not None
        ]
        internal = {declared: name for name, declared in names}
        declared = {*internal, *schema.marks, *schema.user_attributes}
        if unknown := {*choices.known, *choices.secret} - declared:
            raise SchemaError(
                "--known and --secret name declared columns of events or users",
                found=", ".join(sorted(unknown)),
                remedy=f"Choose among {', '.join(sorted(declared))}.",
            )
        known, secret = (
            frozenset(internal.get(name, name) for name in chosen) if chosen else None
            for chosen in (choices.known, choices.secret)
        )
        people = replace(self.people, knowledge=Knowledge(known, secret, tuple(names)))
        return replace(self, people=people, choices=choices)

    @property
    def scale(self) -> tuple[float, float] | None:
        """Lowest and highest rating; None without ratings."""
        rating = self.schema.rating
        return None if rating is None else (float(rating.levels[0]), float(rating.levels[-1]))

    def fingerprint(self) -> str:
        """Private, to know the same evidence again: of logs that are read whole, whatever the
        order; of how many events users of the others have; of who was coined, and of what the
        columns mean.

        Which events of a bounded user were kept is drawn anew at each reading.
        """
        people, seen = self.people, hashlib.sha256()
        for log in (people.train_whole, people.test, people.synthetic):
            for column in (
                log.activity,
                log.item,
                log.rating,
                log.time,
                *(
                    codes
                    for part in (log.attributes, log.marks)
                    for _, codes in sorted(part.items())
                ),
            ):
                seen.update(b"-" if column is None else np.sort(np.asarray(column)).data)
        for log in (people.holdout, people.reference):
            seen.update(np.sort(log.activity).data)
        seen.update(
            f"{len(people.coined)} {int(np.count_nonzero(people.coined))} {self.schema.model_dump_json()}".encode()
        )
        return seen.hexdigest()


def collect(folder: Folder, *, log: Any, progress: Progress) -> AuditInputs:
    """Of a release. Raises ReleaseError without private/ or a synthetic log, DataError for another
    log than the release's.
    """
    artifact, origin, release = Artifact.load(folder.share), folder.origin(), folder.record()
    schema = origin.placed(artifact.schema)
    if not folder.events.exists():
        raise ReleaseError(
            "an audit needs a synthetic log in share/",
            found="no events.parquet",
            remedy="Make the release with `synthrec run`, or sample one: "
            "synthrec sample RELEASE --users N --out RELEASE/share/events.parquet",
        )
    for path in (folder.events, folder.users):
        _require_bounded(path)
    source = {"log": log, "schema": schema, "catalogue": artifact.catalogue}
    table = folder.users if folder.users.exists() else None
    real, bounded, synthetic = _in_turn(
        progress,
        lambda: read_real(folder, **source, share=origin.audit_share, bounded=False),
        lambda: read_real(folder, **source, share=origin.audit_share, bounded=True),
        lambda: read_log(
            folder.events,
            _with_table(schema, table),
            artifact.catalogue,
            spill=folder.spill,
            events_per_user=None,
        ),
    )
    trained = EventLog.open(folder.bounded)
    require_source(trained, real.users_with(*TRAINS), schema=schema)
    return _release_inputs(
        artifact,
        release.release_id,
        schema=schema,
        trained=trained,
        bounded=bounded,
        real=real,
        synthetic=synthetic,
        claim=None
        if release.not_private
        else PrivacyClaim(release.epsilon, release.delta, release.bound, release.profile),
    )


def _in_turn(progress: Progress, *reads: Callable[[], Any]) -> list[Any]:
    """What each returns, as one stage."""
    logs = []
    with progress.stage("read for the audit", total=len(reads)) as advance:
        for read in reads:
            logs.append(read())
            advance(1)
    return logs


def _release_inputs(
    artifact: Artifact,
    release_id: str,
    *,
    schema: Schema,
    trained: EventLog,
    bounded: EventLog,
    real: EventLog,
    synthetic: EventLog,
    claim: PrivacyClaim | None,
    sacrificial: bool = False,
) -> AuditInputs:
    """Of a release, or of a second run of its plan; `bounded` and `real` hold everybody by role."""
    assert trained.role is not None
    people = AuditSplits(
        trained=trained,
        coined=np.asarray(trained.role) == Role.AUDIT,
        holdout=bounded.users_with(Role.HOLDOUT),
        reference=bounded.users_with(Role.REFERENCE),
        test=real.users_with(Role.TEST),
        train_whole=real.users_with(*TRAINS),
        synthetic=synthetic,
        items=artifact.catalogue.size,
        events_per_user=schema.privacy.events_per_user,
    )
    return AuditInputs(
        schema=schema,
        catalogue=artifact.catalogue,
        people=people,
        claim=claim,
        release_id=release_id,
        sacrificial=sacrificial,
    )


def _require_bounded(path: Path) -> None:
    """Raise ReleaseError for a synthetic table that unpacks to more than one can."""
    try:
        for _ in bounded_batches(path) if path.exists() else ():
            pass
    except (OSError, ValueError, pa.ArrowException):
        raise ReleaseError(
            "a synthetic log must be as synthrec writes it",
            found=f"a {path.name} that unpacks to something else",
            remedy="See what `synthrec inspect` says of the release.",
        ) from None


def read_real(
    folder: Folder, *, log: Any, schema: Schema, catalogue: Catalogue, share: float, bounded: bool
) -> EventLog:
    """The release's source with everybody's role, opt-outs left out."""
    return read_log(
        log,
        schema,
        catalogue,
        spill=folder.spill,
        events_per_user=schema.privacy.events_per_user if bounded else None,
        role_key=load_or_create_key(folder.roles_key),
        audit_share=share,
        exclude_users=folder.opt_outs if folder.opt_outs.exists() else None,
    )


def collect_tables(
    tables: Tables,
    *,
    schema: Schema,
    private: Path,
    epsilon: float | None,
    delta: float | None,
    progress: Progress,
) -> AuditInputs:
    """Of another tool's synthetic log. Raises DataError for a table that cannot be read as the
    schema says, or half a claim.
    """
    if (epsilon is None) != (delta is None):
        raise DataError(
            "a claim has an epsilon and a delta",
            found="one of the two",
            remedy="Give both, or neither.",
        )
    if epsilon is not None and delta is not None and not (0 <= epsilon < np.inf and 0 <= delta < 1):
        raise DataError(
            "a claim has a finite epsilon of at least 0 and a delta in [0, 1)",
            found=f"{epsilon:g} and {delta:g}",
            remedy="Give the tool's claim per user, or none.",
        )
    schema.require_served()
    schema.require_declared()
    if is_open(schema):
        raise SchemaError(
            "an audit of tables needs every domain declared",
            found='a column that says "dp"',
            remedy="Give its values, catalogue or bounds: nothing is paid for in an audit.",
        )
    _require_apart(tables, schema=schema, spill=private / "spill")
    catalogue, most = Catalogue.read(schema), schema.privacy.events_per_user
    key = load_or_create_key(private / "roles.key")

    def read(table: Any, *, bounded: bool, share: float | None = None) -> EventLog:
        return read_log(
            table,
            schema,
            catalogue,
            spill=private / "spill",
            events_per_user=most if bounded else None,
            role_key=None if share is None else key,
            audit_share=share or 0.0,
            numbers=True,
        )

    trained, train_whole, outside, whole, reference, synthetic = _in_turn(
        progress,
        lambda: read(tables.members, bounded=True, share=MAX_SHARE),
        lambda: read(tables.members, bounded=False),
        lambda: read(tables.holdout, bounded=True, share=MAX_SHARE),
        lambda: read(tables.holdout, bounded=False, share=MAX_SHARE),
        lambda: None if tables.reference is None else read(tables.reference, bounded=True),
        lambda: read_log(
            tables.synthetic,
            _with_table(schema, tables.synthetic_users),
            catalogue,
            spill=private / "spill",
            events_per_user=None,
            numbers=True,
        ),
    )
    known = [] if reference is None else [Role.REFERENCE]
    apart = [
        Role.MEMBER,
        Role.AUDIT,
        Role.HOLDOUT,
        *known,
    ]  # drawn anew, and alike among members: no tool of ours gave these roles
    assert trained.role is not None
    people = AuditSplits(
        trained=trained,
        coined=np.isin(trained.role, apart) & tables.fair_coins,
        train_whole=train_whole,
        synthetic=synthetic,
        holdout=outside.users_with(*apart),
        reference=outside.users_with(Role.REFERENCE) if reference is None else reference,
        test=whole.users_with(Role.TEST),
        items=catalogue.size,
        events_per_user=most,
    )
    claim = (
        None
        if epsilon is None or delta is None
        else PrivacyClaim(epsilon, delta, bound_of_claim(epsilon=epsilon, delta=delta))
    )
    return AuditInputs(schema=schema, catalogue=catalogue, people=people, claim=claim)


def _require_apart(tables: Tables, *, schema: Schema, spill: Path) -> None:
    """Whoever was in training must not pose as somebody who was not: attacks would find less than
    there is.
    """
    parts = {"members": tables.members, "holdout": tables.holdout, "reference": tables.reference}
    for one, other in combinations([name for name, table in parts.items() if table is not None], 2):
        if share_users(parts[one], parts[other], schema, spill=spill):
            raise DataError(
                f"{one} and {other} must be different people",
                found="somebody in both",
                remedy="Cut the log by user, so that all events of a user are in one table.",
            )


def _with_table(schema: Schema, table: Path | None) -> Schema:
    """Synthetic users are not in the table of the real ones, but in one of their own, or in none."""
    users = (
        Users()
        if table is None
        else schema.users.model_copy(update={"table": str(table.absolute())})
    )
    return schema.model_copy(update={"users": users})


def require_source(trained: EventLog, whole: EventLog, *, schema: Schema) -> None:
    """Raise DataError unless the users of `trained` were made from those of `whole`."""
    if not _same_people(trained, whole, most=schema.privacy.events_per_user):
        raise DataError(
            "an audit must see the log that the release was made from",
            found="another log",
            remedy="Name that log with --log.",
        )


def _same_people(bounded: EventLog, whole: EventLog, *, most: int) -> bool:
    """Were the bounded users made from these? Whoever has fewer than `most` events must have the
    very same items, whatever the order.
    """
    items = 1 + max(int(log.item.max(initial=0)) for log in (bounded, whole))

    def fingerprints(log: EventLog) -> np.ndarray:
        draws = np.random.default_rng(0).integers(2**63, size=items, dtype=np.uint64)
        sums = np.concatenate(
            (np.zeros(1, np.uint64), np.cumsum(draws[np.asarray(log.item)], dtype=np.uint64))
        )
        sizes = log.activity
        found = (
            sums[log.offsets[1:]] - sums[log.offsets[:-1]]
        )  # wraps around, which is well defined
        return np.sort(np.where(sizes < most, found, 0))

    one, other = fingerprints(bounded), fingerprints(whole)
    return len(one) == len(other) and bool((one == other).all())


def trained_internally(
    folder: Folder,
    *,
    place: Path,
    name: str,
    log: EventLog,
    schema: Schema,
    plan: Plan,
    progress: Progress,
) -> Artifact:
    """What lies at `place`, or is trained by `plan` on a bounded log and kept there. Raises
    DataError when it cannot be.
    """
    if not place.exists():
        release, plan = folder.record(), plan.model_copy(update={"openings": ()})
        with Session.open(
            schema.ledger_path,
            plan=plan,
            source=schema.source.name,
            release_id=f"{release.release_id}-{name}",
            kind="internal",
            cap=schema.source.epsilon_cap,
        ) as session:
            artifact = train(
                log,
                catalogue=Catalogue.read(schema),
                schema=schema,
                session=session,
                progress=progress,
            )
            folder.write(
                with_internal_runs(release, session.ledger)
            )  # said first: what is there has been listed
        _keep(artifact, place=place)
    return Artifact.load(place)


def _keep(artifact: Artifact, *, place: Path) -> None:
    with _disk_errors(), whole_folder(place) as half:
        half.mkdir(parents=True, mode=0o700)
        artifact.save(half)
        for path in half.iterdir():
            path.chmod(0o600)


def _disk_errors() -> AbstractContextManager[None]:
    return disk_errors(
        "the release's private/ must be writable",
        remedy="Free space and run the audit again.",
        kind=DataError,
    )


LABELS: dict[Model, str] = {"marginals": "DP marginals", "moments": "DP moments"}


def baseline_logs(
    folder: Folder, *, evidence: AuditInputs, progress: Progress
) -> dict[str, ArmInput]:
    """As many synthetic users of each baseline as the release has; none without a share that is
    kept back to score them on.

    The share is public, whether a draw kept anybody back is not: the release says how many
    baselines were trained.
    """
    release = folder.record()
    if release.audit_share == 0:
        return {}
    arms = {}
    for model, label in LABELS.items():
        place = folder.private / "baselines" / model
        if not place.exists():
            progress.say(f"training the baseline {label} at the same epsilon, for the audit only")
        plan = plan_release(
            evidence.schema,
            epsilon=Artifact.load(folder.share).plan.epsilon,
            delta=release.delta,
            model=model,
        )
        artifact = trained_internally(
            folder,
            place=place,
            name=model,
            log=evidence.people.trained,
            schema=evidence.schema,
            plan=plan,
            progress=progress,
        )
        log = _generated(artifact, users=evidence.people.synthetic.users)
        arms[str(model)] = ArmInput(
            log=log, label=label, epsilon=release.epsilon, ledger_kind="internal"
        )
    return arms


def _generated(artifact: Artifact, *, users: int) -> EventLog:
    return EventLog.concat(list(generate(artifact, users=users, rng=np.random.default_rng())))


SHARE = 0.5  # of users who are kept back from the second run
USERS_PER_DECLARED = 2  # synthetic users of the second run, for each declared user


def sacrificed(folder: Folder, *, log: Any, progress: Progress) -> AuditInputs:
    """Evidence on a second run of the release's plan; trained at the first audit that asks for it.
    Raises ReleaseError where needless.
    """
    artifact, origin, release = Artifact.load(folder.share), folder.origin(), folder.record()
    if origin.audit_share > 0:
        raise ReleaseError(
            "a sacrificial training is for a release that kept nobody back",
            found=f"an audit share of {origin.audit_share:g}",
            remedy="Leave out --sacrifice.",
        )
    schema, place = origin.placed(artifact.schema), folder.private / "sacrifice"
    source = {"log": log, "schema": schema, "catalogue": artifact.catalogue, "share": SHARE}

    def whole() -> EventLog:
        log = read_real(folder, **source, bounded=False)
        require_source(EventLog.open(folder.bounded), log, schema=schema)
        return log

    real, bounded = _in_turn(
        progress,
        whole,
        lambda: _kept(place / "bounded", lambda: read_real(folder, **source, bounded=True)),
    )
    trained = bounded.users_with(*TRAINS)
    progress.say(
        "running the release's plan again on a part of the users, for the audit only (kind internal)"
    )
    second = trained_internally(
        folder,
        place=place / "generator",
        name="sacrifice",
        log=trained,
        schema=schema,
        plan=artifact.plan,
        progress=progress,
    )
    users = USERS_PER_DECLARED * schema.source.population
    synthetic = _kept(place / "synthetic", lambda: _generated(second, users=users))
    alone = second.plan.accountant()  # no other release is attacked
    return _release_inputs(
        artifact,
        release.release_id,
        schema=schema,
        trained=trained,
        bounded=bounded,
        real=real,
        synthetic=synthetic,
        claim=None
        if release.not_private
        else PrivacyClaim(
            release.epsilon,
            release.delta,
            AttackBound.model_validate(alone.bound().model_dump()),
            alone.profile(PROFILE_DELTAS),
        ),
        sacrificial=True,
    )


def _kept(place: Path, make: Callable[[], EventLog]) -> EventLog:
    """What lies at `place`, or is made and kept there; it is the same at the next audit. Raises
    DataError when it cannot be.
    """
    if not place.exists():
        with _disk_errors(), whole_folder(place) as half:
            make().save(half)
    return EventLog.open(place)


STAGES = {
    "disclosure": "what an intruder learns",
    "protocol": "use",
    "panel": "order of recommenders",
    "curves": "few users, few events",
    "fidelity": "likeness",
}
UNCLAIMED_DELTA = 1e-6  # at which epsilon gets its lower bound where nothing is claimed
DRAWS: dict[Effort, int] = {"quick": 1, "full": 3}  # partners of each size
CUTS: dict[Effort, int] = {
    "quick": 1,
    "full": 5,
}  # of each test user's events into observed and held out, for the panel
T = TypeVar("T")


class AttackFindings(NamedTuple):
    """What attacks found, and what their scores prove."""

    membership: Membership | None
    lower_bound: LowerBound | None


def key_of(evidence: AuditInputs, *, effort: Effort) -> tuple[str, ...]:
    """What parts of an audit are good for."""
    return (
        _subject(evidence),
        evidence.release_id or "",
        evidence.fingerprint(),
        str(evidence.claim),
        str(evidence.choices),
        policy_sha256(),
        effort,
        __version__,
    )


def run_audit(
    evidence: AuditInputs,
    *,
    arms: Mapping[str, ArmInput],
    effort: Effort,
    kept: Kept,
    progress: Progress,
) -> AuditRecord:
    """Attacks, disclosure, use and likeness, and the verdict."""
    started, rng, claim = time.perf_counter(), np.random.default_rng(), evidence.claim
    attacked = kept.part(
        "attacks",
        AttackFindings,
        lambda: _attacked(evidence, effort=effort, rng=rng, progress=progress),
    )
    disclosure = _part(
        kept,
        "disclosure",
        Disclosure | None,
        lambda: measure_disclosure(evidence.people, effort=effort, policy=policy(), rng=rng),
        progress=progress,
    )
    utility = _utility(evidence, arms=arms, effort=effort, kept=kept, rng=rng, progress=progress)
    verdict, reason = conclude(
        attacked.membership,
        lower_bound=attacked.lower_bound,
        disclosure=disclosure,
        policy=policy(),
    )
    people = evidence.people
    return AuditRecord(
        subject=_subject(evidence),
        release_id=evidence.release_id,
        source_name=evidence.schema.source.name,
        synthrec_version=__version__,
        effort=effort,
        policy=policy().numbers(),
        policy_sha256=policy_sha256(),
        epsilon=claim.epsilon if claim else None,
        delta=claim.delta if claim else None,
        split=Split(
            trained=people.trained.users,
            coined_in=int(people.coined.sum()),
            holdout=people.holdout.users,
            reference=people.reference.users,
            test=people.test.users,
        ),
        utility=utility,
        membership=attacked.membership,
        lower_bound=attacked.lower_bound,
        disclosure=disclosure,
        verdict=verdict,
        reason=reason,
        seconds=time.perf_counter() - started,
        known=evidence.choices.known,
        secret=evidence.choices.secret,
        within_claim_is_fine=evidence.choices.within_claim_is_fine,
    )


def _subject(evidence: AuditInputs) -> Literal["release", "second run", "tables"]:
    if evidence.release_id is None:
        return "tables"
    return "second run" if evidence.sacrificial else "release"


def _attacked(
    evidence: AuditInputs, *, effort: Effort, rng: np.random.Generator, progress: Progress
) -> AttackFindings:
    people = evidence.people
    if (
        min(len(people.trained.offsets), len(people.holdout.offsets)) < 3
        or len(people.reference.offsets) < 5
    ):
        return AttackFindings(None, None)
    found = run_attacks(
        people,
        bound=evidence.claim.bound if evidence.claim else None,
        policy=policy(),
        effort=effort,
        rng=rng,
        progress=progress,
    )
    if groups_differ(
        found.membership, policy=policy()
    ):  # guesses would be right for another reason
        return AttackFindings(found.membership, None)
    delta, epsilon = evidence.claim.for_bound() if evidence.claim else (UNCLAIMED_DELTA, None)
    lower = one_run_lower_bound(found.label_free, coined=people.coined, delta=delta, rng=rng)
    return AttackFindings(
        found.membership, lower.model_copy(update={"claimed": epsilon}) if lower else None
    )


def _utility(
    evidence: AuditInputs,
    *,
    arms: Mapping[str, ArmInput],
    effort: Effort,
    kept: Kept,
    rng: np.random.Generator,
    progress: Progress,
) -> AuditedUtility | None:
    people, claim = evidence.people, evidence.claim
    mine = ArmInput(
        log=people.synthetic,
        label="synthrec" if evidence.release_id else "the synthetic log",
        epsilon=claim.epsilon if claim else None,
        ledger_kind="release" if evidence.release_id else None,
    )

    others = {arm.label: arm.log for name, arm in arms.items() if name == "moments"}
    common: dict[str, Any] = {"others": others, "scale": evidence.scale, "rng": rng}

    def curves() -> tuple[Curve, ...]:
        features = _item_features(evidence)
        found = (
            measure_augmentation(people, draws=DRAWS[effort], **common),
            measure_cold_start(people, **common),
            measure_cold_items(people, features=features, **common),
        )
        return tuple(curve for curve in found if curve is not None)

    part = partial(_part, kept, progress=progress)
    protocol, panel = None, None
    drawn: tuple[Curve, ...] = ()
    if people.test.users:
        protocol = part(
            "protocol",
            Utility | None,
            lambda: measure_utility(
                train=people.train_whole,
                test=people.test,
                arms={**arms, "synthrec": mine},
                items=people.items,
                scale=evidence.scale,
                events_per_user=people.events_per_user,
                rng=rng,
            ),
        )
    if protocol:
        panel = part(
            "panel", Panel | None, lambda: measure_panel(people, cuts=CUTS[effort], rng=rng)
        )
        drawn = part("curves", tuple[Curve, ...], curves)
    fidelity = part(
        "fidelity",
        tuple[Fidelity, ...],
        lambda: measure_fidelity(
            people.synthetic,
            real=people.train_whole,
            floor=arms["marginals"].log if "marginals" in arms else None,
            schema=evidence.schema,
            items=people.items,
            events_per_user=people.events_per_user,
            rng=rng,
        ),
    )
    return AuditedUtility(protocol=protocol, panel=panel, curves=drawn, fidelity=fidelity)


def _item_features(evidence: AuditInputs) -> np.ndarray:
    """Of the attributes at hand: a release's catalogue holds no texts. Shapes: float64[V, F]."""
    schema, known = evidence.schema, evidence.catalogue.attributes.column_names
    items = schema.items.model_copy(
        update={
            "attributes": {
                name: each for name, each in schema.item_attributes.items() if name in known
            }
        }
    )
    return catalogue_features(evidence.catalogue, schema.model_copy(update={"items": items})).values


def _part(
    kept: Kept,
    name: str,
    kind: type[T] | object,
    make: Callable[[], T],
    *,
    progress: Progress,
) -> T:
    """One part, kept and shown."""
    with progress.stage(STAGES[name], total=1) as advance:
        found = kept.part(name, kind, make)
        advance(1)
    return found
