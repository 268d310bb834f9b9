"""The reference releases: a log, an epsilon, and where its report stands. All logs are published or
simulated.

Guarantees: what is kept of a release is its records, pages and ledger excerpt; the synthetic log,
the generator and everything below private/ but the audit's figures vanish with the scratch folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from synthrec import pipeline
from synthrec.audit.record import AuditRecord
from synthrec.auditing import Effort
from synthrec.conformance.record import Conformance
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.progress import Progress
from synthrec.release import open_folder
from synthrec.report.edition import Edition
from synthrec.report.record import ReleaseRecord, read_record
from synthrec.report.render import render
from synthrec.report.texts import shared_texts

HERE = Path(__file__).parent
CONFIGS = HERE.parent / "benchmarks" / "configs"
RECORDS = ("release.json", "mechanism.json", "ledger.jsonl")
AUDIT = "audit.json"
USERS, ITEMS, SEED, AUDIT_SHARE = 3_000, 800, 1, 0.3


@dataclass(frozen=True)
class Cell:
    """One reference release. `log`: "simulated", or the name of a public log's file."""

    name: str
    log: str
    epsilon: float
    delta: float

    @property
    def folder(self) -> Path:
        """Where its records and pages are published."""
        return HERE / self.name

    @property
    def is_made(self) -> bool:
        """Are its records there?"""
        return all((self.folder / name).exists() for name in (*RECORDS, AUDIT))

    def records(self) -> tuple[ReleaseRecord, AuditRecord, Conformance]:
        """What all of its pages follow from."""
        return (
            read_record(self.folder / "release.json", kind=ReleaseRecord),
            read_record(self.folder / AUDIT, kind=AuditRecord),
            read_record(self.folder / "mechanism.json", kind=Conformance),
        )


CELLS = (
    Cell("simulated-eps1", "simulated", 1.0, 1e-5),
    Cell("simulated-eps3", "simulated", 3.0, 1e-5),
    Cell("simulated-eps8", "simulated", 8.0, 1e-5),
    Cell("ml-100k-eps8", "ml-100k", 8.0, 1e-4),
    Cell("ml-1m-eps3", "ml-1m", 3.0, 1e-5),
)


def make(cell: Cell, *, data: Path | None, effort: Effort, progress: Progress) -> None:
    """Fit, check, audit; then keep the records. Each cell has a ledger of its own, as if it were
    the only release of its source.
    """
    with tempfile.TemporaryDirectory(prefix="synthrec-report-") as scratch:
        folder = Path(scratch)
        log, schema = (
            _simulated(folder)
            if cell.log == "simulated"
            else _public(cell.log, data=data, folder=folder)
        )
        release = pipeline.fit(
            log,
            schema=schema,
            epsilon=cell.epsilon,
            delta=cell.delta,
            out=folder / "release",
            audit_share=AUDIT_SHARE,
            synthetic_users=pipeline.SYNTHETIC_USERS * schema.source.population,
            progress=progress,
        )
        pipeline.keep_mechanism(
            release, pipeline.verify_mechanism(release=release, progress=progress)
        )
        pipeline.audit(release, log=log, effort=effort, progress=progress)
        _keep(cell, release=release)
    write_pages(cell)


def write_pages(cell: Cell) -> None:
    """Page and texts from the records alone."""
    release, audit, mechanism = cell.records()
    pages = {
        "report.html": render(release, audit, mechanism=mechanism, edition=Edition.PUBLIC),
        **shared_texts(release, mechanism),
    }
    for name, text in pages.items():
        (cell.folder / name).write_text(text, encoding="utf-8")


def data_folder(asked: Path | None) -> Path:
    """Where the public logs are: as asked, or as SYNTHREC_SHARED_DATA says, or beside the
    repository.
    """
    return asked or Path(
        os.environ.get("SYNTHREC_SHARED_DATA", HERE.parent.parent / "shared" / "data")
    )


def _keep(cell: Cell, *, release: Path) -> None:
    folder = open_folder(release)
    if not folder.record().source_public:
        raise ValueError("only figures of published or simulated logs may be published")
    cell.folder.mkdir(exist_ok=True)
    for name in RECORDS:
        shutil.copyfile(folder.share / name, cell.folder / name)
    shutil.copyfile(folder.audit_path, cell.folder / AUDIT)


def _simulated(folder: Path) -> tuple[Path, Schema]:
    config = simulate(users=USERS, items=ITEMS, seed=SEED).write(folder)
    return folder / "events.csv", Schema.load(config)


def _public(name: str, *, data: Path | None, folder: Path) -> tuple[Path, Schema]:
    """The log's own folder holds catalogue and users; the ledger goes to scratch."""
    place = data_folder(data)
    text = (CONFIGS / f"{name}.toml").read_text(encoding="utf-8")
    for file in place.glob(f"{name}.*"):
        (folder / file.name).symlink_to(file.resolve())
    return folder / f"{name}.csv.gz", Schema.parse(text, folder=folder)
