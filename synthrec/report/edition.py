"""Who sees what: the public edition holds what a field's declared origin lets leave, the internal
one everything (rule: audits are not private); and which parts a claim must say.

Guarantees: what has no declared origin is absent, not hidden: a new field of a record is in no
public page before it says where it comes from. No claim is rendered anywhere while a part is
missing: it is complete or it is not made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from synthrec.audit.record import AuditRecord
from synthrec.conformance.record import Conformance
from synthrec.records import origins
from synthrec.report.record import ReleaseRecord

# each is public, or paid for by an entry of the ledger; of an audit nothing is
PUBLIC_OF_RELEASE = frozenset(origins(ReleaseRecord))
PUBLIC_OF_MECHANISM = frozenset(origins(Conformance))


class Edition(StrEnum):
    """Who the page is for."""

    INTERNAL = "internal"  # the operator and the privacy officer: everything
    PUBLIC = "public"  # whoever gets the release


@dataclass(frozen=True)
class RedactedRecords:
    """The records as one edition sees them; `audit_shown`: may figures of an audit stand on the
    page?
    """

    release: ReleaseRecord
    audit: AuditRecord | None
    mechanism: Conformance | None
    audit_shown: bool


def seen(
    release: ReleaseRecord,
    audit: AuditRecord | None,
    mechanism: Conformance | None,
    *,
    edition: Edition,
) -> RedactedRecords:
    """What the page may be made from."""
    if edition is Edition.INTERNAL:
        return RedactedRecords(release, audit, mechanism, True)
    public = ReleaseRecord.model_construct(
        **{name: getattr(release, name) for name in PUBLIC_OF_RELEASE}
    )
    checked = (
        None
        if mechanism is None
        else Conformance.model_construct(
            **{name: getattr(mechanism, name) for name in PUBLIC_OF_MECHANISM}
        )
    )
    shown = release.source_public
    return RedactedRecords(public, audit if shown else None, checked, shown)


PARTS: dict[str, Callable[[ReleaseRecord], object]] = {
    "the privacy unit": lambda record: record.unit,
    "the neighbouring relation": lambda record: record.neighbouring_relation,
    "the contribution bound": lambda record: record.events_per_user > 0,
    "epsilon": lambda record: record.epsilon > 0,
    "delta, and the population that it is chosen against": lambda record: (
        0 < record.delta < 1 and record.population > 0
    ),
    "epsilon at other deltas": lambda record: record.profile,
    "every mechanism with its parameters": lambda record: (
        record.mechanisms
        and all(
            each.purpose and each.kind and each.sensitivity > 0 and each.noise_std > 0
            for each in record.mechanisms
        )
    ),
    "the accountant": lambda record: record.accountant,
    "a second accountant": lambda record: (
        record.cross_check_accountant and record.epsilon_cross_check > 0
    ),
    "the sampler": lambda record: record.sampler,
    "what is public, and on whose word": lambda record: record.public_declarations,
    "what was chosen with sight of the log": lambda record: record.chosen_with_sight,
    "the sum over all releases": lambda record: record.ledger_total >= record.epsilon - 1e-9,
    "which try this was": lambda record: record.try_number >= 1,
    "who saw the raw data": lambda record: record.raw_data_seen_by,
    "the source of noise": lambda record: record.noise_source,
    "the arithmetic": lambda record: record.floating_point,
}


def missing_parts(release: ReleaseRecord) -> tuple[str, ...]:
    """What the claim does not say; empty for a complete one."""
    return tuple(name for name, holds in PARTS.items() if not holds(release))
