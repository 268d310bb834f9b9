"""release.json and ledger.jsonl: fields public or paid; what follows from declaration and plan is
checked word for word.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from synthrec.claim import LIBRARIES, paid_patterns, profile_deltas, public_part
from synthrec.data.splits import MAX_SHARE
from synthrec.errors import SynthrecError
from synthrec.inspection.findings import Part
from synthrec.model.format import Words
from synthrec.model.recipe import same_looks
from synthrec.privacy.ledger import MAX_LINE_BYTES, Entry
from synthrec.privacy.plan import MAX_STEPS
from synthrec.report.record import LARGEST, Faithful, ReleaseRecord, read_record
from synthrec.storage import read_bounded

RECORD, EXCERPT = "release.json", "ledger.jsonl"
TRIAL = "an entry of a trial, which its owner made for nobody else"
LARGEST_EXCERPT = 1 << 24
MAX_RUNS = 10_000  # releases, trials or trainings of one source
PATTERNS = {
    "release_id": r"[0-9a-f]{12}",
    "created_utc": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00",
    "synthrec_version": r"\d+\.\d+[\w.+]{0,30}",
    "commands": r"synthrec (run|fit) LOG --config TOML --epsilon \S{1,20} --delta \S{1,20} --out RELEASE --audit-share \S{1,20} "
    r"--model (gan|moments|marginals)",
    "versions": r"\d+[\w.+]{0,40}",
    "day": r"\d{4}-\d\d-\d\d",
}
PAID = {
    "epsilon": "the claim",
    "epsilon_cross_check": "the claim",
    "profile": "the claim",
    "bound": "the source's ledger",
    "ledger_total": "the source's ledger",
    "releases_before": "the source's ledger",
    "internal": "the source's ledger",
    "trials": "the source's ledger",
    "try_number": "the source's ledger",
    "paid_declarations": "looks at open columns, paid",
    "faithful": "measurements, paid, against the synthetic log",
}


def record_of(share: Path, *, words: Words | None) -> tuple[ReleaseRecord | None, list[Part]]:
    """release.json with a line for each of its fields."""
    try:
        record = read_record(share / RECORD, kind=ReleaseRecord)
        content = read_bounded(share / RECORD, most=LARGEST)
    except (SynthrecError, OSError) as error:
        return None, [
            Part(
                RECORD,
                "the file",
                "",
                "",
                str(error) if isinstance(error, SynthrecError) else "not readable",
            )
        ]
    expected = (
        {}
        if words is None
        else public_part(schema=words.declared, plan=words.plan, game=words.game)
    )
    parts = []
    for name in ReleaseRecord.model_fields:
        value = getattr(record, name)
        origin = f"public: from {PAID[name]}" if name in PAID else "public"
        wrong = (
            _wrong_looks(value, words=words)
            if name == "paid_declarations"
            else _wrong(name, value, record=record, expected=expected)
        )
        parts.append(Part(RECORD, name, type(value).__name__, origin, wrong))
    if content != record.model_dump_json(indent=2).encode() + b"\n":
        parts.append(
            Part(
                RECORD,
                "the file",
                "",
                "",
                "bytes that synthrec does not write, for example a missing format_version",
            )
        )
    return record, parts


def excerpt_of(
    share: Path, *, record: ReleaseRecord | None, words: Words | None
) -> tuple[tuple[Entry, ...], list[Part], list[str]]:
    """ledger.jsonl: the entries of this release, their seals, and whether they are those of the
    plan.
    """
    try:
        content = read_bounded(share / EXCERPT, most=LARGEST_EXCERPT)
    except (SynthrecError, OSError) as error:
        return (
            (),
            [
                Part(
                    EXCERPT,
                    "the file",
                    "",
                    "",
                    str(error) if isinstance(error, SynthrecError) else "missing or not readable",
                )
            ],
            [],
        )
    entries, parts, breaks = [], [], 0
    if content.count(b"\n") > MAX_STEPS:
        return (), [Part(EXCERPT, "the file", "", "", "more lines than a plan has steps")], []
    for place, line in enumerate(content.removesuffix(b"\n").split(b"\n"), start=1):
        entry = _entry(line)
        if entry is None:
            parts.append(
                Part(EXCERPT, f"line {place}", "", "", "no sealed entry as synthrec writes it")
            )
            continue
        alien = record is not None and (entry.source, entry.release_id, entry.kind) != (
            record.source_name,
            record.release_id,
            "release",
        )
        day = re.fullmatch(PATTERNS["day"], entry.charged_utc) is not None
        breaks += bool(entries) and entry.previous != entries[-1].hash
        problem = "an entry of another account" if alien else None if day else "a day that is none"
        parts.append(
            Part(
                EXCERPT,
                f"line {place}",
                entry.mechanism if _plain(entry.mechanism) else "",
                "public",
                TRIAL if entry.kind == "trial" else problem,
            )
        )
        entries.append(entry)
    if (
        words is not None
        and not any(part.problem for part in parts)
        and (odd := _odd(entries, words=words))
    ):
        parts.append(Part(EXCERPT, "all lines", "", "", odd))
    if not content.endswith(b"\n"):
        parts.append(Part(EXCERPT, "the file", "", "", "a last line that is not whole"))
    notes = (
        [
            f"{breaks} link(s) of the excerpt lead to entries of other accounts in the source's ledger"
        ]
        if breaks
        else []
    )
    return tuple(entries), parts, notes


def _entry(line: bytes) -> Entry | None:
    """An entry whose seal holds, in the one spelling; what came before it is another question."""
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        entry = Entry.model_validate_json(line)
    except ValueError:
        return None
    spelt = entry.model_dump_json(
        exclude={"planned", "delta"} if entry.format_version == 1 else None
    ).encode()
    return entry if entry.hash == entry.digest() and spelt == line else None


def _odd(entries: list[Entry], *, words: Words) -> str | None:
    """Are the entries those that the plan charges: each look and measurement once, every step of
    the game once, thresholds' delta too?
    """
    plan = words.plan
    if not same_looks(words.declared, plan.openings):
        return "open columns that the plan of generator.json has no looks for"
    sums = {(each.name, each.noise_multiplier, 1.0, 0.0): 1 for each in plan.measurements}
    sums |= {(each.name, each.noise_multiplier, 1.0, each.extra_delta): 1 for each in plan.openings}
    if plan.training is not None:
        sums["game", plan.training.noise_multiplier, plan.training.sampling_rate, 0.0] = (
            plan.training.steps
        )
    found: dict[tuple[str, float, float, float], int] = {}
    for entry in entries:
        key = (
            entry.mechanism,
            entry.event.noise_multiplier,
            entry.event.sampling_rate,
            entry.extra_delta,
        )
        found[key] = found.get(key, 0) + entry.event.count
    return (
        None if found == sums else "other mechanisms, noise or runs than the plan of generator.json"
    )


def _plain(name: str) -> bool:
    return re.fullmatch(r"[a-z_ ]{1,30}", name) is not None


def _wrong_looks(said: tuple[str, ...], *, words: Words | None) -> str | None:
    """What looks have found stands in the schema; the record says it in words that follow, but for
    the paid figure.
    """
    if words is None:
        return None
    patterns = (
        paid_patterns(schema=words.declared, plan=words.plan)
        if same_looks(words.declared, words.plan.openings)
        else ()
    )
    fine = len(said) == len(patterns) and all(
        re.fullmatch(pattern, line) for pattern, line in zip(patterns, said, strict=True)
    )
    return (
        None
        if fine
        else "not what schema and plan of generator.json say (in this version of synthrec)"
    )


def _wrong(name: str, value: Any, *, record: ReleaseRecord, expected: dict[str, Any]) -> str | None:
    if name in expected:
        return (
            None
            if value == expected[name]
            else "not what schema and plan of generator.json say (in this version of synthrec)"
        )
    if name in ("commands", "versions"):
        texts = value if name == "commands" else value.values()
        alien = name == "versions" and not set(value) <= {"python", *LIBRARIES}
        fine = (
            not alien
            and len(texts) <= 10
            and all(re.fullmatch(PATTERNS[name], text) for text in texts)
        )
    elif name in PATTERNS:
        fine = re.fullmatch(PATTERNS[name], value) is not None
    else:
        fine = _in_range(name, value, record=record)
    return None if fine else "nothing that synthrec writes there"


def _measured_names(found: tuple[Faithful, ...], *, record: ReleaseRecord) -> bool:
    """Each measurement once; the names of attributes are the schema's, as `columns` tells them."""
    names = [each.name for each in found]
    known = {
        f"attribute {column.name}"
        for column in record.columns
        if column.table == "users" and column.kind != "user"
    }
    return len(set(names)) == len(names) and set(names) <= {"items", "activity", "ratings"} | known


