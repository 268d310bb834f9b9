"""The requirement table: what five documents ask for in general, and whether the records meet it.

`requirements.json` drives it: each row names the record fields that its answer rests on, by path,
and one test on each. A row is met when every test holds, not met when one fails, not assessed when
a measurement is missing or too coarse to tell; some only a person can answer. The rows are our
reading of what a document asks for, in our words: no clause is quoted or numbered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from synthrec.audit.record import AuditRecord, Record
from synthrec.conformance.record import Conformance
from synthrec.report.record import ReleaseRecord

Status = Literal["met", "not met", "not assessed", "needs a person"]
WORST_FIRST: tuple[Status, ...] = ("not met", "not assessed", "met")


class Condition(Record):
    """One test on one field. `path`: record, then names; `[*]` is each of a list, `[name=x]` those
    with that value.

    `times` and `less` are paths, too: what the field is multiplied with, or lessened by, before it
    is compared with `value` or `than`.
    """

    path: str
    times: str | None = None
    less: str | None = None
    test: Literal["said", "true", "false", "above", "at most", "one of"]
    value: float | None = None
    than: str | None = None
    among: tuple[str, ...] = ()
    failing: Literal["not met", "not assessed"] = (
        "not met"  # "not assessed" where a test asks whether enough was measured to tell
    )


class Row(Record):
    """What is asked; `evidence`: the place on the page; `met_when` is empty where a person must
    judge, who `signs`.

    `rule` says in words what `met_when` tests, where that is not plain from what is asked.
    """

    asks: str
    rule: str | None = None
    evidence: str
    met_when: tuple[Condition, ...] = ()
    signs: str | None = None


class Document(Record):
    """One document and what it asks for."""

    name: str
    title: str
    rows: tuple[Row, ...]


class Answer(Record):
    """A row with its status."""

    row: Row
    status: Status


@cache
def documents() -> tuple[Document, ...]:
    """All of them, in the page's order."""

    class File(Record):
        format_version: Literal[1]
        documents: tuple[Document, ...]

    return File.model_validate_json(
        files("synthrec.report").joinpath("requirements.json").read_text(encoding="utf-8")
    ).documents


def answered(
    release: ReleaseRecord, audit: AuditRecord | None, mechanism: Conformance | None
) -> tuple[tuple[Document, tuple[Answer, ...]], ...]:
    """The whole table from the records as an edition sees them."""
    records = {
        "release": release.model_dump(),
        "audit": None if audit is None else audit.model_dump(),
        "mechanism": None if mechanism is None else mechanism.model_dump(),
    }
    return tuple(
        (document, tuple(Answer(row=row, status=status(row, records)) for row in document.rows))
        for document in documents()
    )


def status(row: Row, records: Mapping[str, Any]) -> Status:
    """The status of one row; `records` holds plain values."""
    if not row.met_when:
        return "needs a person"
    held = [(condition, _holds(condition, records)) for condition in row.met_when]
    statuses = {
        "not assessed" if holds is None else "met" if holds else condition.failing
        for condition, holds in held
    }
    return next(status for status in WORST_FIRST if status in statuses)


def _holds(condition: Condition, records: Mapping[str, Any]) -> bool | None:
    """None: nobody measured it."""
    values = at(records, condition.path)
    if not values or None in values:
        return None
    of_each: dict[str, Callable[[Any], bool]] = {
        "said": bool,
        "true": lambda value: value is True,
        "false": lambda value: value is False,
        "one of": lambda value: value in condition.among,
    }
    if condition.test in of_each:
        return all(map(of_each[condition.test], values))
    paths = (condition.times, condition.less, condition.than)
    times, less, than = (_one(records, path) for path in paths)
    if any(path and one is None for path, one in zip(paths, (times, less, than), strict=True)):
        return None
    limit = condition.value if than is None else than
    assert limit is not None, "a comparison has a value or another path"
    compared = [
        value * (1 if times is None else times) - (0 if less is None else less) for value in values
    ]
    return all(value > limit if condition.test == "above" else value <= limit for value in compared)


def _one(records: Mapping[str, Any], path: str | None) -> float | None:
    values = [] if path is None else at(records, path)
    return values[0] if len(values) == 1 else None


def at(records: Mapping[str, Any], path: str) -> list[Any]:
    """The values that a path leads to; [None] where a record or a part of it is not there."""
    values: list[Any] = [records]
    for step in path.split("."):
        name, _, chosen = step.partition("[")
        values = [None if value is None else value.get(name) for value in values]
        if chosen:
            values = [
                inner
                for value in values
                for inner in (value if value is not None else (None,))
                if _chosen(inner, chosen[:-1])
            ]
    return values


def _chosen(value: Any, which: str) -> bool:
    name, _, wanted = which.partition("=")
    return which == "*" or value is None or value[name] == wanted
