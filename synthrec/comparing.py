"""Several synthetic logs audited on the same people: tools, or epsilons, side by side before one of
them is shared.

Guarantees: all meet the same members, holdout, reference and test users and the same draws of
chance, so differences are paired. Nothing is trained with privacy and nothing charged; figures
computed on real people are private and stay below `private/` (rule: audits are not private).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from synthrec.audit import intervals
from synthrec.audit.disclosure import measure_disclosure
from synthrec.audit.fidelity import measure_fidelity
from synthrec.audit.record import AuditedUtility, Comparison, Difference, Effort, Figure
from synthrec.audit.splits import MAX_LEARNED
from synthrec.audit.utility import NOTHING, POPULARITY, REAL, ArmInput, Ladder, score_ladder
from synthrec.auditing import (
    AuditInputs,
    PrivacyClaim,
    Tables,
    attacked,
    collect,
    collect_tables,
    read_synthetic,
    recorded,
)
from synthrec.data.schema import Schema
from synthrec.errors import ReleaseError
from synthrec.progress import Progress
from synthrec.release import Folder, open_folder


class Subject(NamedTuple):
    """A synthetic log to compare: a table, or that of a release with its claim."""

    name: str
    events: Path
    users: Path | None = None
    release: Folder | None = None

    @classmethod
    def at(cls, path: Path) -> Subject:
        """By the path of a table, or of a release's folder."""
        if not path.is_dir():
            return cls(path.name, path)
        folder = open_folder(path).verified()
        return cls(
            path.name, folder.events, folder.users if folder.users.exists() else None, folder
        )

    @property
    def claim(self) -> PrivacyClaim | None:
        """What a release says of itself."""
        record = self.release.record() if self.release else None
        if record is None or record.not_private:
            return None
        return PrivacyClaim(record.epsilon, record.delta, record.bound, record.profile)


def collect_all(
    subjects: Sequence[Path],
    *,
    log: Any,
    tables: Mapping[str, Any],
    schema: Schema | None,
    private: Path,
    progress: Progress,
) -> dict[str, AuditInputs]:
    """Evidence by the candidates' names, alike but for the synthetic log and the claim.

    Of releases with their `log`, or of any synthetic logs with tables of who was in training and
    who was not. Raises ReleaseError for releases that kept different people back.
    """
    several = [Subject.at(path) for path in subjects]
    first = several[0]
    if schema is None:
        folders = [each.release for each in several if each.release is not None]
        _require_same_people(folders, of=len(several))
        evidence = collect(folders[0], log=log, progress=progress)
    else:
        evidence = collect_tables(
            Tables(synthetic=first.events, synthetic_users=first.users, **tables),
            schema=schema,
            private=private,
            epsilon=None,
            delta=None,
            progress=progress,
        )
    found = {first.name: replace(evidence, release_id=None, claim=first.claim)}
    for each in several[1:]:
        synthetic = read_synthetic(
            each.events,
            evidence.schema,
            evidence.catalogue,
            table=each.users,
            spill=private / "spill",
            numbers=schema is not None,
        )
        name = each.name if each.name not in found else f"{each.name} ({len(found) + 1})"
        people = replace(evidence.people, synthetic=synthetic)
        found[name] = replace(evidence, people=people, release_id=None, claim=each.claim)
    return found


def _require_same_people(folders: Sequence[Folder], *, of: int) -> None:
    """Raise ReleaseError unless all are releases in which the same users trained."""

    def kept_back(folder: Folder) -> tuple[bytes | float | None, ...]:
        return (
            folder.origin().audit_share,
            *(
                path.read_bytes() if path.exists() else None
                for path in (folder.roles_key, folder.opt_outs)
            ),
        )

    if len(folders) < of or len({kept_back(folder) for folder in folders}) != 1:
        raise ReleaseError(
            "releases are compared with --log if all kept the same people back",
            found="a table, or another key, share or list of opt-outs",
            remedy="Give --config, --members and --holdout instead, of people who were in every "
            "training and in none.",
        )


def compare(
    candidates: Mapping[str, AuditInputs], *, effort: Effort, progress: Progress
) -> Comparison:
    """An audit of each, without the recommenders' panel and curves, and the differences of each
    pair.
    """
    seed = int(np.random.default_rng().integers(2**63))
    some = next(iter(candidates.values()))
    use = some.people.sampled(synthetic=MAX_LEARNED, rng=np.random.default_rng(seed))
    logs = {
        name: each.people.sampled(synthetic=MAX_LEARNED, rng=np.random.default_rng(seed)).synthetic
        for name, each in candidates.items()
    }
    ladder = score_ladder(
        train=use.train_whole,
        test=use.test,
        arms={name: ArmInput(log, name, None, None) for name, log in logs.items()},
        items=use.items,
        scale=some.scale,
        events_per_user=use.events_per_user,
        rng=np.random.default_rng(seed),
    )
    audits, scores = [], {}
    for name, each in candidates.items():
        started = time.perf_counter()
        findings, scores[name] = attacked(
            each, effort=effort, rng=np.random.default_rng(seed), progress=progress
        )
        disclosure = measure_disclosure(each.people, effort=effort, rng=np.random.default_rng(seed))
        fidelity = measure_fidelity(
            logs[name],
            real=use.train_whole,
            floor=None,
            schema=each.schema,
            items=use.items,
            events_per_user=use.events_per_user,
            rng=np.random.default_rng(seed),
        )
        protocol = _alone(ladder, name=name).summary() if ladder.heldout_events else None
        audits.append(
            recorded(
                each,
                attacked=findings,
                disclosure=disclosure,
                utility=AuditedUtility(protocol=protocol, panel=None, curves=(), fidelity=fidelity),
                effort=effort,
                seconds=time.perf_counter() - started,
            )
        )
    return Comparison(
        names=tuple(candidates),
        audits=tuple(audits),
        differences=tuple(_differences(list(candidates), scores=scores, ladder=ladder)),
    )


def _alone(ladder: Ladder, *, name: str) -> Ladder:
    """The rungs of one candidate."""
    mine = replace(ladder.arms[name], name="synthrec")
    ends = {end: ladder.arms[end] for end in (NOTHING, POPULARITY, REAL)}
    return replace(
        ladder,
        arms={
            NOTHING: ends[NOTHING],
            POPULARITY: ends[POPULARITY],
            "synthrec": mine,
            REAL: ends[REAL],
        },
    )


def _differences(
    names: Sequence[str],
    *,
    scores: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]],
    ladder: Ladder,
) -> Iterator[Difference]:
    """Of each pair, each measure; less is better but for NDCG."""
    strongest = {
        name: max(found.values(), key=lambda pair: intervals.auc(pair[0], negative=pair[1]).low)
        for name, found in scores.items()
        if found
    }
    for one, other in combinations(names, 2):
        figures: dict[str, Figure | None] = {
            "AUC of the strongest attack": intervals.auc_difference(
                strongest[one], other=strongest[other]
            )
            if strongest
            else None,
        }
        if ladder.heldout_events:
            figures["RMSE"] = ladder.rmse_difference(one, other=other)
            figures["NDCG@10"] = ladder.ndcg_difference(one, other=other)
        for measure, figure in figures.items():
            if figure is not None:
                yield Difference(one=one, other=other, measure=measure, difference=figure)
