"""The claim: what a release says about its own privacy, derived from plan and ledger alone.

Guarantees: every field is public or paid for; epsilon is computed from the entries that were
written, not from what was asked.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
from datetime import UTC, datetime
from typing import Any

from synthrec import __version__
from synthrec.audit.record import AttackBound
from synthrec.data.columns import Datetime, Identifier, Item, Unit, User
from synthrec.data.domain import Categorical, Numeric, Ordinal
from synthrec.data.open_domains import PaidColumn, paid_columns
from synthrec.data.schema import Schema
from synthrec.privacy.accounting import ACCOUNTANT, CROSS_CHECK, Accountant, cross_check
from synthrec.privacy.ledger import Entry, Ledger, events_of, extra_delta_of
from synthrec.privacy.plan import Plan
from synthrec.report.record import DataColumn, InternalRuns, Mechanism, ReleaseRecord

PROFILE_DELTAS = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
NEIGHBOURS = "add or remove one user"
COVERED = "they cover about {share:.0%} of the events (give or take {margin:.1%}, by a paid sum)"
COVERED_PATTERN = (
    r"they cover about \d{1,3}% of the events \(give or take \d{1,3}\.\d%, by a paid sum\)"
)
COVERED_UNKNOWN = "which part of the events they cover cannot be told from noise"
LIBRARIES = (
    "torch",
    "opacus",
    "dp-accounting",
    "opendp",
    "duckdb",
    "numpy",
    "pyarrow",
)
NOISE_SOURCE = (
    "measurements: OpenDP's discrete Gaussian on an integer lattice; training: normal draws; both from the "
    "operating system's cryptographic randomness"
)
FLOATING_POINT = (
    "measurements are clipped, rounded and summed in integers; gradients are clipped, summed and noised in double "
    "precision and then rounded once, the noise the sum of four draws, against attacks on the last bits "
    "(Holohan and Braghin 2021); these are a grid of doubles, not an exact sampler as measurements have (Mironov 2012)"
)
SIGHT = (
    "The tool chose nothing with sight of the log: every constant stands in the plan before the log is opened.",
    "The owner has named no choice of theirs that was made with sight of it.",
)
SEEN_BY = ("Whoever ran synthrec held the log.", "The owner has named nobody else.")
LIMITS = (
    "The claim protects each user as one unit. Two accounts of one person are two users unless the configuration names the person.",
    "It does not hide what is true of the population as a whole, or of a group that acts together.",
    "It stands on the owner's word for what is public: catalogue, scales, windows, value lists and the declared population.",
    "A choice made after looking at the log, for example of K, is not paid for.",
    "delta is the chance, on average, that the bound on what is learnt about one user does not hold.",
    "A release cannot be called back: erasing a user from the log later does not change it.",
)


def release_record(
    *,
    schema: Schema,
    plan: Plan,
    ledger: Ledger,
    release_id: str,
    audit_share: float,
    game: str | None = None,
    settled: tuple[str, ...] = (),
) -> ReleaseRecord:
    """The record of a training that has just been charged to `ledger`."""
    mine, counted, internal = ledger.of_release(release_id), ledger.counted(), ledger.internal()
    accountant, whole = _accountant(mine), _accountant(counted)
    return ReleaseRecord(
        **public_part(schema=schema, plan=plan, game=game),
        release_id=release_id,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        synthrec_version=__version__,
        audit_share=audit_share,
        paid_declarations=settled,
        epsilon=accountant.epsilon(plan.delta),
        epsilon_cross_check=cross_check(
            events_of(mine), delta=plan.delta, extra_delta=extra_delta_of(mine)
        ),
        profile=accountant.profile(profile_deltas(plan.delta, extra_delta=plan.extra_delta)),
        bound=AttackBound.model_validate(whole.bound().model_dump()),
        ledger_total=whole.epsilon(plan.delta),
        releases_before=len({entry.release_id for entry in counted} - {release_id}),
        internal=_internal(internal, delta=plan.delta),
        trials=len({entry.release_id for entry in ledger.entries if entry.kind == "trial"}),
        try_number=len({entry.release_id for entry in counted}),
        synthetic_users=0,
        seed_of_sampling=None,
        commands=(),
        versions={
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in LIBRARIES},
        },
    )


def public_part(*, schema: Schema, plan: Plan, game: str | None) -> dict[str, Any]:
    """What a record says that follows from declaration and plan alone: whoever has those can check
    it word for word.
    """
    return {
        "source_name": schema.source.name,
        "source_public": schema.source.public,
        "population": plan.population,
        "unit": schema.privacy.unit,
        "neighbouring_relation": NEIGHBOURS,
        "events_per_user": plan.events_per_user,
        "public_declarations": public_declarations(schema),
        "chosen_with_sight": (SIGHT[0], *(schema.source.chosen_with_sight or SIGHT[1:])),
        "raw_data_seen_by": (SEEN_BY[0], *(schema.source.raw_data_seen_by or SEEN_BY[1:])),
        "columns": described_columns(schema),
        "sampler": sampler(plan),
        "model": plan.model,
        "game": game,
        "training": {} if plan.training is None else plan.training.model_dump(exclude={"share"}),
        "budget_share": plan.budget_share,
        "mechanisms": _mechanisms(plan),
        "delta": plan.delta,
        "accountant": ACCOUNTANT,
        "cross_check_accountant": CROSS_CHECK,
        "epsilon_cap": schema.source.epsilon_cap,
        "noise_source": NOISE_SOURCE,
        "floating_point": FLOATING_POINT,
        "not_private": not plan.is_private,
        "limits": LIMITS,
    }


def said_in_tables(record: ReleaseRecord) -> dict[str, str]:
    """What every synthetic table says of itself."""
    return {
        "format_version": "1",
        "synthetic": "true",
        "release_id": record.release_id,
        "source": record.source_name,
        "claim": f"epsilon {record.epsilon:.4g} at delta {record.delta:g} for each {record.unit}, {record.neighbouring_relation}",
    }


def with_internal_runs(record: ReleaseRecord, ledger: Ledger) -> ReleaseRecord:
    """The record after an audit has trained baselines."""
    return record.model_copy(update={"internal": _internal(ledger.internal(), delta=record.delta)})


def public_declarations(schema: Schema) -> tuple[str, ...]:
    """What the owner vouches for, a sentence each."""
    sentences = [
        f"The population is about {schema.source.population:,} users; at most {schema.privacy.events_per_user} events of each count.",
        "The source itself is published."
        if schema.source.public
        else "The source is not published.",
    ]
    if schema.item_column.catalogue is not None:
        sentences.append(
            f"The catalogue {schema.item_column.catalogue}: its item ids and attributes owe nothing to this log."
        )
    elif not schema.item_column.paid:
        sentences.append("The list of item ids.")
    if schema.rating is not None:
        sentences.append(
            f"{schema.rating.name}: from {schema.rating.min:g} to {schema.rating.max:g} by {schema.rating.step:g}."
        )
    if schema.time is not None and not schema.time.paid:
        sentences.append(
            f"{schema.time.name}: from {schema.time.min} to {schema.time.max}, {schema.time.zone}."
        )
    sentences += [
        f"{name}: {attribute.size} declared values or bins."
        for name, attribute in schema.user_attributes.items()
        if not getattr(attribute, "paid", False)
    ]
    sentences += [
        f"The values of {name}, filled in by `init` from the log on the owner's word."
        for name in schema.source.values_are_public
    ]
    return tuple(sentences)


def sampler(plan: Plan) -> str:
    """Who takes part in what."""
    whole = "Every user takes part in each measurement."
    return (
        whole
        if plan.training is None
        else (
            f"{whole} Each user is in a training step's batch by an independent coin of chance "
            f"{plan.training.sampling_rate:.4g} (Poisson sampling)."
        )
    )


def described_columns(schema: Schema) -> tuple[DataColumn, ...]:
    """What the shared tables hold, in their order."""
    events = [
        DataColumn(table="events", name=name, **_described(schema.columns[name]))
        for name in schema.kept_columns
    ]
    users = [
        DataColumn(table="users", name=name, **_described(each))
        for name, each in schema.user_attributes.items()
    ]
    return (
        *events,
        *(
            [DataColumn(table="users", name=schema.user, kind="user", says="as in the events")]
            if users
            else []
        ),
        *users,
    )


def _described(column: Any) -> dict[str, str]:
    if isinstance(column, (User, Unit)):
        return {"kind": "user", "says": "a synthetic user, from a space of ids of its own"}
    if isinstance(column, Item):
        return {"kind": "item", "says": "a real item id, so that a catalogue can be joined"}
    if isinstance(column, Datetime):
        window = "a window that was paid for" if column.paid else f"{column.min} to {column.max}"
        return {"kind": "time", "says": f"{window}, {column.zone}"}
    if isinstance(column, Ordinal):
        return {"kind": "rating", "says": f"{column.min:g} to {column.max:g} by {column.step:g}"}
    if isinstance(column, Identifier):
        return {"kind": "group of events", "says": "a synthetic id that events share"}
    paid = getattr(column, "paid", False)
    if isinstance(column, Categorical):
        return {
            "kind": "category",
            "says": "values that were paid for" if paid else f"{column.size} declared values",
        }
    return {
        "kind": "number",
        "says": "a range that was paid for" if paid else f"{column.min:g} to {column.max:g}",
    }


def paid_declaration(column: PaidColumn, *, plan: Plan, covered: str) -> str:
    """What a look has found, in words; `covered` is the paid figure that it says of items, "" of
    all else.
    """
    name, held = column.name, column.column
    if isinstance(held, (Datetime, Numeric)):
        grid = (
            "months"
            if isinstance(held, Datetime)
            else "numbers whose distance grows with their size"
        )
        return f"{name}: from {held.min} to {held.max}, found by a noisy histogram over {grid}."
    sentence = (
        f"{name}: {len(held.values or ()):,} values, named because enough users hold them (each user's weight is spread over theirs; "
        f"a noisy weight of {plan.opening(column.label).threshold:.1f} users or more)"
    )
    return f"{sentence}; {covered}." if isinstance(held, Item) else f"{sentence}."


def paid_patterns(*, schema: Schema, plan: Plan) -> tuple[str, ...]:
    """What a record's `paid_declarations` match, one each: all of it follows from schema and plan
    but the paid figure.
    """
    figure = f"(?:{COVERED_PATTERN}|{re.escape(COVERED_UNKNOWN)})"
    covered = {
        column.label: "\0" for column in paid_columns(schema) if isinstance(column.column, Item)
    }
    sentences = (
        paid_declaration(column, plan=plan, covered=covered.get(column.label, ""))
        for column in paid_columns(schema)
    )
    return tuple(re.escape(line).replace("\0", figure) for line in sentences)


def profile_deltas(delta: float, *, extra_delta: float) -> tuple[float, ...]:
    """Those that thresholds leave something of: at smaller ones epsilon is infinite."""
    return tuple(each for each in PROFILE_DELTAS if each > extra_delta) or (delta,)


def _mechanisms(plan: Plan) -> tuple[Mechanism, ...]:
    mechanisms = [
        Mechanism(
            name=each.name,
            purpose=each.purpose,
            kind="discrete Gaussian"
            + (" above a threshold" if getattr(each, "most_keys", None) else ""),
            sensitivity=each.sensitivity,
            noise_std=each.noise_std,
            unit_of_noise=each.unit,
            noise_multiplier=each.noise_multiplier,
            sampling_rate=None,
            count=1,
            extra_delta=getattr(each, "extra_delta", 0.0),
        )
        for each in (*plan.openings, *plan.measurements)
    ]
    if (game := plan.training) is not None:
        mechanisms.append(
            Mechanism(
                name="game",
                purpose="the critic's training by DP-SGD",
                kind="Poisson-subsampled Gaussian",
                sensitivity=game.clip_norm,
                noise_std=game.noise_multiplier * game.clip_norm,
                unit_of_noise="clip norms",
                noise_multiplier=game.noise_multiplier,
                sampling_rate=game.sampling_rate,
                count=game.steps,
            )
        )
    return tuple(mechanisms)


def _internal(entries: tuple[Entry, ...], *, delta: float) -> InternalRuns:
    return InternalRuns(
        count=len({entry.release_id for entry in entries}),
        epsilon=_accountant(entries).epsilon(delta) if entries else 0.0,
    )


def _accountant(entries: tuple[Entry, ...]) -> Accountant:
    return Accountant(events_of(entries), extra_delta=extra_delta_of(entries))
