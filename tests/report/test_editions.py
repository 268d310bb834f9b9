"""The public edition holds what the allow-list names: marks planted in every private field are
found in none of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from synthrec.audit.record import AuditRecord
from synthrec.conformance.record import Conformance
from synthrec.report.edition import PUBLIC_OF_MECHANISM, PUBLIC_OF_RELEASE, Edition, seen
from synthrec.report.record import ReleaseRecord
from synthrec.report.render import render
from synthrec.report.texts import shared_texts
from tests.report.records import audit, conformance, release, verdicts

MARK, BASE = "QUAGGA", 7_331_000


def planted(value: Any, count: list[int]) -> Any:
    """The same shape, every text, number and truth value replaced by one that stands nowhere else."""
    if isinstance(value, dict):
        return {name: planted(inner, count) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [planted(inner, count) for inner in value]
    count[0] += 1
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return BASE + count[0]
    return f"{MARK}{count[0]}"


def marks(text: str) -> list[str]:
    found = [word for word in (MARK, "733100", "7,331,", "7331") if word in text]
    return found


def everywhere() -> AuditRecord:
    """An audit that is marked in each of its fields; what a type does not allow stays."""
    said = audit().model_dump()
    kept = {("subject",), ("effort",), ("format_version",), ("verdict",)}
    marked = {
        name: value if (name,) in kept else planted(value, [0]) for name, value in said.items()
    }
    return AuditRecord.model_construct(**marked)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def test_marks_in_every_private_field_are_in_no_file_that_is_shared() -> None:
    private, marked = release(source_public=False), everywhere()
    assert (
        sum(
            MARK in str(leaf) or (isinstance(leaf, (int, float)) and leaf > BASE)
            for leaf in leaves(marked.__dict__)
        )
        > 1000
    )
    texts = {
        "page": render(private, marked, mechanism=conformance(), edition=Edition.PUBLIC),
        **shared_texts(private, conformance()),
    }
    for name, text in texts.items():
        assert marks(text) == [], name


def test_the_same_marks_are_found_where_the_source_is_public() -> None:
    assert "QUAGGA" in render(
        release(source_public=True), audit(reason="QUAGGA", utility=None), edition=Edition.PUBLIC
    )
    assert "QUAGGA" in render(
        release(source_public=False), audit(reason="QUAGGA", utility=None), edition=Edition.INTERNAL
    )


def test_a_field_that_nobody_has_allowed_is_not_in_the_public_edition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("synthrec.report.edition.PUBLIC_OF_RELEASE", PUBLIC_OF_RELEASE - {"limits"})
    shown = seen(release(source_public=False), audit(), None, edition=Edition.PUBLIC)
    assert shown.audit is None and shown.release.limits == ()
    assert seen(release(), audit(), None, edition=Edition.INTERNAL).release.limits != ()


def test_somebody_has_decided_for_every_field_whether_it_is_public() -> None:
    """A new field fails here until it is put into the list, or named as private."""
    assert set(ReleaseRecord.model_fields) == PUBLIC_OF_RELEASE
    assert set(Conformance.model_fields) == PUBLIC_OF_MECHANISM


def test_the_public_edition_is_the_same_bytes_whatever_the_audit_found() -> None:
    private = release(source_public=False)
    pages = {
        render(private, found, mechanism=conformance(), edition=Edition.PUBLIC)
        for found in (None, audit(), *verdicts().values())
    }
    assert len(pages) == 1
