"""START HERE. One release, from a real log to an audited, anonymised one.

log -> schema, bounding -> DP measurements -> conditional GAN trained with DP-SGD -> synthetic log
                                 \\______________ one ledger ______________/              |
                    report  <-  audit (utility, privacy, mechanism)  <-------------------+

`run` is the whole of it; `training.train_on` is its first line, the only one that spends.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from synthrec.audit.cache import Kept
from synthrec.audit.record import AuditRecord, Comparison
from synthrec.audit.utility import ArmInput
from synthrec.auditing import (
    NO_CHOICES,
    AuditInputs,
    Choices,
    Effort,
    Tables,
    baseline_logs,
    collect,
    collect_tables,
    key_of,
    run_audit,
    sacrificed,
)
from synthrec.claim import said_in_tables
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.filters import EVERYTHING, Scope, Words
from synthrec.data.open_domains import reopened
from synthrec.data.schema import Schema
from synthrec.data.writer import SAFE_TEXT, require_free, spreadsheet_safe, write_log, write_table
from synthrec.errors import ReleaseError, SynthrecError
from synthrec.forecast import require_feasible
from synthrec.model.artifact import Artifact, described_by, filterable, require_readable
from synthrec.model.measured_fit import MeasurementFit
from synthrec.model.recipe import plan_release
from synthrec.model.sampling import generate
from synthrec.privacy.plan import Model, Plan
from synthrec.progress import Progress
from synthrec.release import (
    Folder,
    Origin,
    how_to_continue,
    left_folders,
    new_folder,
    open_folder,
    require_absent,
    resumed_folder,
    write_page,
)
from synthrec.report.croissant import CROISSANT, croissant
from synthrec.report.edition import Edition
from synthrec.report.record import Faithful, read_record, write_record
from synthrec.report.render import render, render_audits
from synthrec.report.texts import shared_texts
from synthrec.training import (
    Instruments,
    Trained,
    TrainingOptions,
    key_path,
    require_resumable,
    resume_training,
    train_on,
)

if TYPE_CHECKING:
    from synthrec.conformance.record import Conformance

AUDIT_PAGE = "report.audit.html"
SYNTHETIC_USERS = 2  # times the declared population, as in the evaluation protocol
SILENT = Progress()


@dataclass(frozen=True, kw_only=True)
class ReleaseRequest(TrainingOptions):
    """What a release is asked for: a training's options, and what is made of it.

    Args:
        synthetic_users: of the synthetic log in share/; 0: none. mechanism: with the conformance
        suite on the release's plan. seed: of synthetic users, never of noise; None draws one.
    """

    schema: Schema
    epsilon: float
    delta: float
    out: Path
    model: Model = "gan"
    synthetic_users: int = 0
    mechanism: bool = False
    seed: int | None = None

    def plan(self) -> Plan:
        """The budget, split. Raises PlanError or SchemaError."""
        return plan_release(self.schema, epsilon=self.epsilon, delta=self.delta, model=self.model)


def run(
    log: Any, *, again: bool = False, progress: Progress = SILENT, **request: Any
) -> AuditRecord:
    """The whole picture: fit, sample, audit, report.

    Args:
        again: continue a run that died: its training, or, where the release stands, what comes
        after it. request: as `ReleaseRequest` has it; with an audit share of 0.3, twice the
        population of synthetic users and the conformance suite, unless it says otherwise.
    """
    users = SYNTHETIC_USERS * request["schema"].source.population
    request = {"audit_share": 0.3, "mechanism": True, "synthetic_users": users} | request
    request["mechanism"] &= math.isfinite(request["epsilon"])
    asked = ReleaseRequest(**request)
    out = asked.out
    if again and out.exists():
        _require_same(open_folder(out).verified(), asked)
    elif again:
        resume(progress=progress, **request)
    else:
        fit(log, progress=progress, **request)
    with _said_if_unfinished(out, progress=progress):
        folder = open_folder(out)
        if not folder.events.exists():
            sample(out, users=users, out=folder.events, progress=progress)
        if asked.mechanism and folder.mechanism() is None:
            keep_mechanism(out, verify_mechanism(release=out, progress=progress))
        if folder.audit_path.exists():
            record = read_record(folder.audit_path, kind=AuditRecord)
        else:
            record = audit(out, log=log, progress=progress)
        report(out)
    return record


def fit(log: Any, *, progress: Progress = SILENT, **request: Any) -> Path:
    """Train, and write a release as `ReleaseRequest` asks. The only step that spends the budget.

    A `kind` "trial" stays with its owner, and is charged and counted like a release. Before
    anything is charged, what follows is tried on nobody's data: that the release can be read, and
    with `mechanism` that the conformance suite, which is to come, can begin on it.
    """
    asked = ReleaseRequest(**request)
    plan = _feasible_plan(asked)
    _rehearse(asked.schema, plan, mechanism=asked.mechanism)
    for left in left_folders(asked.out):
        progress.say(how_to_continue(left))
    with new_folder(asked.out) as folder:
        trained = train_on(log, asked.schema, plan, asked, keep=folder, progress=progress)
        _complete(folder, trained, asked, progress=progress)
    return asked.out


def resume(*, progress: Progress = SILENT, **request: Any) -> Path:
    """Continue a `fit` that died: at the first step not charged, so that the release costs what it
    would have cost.
    """
    asked = ReleaseRequest(**request)
    plan = _feasible_plan(asked)
    require_resumable(plan)
    with resumed_folder(asked.out) as folder:
        trained = resume_training(asked.schema, plan, asked, keep=folder, progress=progress)
        _complete(folder, trained, asked, progress=progress)
    return asked.out


def simulated_release(
    log: Any,
    *,
    plan: Plan,
    instruments: Instruments,
    progress: Progress,
    **request: Any,
) -> None:
    """A release with its log and pages, as `run` makes it; of a log that nobody is in, with the
    conformance suite's answers and a plan that may be an earlier version's.
    """
    asked = ReleaseRequest(epsilon=plan.epsilon, delta=plan.delta, device="cpu", **request)
    with new_folder(asked.out) as folder:
        trained = train_on(
            log,
            asked.schema,
            plan,
            asked,
            keep=folder,
            instruments=instruments,
            progress=progress,
        )
        _complete(folder, trained, asked, progress=progress)
    report(asked.out, editions=(Edition.PUBLIC,))


def sample(
    release: Path,
    *,
    users: int,
    out: Path,
    seed: int | None = None,
    where: Words = (),
    items: Words = (),
    start: str | None = None,
    end: str | None = None,
    safe_for_spreadsheets: bool = False,
    progress: Progress = SILENT,
) -> Path:
    """Write a synthetic log of any size from share/ alone, with the users' attributes beside it.
    Costs nothing.

    `where`, `items`, `start` and `end` ask for a part of it, as in `Synthesizer.sample`; the file
    then says so. Written to share/events.parquet it becomes part of the release: listed in its
    manifest, and what an audit looks at; an audit of the log before it is set aside.
    `safe_for_spreadsheets`: with an apostrophe before each text of a CSV that a spreadsheet would
    compute.
    """
    trained, folder = Trained.load(release), open_folder(release)
    joins = out.resolve() == folder.events.resolve()
    schema, catalogue = trained.artifact.schema, trained.artifact.catalogue
    scope = Scope.parse(schema, catalogue, where=where, items=items, start=start, end=end)
    if not joins and out.resolve().is_relative_to(folder.share.resolve()):
        raise ReleaseError(
            "share/ holds one synthetic log, events.parquet",
            found=f"another name, {out.name}",
            remedy="Choose that name, or a place outside the release.",
        )
    if joins and scope.said:
        raise ReleaseError(
            "share/events.parquet must stand for the whole log, for the audit compares it with that",
            found="a sample of a part",
            remedy="Write it to a place outside the release.",
        )
    if safe_for_spreadsheets and out.suffix in (".parquet", ".inter"):
        raise ReleaseError(
            "a log that is safe for spreadsheets is written as .csv or .csv.gz",
            found=out.name,
            remedy="Choose such a name, or leave out --spreadsheet-safe.",
        )
    writing = partial(_write, trained, users=users, seed=seed, progress=progress)
    if not joins:
        people = _beside(out)
        writing(out, people, scope=scope, safe_for_spreadsheets=safe_for_spreadsheets)
        return out
    require_free([folder.events, folder.users])
    with folder.joining() as half:
        faithful = writing(half / folder.events.name, half / folder.users.name)
        changes = {"synthetic_users": users, "seed_of_sampling": seed, "faithful": faithful}
        record = trained.record.model_copy(update=changes)
        write_record(record, path=half / folder.record_path.name)
        folder.set_audit_aside()
    return out


def audit(
    release: Path,
    *,
    log: Any,
    effort: Effort = "quick",
    sacrifice: bool = False,
    choices: Choices = NO_CHOICES,
    progress: Progress = SILENT,
) -> AuditRecord:
    """Attack a release and score its use on the real log; baselines of equal epsilon are trained
    for it, kind `internal`.

    With `sacrifice`, for a release that trained on everybody, the attacked log is one of a second
    run of its plan (kind `internal`, too).
    """
    folder = open_folder(release).verified()
    folder.own_private()
    evidence = (sacrificed if sacrifice else collect)(folder, log=log, progress=progress)
    evidence = evidence.chosen(choices)
    arms = baseline_logs(folder, evidence=evidence, progress=progress)
    return _audited(evidence, arms=arms, effort=effort, private=folder.private, progress=progress)


def audit_tables(
    tables: Tables,
    *,
    schema: Schema,
    out: Path,
    epsilon: float | None = None,
    delta: float | None = None,
    effort: Effort = "quick",
    choices: Choices = NO_CHOICES,
    progress: Progress = SILENT,
) -> AuditRecord:
    """Attack any tool's synthetic log and score its use; writes OUT/private/audit.json and its
    page, and trains nothing private.
    """
    private = _place_of_audit(out)
    evidence = collect_tables(
        tables, schema=schema, private=private, epsilon=epsilon, delta=delta, progress=progress
    ).chosen(choices)
    record = _audited(evidence, arms={}, effort=effort, private=private, progress=progress)
    write_page(private / AUDIT_PAGE, render_audits(("synthetic log",), (record,)))
    return record


def compare(
    subjects: Sequence[Path],
    *,
    out: Path,
    log: Any = None,
    schema: Schema | None = None,
    effort: Effort = "quick",
    choices: Choices = NO_CHOICES,
    progress: Progress = SILENT,
    **tables: Any,
) -> Comparison:
    """Audit several synthetic logs, or releases, on the same people; writes
    OUT/private/comparison.json and its page.

    Args:
        log: of releases that kept the same people back; or else `schema`, and in `tables` members,
        holdout and, if there are any, reference.
    """
    from synthrec.comparing import collect_all
    from synthrec.comparing import compare as compared

    private = _place_of_audit(out)
    candidates = collect_all(
        subjects, log=log, tables=tables, schema=schema, private=private, progress=progress
    )
    candidates = {name: inputs.chosen(choices) for name, inputs in candidates.items()}
    record = compared(candidates, effort=effort, progress=progress)
    write_record(record, path=private / "comparison.json")
    page = render_audits(record.names, record.audits, record.differences)
    write_page(private / AUDIT_PAGE, page)
    return record


def _place_of_audit(out: Path) -> Path:
    """OUT/private, readable by its owner only; a place that an audit made before is used again.
    Raises ReleaseError.
    """
    if (out / "share").exists() or (out.exists() and not out.is_dir()):
        raise ReleaseError(
            "an audit of tables needs a folder of its own",
            found="a release, or no folder",
            remedy="Choose another --out; a release is audited by `synthrec audit RELEASE --log LOG`.",
        )
    try:
        (out / "private").mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ReleaseError(
            "the folder of an audit must be writable",
            found=error.strerror or "a failed write",
            remedy="Choose another --out.",
        ) from None
    return Folder(out).own_private()


def _audited(
    evidence: AuditInputs,
    *,
    arms: Mapping[str, ArmInput],
    effort: Effort,
    private: Path,
    progress: Progress,
) -> AuditRecord:
    parts = Kept.of(private / "audit-parts", key=key_of(evidence, effort=effort))
    record = run_audit(evidence, arms=arms, effort=effort, kept=parts, progress=progress)
    write_record(record, path=private / "audit.json")
    parts.forget()
    return record


def report(release: Path, *, editions: tuple[Edition, ...] = tuple(Edition)) -> tuple[Path, ...]:
    """Render from the records: page and texts for everybody below share/, and the internal page
    where private/ is at hand.
    """
    folder = open_folder(release).verified()
    record = folder.record()
    found = read_record(folder.audit_path, kind=AuditRecord) if folder.audit_path.exists() else None
    if found is not None and found.release_id != record.release_id:
        raise ReleaseError(
            "audit.json must be of this release",
            found="an audit of another one",
            remedy="Run `synthrec audit` again.",
        )
    checked = folder.mechanism()
    pages = []
    if Edition.PUBLIC in editions:
        texts = {
            "report.html": render(record, found, mechanism=checked, edition=Edition.PUBLIC),
            **shared_texts(record, checked),
        }
        if (described := croissant(folder.share, record)) is not None:
            texts[CROISSANT] = described
        with folder.joining() as place:
            for name, text in texts.items():
                write_page(place / name, text)
        pages += [folder.share / name for name in texts]
    if Edition.INTERNAL in editions and folder.private.is_dir() and not folder.private.is_symlink():
        page = render(record, found, mechanism=checked, edition=Edition.INTERNAL)
        pages.append(write_page(folder.own_private() / "report.internal.html", page))
    return tuple(pages)


def verify_mechanism(
    *,
    release: Path | None = None,
    schema: Schema | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    model: Model = "gan",
    progress: Progress = SILENT,
) -> Conformance:
    """Does the installed code do what a ledger would say? The conformance suite on a simulated log:
    nobody's data, no budget.

    The plan is that of a release, or of a configuration, or else the simulated log's own; with
    epsilon and delta as given, or EPSILON (at most the configuration's cap) and a tenth of 1 /
    population. Columns declared "dp" are given a domain that no log was asked for.
    """
    from synthrec.conformance.open_domains import supposed
    from synthrec.conformance.subject import EPSILON, fitted, simulated
    from synthrec.conformance.suite import conform

    with tempfile.TemporaryDirectory(prefix="synthrec-") as scratch:
        folder = Path(scratch)
        if release is not None:
            artifact = Trained.load(release).artifact
            subject = fitted(
                folder,
                name="the plan of this release on a simulated log",
                plan=artifact.plan,
                catalogue=artifact.catalogue,
                schema=described_by(artifact.schema, artifact.catalogue),
            )
        elif schema is not None:
            plan = plan_release(
                schema,
                epsilon=epsilon or min(EPSILON, schema.source.epsilon_cap),
                delta=delta or 0.1 / schema.source.population,
                model=model,
            )
            here = supposed(schema)
            subject = fitted(
                folder,
                name="the plan of this configuration on a simulated log",
                plan=plan,
                schema=here,
                catalogue=Catalogue.read(here),
            )
        else:
            subject = simulated(folder, epsilon=epsilon or EPSILON, delta=delta, model=model)
        return conform(subject, release=simulated_release, progress=progress)


def keep_mechanism(release: Path, checked: Conformance) -> Path:
    """Put what the conformance suite found into share/, where it is public: nobody is in a
    simulated log. Pages follow.
    """
    folder = open_folder(release).verified()
    with folder.joining() as place:
        write_record(checked, path=place / folder.mechanism_path.name)
    if (folder.share / "report.html").exists():
        report(release)
    return folder.mechanism_path


def _feasible_plan(asked: ReleaseRequest) -> Plan:
    require_absent(asked.out)
    plan = asked.plan()
    require_feasible(plan)
    return plan


def _rehearse(schema: Schema, plan: Plan, *, mechanism: bool) -> None:
    """Raise SynthrecError for what would fail after the training, as far as it can be told before:
    with a domain that no log was asked for, are items, features and words such as a release may
    hold? Can a simulated log be made of it, read and looked at?
    """
    from synthrec.conformance.answers import NullLedger
    from synthrec.conformance.open_domains import look, supposed
    from synthrec.conformance.subject import fitted

    here = supposed(schema)
    catalogue = Catalogue.read(here)
    require_readable(here, plan=plan, catalogue=catalogue)
    if mechanism:
        known = filterable(catalogue, here)
        with tempfile.TemporaryDirectory(prefix="synthrec-") as scratch:
            subject = fitted(
                Path(scratch), name="", plan=plan, schema=described_by(here, known), catalogue=known
            )
            subject.read(subject.events)
            look(subject, subject.events, ledger=NullLedger())


def _require_same(folder: Folder, asked: ReleaseRequest) -> None:
    """Raise ReleaseError unless a release was made as is asked for: only then is it gone on with."""
    artifact, origin = Artifact.load(folder.share), folder.origin()
    opt_outs = [
        path.read_bytes() if path is not None and path.exists() else None
        for path in (folder.opt_outs, asked.exclude_users)
    ]
    same = {
        "plan": artifact.plan == asked.plan(),
        "configuration": reopened(artifact.schema).model_dump_json()
        == asked.schema.shared().model_dump_json(),
        "audit share": origin.audit_share == asked.audit_share,
        "list of opt-outs": opt_outs[0] == opt_outs[1],
    }
    if other := [what for what, is_same in same.items() if not is_same]:
        raise ReleaseError(
            "a release that stands is completed as it was begun",
            found=f"another {', '.join(other)}",
            remedy="Give those that made it, or choose another --out.",
        )


@contextmanager
def _said_if_unfinished(release: Path, *, progress: Progress) -> Iterator[None]:
    """Tell the operator that the release stands though what comes after it failed, and how to
    finish it.
    """
    try:
        yield
    except BaseException as error:
        said = (
            f"The release {release.name} stands, and is charged once: the same command with `--resume` does the rest of it, and so do "
            "`synthrec verify --mechanism RELEASE`, `synthrec audit RELEASE --log LOG` and `synthrec report RELEASE`."
        )
        if isinstance(error, SynthrecError):
            error.remedy += f" {said}"
        else:
            progress.say(said)
        raise


def _complete(
    folder: Folder, trained: Trained, asked: ReleaseRequest, *, progress: Progress
) -> None:
    """All that a release holds besides what training keeps."""
    schema, plan, users = asked.schema, trained.artifact.plan, asked.synthetic_users
    folder.write_origin(
        Origin(config_folder=schema.folder, audit_share=asked.audit_share, paths=schema.paths)
    )
    folder.keep_private(key_path(schema), name=folder.roles_key)
    if asked.exclude_users is not None:
        folder.keep_private(asked.exclude_users, name=folder.opt_outs)
    faithful: tuple[Faithful, ...] = ()
    if users:
        faithful = _write(
            trained, folder.events, folder.users, users=users, seed=asked.seed, progress=progress
        )
    command = f"synthrec {'run' if users else 'fit'} LOG --config TOML --epsilon {plan.epsilon:g} --delta {plan.delta:g} --out RELEASE"
    command += f" --audit-share {asked.audit_share:g} --model {plan.model}"
    trained.save(folder, synthetic_users=users, faithful=faithful, commands=(command,))


def _write(
    trained: Trained,
    events: Path,
    people: Path,
    *,
    users: int,
    seed: int | None,
    progress: Progress,
    scope: Scope = EVERYTHING,
    safe_for_spreadsheets: bool = False,
) -> tuple[Faithful, ...]:
    """Write users, and say how far they are from what was measured."""
    from synthrec.data import recbole

    artifact = trained.artifact
    tally, metadata = MeasurementFit(artifact.estimates), said_in_tables(trained.record)
    dress: Callable[[pa.Table], pa.Table] = lambda table: table  # noqa: E731
    if scope.said:
        metadata["conditions"] = "; ".join(scope.said)
    if safe_for_spreadsheets:
        metadata["text"], dress = SAFE_TEXT, spreadsheet_safe
    elif events.suffix == recbole.EVENTS:
        dress = recbole.typed(artifact.schema)
        table = recbole.items(artifact.catalogue, artifact.schema)
        write_table(events.with_suffix(recbole.ITEMS), table, metadata=metadata)
    with progress.stage("sample", total=users) as advance:

        def counted() -> Iterator[EventLog]:
            for chunk in generate(
                artifact, users=users, rng=np.random.default_rng(seed), scope=scope
            ):
                tally.add(chunk)
                yield chunk
                advance(chunk.users)

        write_log(
            events,
            counted(),
            schema=scope.narrowed(artifact.schema),
            catalogue=artifact.catalogue,
            metadata=metadata,
            rng=np.random.default_rng(seed),
            users_path=people if artifact.schema.user_attributes else None,
            dress=dress,
        )
    return tuple(
        Faithful(name=name, distance=distance) for name, distance in tally.distances().items()
    )


def _beside(out: Path) -> Path:
    """events.parquet -> events.users.parquet; name.inter -> name.user, as RecBole has it."""
    if out.suffix == ".inter":
        return out.with_suffix(".user")
    for suffix in (".csv.gz", ".csv", ".parquet"):
        if out.name.endswith(suffix):
            return out.with_name(out.name.removesuffix(suffix) + ".users" + suffix)
    raise ReleaseError(
        "a synthetic log is written as .parquet, .csv or .csv.gz (for RecBole: .inter)",
        found=out.name,
        remedy="Choose one of them.",
    )
