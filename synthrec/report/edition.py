"""Who sees what: the public edition holds what an allow-list of field paths names, the internal one everything (rule 14).

Guarantees: what is not in the list is absent, not hidden: a field added to a record is in no public page before it is added here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from synthrec.audit.record import AuditRecord
from synthrec.conformance.record import Conformance
from synthrec.report.record import ReleaseRecord

# each is public, or paid for by an entry of the ledger
PUBLIC_OF_RELEASE = frozenset({
    "format_version", "release_id", "created_utc", "synthrec_version", "source_name", "source_public", "population", "unit",
    "neighbouring_relation", "events_per_user", "audit_share", "public_declarations", "chosen_with_sight", "raw_data_seen_by", "columns",
    "paid_declarations", "model", "game", "training", "budget_share", "mechanisms", "epsilon", "delta", "epsilon_cross_check", "sampler",
    "accountant", "cross_check_accountant", "profile", "bound", "ledger_total", "releases_before", "internal", "trials", "epsilon_cap",
    "try_number", "noise_source", "floating_point", "not_private", "synthetic_users", "seed_of_sampling", "faithful",
    "versions", "limits", "commands"})
# measured on a simulated log that nobody is in; how long it took says nothing of anybody
PUBLIC_OF_MECHANISM = frozenset({"format_version", "synthrec_version", "subject", "model", "epsilon", "delta", "checks", "seconds"})
PUBLIC_OF_AUDIT: frozenset[str] = frozenset()       # nothing, not even whether there was one


class Edition(StrEnum):
    """Who the page is for."""

    INTERNAL = "internal"           # the operator and the privacy officer: everything
    PUBLIC = "public"               # whoever gets the release


@dataclass(frozen=True)
class Seen:
    """The records as one edition sees them; `audit_shown`: may figures of an audit stand on the page?"""

    release: ReleaseRecord
    audit: AuditRecord | None
    mechanism: Conformance | None
    audit_shown: bool


def seen(release: ReleaseRecord, audit: AuditRecord | None, mechanism: Conformance | None, *, edition: Edition) -> Seen:
    """What the page may be made from."""
    if edition is Edition.INTERNAL:
        return Seen(release, audit, mechanism, True)
    public = ReleaseRecord.model_construct(**{name: getattr(release, name) for name in PUBLIC_OF_RELEASE})
    checked = None if mechanism is None else Conformance.model_construct(**{name: getattr(mechanism, name) for name in PUBLIC_OF_MECHANISM})
    shown = release.source_public
    return Seen(public, audit if shown else None, checked, shown)
