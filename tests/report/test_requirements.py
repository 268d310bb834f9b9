"""The requirement table: a cell says "met" only while every field that it cites holds."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from synthrec.report.edition import Edition
from synthrec.report.render import render
from synthrec.report.requirements import Condition, Row, answered, documents, status
from tests.report.records import audit, brief, conformance, release, verdicts

RECORDS: dict[str, Any] = {
    "release": release().model_dump(),
    "audit": audit().model_dump(),
    "mechanism": conformance().model_dump(),
}


def paths_of(row: Row) -> tuple[str, ...]:
    """Every field that a row's answer rests on."""
    each = [
        path
        for condition in row.met_when
        for path in (condition.path, condition.times, condition.less, condition.than)
    ]
    return tuple(dict.fromkeys(path for path in each if path is not None))


CITED = [
    (document.name, row, path)
    for document in documents()
    for row in document.rows
    for path in paths_of(row)
]


def flipped(value: Any, condition: Condition, path: str) -> Any:
    """A value that the test must not let through."""
    if condition.test == "said":
        return () if isinstance(value, (list, tuple)) else ""
    if condition.test in ("true", "false"):
        return not value
    if condition.test == "one of":
        return "something else"
    higher = (path == condition.path or path == condition.times) != (condition.test == "above")
    return 1e6 if higher else -1e6


def put(records: Any, steps: list[str], value: Any) -> None:
    name, _, chosen = steps[0].partition("[")
    if not chosen:
        if len(steps) == 1:
            records[name] = value(records[name])
        else:
            put(records[name], steps[1:], value)
        return
    inner = records[name]
    key, _, wanted = chosen[:-1].partition("=")
    place = next(place for place, each in enumerate(inner) if key == "*" or each[key] == wanted)
    changed = list(inner)
    records[name] = changed
    put(changed[place], steps[1:], value)


@pytest.mark.parametrize(
    ("document", "row", "path"), CITED, ids=[f"{name}: {path}" for name, _, path in CITED]
)
def test_flipping_a_cited_field_changes_the_cell(document: str, row: Row, path: str) -> None:
    assert status(row, RECORDS) == "met", "the full fixture meets all that records can"
    condition = next(
        each for each in row.met_when if path in (each.path, each.times, each.less, each.than)
    )
    records = copy.deepcopy(RECORDS)
    put(records, path.split("."), lambda value: flipped(value, condition, path))
    assert status(row, records) != "met"


@pytest.mark.parametrize(
    ("document", "row", "path"), CITED, ids=[f"{name}: {path}" for name, _, path in CITED]
)
def test_a_cited_field_that_nobody_measured_leaves_the_cell_unmet(
    document: str, row: Row, path: str
) -> None:
    records = copy.deepcopy(RECORDS)
    put(records, path.split("."), lambda value: None)
    assert status(row, records) in ("not assessed", "not met")


def test_without_an_audit_what_rests_on_it_is_not_assessed() -> None:
    statuses = [
        answer.status for _, answers in answered(release(), None, None) for answer in answers
    ]
    assert "not met" not in statuses and statuses.count("not assessed") == sum(
        any(not path.startswith("release.") for path in paths_of(row))
        for document in documents()
        for row in document.rows
    )


def test_a_leak_is_seen_in_the_table() -> None:
    from synthrec.audit.record import Verdict

    leaking = dict(
        answered(release(), verdicts()[Verdict.LEAK_DETECTED], conformance(failing=True))
    )
    by_name = {
        document.name: [answer.status for answer in answers]
        for document, answers in leaking.items()
    }
    assert (
        by_name["EDPB opinion 28/2024"][0] == "not met"
        and by_name["NIST SP 800-226"][5] == "not met"
    )


def test_rows_for_people_name_who_signs_and_every_row_says_where_the_evidence_is() -> None:
    page = render(release(), brief(audit()), mechanism=conformance(), edition=Edition.INTERNAL)
    for document in documents():
        for row in document.rows:
            assert bool(row.met_when) != bool(row.signs), row.asks
    assert page.count('class="sign"') == sum(
        row.signs is not None for document in documents() for row in document.rows
    )


def test_no_clause_is_cited() -> None:
    """Nobody had the texts at hand: documents are named, articles, sections and recitals are not."""
    import re

    for document in documents():
        for row in document.rows:
            assert not re.search(
                r"\b(section|clause|article|art\.|recital|paragraph|§)\s*\d",
                row.asks,
                re.IGNORECASE,
            )


def test_too_few_people_to_tell_whether_training_data_are_reproduced_meet_nothing() -> None:
    records = copy.deepcopy(RECORDS)
    replay = records["audit"]["disclosure"]["replay"]
    for who in ("members", "holdout"):
        replay[who] |= {"value": 2.5, "low": 1.0, "high": 4.0, "n": 4}
    row = next(
        row for document in documents() for row in document.rows if "not reproduced" in row.asks
    )
    assert status(row, records) == "not assessed"


@pytest.mark.parametrize(
    "asks",
    ["Singling out", "Linkability", "Inference", "Show by documented tests", "not reproduced"],
)
def test_a_second_run_says_nothing_of_the_very_data_that_are_released(asks: str) -> None:
    row = next(row for document in documents() for row in document.rows if asks in row.asks)
    assert status(row, RECORDS) == "met"
    assert (
        status(row, {**RECORDS, "audit": {**RECORDS["audit"], "subject": "second run"}})
        == "not assessed"
    )
