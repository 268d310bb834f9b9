"""release.json and ledger.jsonl: fields public or paid; what follows from declaration and plan is
checked word for word.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from synthrec.audit.record import AttackBound
from synthrec.claim import LIBRARIES, paid_patterns, profile_deltas, public_part
from synthrec.data.splits import MAX_SHARE
from synthrec.errors import SynthrecError
from synthrec.inspection.findings import InspectedPart, broken, first_wrong, unreadable
from synthrec.model.format import Words
from synthrec.model.recipe import same_looks
from synthrec.privacy.ledger import MAX_LINE_BYTES, Entry
from synthrec.privacy.plan import MAX_STEPS
from synthrec.records import origins
from synthrec.report.record import MAX_RECORD_BYTES, Faithful, ReleaseRecord, read_record
from synthrec.storage import read_bounded

RECORD, EXCERPT = "release.json", "ledger.jsonl"
PLAIN = re.compile(r"[a-z_ ]{1,30}")  # a mechanism's name
MAX_EXCERPT_BYTES = 1 << 24
MAX_RUNS = 10_000  # releases, trials or trainings of one source
NOT_DECLARED = "not what schema and plan of generator.json say (in this version of synthrec)"
PATTERNS = {
    "release_id": r"[0-9a-f]{12}",
    "created_utc": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00",
    "synthrec_version": r"\d+\.\d+[\w.+]{0,30}",
    "commands": r"synthrec (run|fit) LOG --config TOML --epsilon \S{1,20} --delta \S{1,20} --out RELEASE --audit-share \S{1,20} "
    r"--model (gan|moments|marginals)",
    "versions": r"\d+[\w.+]{0,40}",
    "day": r"\d{4}-\d\d-\d\d",
}


def record_of(
    share: Path, *, words: Words | None
) -> tuple[ReleaseRecord | None, list[InspectedPart]]:
    """release.json with a line for each of its fields."""
    try:
        record = read_record(share / RECORD, kind=ReleaseRecord)
        content = read_bounded(share / RECORD, most=MAX_RECORD_BYTES)
    except (SynthrecError, OSError) as error:
        return None, [unreadable(RECORD, error)]
    expected = (
        {}
        if words is None
        else public_part(schema=words.declared, plan=words.plan, game=words.game)
    )
    parts = [
        InspectedPart(
            RECORD,
            name,
            type(getattr(record, name)).__name__,
            str(origin),
            _wrong_looks(record.paid_declarations, words=words)
            if name == "paid_declarations"
            else _wrong(name, record, expected=expected),
        )
        for name, origin in origins(ReleaseRecord).items()
    ]
    if content != record.model_dump_json(indent=2).encode() + b"\n":
        parts.append(
            broken(
                RECORD, "bytes that synthrec does not write, for example a missing format_version"
            )
        )
    return record, parts


def excerpt_of(
    share: Path, *, record: ReleaseRecord | None, words: Words | None
) -> tuple[tuple[Entry, ...], list[InspectedPart], list[str]]:
    """ledger.jsonl: the entries of this release, their seals, and whether they are those of the
    plan.
    """
    try:
        content = read_bounded(share / EXCERPT, most=MAX_EXCERPT_BYTES)
    except (SynthrecError, OSError) as error:
        return (), [unreadable(EXCERPT, error, missing="missing or not readable")], []
    if content.count(b"\n") > MAX_STEPS:
        return (), [broken(EXCERPT, "more lines than a plan has steps")], []
    lines = [_entry(line) for line in content.removesuffix(b"\n").split(b"\n")]
    parts = [_line(number, entry, record=record) for number, entry in enumerate(lines, start=1)]
    entries = [entry for entry in lines if entry is not None]
    sound = not any(part.problem for part in parts)
    if words is not None and sound and (odd := _odd(entries, words=words)):
        parts.append(broken(EXCERPT, odd, name="all lines"))
    if not content.endswith(b"\n"):
        parts.append(broken(EXCERPT, "a last line that is not whole"))
    breaks = sum(after.previous != before.hash for before, after in pairwise(entries))
    note = "link(s) of the excerpt lead to entries of other accounts in the source's ledger"
    return tuple(entries), parts, [f"{breaks} {note}"] if breaks else []


def _line(number: int, entry: Entry | None, *, record: ReleaseRecord | None) -> InspectedPart:
    """Is it a sealed entry, and one of this release?"""
    if entry is None:
        return broken(EXCERPT, "no sealed entry as synthrec writes it", name=f"line {number}")
    account = (entry.source, entry.release_id, entry.kind)
    wrong = first_wrong(
        (entry.kind == "trial", "an entry of a trial, which its owner made for nobody else"),
        (
            record is not None and account != (record.source_name, record.release_id, "release"),
            "an entry of another account",
        ),
        (not _spelt("day", entry.charged_utc), "a day that is none"),
    )
    mechanism = entry.mechanism if PLAIN.fullmatch(entry.mechanism) else ""
    return InspectedPart(EXCERPT, f"line {number}", mechanism, "public", wrong)


def _entry(line: bytes) -> Entry | None:
    """An entry whose seal holds, in the one spelling; what came before it is another question."""
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        entry = Entry.model_validate_json(line)
    except ValueError:
        return None
    spelt = entry.model_dump_json().encode()
    return entry if entry.hash == entry.digest() and spelt == line else None


def _odd(entries: list[Entry], *, words: Words) -> str | None:
    """Are the entries those that the plan charges: each look and measurement once, every step of
    the game once, thresholds' delta too?
    """
    plan = words.plan
    if not same_looks(words.declared, plan.openings):
        return "open columns that the plan of generator.json has no looks for"
    planned = {
        (each.name, each.noise_multiplier, 1.0, getattr(each, "extra_delta", 0.0)): 1
        for each in (*plan.measurements, *plan.openings)
    }
    if (game := plan.training) is not None:
        planned["game", game.noise_multiplier, game.sampling_rate, 0.0] = game.steps
    charged = Counter[tuple[str, float, float, float]]()
    for entry in entries:
        event = entry.event
        charged[
            entry.mechanism, event.noise_multiplier, event.sampling_rate, entry.extra_delta
        ] += event.count
    wrong = "other mechanisms, noise or runs than the plan of generator.json"
    return None if dict(charged) == planned else wrong


def _wrong_looks(lines: tuple[str, ...], *, words: Words | None) -> str | None:
    """What looks have found stands in the schema; the record says it in words that follow, but for
    the paid figure.
    """
    if words is None:
        return None
    looked = same_looks(words.declared, words.plan.openings)
    patterns = paid_patterns(schema=words.declared, plan=words.plan) if looked else ()
    fine = len(lines) == len(patterns) and all(map(re.fullmatch, patterns, lines))
    return None if fine else NOT_DECLARED


def _wrong(name: str, record: ReleaseRecord, *, expected: dict[str, Any]) -> str | None:
    value, rule = getattr(record, name), RULES.get(name)
    if name in expected:
        return None if value == expected[name] else NOT_DECLARED
    fine = rule is not None and rule(value, record)
    return None if fine else "nothing that synthrec writes there"


def _spelt(name: str, text: str) -> bool:
    return re.fullmatch(PATTERNS[name], text) is not None


def _amount(number: float, record: ReleaseRecord) -> bool:
    return number >= 0 and (math.isfinite(number) or record.not_private)


def _measured(faithful: tuple[Faithful, ...], record: ReleaseRecord) -> bool:
    """Each measurement once, to three decimals; the names of attributes are the schema's, as
    `columns` tells them.
    """
    names = [each.name for each in faithful]
    known = {"items", "activity", "ratings"} | {
        f"attribute {column.name}"
        for column in record.columns
        if column.table == "users" and column.kind != "user"
    }
    return (
        len(set(names)) == len(names)
        and set(names) <= known
        and all(
            0 <= each.distance <= 1 and round(each.distance, 3) == each.distance
            for each in faithful
        )
    )


def _profile(profile: tuple[tuple[float, float], ...], record: ReleaseRecord) -> bool:
    taken = sum(each.extra_delta for each in record.mechanisms)
    return tuple(delta for delta, _ in profile) == profile_deltas(
        record.delta, extra_delta=taken
    ) and all(_amount(epsilon, record) for _, epsilon in profile)


def _bound(bound: AttackBound, record: ReleaseRecord) -> bool:
    points = (number for point in bound.roc for number in point)
    numbers = (bound.fpr, bound.tpr, bound.auc, bound.advantage, *points)
    return len(bound.roc) <= 200 and all(0 <= number <= 1 for number in numbers)


# what a field of release.json may hold that does not follow from declaration and plan
RULES: dict[str, Callable[[Any, ReleaseRecord], bool]] = {
    "release_id": lambda value, record: _spelt("release_id", value),
    "created_utc": lambda value, record: _spelt("created_utc", value),
    "synthrec_version": lambda value, record: _spelt("synthrec_version", value),
    "commands": lambda texts, record: (
        len(texts) <= 10 and all(_spelt("commands", text) for text in texts)
    ),
    "versions": lambda versions, record: (
        set(versions) <= {"python", "ibis-framework", *LIBRARIES}  # in earlier releases
        and len(versions) <= 10
        and all(_spelt("versions", text) for text in versions.values())
    ),
    "epsilon": _amount,
    "epsilon_cross_check": _amount,
    "ledger_total": lambda value, record: _amount(value, record) and value >= record.epsilon - 1e-9,
    "profile": _profile,
    "bound": _bound,
    "faithful": _measured,
    "internal": lambda runs, record: 0 <= runs.count <= MAX_RUNS and _amount(runs.epsilon, record),
    "releases_before": lambda value, record: 0 <= value <= MAX_RUNS,
    "trials": lambda value, record: 0 <= value <= record.try_number,
    "try_number": lambda value, record: value == record.releases_before + 1,
    "audit_share": lambda value, record: 0 <= value <= MAX_SHARE,
    "seed_of_sampling": lambda value, record: value is None or value >= 0,
    "format_version": lambda value, record: True,  # by its type
    "synthetic_users": lambda value, record: True,  # by the tables
}
