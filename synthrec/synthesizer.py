"""The Python face: `Synthesizer(schema, plan).fit(log)`, `.sample(users=...)`, `.save(path)`,
`Synthesizer.load(path)`.

Guarantees: `fit` is the only method that sees the log and the only one that spends; the object
keeps the trained generator and public records, never a row of the log.
"""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from synthrec.claim import release_record
from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import Datetime
from synthrec.data.domain import Categorical
from synthrec.data.eventlog import EventLog
from synthrec.data.filters import EVERYTHING, Scope, Words
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.data.splits import TRAINS, load_or_create_key
from synthrec.data.writer import event_table, spreadsheet_safe, user_table
from synthrec.domain_discovery import SettledSchema, settle
from synthrec.errors import BudgetError, DataError, PlanError, ReleaseError
from synthrec.model.artifact import Artifact
from synthrec.model.checkpoint import Checkpoint, digest, same_words
from synthrec.model.recipe import measures, same_looks
from synthrec.model.sampling import generate
from synthrec.model.train import Means, train
from synthrec.privacy.budget import cap_of
from synthrec.privacy.ledger import Counted, Ledger
from synthrec.privacy.plan import Plan
from synthrec.privacy.session import Session
from synthrec.progress import Progress
from synthrec.release import Folder, new_folder, open_folder
from synthrec.report.record import ReleaseRecord

if TYPE_CHECKING:
    import pandas as pd


OpenSession = Callable[..., AbstractContextManager[Session]]


@dataclass(frozen=True)
class SyntheticLog:
    """Synthetic events and, where the log has user attributes, synthetic users, as the log's own
    columns.
    """

    events: pd.DataFrame
    users: pd.DataFrame | None


