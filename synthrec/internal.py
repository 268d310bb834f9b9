"""A training for the audit only: charged to the source's ledger as `internal`, listed in the release, its output below private/.

Guarantees: charged and listed before the output is there; what is there is whole, and found again by the next audit, which charges nothing
(rule 12). Open columns are not looked at again: the training starts from what the release has paid for and published.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from synthrec.claim import with_internal_runs
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.errors import DataError
from synthrec.folder import Folder
from synthrec.model.artifact import Artifact
from synthrec.model.train import train
from synthrec.privacy.plan import Plan
from synthrec.privacy.session import Session
from synthrec.progress import Progress


def trained_internally(folder: Folder, *, place: Path, name: str, log: EventLog, schema: Schema, plan: Plan,
                       progress: Progress) -> Artifact:
    """What lies at `place`, or is trained by `plan` on a bounded log and kept there. Raises DataError when it cannot be."""
    if not place.exists():
        release, plan = folder.record(), plan.model_copy(update={"openings": ()})
        with Session.open(schema.ledger_path, plan=plan, source=schema.source.name, release_id=f"{release.release_id}-{name}",
                          kind="internal", cap=schema.source.epsilon_cap) as session:
            artifact = train(log, catalogue=Catalogue.read(schema), schema=schema, session=session, progress=progress)
            folder.write(with_internal_runs(release, session.ledger))       # said first: what is there has been listed
        _keep(artifact, place=place)
    return Artifact.load(place)


def _keep(artifact: Artifact, *, place: Path) -> None:
    beside = place.with_name(f".{place.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True, mode=0o700)
        artifact.save(beside)
        for path in beside.iterdir():
            path.chmod(0o600)
        beside.rename(place)
    except OSError as error:
        raise DataError("the release's private/ must be writable", found=error.strerror or "a failed write",
                        remedy="Free space and run the audit again.") from None
