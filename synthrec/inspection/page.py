"""What is rendered in share/: report.html has tags and attributes by allow-list, nothing that runs
or loads, and of an unpublished source its very words; statement.txt, data_card.md, deployment.json
and croissant.json are byte for byte what the public records (the last: and the tables' footers)
render to. None at all is fine.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from synthrec.conformance.record import Conformance
from synthrec.errors import SynthrecError
from synthrec.inspection.findings import InspectedPart, broken
from synthrec.report.croissant import CROISSANT, croissant
from synthrec.report.edition import Edition
from synthrec.report.record import ReleaseRecord
from synthrec.report.render import render
from synthrec.report.texts import CARD, DEPLOYMENT, STATEMENT, shared_texts
from synthrec.storage import read_bounded

PAGE = "report.html"
PUBLISHED = (
    "The source is published, so the page may show the audit's figures: its words are not compared."
)
OTHER_WORDS = "not those of release.json and mechanism.json; run `synthrec report`"
MAX_PAGE_BYTES = 1 << 23
TAGS = set(
    "a b body br circle clippath code dd defs details div dl dt em ellipse figcaption figure footer g h1 h2 h3 h4 "
    "head header html i li line lineargradient main meta ol p path polygon polyline pre rect s section small span "
    "stop strong style sub summary sup svg table tbody td text tfoot th thead title tr ul use tspan".split()
)
ATTRIBUTES = set(
    "id class style x y x1 x2 y1 y2 d transform scope clip-path aria-hidden aria-label aria-labelledby viewbox fill stroke "
    "stroke-width stroke-linejoin stroke-linecap stroke-dasharray fill-opacity opacity cx cy r rx ry role xmlns xmlns:xlink "
    "type width height lang charset name content open points preserveaspectratio text-anchor font-size font-weight offset "
    "colspan rowspan dx dy gradientunits stop-color title version".split()
)
LINKS = ("href", "xlink:href")  # only to places on the page itself
SPACES = ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink")
HEADER = "Content-Security-Policy"  # the one http header that a page may say; others lead away
LOADS = re.compile(r"@import|expression\s*\(|javascript:|url\((?!['\"]?#)", re.IGNORECASE)


class _Reader(HTMLParser):
    """Collects what is forbidden, and the words outside pictures."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: set[str] = set()
        self.words: list[str] = []
        self._pictures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """By allow-list."""
        self._pictures += tag == "svg"
        if tag not in TAGS:
            self.wrong.add("a tag that no report has")
        for name, value in attrs:
            text = value or ""
            inside = (
                text.startswith("#")
                if name in LINKS
                else name in ATTRIBUTES and not LOADS.search(text)
            )
            inside = inside or (name, text) == ("http-equiv", HEADER)
            if (
                not inside
                or (name.startswith("xmlns") and text not in SPACES)
                or ("//" in text and text not in SPACES)
            ):
                self.wrong.add("an attribute that no report has, or that leads out of the page")

    def handle_endtag(self, tag: str) -> None:
        """Leaves pictures."""
        self._pictures -= tag == "svg"

    def handle_data(self, data: str) -> None:
        """Words, and styles."""
        if LOADS.search(data):
            self.wrong.add("a style that loads something")
        if not self._pictures and data.strip():
            self.words.append(" ".join(data.split()))

    def handle_comment(self, data: str) -> None:
        """No report has any."""
        self.wrong.add("a comment")

    def handle_pi(self, data: str) -> None:
        """No report has any."""
        self.wrong.add("a processing instruction")

    def unknown_decl(self, data: str) -> None:
        """No report has any."""
        self.wrong.add("a declaration that no report has")


def page_of(
    share: Path, *, record: ReleaseRecord | None, mechanism: Conformance | None
) -> tuple[list[InspectedPart], list[str]]:
    """The public page; none at all is fine."""
    try:
        text = read_bounded(share / PAGE, most=MAX_PAGE_BYTES).decode("utf-8")
    except FileNotFoundError:
        return [], []
    except (SynthrecError, OSError, ValueError):
        return [broken(PAGE, "not readable as a page")], []
    parts = [InspectedPart(PAGE, "tags and links", "", "rendered", foreign(text))]
    if record is None:
        return parts, []
    if record.source_public:
        return parts, [PUBLISHED]
    page = render(record, None, mechanism=mechanism, edition=Edition.PUBLIC)
    wrong = None if _read(text).words == _read(page).words else OTHER_WORDS
    return [*parts, InspectedPart(PAGE, "words", "", "from the records", wrong)], []


def foreign(text: str) -> str | None:
    """What a page holds that no report has, in words."""
    return "; ".join(sorted(_read(text).wrong)) or None


def _read(text: str) -> _Reader:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader


TEXTS = (STATEMENT, CARD, DEPLOYMENT, CROISSANT)
MAX_TEXT_BYTES = 1 << 22


def texts_of(
    share: Path, *, record: ReleaseRecord | None, mechanism: Conformance | None
) -> list[InspectedPart]:
    """A line for each of them that is there."""
    if record is None:
        return []
    rendered: dict[str, str | None] = {**shared_texts(record, mechanism)}
    try:
        rendered[CROISSANT] = croissant(share, record)
    except SynthrecError:
        rendered[CROISSANT] = None
    return [
        InspectedPart(
            name, "every byte", "", "from the records", _differs(share / name, rendered[name])
        )
        for name in TEXTS
        if (share / name).exists() or (share / name).is_symlink()
    ]


def _differs(path: Path, text: str | None) -> str | None:
    try:
        same = text is not None and read_bounded(path, most=MAX_TEXT_BYTES) == text.encode()
    except (SynthrecError, OSError):
        return "not readable"
    wrong = "not what the public records render to; run `synthrec report`"
    return None if same else wrong
