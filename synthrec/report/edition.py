"""Who sees what: the public edition holds what an allow-list of field paths names, the internal one
everything (rule 14).

Guarantees: what is not in the list is absent, not hidden: a field added to a record is in no public
page before it is added here too.

A claim is complete or it is not made: the parts that it must say, and which of them a record lacks.

Guarantees: no claim is rendered anywhere while a part is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from synthrec.audit.record import AuditRecord
from synthrec.conformance.record import Conformance
from synthrec.report.record import ReleaseRecord

# each is public, or paid for by an entry of the ledger
PUBLIC_OF_RELEASE = frozenset(
    {
        "format_version",
        "release_id",
        "created_utc",
        "synthrec_version",
        "source_name",
        "source_public",
        "population",
        "unit",
        "neighbouring_relation",
        "events_per_user",
        "audit_share",
        "public_declarations",
        "chosen_with_sight",
        "raw_data_seen_by",
        "columns",
        "paid_declarations",
        "model",
        "game",
        "training",
        "budget_share",
        "mechanisms",
        "epsilon",
        "delta",
        "epsilon_cross_check",
        "sampler",
        "accountant",
        "cross_check_accountant",
        "profile",
        "bound",
        "ledger_total",
        "releases_before",
        "internal",
        "trials",
        "epsilon_cap",
        "try_number",
        "noise_source",
        "floating_point",
        "not_private",
        "synthetic_users",
        "seed_of_sampling",
        "faithful",
        "versions",
        "limits",
        "commands",
    }
)
# measured on a simulated log that nobody is in; how long it took says nothing of anybody
PUBLIC_OF_MECHANISM = frozenset(
    {
        "format_version",
        "synthrec_version",
        "subject",
        "model",
        "epsilon",
        "delta",
        "checks",
        "seconds",
    }
)
PUBLIC_OF_AUDIT: frozenset[str] = frozenset()  # nothing, not even whether there was one


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
    return tuple(name for name, said in PARTS.items() if not said(release))