class Synthesizer:
    """A private generator of user-behaviour logs.

    Args:
        schema: what the owner declares about the log.
        plan: the budget, from `synthrec.plan_release(schema, epsilon=..., delta=...)`.
    """

    def __init__(self, schema: Schema, plan: Plan) -> None:
        self._declared, self.plan = schema, plan
        # no argument: whoever holds a log cannot ask for other noise than the system's
        self._open_session: OpenSession = Session.open
        self._means = Means()
        self._artifact: Artifact | None = None
        self._record: ReleaseRecord | None = None
        self._entries: tuple[str, ...] = ()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """What it was made with, as scikit-learn's `clone` asks for it."""
        return {"schema": self._declared, "plan": self.plan}

    def set_params(self, **params: Any) -> Synthesizer:
        """Make it with others; what it has learned is forgotten."""
        self.__init__(**{**self.get_params(), **params})  # type: ignore[misc]
        return self

    def fit(
        self,
        log: Any,
        *,
        audit_share: float = 0.0,
        exclude_users: Path | None = None,
        device: str = "auto",
        kind: Counted = "release",
        keep: Folder | None = None,
        progress: Progress = Progress(),
    ) -> Synthesizer:
        """Train on a log: a path, glob, folder, or a pandas, polars, Arrow or Ibis table.

        Args:
            audit_share: share of users kept from training, to attack and test the release with.
            exclude_users: a file of user ids, one a line, that are left out before anything else.
            kind: "trial" for outputs that nobody but the owner will see; it is charged and counted
            like a release. keep: a release in the making, whose private/ keeps what an audit needs.

        Raises: SynthrecError, always before anything is charged, except that writing the ledger may
        fail, and that an open column (declared "dp") may turn out to hold nothing that enough users
        share.
        """
        means = self._ready(device)
        catalogue = None if self._declared.item_column.is_open else self._catalogue(self._declared)
        with (
            self._session(kind=kind) as session,
            _scratch(keep, beside=self._declared.ledger_path) as spill,
            _source_key(self._declared, session=session, keep=keep) as key,
        ):
            with progress.stage("read the log", total=1) as advance:
                settled = settle(
                    log,
                    self._declared,
                    catalogue,
                    session=session,
                    spill=spill,
                    role_key=key,
                    audit_share=audit_share,
                    exclude_users=exclude_users,
                    progress=progress,
                )
                catalogue = catalogue or self._catalogue(settled.schema)
                everybody = read_log(
                    log,
                    settled.schema,
                    catalogue,
                    spill=spill,
                    events_per_user=self.plan.events_per_user,
                    role_key=key,
                    audit_share=audit_share,
                    exclude_users=exclude_users,
                    progress=progress,
                )
                members = everybody.users_with(*TRAINS)
                del everybody
                advance(1)
            if keep:
                members.save(keep.bounded)
            if (
                keep and not self.plan.openings
            ):  # what a look has found is in no checkpoint: such a training is not continued
                release_id = session.charge.release_id
                session.continue_from(
                    Checkpoint.begin(
                        keep.checkpoint,
                        release_id=release_id,
                        settled=session.ledger.of_release(release_id),
                        same=self._same(
                            catalogue,
                            kind=kind,
                            audit_share=audit_share,
                            exclude_users=exclude_users,
                        ),
                    )
                )
            self._train(
                members,
                settled=settled,
                catalogue=catalogue,
                session=session,
                means=means,
                audit_share=audit_share,
                progress=progress,
            )
        return self

    def resume(
        self,
        keep: Folder,
        *,
        audit_share: float = 0.0,
        exclude_users: Path | None = None,
        device: str = "auto",
        kind: Counted = "release",
        progress: Progress = Progress(),
    ) -> Synthesizer:
        """Continue a training that died, from what `keep` holds of it: measurements, the game's
        last kept block and the bounded log.

        Guarantees: charges what of the plan was not charged yet, and nothing twice; the log itself
        is not read again.

        Raises: ReleaseError if a column is declared "dp", or plan, kind, configuration, catalogue,
        audit share or opt-outs are other ones; BudgetError if a measurement was charged and lost,
        or something is there that was not paid for.
        """
        self.require_resumable()
        means, catalogue = self._ready(device), self._catalogue(self._declared)
        checkpoint = Checkpoint.open(
            keep.checkpoint,
            same=self._same(
                catalogue, kind=kind, audit_share=audit_share, exclude_users=exclude_users
            ),
        )
        with self._session(kind=kind, release_id=checkpoint.begun.release_id) as session:
            session.continue_from(checkpoint)
            mine = session.ledger.of_release(session.charge.release_id)
            progress.say(
                f"continuing {session.charge.release_id}: {len(mine)} entries are charged already, {session.charged_steps} steps "
                "of the game among them"
            )
            self._train(
                EventLog.open(keep.bounded),
                settled=SettledSchema(self._declared),
                catalogue=catalogue,
                session=session,
                means=means,
                audit_share=audit_share,
                progress=progress,
            )
        return self

    def require_resumable(self) -> None:
        """Raise ReleaseError if a training by this plan cannot be continued when it dies."""
        if self.plan.openings:
            raise ReleaseError(
                'a training is continued only if no column is declared "dp"',
                found=self.plan.openings[0].name,
                remedy="What it was charged is spent, and what it found is lost. Remove the folder that it left and start a "
                "new one, without --resume: `synthrec ledger show LEDGER --config TOML` says what is left.",
            )

    def _ready(self, device: str) -> Means:
        self._declared.require_served()
        self._declared.require_declared()
        self._require_own_plan()
        return replace(self._means, device=chosen_device(device))

    def _catalogue(self, schema: Schema) -> Catalogue:
        return Catalogue.read(schema)

    def _session(
        self, *, kind: Counted, release_id: str | None = None
    ) -> AbstractContextManager[Session]:
        """The source's ledger, held and within its cap. Without noise the cap holds for published
        sources only.
        """
        if kind not in get_args(Counted):
            raise PlanError(
                "a training counts against the cap: kind must be release or trial",
                found="another kind",
                remedy="Internal runs are made by `synthrec audit` alone.",
            )
        source = self._declared.source
        return self._open_session(
            self._declared.ledger_path,
            plan=self.plan,
            source=source.name,
            kind=kind,
            release_id=release_id or new_release_id(),
            cap=cap_of(source, self.plan),
        )

    def _same(
        self, catalogue: Catalogue, *, kind: Counted, audit_share: float, exclude_users: Path | None
    ) -> dict[str, str]:
        """What a training may be continued with only as it was."""
        return same_words(
            self.plan,
            configuration=digest(self._declared.model_dump_json()),
            catalogue=digest(json.dumps(catalogue.to_json())),
            audit_share=f"{audit_share:g}",
            kind=kind,
            list_of_opt_outs="none"
            if exclude_users is None
            else digest(exclude_users.read_bytes()),
        )

    def _train(
        self,
        members: EventLog,
        *,
        settled: SettledSchema,
        catalogue: Catalogue,
        session: Session,
        means: Means,
        audit_share: float,
        progress: Progress,
    ) -> None:
        self._artifact = train(
            members,
            catalogue=catalogue,
            schema=settled.schema,
            session=session,
            means=means,
            progress=progress,
        )
        release_id = session.charge.release_id
        self._record = release_record(
            schema=settled.schema.shared(),
            plan=self.plan,
            ledger=session.ledger,
            release_id=release_id,
            audit_share=audit_share,
            synthetic_users=0,
            seed=None,
            commands=(),
            game=self._artifact.game,
            settled=settled.said,
        )
        self._entries = tuple(
            entry.model_dump_json() for entry in session.ledger.of_release(release_id)
        )

    def scope(
        self,
        *,
        where: Words = (),
        items: Words = (),
        start: str | date | None = None,
        end: str | date | None = None,
    ) -> Scope:
        """What `sample` is asked for, matched against schema and catalogue. Raises ConditionError."""
        return Scope.parse(
            self.schema, self.artifact.catalogue, where=where, items=items, start=start, end=end
        )

    def chunks(
        self, *, users: int, seed: int | None = None, scope: Scope = EVERYTHING
    ) -> Iterator[EventLog]:
        """Synthetic users as columns, a chunk at a time; equal seeds give equal users."""
        return generate(self.artifact, users=users, rng=np.random.default_rng(seed), scope=scope)

    def sample(
        self,
        *,
        users: int,
        seed: int | None = None,
        where: Words = (),
        items: Words = (),
        start: str | date | None = None,
        end: str | date | None = None,
        safe_for_spreadsheets: bool = False,
    ) -> SyntheticLog:
        """Synthetic users as data frames. Costs nothing.

        Args:
            where: which users, by attribute or by number of events: `{"gender": "F", "age":
            "18..35", "events": "20..100"}`. items: which items, by the catalogue: `{"genres":
            ["Comedy", "Drama"], "year": "1990..1999"}`. start, end: part of the window, a date or a
            moment, both included. safe_for_spreadsheets: with an apostrophe before each text that a
            spreadsheet would compute as a formula.

        Raises: ConditionError for a name, value, range or group that schema, catalogue and release
        do not know.
        """
        if users < 1:
            raise ReleaseError(
                "a synthetic log must hold at least one user",
                found=f"{users}",
                remedy="Ask for more users.",
            )
        scope = self.scope(where=where, items=items, start=start, end=end)
        schema = scope.narrowed(self.schema)
        log = EventLog.concat(list(self.chunks(users=users, seed=seed, scope=scope)))
        ids = synthetic_ids(users)
        events = event_table(
            log, ids, schema=schema, catalogue=self.artifact.catalogue, text_times=False
        )
        people = (
            user_table(log, ids, schema=schema, rng=np.random.default_rng(seed))
            if self.schema.user_attributes
            else None
        )
        if safe_for_spreadsheets:
            events, people = (
                spreadsheet_safe(events),
                None if people is None else spreadsheet_safe(people),
            )
        return SyntheticLog(
            events=events.to_pandas(), users=None if people is None else people.to_pandas()
        )

    def save(self, path: Path | str) -> Path:
        """Write a release folder (its share/ only) that must not exist yet."""
        out = Path(path)
        with new_folder(out) as folder:
            self.save_into(folder, record=self.record)
            shutil.rmtree(folder.private)
        return out

    def save_into(self, folder: Folder, *, record: ReleaseRecord) -> None:
        """Write generator, ledger excerpt, record and manifest into the share/ of a release in the
        making.
        """
        self.artifact.save(folder.share)
        (folder.share / "ledger.jsonl").write_text(
            "".join(f"{line}\n" for line in self._entries), encoding="utf-8"
        )
        folder.write(record)

    @classmethod
    def load(cls, path: Path | str) -> Synthesizer:
        """Read a release; runs no code from it. Raises ReleaseError if a file is missing or
        altered.
        """
        folder = open_folder(path).verified()
        artifact = Artifact.load(folder.share)
        loaded = cls(artifact.schema, artifact.plan)
        loaded._artifact, loaded._record = artifact, folder.record()
        loaded._entries = folder.excerpt()
        return loaded

    @property
    def schema(self) -> Schema:
        """What the owner declares; after `fit` with what was paid for filled in."""
        return self._declared if self._artifact is None else self._artifact.schema

    @property
    def artifact(self) -> Artifact:
        """The trained generator. Raises ReleaseError before `fit`."""
        if self._artifact is None:
            raise ReleaseError(
                "sampling needs a trained generator",
                found="none",
                remedy="Call fit(log) or load(path) first.",
            )
        return self._artifact

    @property
    def record(self) -> ReleaseRecord:
        """What the release says about itself. Raises ReleaseError before `fit`."""
        if self._record is None:
            raise ReleaseError(
                "a record needs a trained generator",
                found="none",
                remedy="Call fit(log) or load(path) first.",
            )
        return self._record

    def _require_own_plan(self) -> None:
        schema, plan = self._declared, self.plan
        declared = (schema.source.population, schema.privacy.events_per_user)
        planned = {(each.name, each.sensitivity) for each in plan.measurements}
        asked = {(each.name, each.sensitivity) for each in measures(schema, model=plan.model)}
        unasked = {
            each for each in asked - planned if each[0] == "pairs"
        }  # which a plan for few users leaves out
        own = planned | unasked == asked and same_looks(schema, plan.openings)
        if (plan.population, plan.events_per_user) != declared or not own:
            raise PlanError(
                "a plan must be made for the schema that it is used with",
                found="another population, K or set of measurements",
                remedy="Make it with plan_release(schema, ...).",
            )


