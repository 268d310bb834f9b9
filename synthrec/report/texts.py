"""The texts of share/ that are rendered from the public records alone: statement, data card,
deployment.

Guarantees: neither an audit nor a log is asked, so they are the same whatever was found; equal
records give equal bytes. `deployment.json` is what a registry of deployments of differential
privacy asks for (the one that OpenDP keeps and NIST has proposed to host, by its groups of fields:
description, flavor, privacy loss, model, accounting, implementation). Its schema was not at hand
under a licence, so this is no file of that schema: a person copies it over.
"""

from __future__ import annotations

import textwrap
from typing import Literal

from synthrec.audit.record import Record
from synthrec.conformance.record import Conformance
from synthrec.report import sentences
from synthrec.report.edition import missing_parts
from synthrec.report.record import DataColumn, Mechanism, ReleaseRecord
from synthrec.report.sentences import MODEL_WORDS, claim, for_one_person, reach, why_delta


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
WIDTH = 100
TERMS = (
    "Do not try to find out whether a person took part, or whom a synthetic user resembles: nobody is there, and a wrong guess harms.",
    "Pass it on with this card, `release.json` and `statement.txt`, so that the claim travels with the data.",
    "Item ids are real. Whatever the item catalogue's own terms are, they hold here, too.",
)
NOT_FOR = (
    "Decisions about single people: no synthetic user is one.",
    "Counting rare events or small groups: noise hides them, and what is left may be an artefact.",
    "Research on the order of events within minutes, on free text, or on anything that no column declares.",
    "Final figures: train or choose models here, and confirm on real data at the owner's.",
)


def shared_texts(release: ReleaseRecord, mechanism: Conformance | None) -> dict[str, str]:
    """File name -> contents."""
    return {
        STATEMENT: statement(release, mechanism),
        CARD: data_card(release),
        DEPLOYMENT: deployment(release, mechanism).model_dump_json(indent=2) + "\n",
    }


def statement(release: ReleaseRecord, mechanism: Conformance | None) -> str:
    """The claim in plain sentences, for a mail or a contract's annex."""
    head = f"{release.source_name}, release {release.release_id}, {sentences.when(release.created_utc)}"
    said = list(claim(release))
    if person := for_one_person(release):
        said += [person, reach(release.bound), why_delta(release), release.sampler]
        second = sentences.rounded_up(release.epsilon_cross_check)
        said += [
            f"Every mechanism: {'; '.join(_mechanisms(release))}.",
            f"Epsilon is computed by {release.accountant}; {release.cross_check_accountant} finds {second}.",
            f"Noise: {release.noise_source}. Arithmetic: {release.floating_point}.",
        ]
    said.append(
        f"Trainings on the log that were never released: {release.internal.count}. This was try number {release.try_number}."
    )
    for title, lines in (
        ("Public, on the owner's word", release.public_declarations),
        ("Chosen with sight of the log", release.chosen_with_sight),
        ("Who saw the raw data", release.raw_data_seen_by),
        ("Open, and paid for", release.paid_declarations),
        ("Limits", release.limits),
    ):
        if lines:
            said.append(f"{title}: " + " ".join(_ended(line) for line in lines))
    if mechanism is not None:
        passed = sum(check.passed for check in mechanism.checks)
        said.append(
            f"Checks of the mechanism on a simulated log: {passed} of {len(mechanism.checks)} passed."
        )
    return (
        "\n\n".join(
            "\n".join(textwrap.wrap(line, WIDTH, break_long_words=False)) for line in [head, *said]
        )
        + "\n"
    )


def data_card(release: ReleaseRecord) -> str:
    """For whoever receives the files: what they hold, how to load them, what not to use them for."""
    tables = {"events": "events.parquet", "users": "users.parquet"}
    parts = [
        f"# {_plain(release.source_name)}: synthetic users",
        "",
        _plain(
            f"Release {release.release_id}, made {sentences.when(release.created_utc)} with synthrec {release.synthrec_version} by "
            f"{MODEL_WORDS[release.model]}. {release.synthetic_users:,} synthetic users; nobody in these files is a person."
        ),
        "",
        *map(_plain, claim(release)[:1]),
        "",
    ]
    for table, file in tables.items():
        columns = [column for column in release.columns if column.table == table]
        if columns:
            parts += [
                f"## {file}",
                "",
                "| column | what it is | values |",
                "|---|---|---|",
                *(_row(column) for column in columns),
                "",
            ]
    parts += [
        "## How to load",
        "",
        "```python",
        "import pandas as pd",
        "",
        'events = pd.read_parquet("events.parquet")',
    ]
    parts += (
        ['users = pd.read_parquet("users.parquet")']
        if any(column.table == "users" for column in release.columns)
        else []
    )
    parts += [
        "```",
        "",
        "Rows of one user belong together: train on whole users, as on the real log.",
        "",
        "More users from the generator, at no cost to privacy:",
        "",
        "```sh",
        "synthrec sample RELEASE --users 10000 --out more.parquet",
        "```",
        "",
        "Check what you have received, without the log:",
        "",
        "```sh",
        "synthrec verify RELEASE/share",
        "```",
        "",
    ]
    for title, lines in (
        ("Terms", TERMS),
        ("What not to use it for", NOT_FOR),
        ("What it does not promise", release.limits),
    ):
        parts += [f"## {title}", "", *(f"- {_plain(line)}" for line in lines), ""]
    return "\n".join(parts)


def _mechanisms(release: ReleaseRecord) -> list[str]:
    return [
        f"{each.name} ({each.kind}, {each.count:,} x noise {sentences.short(each.noise_multiplier)} times the most that one user moves it"
        + (
            f", users by coins of chance {sentences.short(each.sampling_rate)})"
            if each.sampling_rate is not None
            else ")"
        )
        for each in release.mechanisms
    ]


def _row(column: DataColumn) -> str:
    return f"| `{_plain(column.name)}` | {_plain(column.kind)} | {_plain(column.says)} |"


def _plain(text: str) -> str:
    """Names are the owner's: none of their letters is markup."""
    return " ".join(
        text.replace("|", "/").replace("`", "'").replace("<", "(").replace(">", ")").split()
    )


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
