"""START HERE. One release, from a real log to an audited, anonymised one.

log -> schema, bounding -> DP measurements -> conditional GAN trained with DP-SGD -> synthetic log
                                 \\______________ one ledger ______________/              |
                    report  <-  audit (utility, privacy, mechanism)  <-------------------+
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthrec.audit.cache import Kept
from synthrec.audit.record import AuditRecord
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
from synthrec.data.writer import require_free
from synthrec.errors import ReleaseError, SynthrecError
from synthrec.forecast import require_feasible
from synthrec.model.artifact import Artifact, described_by, filterable, require_readable
from synthrec.model.measured_fit import MeasurementFit
from synthrec.model.recipe import plan_release
from synthrec.model.train import Means
from synthrec.privacy.ledger import Counted
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
from synthrec.report.edition import Edition
from synthrec.report.record import Faithful, read_record, write_record
from synthrec.report.render import render
from synthrec.report.texts import shared_texts
from synthrec.synthesizer import OpenSession, Synthesizer, key_path

if TYPE_CHECKING:
    from synthrec.conformance.record import Conformance

SYNTHETIC_USERS = 2  # times the declared population, as in the evaluation protocol
SILENT = Progress()


def run(
    log: Any,
    *,
    schema: Schema,
    epsilon: float,
    delta: float,
    out: Path,
    model: Model = "gan",
    audit_share: float = 0.3,
    exclude_users: Path | None = None,
    device: str = "auto",
    mechanism: bool = True,
    again: bool = False,
    progress: Progress = SILENT,
) -> AuditRecord:
    """The whole picture: fit, sample, audit, report.

    Args:
        mechanism: with the conformance suite on the release's plan. again: continue a run that
        died: its training, or, where the release stands, what comes after it.
    """
    mechanism = mechanism and math.isfinite(epsilon)
    users = SYNTHETIC_USERS * schema.source.population
    asked: dict[str, Any] = {
        "schema": schema,
        "epsilon": epsilon,
        "delta": delta,
        "model": model,
        "audit_share": audit_share,
        "exclude_users": exclude_users,
    }
    if again and out.exists():
        _require_same(open_folder(out).verified(), **asked)
    elif again:
        resume(**asked, out=out, device=device, synthetic_users=users, progress=progress)
    else:
        fit(
            log,
            **asked,
            out=out,
            device=device,
            synthetic_users=users,
            mechanism=mechanism,
            progress=progress,
        )
    with _said_if_unfinished(out, progress=progress):
        folder = open_folder(out)
        if not folder.events.exists():
            sample(out, users=users, out=folder.events, progress=progress)
        if mechanism and folder.mechanism() is None:
            keep_mechanism(out, verify_mechanism(release=out, progress=progress))
        done = folder.audit_path.exists()
        record = (
            read_record(folder.audit_path, kind=AuditRecord)
            if done
            else audit(out, log=log, progress=progress)
        )
        report(out)
    return record


def fit(
    log: Any,
    *,
    schema: Schema,
    epsilon: float,
    delta: float,
    out: Path,
    model: Model = "gan",
    audit_share: float = 0.0,
    exclude_users: Path | None = None,
    device: str = "auto",
    kind: Counted = "release",
    synthetic_users: int = 0,
    mechanism: bool = False,
    progress: Progress = SILENT,
) -> Path:
    """Train, and write a release; with `synthetic_users` also a synthetic log of that many. The
    only step that spends the budget.

    A `kind` "trial" stays with its owner, and is charged and counted like a release. Before
    anything is charged, what follows is tried on nobody's data: that the release can be read, and
    with `mechanism` that the conformance suite, which is to come, can begin on it.
    """
    synthesizer = _planned(schema, epsilon=epsilon, delta=delta, out=out, model=model)
    _rehearse(synthesizer, mechanism=mechanism)
    for left in left_folders(out):
        progress.say(how_to_continue(left))
    kept = _Kept(
        schema=schema,
        audit_share=audit_share,
        exclude_users=exclude_users,
        synthetic_users=synthetic_users,
    )
    with new_folder(out) as folder:
        synthesizer.fit(
            log,
            audit_share=audit_share,
            exclude_users=exclude_users,
            device=device,
            kind=kind,
            keep=folder,
            progress=progress,
        )
        _complete(folder, synthesizer=synthesizer, kept=kept, progress=progress)
    return out


class _OfNobody(Synthesizer):
    """A synthesizer of simulated logs, whose catalogue is at hand and whose plan may be an earlier
    version's.
    """

    def __init__(
        self,
        schema: Schema,
        plan: Plan,
        *,
        catalogue: Catalogue,
        open_session: OpenSession,
        means: Means,
    ) -> None:
        super().__init__(schema, plan)
        self.catalogue, self._open_session, self._means = catalogue, open_session, means

    def _require_own_plan(self) -> None:
        """The plan is what is checked."""

    def _catalogue(self, schema: Schema) -> Catalogue:
        return self.catalogue


def simulated_release(
    log: Any,
    *,
    schema: Schema,
    catalogue: Catalogue,
    plan: Plan,
    out: Path,
    audit_share: float,
    synthetic_users: int,
    open_session: OpenSession,
    means: Means,
    progress: Progress,
) -> None:
    """A release with its log and pages, as `run` makes it; of a log that nobody is in, with the
    conformance suite's answers.
    """
    synthesizer = _OfNobody(
        schema, plan, catalogue=catalogue, open_session=open_session, means=means
    )
    kept = _Kept(
        schema=schema,
        audit_share=audit_share,
        exclude_users=None,
        synthetic_users=synthetic_users,
        seed=means.seed,
    )
    with new_folder(out) as folder:
        synthesizer.fit(log, audit_share=audit_share, device="cpu", keep=folder, progress=progress)
        _complete(folder, synthesizer=synthesizer, kept=kept, progress=progress)
    report(out, editions=(Edition.PUBLIC,))


def resume(
    *,
    schema: Schema,
    epsilon: float,
    delta: float,
    out: Path,
    model: Model = "gan",
    audit_share: float = 0.0,
    exclude_users: Path | None = None,
    device: str = "auto",
    kind: Counted = "release",
    synthetic_users: int = 0,
    progress: Progress = SILENT,
) -> Path:
    """Continue a `fit` that died: at the first step not charged, so that the release costs what it
    would have cost.
    """
    synthesizer = _planned(schema, epsilon=epsilon, delta=delta, out=out, model=model)
    synthesizer.require_resumable()
    kept = _Kept(
        schema=schema,
        audit_share=audit_share,
        exclude_users=exclude_users,
        synthetic_users=synthetic_users,
    )
    with resumed_folder(out) as folder:
        synthesizer.resume(
            folder,
            audit_share=audit_share,
            exclude_users=exclude_users,
            device=device,
            kind=kind,
            progress=progress,
        )
        _complete(folder, synthesizer=synthesizer, kept=kept, progress=progress)
    return out


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
    synthesizer, folder = Synthesizer.load(release), open_folder(release)
    joins = out.resolve() == folder.events.resolve()
    if not joins and out.resolve().is_relative_to(folder.share.resolve()):
        raise ReleaseError(
            "share/ holds one synthetic log, events.parquet",
            found=f"another name, {out.name}",
            remedy="Choose that name, or a place outside the release.",
        )
    scope = synthesizer.scope(where=where, items=items, start=start, end=end)
    if joins and scope.said:
        raise ReleaseError(
            "share/events.parquet must stand for the whole log, for the audit compares it with that",
            found="a sample of a part",
            remedy="Write it to a place outside the release.",
        )
    if safe_for_spreadsheets and out.suffix == ".parquet":
        raise ReleaseError(
            "a log that is safe for spreadsheets is written as .csv or .csv.gz",
            found=out.name,
            remedy="Choose such a name, or leave out --spreadsheet-safe.",
        )
    if not joins:
        _write(
            synthesizer,
            users=users,
            events=out,
            people=_beside(out),
            seed=seed,
            progress=progress,
            scope=scope,
            safe_for_spreadsheets=safe_for_spreadsheets,
        )
        return out
    require_free([folder.events, folder.users])
    with folder.joining() as place:
        faithful = _write(
            synthesizer,
            users=users,
            events=place / folder.events.name,
            people=place / folder.users.name,
            seed=seed,
            progress=progress,
        )
        write_record(
            synthesizer.record.model_copy(
                update={"synthetic_users": users, "seed_of_sampling": seed, "faithful": faithful}
            ),
            path=place / folder.record_path.name,
        )
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
    return _weighed(evidence, arms=arms, effort=effort, private=folder.private, progress=progress)


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
    """Attack any tool's synthetic log and score its use; writes OUT/private/audit.json, and trains
    nothing private.
    """
    private = _place_of_audit(out)
    evidence = collect_tables(
        tables, schema=schema, private=private, epsilon=epsilon, delta=delta, progress=progress
    ).chosen(choices)
    return _weighed(evidence, arms={}, effort=effort, private=private, progress=progress)


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


def _weighed(
    evidence: AuditInputs,
    *,
    arms: Mapping[str, ArmInput],
    effort: Effort,
    private: Path,
    progress: Progress,
) -> AuditRecord:
    kept = Kept.of(private / "audit-parts", key=key_of(evidence, effort=effort))
    record = run_audit(evidence, arms=arms, effort=effort, kept=kept, progress=progress)
    write_record(record, path=private / "audit.json")
    kept.forget()
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
            artifact = Synthesizer.load(release).artifact
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


def _rehearse(synthesizer: Synthesizer, *, mechanism: bool) -> None:
    """Raise SynthrecError for what would fail after the training, as far as it can be told before:
    with a domain that no log was asked for, are items, features and words such as a release may
    hold? Can a simulated log be made of it, read and looked at?
    """
    from synthrec.conformance.answers import NullLedger
    from synthrec.conformance.open_domains import look, supposed
    from synthrec.conformance.subject import fitted

    here, plan = supposed(synthesizer.schema), synthesizer.plan
    catalogue = Catalogue.read(here)
    require_readable(here, plan=plan, catalogue=catalogue)
    if mechanism:
        kept = filterable(catalogue, here)
        with tempfile.TemporaryDirectory(prefix="synthrec-") as scratch:
            subject = fitted(
                Path(scratch), name="", plan=plan, schema=described_by(here, kept), catalogue=kept
            )
            subject.read(subject.events)
            look(subject, subject.events, ledger=NullLedger())


def _require_same(
    folder: Folder,
    *,
    schema: Schema,
    epsilon: float,
    delta: float,
    model: Model,
    audit_share: float,
    exclude_users: Path | None,
) -> None:
    """Raise ReleaseError unless a release was made as is asked for: only then is it gone on with."""
    artifact, origin = Artifact.load(folder.share), folder.origin()
    listed = None if exclude_users is None else exclude_users.read_bytes()
    same = {
        "plan": artifact.plan == plan_release(schema, epsilon=epsilon, delta=delta, model=model),
        "configuration": reopened(artifact.schema).model_dump_json()
        == schema.shared().model_dump_json(),
        "audit share": origin.audit_share == audit_share,
        "list of opt-outs": (folder.opt_outs.read_bytes() if folder.opt_outs.exists() else None)
        == listed,
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


@dataclass(frozen=True)
class _Kept:
    """What was asked for, beside the plan."""

    schema: Schema
    audit_share: float
    exclude_users: Path | None
    synthetic_users: int
    seed: int | None = None


def _planned(
    schema: Schema, *, epsilon: float, delta: float, out: Path, model: Model
) -> Synthesizer:
    require_absent(out)
    plan = plan_release(schema, epsilon=epsilon, delta=delta, model=model)
    require_feasible(plan)
    return Synthesizer(schema, plan)


def _complete(folder: Folder, *, synthesizer: Synthesizer, kept: _Kept, progress: Progress) -> None:
    """All that a release holds besides what training keeps."""
    folder.write_origin(
        Origin(
            config_folder=kept.schema.folder, audit_share=kept.audit_share, paths=kept.schema.paths
        )
    )
    folder.keep_private(key_path(kept.schema), name=folder.roles_key)
    if kept.exclude_users is not None:
        folder.keep_private(kept.exclude_users, name=folder.opt_outs)
    users, plan, faithful = kept.synthetic_users, synthesizer.plan, tuple[Faithful, ...]()
    if users:
        people = folder.users if synthesizer.schema.user_attributes else None
        faithful = _write(
            synthesizer,
            users=users,
            events=folder.events,
            people=people,
            seed=kept.seed,
            progress=progress,
        )
    command = f"synthrec {'run' if users else 'fit'} LOG --config TOML --epsilon {plan.epsilon:g} --delta {plan.delta:g} --out RELEASE"
    synthesizer.save_into(
        folder,
        record=synthesizer.record.model_copy(
            update={
                "synthetic_users": users,
                "faithful": faithful,
                "commands": (f"{command} --audit-share {kept.audit_share:g} --model {plan.model}",),
            }
        ),
    )


def _write(
    synthesizer: Synthesizer,
    *,
    users: int,
    events: Path,
    people: Path | None,
    seed: int | None,
    progress: Progress,
    scope: Scope = EVERYTHING,
    safe_for_spreadsheets: bool = False,
) -> tuple[Faithful, ...]:
    """Write users, and say how far they are from what was measured."""
    from synthrec.data.writer import SAFE_TEXT, spreadsheet_safe, write_log

    record, tally = synthesizer.record, MeasurementFit(synthesizer.artifact.estimates)
    said = said_in_tables(record)
    if scope.said:
        said["conditions"] = "; ".join(scope.said)
    dress: Any = {}
    if safe_for_spreadsheets:
        said["text"], dress = SAFE_TEXT, {"dress": spreadsheet_safe}
    with progress.stage("sample", total=users) as advance:

        def counted() -> Iterator[EventLog]:
            for chunk in synthesizer.chunks(users=users, seed=seed, scope=scope):
                tally.add(chunk)
                yield chunk
                advance(chunk.users)

        write_log(
            events,
            counted(),
            schema=scope.narrowed(synthesizer.schema),
            catalogue=synthesizer.artifact.catalogue,
            metadata=said,
            rng=np.random.default_rng(seed),
            users_path=people if synthesizer.schema.user_attributes else None,
            **dress,
        )
    return tuple(
        Faithful(name=name, distance=distance) for name, distance in tally.distances().items()
    )


def _beside(out: Path) -> Path:
    """events.parquet -> events.users.parquet."""
    for suffix in (".csv.gz", ".csv", ".parquet"):
        if out.name.endswith(suffix):
            return out.with_name(out.name.removesuffix(suffix) + ".users" + suffix)
    raise ReleaseError(
        "a synthetic log is written as .parquet, .csv or .csv.gz",
        found=out.name,
        remedy="Choose one of them.",
    )
