"""One training, from a log to a generator that may leave: the picture's first line.

    open the session -> discover domains -> read bounded users -> measure, calibrate, train the GAN,
    calibrate -> what the generator says about itself

Guarantees: whatever could fail for schema, plan or machine fails before the session charges
anything; the log is read here and asked through the session only; a training that died goes on from
what it had paid for, charges nothing twice, and does not read the log again.
"""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, get_args

from synthrec.claim import release_record
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.data.splits import TRAINS, load_or_create_key
from synthrec.domain_discovery import SettledSchema, discover_domains
from synthrec.errors import BudgetError, DataError, PlanError, ReleaseError
from synthrec.model.artifact import Artifact
from synthrec.model.checkpoint import Checkpoint, digest, same_words
from synthrec.model.recipe import measures, same_looks
from synthrec.model.train import Means, train
from synthrec.privacy.budget import cap_of
from synthrec.privacy.ledger import Counted, Ledger
from synthrec.privacy.plan import Plan
from synthrec.privacy.session import Session
from synthrec.progress import Progress
from synthrec.release import Folder, open_folder
from synthrec.report.record import ReleaseRecord

SILENT = Progress()


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """What a training is asked for beside schema and plan.

    Args:
        audit_share: share of users kept from training, to attack and test the release with.
        exclude_users: a file of user ids, one a line, that are left out before anything else.
        device: auto, cpu or cuda. kind: "trial" for outputs that nobody but the owner will see; it
        is charged and counted like a release.
    """

    audit_share: float = 0.0
    exclude_users: Path | None = None
    device: str = "auto"
    kind: Counted = "release"


def require_own_plan(schema: Schema, plan: Plan) -> None:
    """Raise PlanError for a plan that was made for another schema."""
    declared = (schema.source.population, schema.privacy.events_per_user)
    planned = {(each.name, each.sensitivity) for each in plan.measurements}
    own = {(each.name, each.sensitivity) for each in measures(schema, model=plan.model)}
    left_out = {each for each in own - planned if each[0] == "pairs"}  # by a plan for few users
    alike = planned | left_out == own and same_looks(schema, plan.openings)
    if (plan.population, plan.events_per_user) != declared or not alike:
        raise PlanError(
            "a plan must be made for the schema that it is used with",
            found="another population, K or set of measurements",
            remedy="Make it with plan_release(schema, ...).",
        )


@dataclass(frozen=True)
class Instruments:
    """With what a training is made; checks of the mechanism, on logs of nobody, bring their own."""

    means: Means = Means()
    open_session: Callable[..., AbstractContextManager[Session]] = Session.open
    catalogue: Callable[[Schema], Catalogue] = Catalogue.read
    require_plan: Callable[[Schema, Plan], None] = require_own_plan