def _deltas(record: ReleaseRecord) -> tuple[float, ...]:
    return profile_deltas(
        record.delta, extra_delta=sum(each.extra_delta for each in record.mechanisms)
    )


def _in_range(name: str, value: Any, *, record: ReleaseRecord) -> bool:
    def amount(number: float) -> bool:
        return number >= 0 and (math.isfinite(number) or record.not_private)

    if name in ("epsilon", "epsilon_cross_check"):
        return amount(value)
    if name == "ledger_total":
        return amount(value) and value >= record.epsilon - 1e-9
    if name == "profile":
        return tuple(delta for delta, _ in value) == _deltas(record) and all(
            amount(epsilon) for _, epsilon in value
        )
    if name == "bound":
        numbers = [
            value.fpr,
            value.tpr,
            value.auc,
            value.advantage,
            *(number for point in value.roc for number in point),
        ]
        return len(value.roc) <= 200 and all(0 <= number <= 1 for number in numbers)
    if name == "faithful":
        return _measured_names(value, record=record) and all(
            0 <= each.distance <= 1 and round(each.distance, 3) == each.distance for each in value
        )
    if name == "internal":
        return 0 <= value.count <= MAX_RUNS and amount(value.epsilon)
    if name == "releases_before":
        return bool(0 <= value <= MAX_RUNS)
    if name == "trials":
        return bool(0 <= value <= record.try_number)
    if name == "try_number":
        return bool(value == record.releases_before + 1)
    if name == "audit_share":
        return bool(0 <= value <= MAX_SHARE)
    if name == "seed_of_sampling":
        return value is None or value >= 0
    return name in (
        "format_version",
        "synthetic_users",
    )  # the first by its type, the second by the tables
