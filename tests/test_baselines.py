"""What an audit trains is told in the release (how many internal runs), so it follows from public
words and not from who is in the log.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from synthrec import auditing
from synthrec.data.splits import Role
from synthrec.progress import Progress
from synthrec.release import Folder
from tests.model.small import make_log


def trained(
    roles: list[Role], *, share: float, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Which baselines an audit of users with these roles trains."""
    asked: list[str] = []
    log = make_log(users=len(roles))
    monkeypatch.setattr(
        auditing, "trained_internally", lambda folder, *, name, **_: asked.append(name)
    )
    monkeypatch.setattr(
        auditing.Artifact, "load", lambda place: SimpleNamespace(plan=SimpleNamespace(epsilon=3.0))
    )
    monkeypatch.setattr(auditing, "plan_release", lambda schema, **_: None)
    monkeypatch.setattr(auditing, "generate", lambda artifact, **_: [log])
    people = SimpleNamespace(
        synthetic=log, trained=log, test=log.select(np.flatnonzero(np.array(roles) == Role.TEST))
    )
    monkeypatch.setattr(
        Folder, "record", lambda _: SimpleNamespace(audit_share=share, epsilon=3.0, delta=1e-4)
    )
    evidence: Any = SimpleNamespace(schema=None, people=people)
    auditing.baseline_logs(Folder(folder), evidence=evidence, progress=Progress())
    return asked


@pytest.mark.parametrize(
    "roles", [[Role.MEMBER, Role.TEST], [Role.MEMBER, Role.MEMBER], [Role.HOLDOUT, Role.REFERENCE]]
)
def test_which_baselines_are_trained_depends_on_the_declared_share_and_on_nobodys_role(
    roles: list[Role], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained(roles, share=0.3, folder=tmp_path, monkeypatch=monkeypatch) == list(
        auditing.LABELS
    )
    assert trained(roles, share=0.0, folder=tmp_path, monkeypatch=monkeypatch) == []
