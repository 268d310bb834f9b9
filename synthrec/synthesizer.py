"""The Python face: `Synthesizer(schema, plan).fit(log)`, `.sample(users=...)`, `.save(path)`,
`Synthesizer.load(path)`.

Guarantees: `fit` is the only method that sees the log and the only one that spends; the object
keeps the trained generator and public records, never a row of the log; no argument exchanges the
system's noise.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthrec.data.columns import Datetime
from synthrec.data.domain import Categorical
from synthrec.data.eventlog import EventLog
from synthrec.data.filters import EVERYTHING, Scope, Words
from synthrec.data.schema import Schema
from synthrec.data.writer import FIRST_ID, event_table, spreadsheet_safe, user_table
from synthrec.errors import ReleaseError
from synthrec.model.artifact import Artifact
from synthrec.model.sampling import generate
from synthrec.privacy.ledger import Counted
from synthrec.privacy.plan import Plan
from synthrec.progress import Progress
from synthrec.release import new_folder, open_folder
from synthrec.report.record import ReleaseRecord
from synthrec.training import Trained, TrainingOptions, train_on

if TYPE_CHECKING:
    import pandas as pd


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
        self._trained: Trained | None = None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """What it was made with, as scikit-learn's `clone` asks for it."""
        return {"schema": self._declared, "plan": self.plan}

    def set_params(self, **params: Any) -> Synthesizer:
        """Make it with others; what it has learned is forgotten."""
        made = Synthesizer(**{**self.get_params(), **params})
        self._declared, self.plan, self._trained = made._declared, made.plan, None
        return self

    def fit(
        self,
        log: Any,
        *,
        audit_share: float = 0.0,
        exclude_users: Path | None = None,
        device: str = "auto",
        kind: Counted = "release",
        progress: Progress = Progress(),
    ) -> Synthesizer:
        """Train on a log: a path, glob, folder, or a pandas, polars, Arrow or Ibis table. Arguments
        and errors: `TrainingOptions` and `train_on`.
        """
        options = TrainingOptions(
            audit_share=audit_share, exclude_users=exclude_users, device=device, kind=kind
        )
        self._trained = train_on(log, self._declared, self.plan, options, progress=progress)
        return self

    @classmethod
    def load(cls, path: Path | str) -> Synthesizer:
        """Read a release; runs no code from it. Raises ReleaseError if a file is missing or
        altered.
        """
        return cls.of(Trained.load(path))

    @classmethod
    def of(cls, trained: Trained) -> Synthesizer:
        """The face of what was trained."""
        made = cls(trained.artifact.schema, trained.artifact.plan)
        made._trained = trained
        return made

    def save(self, path: Path | str) -> Path:
        """Write a release folder (its share/ only) that must not exist yet."""
        with new_folder(Path(path)) as folder:
            self._require_trained().save(folder)
            shutil.rmtree(folder.private)
        return Path(path)

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
        schema, ids = scope.narrowed(self.schema), synthetic_ids(users)
        log = EventLog.concat(list(self.chunks(users=users, seed=seed, scope=scope)))
        tables = [
            event_table(
                log, ids, schema=schema, catalogue=self.artifact.catalogue, text_times=False
            )
        ]
        if self.schema.user_attributes:
            tables.append(user_table(log, ids, schema=schema, rng=np.random.default_rng(seed)))
        if safe_for_spreadsheets:
            tables = [spreadsheet_safe(table) for table in tables]
        frames = [table.to_pandas() for table in tables]
        return SyntheticLog(events=frames[0], users=frames[1] if len(frames) > 1 else None)

    @property
    def schema(self) -> Schema:
        """What the owner declares; after `fit` with what was paid for filled in."""
        return self._declared if self._trained is None else self._trained.artifact.schema

    @property
    def artifact(self) -> Artifact:
        """The trained generator. Raises ReleaseError before `fit`."""
        return self._require_trained().artifact

    @property
    def record(self) -> ReleaseRecord:
        """What the release says about itself. Raises ReleaseError before `fit`."""
        return self._require_trained().record

    def _require_trained(self) -> Trained:
        if self._trained is None:
            raise ReleaseError(
                "this needs a trained generator",
                found="none",
                remedy="Call fit(log) or load(path) first.",
            )
        return self._trained


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


def synthetic_ids(users: int) -> np.ndarray:
    """Ids from the space that no real user has."""
    return FIRST_ID + 1 + np.arange(users, dtype=np.int64)
