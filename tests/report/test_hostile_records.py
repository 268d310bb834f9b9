"""Whatever strings the records hold, the pages have the elements and attributes of honest pages,
and a policy under which nothing runs.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from pydantic import BaseModel, ValidationError

from privacy_reports.index import index
from synthrec.audit.record import AuditedUtility, AuditRecord
from synthrec.conformance.record import Conformance
from synthrec.report.record import ReleaseRecord
from synthrec.report.render import NOT_DRAWN, Edition, pictures, render
from synthrec.report.taste_axes import Axis, End, Name, TasteAxes, picture
from tests.report.hostile import HOSTILE, places, schema_of, spoilt, texts_named, with_value
from tests.report.records import audit, brief, conformance, release

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
RECORDS: dict[str, BaseModel] = {
    "release": release(
        source_public=False,
        game="kept",
        paid_declarations=("item ids",),
        faithful=({"name": "items", "distance": 0.1},),
        training={"steps": 400, "optimizer": "adam"},
    ),
    "audit": audit(),
    "mechanism": conformance(),
}
# texts that choose what is drawn: hostile in the first round, honest in the second
STEER = frozenset({"Arm.name", "Against.rival", "Mechanism.name", ".budget_share", ".policy"})


class Skeleton(HTMLParser):
    """What a page is made of, apart from its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: set[str] = set()
        self.policies: list[str | None] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts |= {tag, *(f"{tag} {name}" for name, _ in attrs)}
        if ("http-equiv", "Content-Security-Policy") in attrs:
            self.policies.append(dict(attrs)["content"])

    def handle_comment(self, data: str) -> None:
        self.parts.add("comment")

    def handle_pi(self, data: str) -> None:
        self.parts.add("instruction")

    def unknown_decl(self, data: str) -> None:
        self.parts.add("declaration")


def pages(documents: dict[str, object]) -> dict[str, str]:
    """Both editions, and the index of reference releases."""
    one = ReleaseRecord.model_validate(documents["release"])
    two, three = (
        AuditRecord.model_validate(documents["audit"]),
        Conformance.model_validate(documents["mechanism"]),
    )
    found = {
        edition.value: render(one, two, mechanism=three, edition=edition) for edition in Edition
    }
    return found | {"index": index({"r": (one, two, three)})}


def hostile_pages(*, keep: frozenset[str] = frozenset()) -> dict[str, str]:
    """The same of records whose every text is hostile."""
    return pages({name: spoilt(record, name, keep=keep) for name, record in RECORDS.items()})


@pytest.fixture(scope="module")
def honest() -> dict[str, str]:
    return pages({name: json.loads(record.model_dump_json()) for name, record in RECORDS.items()})


@pytest.mark.parametrize("keep", [frozenset(), STEER])
def test_hostile_text_anywhere_in_the_records_adds_no_element_and_no_attribute_to_a_page(
    honest: dict[str, str], keep: frozenset[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = hostile_pages(keep=keep)
    bare = Skeleton(render(release(), None, edition=Edition.INTERNAL)).parts
    for name, page in found.items():
        assert Skeleton(page).parts <= Skeleton(honest[name]).parts | bare, name
        assert "{{ 7 * 7 }}" in page and "&lt;script&gt;" in page


def test_the_hostile_records_have_every_text_that_the_schemas_allow() -> None:
    for name, record in RECORDS.items():
        schema, document = schema_of(name), json.loads(record.model_dump_json())
        known = {named for _, kind, named in places(document, schema, schema) if kind == "text"}
        assert len(known) > 1
        assert texts_named(schema, schema) == known


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_text_in_place_of_a_number_or_of_one_of_a_list_of_words_is_refused(name: str) -> None:
    record, schema = RECORDS[name], schema_of(name)
    document = json.loads(record.model_dump_json())
    found = list(places(document, schema, schema))
    texts = {
        named for _, kind, named in found if kind == "text"
    }  # one of them may be a number, too
    first = {
        named: at
        for at, kind, named in reversed(found)
        if kind in ("number", "word") and named not in texts
    }
    for at in first.values():
        with pytest.raises(ValidationError):
            type(record).model_validate_json(json.dumps(with_value(document, at, HOSTILE)))


def test_every_page_forbids_whatever_is_not_its_own_style(honest: dict[str, str]) -> None:
    for page in honest.values():
        assert Skeleton(page).policies == [POLICY]
        assert page.index("Content-Security-Policy") < page.index("<style>")


def test_a_hostile_release_is_text_in_the_picture_of_its_taste_axes() -> None:
    end = End(names=(Name(label=HOSTILE, strength=0.5),), items=(HOSTILE,))
    axis = Axis(title=HOSTILE, share=0.5, spread=0.1, low=end, high=end)

    def drawn(axes: TasteAxes) -> list[str]:
        return sorted(
            {
                f"{each.tag} {name}"
                for each in ElementTree.fromstring(picture(axes)).iter()
                for name in each.attrib
            }
        )

    hostile = TasteAxes(
        source=HOSTILE,
        release_id=HOSTILE,
        choosing=(axis,),
        rating=(axis,),
        bias_share=0.1,
        learned=(axis,),
    )
    plain = End(names=(Name(label="a", strength=0.5),), items=("b",))
    calm = Axis(title="c", share=0.5, spread=0.1, low=plain, high=plain)
    assert drawn(hostile) == drawn(
        TasteAxes(
            source="d",
            release_id="e",
            choosing=(calm,),
            rating=(calm,),
            bias_share=0.1,
            learned=(calm,),
        )
    )
    assert "HIT" in picture(hostile)


@pytest.mark.parametrize("value", [1e308, -1e308, 5e-324, 0.0, math.inf, math.nan])
def test_pictures_of_records_whose_numbers_are_all_extreme_are_drawn_or_left_out_without_a_warning(
    value: float,
) -> None:
    def extreme(found: Any) -> Any:
        if isinstance(found, BaseModel):
            return found.model_copy(
                update={name: extreme(each) for name, each in found.__dict__.items()}
            )
        return (
            tuple(map(extreme, found))
            if isinstance(found, tuple)
            else value
            if isinstance(found, float)
            else found
        )

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = pictures(extreme(release(releases_before=1)), extreme(audit()))
    assert all(
        text == NOT_DRAWN or ElementTree.fromstring(text) is not None for text in drawn.values()
    )
    assert ("<svg" in drawn["roc"]) == (abs(value) < 1)
    assert not any(re.search(r"\b(nan|inf)\b", text) for text in drawn.values() if "<svg" in text)


def test_a_curve_without_points_takes_no_picture_from_another_one() -> None:
    use = audit().utility
    assert use is not None
    found = brief(
        audit(),
        utility=AuditedUtility(
            protocol=None, curves=(use.curves[0].model_copy(update={"points": ()}), use.curves[1])
        ),
    )
    assert "Cold start: new users" in render(release(), found, edition=Edition.INTERNAL)


def test_one_extreme_number_leaves_one_picture_out_and_says_so() -> None:
    page = render(release(profile=((1e-4, 7.98), (1e-5, 1e308))), None, edition=Edition.INTERNAL)
    assert page.count(NOT_DRAWN) == 1 and page.count("<figure>") == 4
