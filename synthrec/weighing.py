"""From evidence to an audit's record: every part of it in turn, each kept when it is finished.

Guarantees: figures computed on real people are private; the record goes below `private/` (rule 14).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from synthrec import __version__
from synthrec.audit.attacks import run_attacks
from synthrec.audit.augmentation import measure_augmentation
from synthrec.audit.cold_items import measure_cold_items
from synthrec.audit.cold_start import measure_cold_start
from synthrec.audit.disclosure import measure_disclosure
from synthrec.audit.fidelity import measure_fidelity
from synthrec.audit.kept import Kept
from synthrec.audit.lower_bound import one_run_lower_bound
from synthrec.audit.panel import measure_panel
from synthrec.audit.policy import policy, policy_sha256
from synthrec.audit.record import AuditRecord, Disclosure, LowerBound, Membership, Split
from synthrec.audit.utility import ArmInput, measure_utility
from synthrec.audit.utility_record import AuditedUtility, Curve, Fidelity, Panel, Utility
from synthrec.audit.verdict import conclude, groups_differ
from synthrec.evidence import Evidence
from synthrec.model.features import catalogue_features
from synthrec.progress import Progress

Effort = Literal["quick", "full"]
STAGES = {"disclosure": "what an intruder learns", "protocol": "use", "panel": "order of recommenders", "curves": "few users, few events",
          "fidelity": "likeness"}
UNCLAIMED_DELTA = 1e-6      # at which epsilon gets its lower bound where nothing is claimed
DRAWS: dict[Effort, int] = {"quick": 1, "full": 3}      # partners of each size
CUTS: dict[Effort, int] = {"quick": 1, "full": 5}       # of each test user's events into observed and held out, for the panel
Part = TypeVar("Part")


class Attacked(NamedTuple):
    """What attacks found, and what their scores prove."""

    membership: Membership | None
    lower_bound: LowerBound | None


def key_of(evidence: Evidence, *, effort: Effort) -> tuple[str, ...]:
    """What parts of an audit are good for."""
    return (_subject(evidence), evidence.release_id or "", evidence.fingerprint(), str(evidence.claim), policy_sha256(), effort,
            __version__)


def weigh(evidence: Evidence, *, arms: Mapping[str, ArmInput], effort: Effort, kept: Kept, progress: Progress) -> AuditRecord:
    """Attacks, disclosure, use and likeness, and the verdict."""
    started, rng, claim = time.perf_counter(), np.random.default_rng(), evidence.claim
    attacked = kept.part("attacks", Attacked, lambda: _attacked(evidence, effort=effort, rng=rng, progress=progress))
    disclosure = _part(kept, "disclosure", Disclosure | None, lambda: measure_disclosure(evidence.people, effort=effort, rng=rng),
                       progress=progress)
    utility = _utility(evidence, arms=arms, effort=effort, kept=kept, rng=rng, progress=progress)
    verdict, reason = conclude(attacked.membership, lower_bound=attacked.lower_bound, disclosure=disclosure, policy=policy())
    people = evidence.people
    return AuditRecord(
        subject=_subject(evidence), release_id=evidence.release_id, source_name=evidence.schema.source.name,
        synthrec_version=__version__, effort=effort, policy=policy().numbers(), policy_sha256=policy_sha256(),
        epsilon=claim.epsilon if claim else None, delta=claim.delta if claim else None,
        split=Split(trained=len(people.trained.offsets) - 1, coined_in=int(people.coined.sum()), holdout=len(people.holdout.offsets) - 1,
                    reference=len(people.reference.offsets) - 1, test=len(people.test.offsets) - 1),
        utility=utility, membership=attacked.membership, lower_bound=attacked.lower_bound, disclosure=disclosure, verdict=verdict,
        reason=reason, seconds=time.perf_counter() - started)


def _subject(evidence: Evidence) -> Literal["release", "second run", "tables"]:
    if evidence.release_id is None:
        return "tables"
    return "second run" if evidence.sacrificial else "release"


def _attacked(evidence: Evidence, *, effort: Effort, rng: np.random.Generator, progress: Progress) -> Attacked:
    people = evidence.people
    if min(len(people.trained.offsets), len(people.holdout.offsets)) < 3 or len(people.reference.offsets) < 5:
        return Attacked(None, None)
    found = run_attacks(people, bound=evidence.claim.bound if evidence.claim else None, policy=policy(), effort=effort, rng=rng,
                        progress=progress)
    if groups_differ(found.membership, policy=policy()):        # guesses would be right for another reason
        return Attacked(found.membership, None)
    delta, epsilon = evidence.claim.for_bound() if evidence.claim else (UNCLAIMED_DELTA, None)
    lower = one_run_lower_bound(found.label_free, coined=people.coined, delta=delta, rng=rng)
    return Attacked(found.membership, lower.model_copy(update={"claimed": epsilon}) if lower else None)


def _utility(evidence: Evidence, *, arms: Mapping[str, ArmInput], effort: Effort, kept: Kept, rng: np.random.Generator,
             progress: Progress) -> AuditedUtility | None:
    people, claim = evidence.people, evidence.claim
    mine = ArmInput(log=people.synthetic, label="synthrec" if evidence.release_id else "the synthetic log",
                    epsilon=claim.epsilon if claim else None, ledger_kind="release" if evidence.release_id else None)

    def protocol() -> Utility | None:
        return measure_utility(train=people.train_whole, test=people.test, arms={**arms, "synthrec": mine}, items=people.items,
                               scale=evidence.scale, events_per_user=people.events_per_user, rng=rng)

    def likeness() -> tuple[Fidelity, ...]:
        floor = arms["marginals"].log if "marginals" in arms else None
        return measure_fidelity(people.synthetic, real=people.train_whole, floor=floor, schema=evidence.schema, items=people.items,
                                events_per_user=people.events_per_user, rng=rng)

    others = {arm.label: arm.log for name, arm in arms.items() if name == "moments"}

    def curves() -> tuple[Curve, ...]:
        found = (measure_augmentation(people, others=others, scale=evidence.scale, draws=DRAWS[effort], rng=rng),
                 measure_cold_start(people, others=others, scale=evidence.scale, rng=rng),
                 measure_cold_items(people, features=_item_features(evidence), others=others, scale=evidence.scale, rng=rng))
        return tuple(curve for curve in found if curve is not None)

    def order() -> Panel | None:
        return measure_panel(people, cuts=CUTS[effort], rng=rng)

    found = _part(kept, "protocol", Utility | None, protocol, progress=progress) if len(people.test.offsets) > 1 else None
    panel = _part(kept, "panel", Panel | None, order, progress=progress) if found else None
    drawn = _part(kept, "curves", tuple[Curve, ...], curves, progress=progress) if found else ()
    fidelity = _part(kept, "fidelity", tuple[Fidelity, ...], likeness, progress=progress)
    return AuditedUtility(protocol=found, panel=panel, curves=drawn, fidelity=fidelity)


def _item_features(evidence: Evidence) -> np.ndarray:
    """Of the attributes at hand: a release's catalogue holds no texts. Shapes: float64[V, F]."""
    schema, known = evidence.schema, evidence.catalogue.attributes.column_names
    items = schema.items.model_copy(update={"attributes": {name: each for name, each in schema.item_attributes.items() if name in known}})
    return catalogue_features(evidence.catalogue, schema.model_copy(update={"items": items})).values


def _part(kept: Kept, name: str, kind: type[Part] | object, make: Callable[[], Part], *, progress: Progress) -> Part:
    """One part, kept and shown."""
    with progress.stage(STAGES[name], total=1) as advance:
        found = kept.part(name, kind, make)
        advance(1)
    return found
