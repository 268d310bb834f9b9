from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from pydantic import ValidationError

from synthrec.audit.record import Arm, AuditedUtility, AuditRecord, Verdict
from synthrec.conformance.record import Conformance, judged
from synthrec.report import render as rendering
from synthrec.report import sentences
from synthrec.report.plots.utility import ladder
from synthrec.report.record import ReleaseRecord
from synthrec.report.render import Edition, render
from tests.report.records import (
    attack,
    audit,
    bound,
    brief,
    conformance,
    release,
    utility,
    verdicts,
)

INTERNAL, PUBLIC = Edition.INTERNAL, Edition.PUBLIC
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Balance(HTMLParser):
    """Opens and closes every element in order, and keeps every id."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()


def words_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page[page.index("<body>") :]))


def with_ladder(ladder: tuple[Arm, ...]) -> AuditRecord:
    return brief(
        audit(), utility=AuditedUtility(protocol=utility().model_copy(update={"ladder": ladder}))
    )


DRAWN: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def once() -> Iterator[None]:
    """A picture of equal figures is drawn once in these tests."""
    honest = rendering._drawn

    def drawn(drawings: list[Any]) -> dict[str, str]:
        pictures = {}
        for drawing in drawings:
            key = repr(drawing)
            if key not in DRAWN:
                DRAWN[key] = honest([drawing]).get(drawing[0], "")
            pictures |= {drawing[0]: DRAWN[key]} if DRAWN[key] else {}
        return pictures

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "_drawn", drawn)
        yield


@pytest.fixture(scope="module")
def internal(once: None) -> str:
    return render(release(), audit(), mechanism=conformance(), edition=INTERNAL)


def test_equal_records_render_to_identical_bytes(internal: str) -> None:
    DRAWN.clear()
    assert render(release(), audit(), mechanism=conformance(), edition=INTERNAL) == internal


def test_records_that_went_through_their_files_render_to_the_same_page(internal: str) -> None:
    again = ReleaseRecord.model_validate_json(release().model_dump_json())
    audited = AuditRecord.model_validate_json(audit().model_dump_json())
    assert render(again, audited, mechanism=conformance(), edition=INTERNAL) == internal


@pytest.mark.parametrize("edition", list(Edition))
@pytest.mark.parametrize("audited", [True, False])
def test_the_page_is_well_formed_and_no_id_stands_twice(edition: Edition, audited: bool) -> None:
    page = Balance()
    page.feed(render(release(), audit() if audited else None, edition=edition))
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert "script" not in page.tags and "link" not in page.tags and "img" not in page.tags


def test_the_page_asks_for_nothing_outside_itself(internal: str) -> None:
    addresses = set(re.findall(r"\w+://[^\s\"')]+", internal))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}, (
        "name spaces only"
    )
    assert not re.search(r"@import|url\((?!#)|src=|javascript:|\son\w+=", internal)
    assert len(internal) < 1_500_000


def test_the_claim_the_attack_and_the_utility_stand_on_the_page(internal: str) -> None:
    text = words_of(internal)
    for figure in (
        "ε = 7.98",
        "1e-4",
        "0.506",
        "0.968",
        "65 %",
        "NO LEAK FOUND",
        "0.547",
        "r-7f3c19a2",
        "18 of 18",
        "at least 0.31",
    ):
        assert figure in text, figure
    for mechanism in release().mechanisms:
        assert mechanism.purpose in text


def test_every_plot_has_a_table_behind_it(internal: str) -> None:
    assert internal.count("<figure>") == 11
    for page in (internal, render(release(), None, edition=INTERNAL)):
        for figure in page.split("<figure>")[1:]:
            assert "<table>" in figure.split("<figure>")[0].split("</section>")[0]


def test_all_sections_of_the_page_are_there_in_order(internal: str) -> None:
    places = re.findall(r'<section id="(\w+)"', internal)
    assert places == [
        "claim",
        "mechanisms",
        "bound",
        "attacks",
        "epsilon",
        "budget",
        "checks",
        "risks",
        "utility",
        "fidelity",
        "requirements",
        "limits",
        "reproduce",
    ]


def test_every_link_leads_to_a_place_on_the_page(internal: str) -> None:
    for page in (internal, render(release(source_public=False), None, edition=PUBLIC)):
        links = set(re.findall(r'<a href="#([^"]+)"', page))
        assert links and all(f'id="{link}"' in page for link in links)


def test_the_public_edition_of_a_private_source_is_the_same_whatever_the_audit_found() -> None:
    private = release(source_public=False)
    pages = {
        render(private, record, mechanism=conformance(), edition=PUBLIC)
        for record in (None, *verdicts().values())
    }
    assert len(pages) == 1
    text = words_of(pages.pop())
    for word in ("NO LEAK FOUND", "LEAK DETECTED", "NOT RUN", "RMSE", "NDCG"):
        assert word not in text


def test_the_public_edition_of_a_public_source_shows_the_audit() -> None:
    assert "NO LEAK FOUND" in render(release(source_public=True), brief(audit()), edition=PUBLIC)


def test_the_internal_edition_says_that_it_must_not_be_passed_on(internal: str) -> None:
    assert "PRIVATE" in words_of(internal)
    assert "PRIVATE" not in words_of(
        render(release(source_public=False), brief(audit()), edition=PUBLIC)
    )


def test_a_release_with_deterministic_noise_makes_no_claim() -> None:
    page = words_of(
        render(
            release(not_private=True, epsilon=math.inf, epsilon_cross_check=math.inf),
            audit(),
            edition=PUBLIC,
        )
    )
    assert "NOT PRIVATE" in page and "ε = ∞" in page
    assert (
        "For any one person" not in page
        and "differentially private." not in page
        and "7.98" not in page.split("Mechanisms")[0]
    )


def test_a_release_without_audit_says_not_run() -> None:
    assert "NOT RUN" in words_of(render(release(), None, edition=INTERNAL))


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_page_never_promises_what_nobody_can(verdict: Verdict) -> None:
    page = words_of(render(release(), brief(verdicts()[verdict]), edition=INTERNAL)).lower()
    assert verdict.value.lower() in page
    for word in ("anonymous", "anonymi", "compliant", "gdpr-", " safe"):
        assert word not in page.split("requirements what five")[0], (
            "apart from the documents' titles"
        )


def test_a_row_that_fails_a_realism_limit_is_struck_out_and_says_so(internal: str) -> None:
    row = next(
        part for part in internal.split("<tr") if '<th scope="row">DP marginals only' in part
    )
    assert "<s>0.992</s>" in row and "fails 1 of 6" in row
    passing = next(
        part for part in internal.split("<tr") if '<th scope="row">DP moments of tastes' in part
    )
    assert "<s>" not in passing


def test_a_log_without_ratings_renders_its_ranking_alone() -> None:
    ladder = tuple(
        arm.model_copy(update={"rmse": None, "mae": None, "bias_rmse": None, "gap_closed": None})
        for arm in utility().ladder
    )
    page = words_of(render(release(), with_ladder(ladder), edition=INTERNAL))
    assert "ranking quality" in page and "35 %" in page and "rating error (RMSE)" not in page


def test_an_audit_without_attack_and_without_utility_renders() -> None:
    page = render(
        release(), audit(membership=None, utility=None, verdict=Verdict.NOT_RUN), edition=INTERNAL
    )
    assert "NOT RUN" in page and "90.7 %" in page


def test_markup_in_names_is_shown_and_not_obeyed() -> None:
    hostile = "<script>alert(1)</script>"
    page = render(
        release(
            source_name=hostile,
            public_declarations=(hostile,),
            commands=(hostile,),
            limits=(hostile,),
        ),
        brief(audit(reason=hostile)),
        edition=INTERNAL,
    )
    assert hostile not in page and "&lt;script&gt;" in page


def test_a_strange_label_in_a_picture_is_shown_and_not_obeyed() -> None:
    ladder = tuple(
        arm.model_copy(update={"label": "<b onload=x>$x_1$</b>"}) for arm in utility().ladder
    )
    page = render(release(), with_ladder(ladder), edition=INTERNAL)
    assert "<b onload" not in page


@pytest.mark.parametrize("separation", [0.0, 0.1, 8.0])
def test_extreme_bounds_and_attacks_render(separation: float) -> None:
    extreme = bound(separation)
    membership = audit().membership
    assert membership is not None
    changed = membership.model_copy(
        update={"attacks": (attack(separation=separation),), "bound": extreme}
    )
    Balance().feed(
        render(release(bound=extreme), brief(audit(), membership=changed), edition=INTERNAL)
    )


def test_figures_of_a_claim_are_never_rounded_in_our_favour() -> None:
    assert sentences.rounded_up(7.9801) == "7.99"
    assert sentences.rounded_up(7.98) == "7.98"
    assert sentences.rounded_up(math.inf) == "∞"
    assert "90.8 %" in sentences.for_one_person(
        release(bound=bound().model_copy(update={"tpr": 0.90701}))
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-5, "1e-5"), (2.5e-6, "2.5e-6"), (1e-4, "1e-4"), (1.23456e-9, "1.235e-9")],
)
def test_delta_is_written_as_on_the_command_line(value: float, text: str) -> None:
    assert sentences.delta(value) == text


def test_the_claim_names_unit_relation_bound_and_the_earlier_releases() -> None:
    text = " ".join(sentences.claim(release(releases_before=2, ledger_total=11.2)))
    for part in ("add or remove one user", "user_id", "100 events", "2 earlier releases", "11.20"):
        assert part in text, part
    assert "0.1 divided by the population of 1,000" in sentences.why_delta(release())


@pytest.mark.parametrize("edition", [INTERNAL, PUBLIC])
def test_both_editions_say_how_many_checks_of_the_mechanism_passed_and_which_failed(
    edition: Edition,
) -> None:
    checks = (
        judged(
            "noise", "{mechanism}", mechanism="items", draws=850, statistic=1.0, low=0.9, high=1.1
        ),
        judged(
            "noise",
            "{mechanism} is fresh",
            mechanism="<b>rate</b>",
            statistic=math.nan,
            low=0.9,
            high=1.1,
        ),
    )
    found = Conformance(
        synthrec_version="0.1",
        subject="a plan",
        model="gan",
        epsilon=8,
        delta=1e-5,
        checks=checks,
        seconds=20,
    )
    page = render(release(), brief(audit()), mechanism=found, edition=edition)
    assert "Mechanism checks: 1 of 2" in page and "0.9000 to 1.1000" in page and "fails" in page
    assert "<b>rate</b>" not in page
    assert "Mechanism checks:" not in render(release(), brief(audit()), edition=edition)


@pytest.mark.parametrize(
    ("field", "nothing"),
    [
        ("unit", ""),
        ("neighbouring_relation", ""),
        ("events_per_user", 0),
        ("epsilon", 0.0),
        ("delta", 0.0),
        ("population", 0),
        ("profile", ()),
        ("mechanisms", ()),
        ("accountant", ""),
        ("cross_check_accountant", ""),
        ("sampler", ""),
        ("public_declarations", ()),
        ("chosen_with_sight", ()),
        ("ledger_total", 1.0),
        ("try_number", 0),
        ("raw_data_seen_by", ()),
        ("noise_source", ""),
        ("floating_point", ""),
    ],
)
def test_a_claim_that_lacks_a_part_is_not_made(field: str, nothing: object) -> None:
    lacking = release().model_copy(update={field: nothing})
    said = " ".join(sentences.claim(lacking))
    assert (
        "No claim is rendered" in said
        and "differentially private" not in said
        and sentences.for_one_person(lacking) == ""
    )


def test_a_page_without_a_complete_claim_says_so_on_its_tile() -> None:
    page = words_of(render(release(sampler=""), None, edition=PUBLIC))
    assert (
        "No claim is rendered" in page
        and "the sampler" in page
        and "For any one person" not in page
    )
    assert "1 of its parts is missing" in page


def test_the_verdict_stands_in_word_and_shape_and_numbers_carry_interval_and_n(
    internal: str,
) -> None:
    opening = internal.split('id="claim"')[0]
    assert "NO LEAK FOUND" in opening and opening.count("<svg") >= 3 and "0.476 to 0.536" in opening
    assert "660 members against 283 people outside" in words_of(
        internal
    ) and "94 test users" in words_of(internal)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 0.0, 5e-324]
)
def test_every_number_of_somebody_elses_record_is_written_somehow(value: float) -> None:
    for write in (
        sentences.number,
        sentences.short,
        sentences.rounded_up,
        sentences.delta,
        sentences.percent,
    ):
        assert write(value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"delta": 1e308},
        {"delta": "NaN"},
        {"profile": [[1e308, 1.0]]},
        {"profile": [[0.0, 1.0]]},
        {"epsilon_cap": "Infinity"},
        {"population": 10**30},
        {"epsilon": 1e308},
    ],
)
def test_a_record_with_numbers_of_no_release_is_refused_and_not_drawn(
    wrong: dict[str, object],
) -> None:
    said = json.loads(release().model_dump_json()) | wrong
    with pytest.raises(ValidationError):
        ReleaseRecord.model_validate_json(json.dumps(said))


def test_a_ladder_with_figures_that_are_no_numbers_is_drawn_without_them() -> None:
    odd = audit()
    assert odd.utility is not None and odd.utility.protocol is not None
    arms = [
        each.model_copy(
            update={
                "rmse": each.rmse
                and each.rmse.model_copy(update={"low": math.nan, "high": math.inf})
            }
        )
        for each in odd.utility.protocol.ladder
    ]
    assert "<svg" in ladder(odd.utility.protocol.model_copy(update={"ladder": tuple(arms)}))
