"""The texts of share/ that are rendered from the public records alone: statement, data card,
deployment.

Guarantees: neither an audit nor a log is asked, so they are the same whatever was found; equal
records give equal bytes. `deployment.json` is what a registry of deployments of differential
privacy asks for (the one that OpenDP keeps and NIST has proposed to host, by its groups of fields:
description, flavor, privacy loss, model, accounting, implementation). Its schema was not at hand
under a licence, so this is no file of that schema: a person copies it over.
"""

from __future__ import annotations

from typing import Literal

from synthrec.audit.record import Record
from synthrec.conformance.record import Conformance
from synthrec.report import sentences
from synthrec.report.edition import missing_parts
from synthrec.report.record import Mechanism, ReleaseRecord
from synthrec.report.render import environment


class Described(Record):
    """What was released."""

    name: str
    release_id: str
    publication_date: str
    data_product_type: str
    intended_use: str
    synthetic_users: int


class PrivacyLoss(Record):
    """The claim; None where none is made."""

    flavor: str
    privacy_unit: str
    neighbouring_relation: str
    contribution_bound: int
    epsilon: float | None
    delta: float | None
    profile: tuple[tuple[float, float], ...]


class Model(Record):
    """Who is trusted with what, and how often something is released."""

    trust: str
    access: str
    releases_of_this_source: int
    unprotected: tuple[str, ...]


class Accounting(Record):
    """How losses add up."""

    composition: str
    cross_check: str
    all_releases_epsilon: float
    cap: float
    internal_trainings: int
    internal_epsilon: float
    post_processing: str


class Implementation(Record):
    """The code that ran."""

    software: str
    mechanisms: tuple[Mechanism, ...]
    sampler: str
    noise_source: str
    floating_point: str
    choices_with_sight_of_the_data: tuple[str, ...]
    raw_data_seen_by: tuple[str, ...]
    checks_passed: int | None
    checks: int | None


class Deployment(Record):
    """deployment.json."""

    format_version: Literal[1] = 1
    after: str = "the Differential Privacy Deployments Registry (OpenDP; hosting proposed by NIST); not its schema"
    deployment: Described
    privacy_loss: PrivacyLoss
    model: Model
    accounting: Accounting
    implementation: Implementation


def deployment(release: ReleaseRecord, mechanism: Conformance | None) -> Deployment:
    """The record of one release; a claim that is not complete is not made here either."""
    claimed = not release.not_private and not missing_parts(release)
    checks = None if mechanism is None else mechanism.checks
    return Deployment(
        deployment=Described(
            name=release.source_name,
            release_id=release.release_id,
            publication_date=release.created_utc[:10],
            data_product_type="synthetic data: linked user histories, and their generator",
            intended_use="development and comparison of recommenders",
            synthetic_users=release.synthetic_users,
        ),
        privacy_loss=PrivacyLoss(
            flavor="approximate differential privacy" if claimed else "none is claimed",
            privacy_unit=f"user ({release.unit})",
            neighbouring_relation=release.neighbouring_relation,
            contribution_bound=release.events_per_user,
            epsilon=release.epsilon if claimed else None,
            delta=release.delta if claimed else None,
            profile=release.profile if claimed else (),
        ),
        model=Model(
            trust="central: whoever holds the log runs the mechanism",
            access="non-interactive",
            releases_of_this_source=release.releases_before + 1,
            unprotected=release.public_declarations,
        ),
        accounting=Accounting(
            composition=release.accountant,
            cross_check=release.cross_check_accountant,
            all_releases_epsilon=release.ledger_total,
            cap=release.epsilon_cap,
            internal_trainings=release.internal.count,
            internal_epsilon=release.internal.epsilon,
            post_processing="everything after the mechanisms: generation, calibration, sampling",
        ),
        implementation=Implementation(
            software=f"synthrec {release.synthrec_version}",
            mechanisms=release.mechanisms,
            sampler=release.sampler,
            noise_source=release.noise_source,
            floating_point=release.floating_point,
            choices_with_sight_of_the_data=release.chosen_with_sight,
            raw_data_seen_by=release.raw_data_seen_by,
            checks_passed=None if checks is None else sum(check.passed for check in checks),
            checks=None if checks is None else len(checks),
        ),
    )


STATEMENT, CARD, DEPLOYMENT = "statement.txt", "data_card.md", "deployment.json"


def shared_texts(release: ReleaseRecord, mechanism: Conformance | None) -> dict[str, str]:
    """File name -> contents: the claim in plain sentences, for a mail or a contract's annex; a card
    for whoever receives the files; the record of the deployment.
    """
    words = {"release": release, "mechanism": mechanism, "say": sentences}
    return {
        STATEMENT: environment().get_template(f"{STATEMENT}.j2").render(words).removesuffix("\n"),
        CARD: environment().get_template(f"{CARD}.j2").render(words),
        DEPLOYMENT: deployment(release, mechanism).model_dump_json(indent=2) + "\n",
    }
