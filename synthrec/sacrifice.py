"""A sacrificial training: the mechanism of a release that trained on everybody, attacked on a second run that did not.

Nobody was kept out of the release, so there is nobody to compare its members with. The same plan is run again on users drawn by the
source's key, the others are kept back, and the attacks look at that second run: what they say holds for the mechanism, not for the file
in share/.

Guarantees: charged as `internal`, listed in the release; model, log and users of the second run stay below private/ (rule 12).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from synthrec.audit.people import People
from synthrec.audit.record import AttackBound
from synthrec.claim import PROFILE_DELTAS
from synthrec.data.eventlog import EventLog
from synthrec.data.roles import TRAINS, Role
from synthrec.errors import DataError, ReleaseError
from synthrec.evidence import Claim, Evidence, read_real, require_source
from synthrec.folder import Folder
from synthrec.internal import trained_internally
from synthrec.model.artifact import Artifact
from synthrec.model.generation import generate
from synthrec.progress import Progress

SHARE = 0.5                 # of users who are kept back from the second run
USERS_PER_DECLARED = 2      # synthetic users of the second run, for each declared user


def sacrificed(folder: Folder, *, log: Any, progress: Progress) -> Evidence:
    """Evidence on a second run of the release's plan; trained at the first audit that asks for it. Raises ReleaseError where needless."""
    artifact, origin, release = Artifact.load(folder.share), folder.origin(), folder.record()
    if origin.audit_share > 0:
        raise ReleaseError("a sacrificial training is for a release that kept nobody back",
                           found=f"an audit share of {origin.audit_share:g}", remedy="Leave out --sacrifice.")
    schema, place = origin.placed(artifact.schema), folder.private / "sacrifice"
    with progress.stage("read for the audit", total=2) as advance:
        real = read_real(folder, log=log, schema=schema, catalogue=artifact.catalogue, share=SHARE, bounded=False)
        require_source(EventLog.open(folder.bounded), real, schema=schema)
        advance(1)
        bounded = _kept(place / "bounded", lambda: read_real(folder, log=log, schema=schema, catalogue=artifact.catalogue, share=SHARE,
                                                             bounded=True))
        advance(1)
    trained = bounded.users_with(*TRAINS)
    progress.say("running the release's plan again on a part of the users, for the audit only (kind internal)")
    second = trained_internally(folder, place=place / "generator", name="sacrifice", log=trained, schema=schema, plan=artifact.plan,
                                progress=progress)
    users = USERS_PER_DECLARED * schema.source.population
    synthetic = _kept(place / "synthetic", lambda: EventLog.concat(list(generate(second, users=users, rng=np.random.default_rng()))))
    assert trained.role is not None
    people = People(trained=trained, coined=np.asarray(trained.role) == Role.AUDIT, holdout=bounded.users_with(Role.HOLDOUT),
                    reference=bounded.users_with(Role.REFERENCE), test=real.users_with(Role.TEST), train_whole=real.users_with(*TRAINS),
                    synthetic=synthetic, items=artifact.catalogue.size, events_per_user=schema.privacy.events_per_user)
    alone = second.plan.accountant()        # no other release is attacked
    claim = None if release.not_private else Claim(release.epsilon, release.delta, AttackBound.model_validate(alone.bound().model_dump()),
                                                   alone.profile(PROFILE_DELTAS))
    return Evidence(schema=schema, catalogue=artifact.catalogue, people=people, claim=claim, release_id=release.release_id,
                    sacrificial=True)


def _kept(place: Path, make: Callable[[], EventLog]) -> EventLog:
    """What lies at `place`, or is made and kept there; it is the same at the next audit. Raises DataError when it cannot be."""
    if not place.exists():
        beside = place.with_name(f".{place.name}.part")
        shutil.rmtree(beside, ignore_errors=True)
        try:
            make().save(beside)
            beside.rename(place)
        except OSError as error:
            raise DataError("the release's private/ must be writable", found=error.strerror or "a failed write",
                            remedy="Free space and run the audit again.") from None
    return EventLog.open(place)