@dataclass(frozen=True)
class Trained:
    """A trained generator, what it says about itself, and its lines of the ledger; all public."""

    artifact: Artifact
    record: ReleaseRecord
    excerpt: tuple[str, ...]

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Of a release. Raises ReleaseError if a file is missing or altered."""
        folder = open_folder(path).verified()
        return cls(Artifact.load(folder.share), folder.record(), folder.excerpt())

    def save(self, folder: Folder, **changes: Any) -> None:
        """Write generator, excerpt, record (with `changes`) and manifest into the share/ of a
        release in the making.
        """
        self.artifact.save(folder.share)
        excerpt = "".join(f"{line}\n" for line in self.excerpt)
        (folder.share / "ledger.jsonl").write_text(excerpt, encoding="utf-8")
        folder.write(self.record.model_copy(update=changes))


def train_on(
    log: Any,
    schema: Schema,
    plan: Plan,
    options: TrainingOptions,
    *,
    keep: Folder | None = None,
    instruments: Instruments | None = None,
    progress: Progress = SILENT,
) -> Trained:
    """Train on a log: a path, glob, folder, or a pandas, polars, Arrow or Ibis table.

    Args:
        keep: a release in the making, whose private/ keeps what an audit and a resumed training
        need.

    Raises: SynthrecError, always before anything is charged, except that writing the ledger may
    fail, and that an open column (declared "dp") may turn out to hold nothing that enough users
    share.
    """
    instruments = instruments or Instruments()
    means = _ready(schema, plan, options, instruments)
    catalogue = None if schema.item_column.is_open else instruments.catalogue(schema)
    with (
        _session(schema, plan, options, instruments) as session,
        _spill(keep, beside=schema.ledger_path) as spill,
        _role_key(schema, session=session, keep=keep) as key,
    ):
        reading: dict[str, Any] = {
            "spill": spill,
            "role_key": key,
            "audit_share": options.audit_share,
            "exclude_users": options.exclude_users,
            "progress": progress,
        }
        with progress.stage("read the log", total=1) as advance:
            settled = discover_domains(log, schema, catalogue, session=session, **reading)
            catalogue = catalogue or instruments.catalogue(settled.schema)
            bound = plan.events_per_user
            users = read_log(log, settled.schema, catalogue, events_per_user=bound, **reading)
            users = users.users_with(*TRAINS)
            advance(1)
        if keep:
            users.save(keep.bounded)
        if keep and not plan.openings:  # what a look has found is in no checkpoint
            words = _same_words(schema, plan, options, catalogue)
            session.continue_from(
                Checkpoint.begin(
                    keep.checkpoint, release_id=session.charge.release_id, settled=(), same=words
                )
            )
        return _trained(users, settled, catalogue, options, session, means, progress)


def resume_training(
    schema: Schema,
    plan: Plan,
    options: TrainingOptions,
    *,
    keep: Folder,
    progress: Progress = SILENT,
) -> Trained:
    """Continue a training that died, from what `keep` holds of it: measurements, the last kept
    block of steps and the bounded log.

    Guarantees: charges what of the plan was not charged yet, and nothing twice; the log itself is
    not read again.

    Raises: ReleaseError if a column is declared "dp", or plan, kind, configuration, catalogue,
    audit share or opt-outs are other ones; BudgetError if a measurement was charged and lost, or
    something is there that was not paid for.
    """
    require_resumable(plan)
    instruments, catalogue = Instruments(), Catalogue.read(schema)
    means = _ready(schema, plan, options, instruments)
    words = _same_words(schema, plan, options, catalogue)
    checkpoint = Checkpoint.open(keep.checkpoint, same=words)
    release_id = checkpoint.begun.release_id
    with _session(schema, plan, options, instruments, release_id=release_id) as session:
        session.continue_from(checkpoint)
        charged = len(session.ledger.of_release(session.charge.release_id))
        progress.say(
            f"continuing {session.charge.release_id}: {charged} entries are charged already, "
            f"{session.charged_steps} steps of the game among them"
        )
        users, settled = EventLog.open(keep.bounded), SettledSchema(schema)
        return _trained(users, settled, catalogue, options, session, means, progress)


def _trained(
    users: EventLog,
    settled: SettledSchema,
    catalogue: Catalogue,
    options: TrainingOptions,
    session: Session,
    means: Means,
    progress: Progress,
) -> Trained:
    artifact = train(
        users,
        catalogue=catalogue,
        schema=settled.schema,
        session=session,
        means=means,
        progress=progress,
    )
    release_id = session.charge.release_id
    record = release_record(
        schema=settled.schema.shared(),
        plan=session.plan,
        ledger=session.ledger,
        release_id=release_id,
        audit_share=options.audit_share,
        game=artifact.game,
        settled=settled.said,
    )
    entries = session.ledger.of_release(release_id)
    return Trained(artifact, record, tuple(entry.model_dump_json() for entry in entries))


def require_resumable(plan: Plan) -> None:
    """Raise ReleaseError if a training by this plan cannot be continued when it dies."""
    if plan.openings:
        raise ReleaseError(
            'a training is continued only if no column is declared "dp"',
            found=plan.openings[0].name,
            remedy="What it was charged is spent, and what it found is lost. Remove the folder that it left and start a "
            "new one, without --resume: `synthrec ledger show LEDGER --config TOML` says what is left.",
        )


def key_path(schema: Schema) -> Path:
    """The source's roles key, beside its ledger."""
    return schema.ledger_path.with_name(f"{schema.ledger_path.name}.roles.key")


