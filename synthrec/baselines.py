"""The simpler private methods at the release's epsilon: what a generator must beat to be worth its name.

Guarantees: trained on the release's own bounded log, charged to the source's ledger as `internal`; their outputs stay below private/ and
decide nothing but "do not release" (rule 12). A second audit reads them again and charges nothing.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from synthrec.audit.utility import ArmInput
from synthrec.claim import with_internal_runs
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.errors import DataError
from synthrec.evidence import Evidence
from synthrec.folder import Folder
from synthrec.model.artifact import Artifact
from synthrec.model.generation import generate
from synthrec.model.recipe import plan_release
from synthrec.model.train import train
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.plan import Model
from synthrec.progress import Progress

LABELS: dict[Model, str] = {"marginals": "DP marginals", "moments": "DP moments"}


def baseline_logs(folder: Folder, *, evidence: Evidence, progress: Progress) -> dict[str, ArmInput]:
    """As many synthetic users of each baseline as the release has; none without a share that is kept back to score them on.

    The share is public, whether a draw kept anybody back is not: the release says how many baselines were trained.
    """
    if evidence.release.audit_share == 0:
        return {}
    users = len(evidence.synthetic.offsets) - 1
    arms = {}
    for model, label in LABELS.items():
        place = folder.private / "baselines" / model
        if not place.exists():
            progress.say(f"training the baseline {label} at the same epsilon, for the audit only")
            _train(folder, model=model, evidence=evidence, progress=progress)
        log = EventLog.concat(list(generate(Artifact.load(place), users=users, rng=np.random.default_rng())))
        arms[str(model)] = ArmInput(log=log, label=label, epsilon=evidence.release.epsilon, ledger_kind="internal")
    return arms


def _train(folder: Folder, *, model: Model, evidence: Evidence, progress: Progress) -> None:
    schema, release = evidence.schema, evidence.release
    planned = plan_release(schema, epsilon=evidence.artifact.plan.epsilon, delta=release.delta, model=model)
    plan = planned.model_copy(update={"openings": ()})      # the release has paid for these: a baseline starts from what they found
    charge = Charge(source=schema.source.name, release_id=f"{release.release_id}-{model}", kind="internal",
                    planned=plan.runs, delta=plan.delta)
    with Ledger.open(schema.ledger_path) as ledger:
        artifact = train(evidence.trained_on, catalogue=Catalogue.read(schema), schema=schema, plan=plan, ledger=ledger, charge=charge,
                         device="cpu", rng=np.random.default_rng(), progress=progress)
        folder.write(with_internal_runs(release, ledger))       # said first: a baseline that is there has been listed
    _keep(artifact, place=folder.private / "baselines" / model)


def _keep(artifact: Artifact, *, place: Path) -> None:
    """Written beside its place and renamed: a baseline that is there is whole. Raises DataError."""
    beside = place.with_name(f".{place.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        artifact.save(beside)
        beside.rename(place)
    except OSError as error:
        raise DataError("the release's private/ must be writable", found=error.strerror or "a failed write",
                        remedy="Free space and run the audit again.") from None
