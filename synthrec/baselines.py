"""The simpler private methods at the release's epsilon: what a generator must beat to be worth its name.

Guarantees: trained on the release's own bounded log, charged to the source's ledger as `internal`; their outputs stay below private/ and
decide nothing but "do not release" (rule 12). A second audit reads them again and charges nothing.
"""

from __future__ import annotations

import numpy as np

from synthrec.audit.utility import ArmInput
from synthrec.data.eventlog import EventLog
from synthrec.evidence import Evidence
from synthrec.folder import Folder
from synthrec.internal import trained_internally
from synthrec.model.artifact import Artifact
from synthrec.model.generation import generate
from synthrec.model.recipe import plan_release
from synthrec.privacy.plan import Model
from synthrec.progress import Progress

LABELS: dict[Model, str] = {"marginals": "DP marginals", "moments": "DP moments"}


def baseline_logs(folder: Folder, *, evidence: Evidence, progress: Progress) -> dict[str, ArmInput]:
    """As many synthetic users of each baseline as the release has; none without a share that is kept back to score them on.

    The share is public, whether a draw kept anybody back is not: the release says how many baselines were trained.
    """
    release = folder.record()
    if release.audit_share == 0:
        return {}
    arms = {}
    for model, label in LABELS.items():
        place = folder.private / "baselines" / model
        if not place.exists():
            progress.say(f"training the baseline {label} at the same epsilon, for the audit only")
        plan = plan_release(evidence.schema, epsilon=Artifact.load(folder.share).plan.epsilon, delta=release.delta, model=model)
        artifact = trained_internally(folder, place=place, name=model, log=evidence.people.trained, schema=evidence.schema, plan=plan,
                                      progress=progress)
        users = len(evidence.people.synthetic.offsets) - 1
        log = EventLog.concat(list(generate(artifact, users=users, rng=np.random.default_rng())))
        arms[str(model)] = ArmInput(log=log, label=label, epsilon=release.epsilon, ledger_kind="internal")
    return arms