def read(path: Path | str) -> SyntheticLog:
    """The synthetic log of a release as frames with the declared types: categories, and times in
    their zone. Raises ReleaseError.
    """
    synthesizer, folder = Synthesizer.load(path), open_folder(path)
    if not folder.events.exists():
        raise ReleaseError(
            "a release must hold a synthetic log to be read",
            found="none",
            remedy="Draw one: `synthrec sample RELEASE --users N --out RELEASE/share/events.parquet`.",
        )
    schema = synthesizer.schema
    events = _typed(folder.events, dict(schema.columns))
    users = _typed(folder.users, schema.user_attributes) if schema.user_attributes else None
    return SyntheticLog(events=events, users=users)


def _typed(path: Path, columns: Mapping[str, Any]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.read_parquet(path)
    for name, column in columns.items():
        if isinstance(column, Categorical):
            frame[name] = pd.Categorical(frame[name], categories=list(column.values))
        elif isinstance(column, Datetime) and column.unit != "iso":
            moments = pd.to_datetime(frame[name], unit=column.unit, utc=True)
            frame[name] = moments.dt.tz_convert(column.zone)
    return frame


@contextmanager
def _scratch(keep: Folder | None, *, beside: Path) -> Iterator[Path]:
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


def key_path(schema: Schema) -> Path:
    """The source's roles key, beside its ledger."""
    return schema.ledger_path.with_name(f"{schema.ledger_path.name}.roles.key")


@contextmanager
def _source_key(schema: Schema, *, session: Session, keep: Folder | None) -> Iterator[bytes]:
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


def synthetic_ids(users: int) -> np.ndarray:
    """Ids from the space that no real user has."""
    from synthrec.data.writer import FIRST_ID

    return FIRST_ID + 1 + np.arange(users, dtype=np.int64)


def new_release_id() -> str:
    """An id that says nothing."""
    return secrets.token_hex(6)


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
