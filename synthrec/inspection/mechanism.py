"""mechanism.json: what the conformance suite found, in the words that the suite has; none at all is
fine.

Guarantees: each line is one of the suite's questions, asked once, its figures apart; nothing is
evaluated. Whether the suite was run and found these figures nobody can see from the file: a
recipient runs `synthrec verify --mechanism RELEASE` on an installation of their own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path

from synthrec.conformance.record import QUESTIONS, WORDS_IN_NAMES, Check, Conformance
from synthrec.errors import SynthrecError
from synthrec.inspection.findings import InspectedPart, first_wrong, unreadable
from synthrec.inspection.record import PATTERNS
from synthrec.model.format import Words
from synthrec.privacy.mechanisms import GaussianSum
from synthrec.report.record import read_record
from synthrec.storage import read_bounded

MECHANISM = "mechanism.json"
MAX_MECHANISM_BYTES = 1 << 20
SUBJECT = "the plan of this release on a simulated log"
FIGURE = re.compile(r"\{(\w+)[^}]*\}")
NUMBER = re.compile(r"\d(?:[\d,.]{0,15}\d)?(?:e[+-]?\d{1,3})?")


def mechanism_of(
    share: Path, *, words: Words | None
) -> tuple[Conformance | None, list[InspectedPart]]:
    """The record if there is one, with a line for each of its topics' checks and one for the rest."""
    path = share / MECHANISM
    if not path.exists() and not path.is_symlink():
        return None, []
    try:
        content = read_bounded(path, most=MAX_MECHANISM_BYTES)
        record = read_record(path, kind=Conformance)
    except (SynthrecError, OSError) as error:
        return None, [unreadable(MECHANISM, error)]
    written = record.model_dump_json(indent=2).encode() + b"\n"
    problem = first_wrong((content != written, "bytes that synthrec does not write"))
    known = known_questions(
        *(() if words is None else (words.plan.measurements, words.plan.openings))
    )
    seen: set[tuple[str, str]] = set()
    parts = [
        InspectedPart(
            MECHANISM,
            "the record",
            f"{len(record.checks)} checks",
            "public",
            problem or _about(record, words=words),
        )
    ]
    for check in record.checks:
        name = check.name if (check.topic, _blanked(check.name)) in known else ""
        wrong = _wrong(check, known=known, seen=seen)
        parts.append(InspectedPart(MECHANISM, name, check.topic, "simulated", wrong))
        seen.add((check.topic, check.name))
    return record, parts


def known_questions(
    measurements: Sequence[GaussianSum] = (), looks: Sequence[GaussianSum] = ()
) -> dict[tuple[str, str], str]:
    """All that the suite asks of a plan with these measurements and looks, numbers blanked."""
    sums, looked = ([plan.name for plan in plans] for plans in (measurements, looks))
    words = WORDS_IN_NAMES | {"sum": sums, "look": looked, "mechanism": [*sums, *looked]}
    words["leaver"] = WORDS_IN_NAMES["who"] if looks else ()
    known: dict[tuple[str, str], str] = {}
    for topic, questions in QUESTIONS.items():
        for name, question in questions.items():
            fields = [field for field in FIGURE.findall(name) if field in words]
            for chosen in product(*(words[field] for field in fields)):
                filled = FIGURE.sub(partial(_figure, dict(zip(fields, chosen, strict=True))), name)
                known[topic, _blanked(filled)] = _blanked(FIGURE.sub("#", question))
    return known


def _figure(chosen: dict[str, str], figure: re.Match[str]) -> str:
    return chosen.get(figure[1], "#")


def _about(record: Conformance, *, words: Words | None) -> str | None:
    version = re.fullmatch(PATTERNS["synthrec_version"], record.synthrec_version)
    checked = (record.model, record.epsilon, record.delta)
    return first_wrong(
        (record.subject != SUBJECT or version is None, "words that synthrec does not write"),
        (
            words is not None
            and checked != (words.plan.model, words.plan.epsilon, words.plan.delta),
            "another plan than that of generator.json",
        ),
        (
            not (0 <= record.seconds < math.inf and record.checks),
            "no time that a suite takes, or nothing checked",
        ),
    )


def _wrong(
    check: Check, *, known: dict[tuple[str, str], str], seen: set[tuple[str, str]]
) -> str | None:
    question = known.get((check.topic, _blanked(check.name)))
    return first_wrong(
        (
            not check.passed and question is not None,
            f"a check that failed: found {check.found}, allowed {check.allowed}",
        ),
        (
            question is None
            or _blanked(check.asked) != question
            or (check.topic, check.name) in seen,
            "no question of the suite",
        ),
        (
            not check.low <= check.statistic <= check.high,
            "passed, though its number is out of its range",
        ),
    )


def _blanked(text: str) -> str:
    return NUMBER.sub("#", text)