def _ready(schema: Schema, plan: Plan, options: TrainingOptions, instruments: Instruments) -> Means:
    schema.require_served()
    schema.require_declared()
    instruments.require_plan(schema, plan)
    return replace(instruments.means, device=chosen_device(options.device))


def _session(
    schema: Schema,
    plan: Plan,
    options: TrainingOptions,
    instruments: Instruments,
    *,
    release_id: str | None = None,
) -> AbstractContextManager[Session]:
    """The source's ledger, held and within its cap. Without noise the cap holds for published
    sources only.
    """
    if options.kind not in get_args(Counted):
        raise PlanError(
            "a training counts against the cap: kind must be release or trial",
            found="another kind",
            remedy="Internal runs are made by `synthrec audit` alone.",
        )
    return instruments.open_session(
        schema.ledger_path,
        plan=plan,
        source=schema.source.name,
        kind=options.kind,
        release_id=release_id or secrets.token_hex(6),  # an id that says nothing
        cap=cap_of(schema.source, plan),
    )


def _same_words(
    schema: Schema, plan: Plan, options: TrainingOptions, catalogue: Catalogue
) -> dict[str, str]:
    """What a training may be continued with only as it was."""
    listed = options.exclude_users
    return same_words(
        plan,
        configuration=digest(schema.model_dump_json()),
        catalogue=digest(json.dumps(catalogue.to_json())),
        audit_share=f"{options.audit_share:g}",
        kind=options.kind,
        list_of_opt_outs="none" if listed is None else digest(listed.read_bytes()),
    )


@contextmanager
def _spill(keep: Folder | None, *, beside: Path) -> Iterator[Path]:
    """Where reading may spill rows of the log: in private/ of a release in the making, else in a
    folder for the owner alone that goes again, beside the ledger and not in the system's folder for
    everybody. Raises DataError.
    """
    if keep is not None:
        yield keep.spill
        return
    try:
        place = tempfile.TemporaryDirectory(prefix=".synthrec-spill-", dir=beside.parent)  # 0700
    except OSError as error:
        raise DataError(
            "the ledger's folder must be writable",
            found=error.strerror or "a failed write",
            remedy="Free space, or make it writable.",
        ) from None
    with place as scratch:
        yield Path(scratch)


@contextmanager
def _role_key(schema: Schema, *, session: Session, keep: Folder | None) -> Iterator[bytes]:
    """The roles key. A training that ends before its first charge leaves no checkpoint, nor a key
    that is new where nothing was ever charged. The file of the ledger is asked: a charge may have
    failed after its line was written.
    """
    path = key_path(schema)
    fresh = not path.exists()
    try:
        yield load_or_create_key(path)
    except BaseException:
        with suppress(BudgetError):
            held = Ledger.read(session.ledger.path)
            if keep is not None and not held.of_release(session.charge.release_id):
                shutil.rmtree(keep.checkpoint, ignore_errors=True)
            if fresh and not held.entries:
                path.unlink(missing_ok=True)
        raise


def chosen_device(device: str) -> str:
    """`auto` takes a GPU where there is one. Raises PlanError for one that is not there."""
    import torch

    there = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if there else "cpu"
    if device not in ("cpu", "cuda") or (device == "cuda" and not there):
        raise PlanError(
            "device must be auto, cpu, or cuda where there is a GPU",
            found=device if there else f"{device}, and no GPU",
            remedy="Use --device auto.",
        )
    return device
