"""The pages in a real browser: nothing asked for or run, no complaint, every picture visible, no
sideways scrolling, prints to PDF.

Needs Chromium with its driver and selenium; skipped where they are not.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synthrec.report.render import Edition, render
from synthrec.report.taste_axes import Axis, End, Name, TasteAxes, picture
from tests.report.hostile import HOSTILE
from tests.report.records import audit, conformance, release, verdicts
from tests.report.test_hostile_records import hostile_pages

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None, reason="needs Debian's chromium and chromium-driver"
    ),
]
WIDTHS = (400, 800, 1400)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-background-networking",
    ):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=DRIVER)
    )
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from privacy_reports.index import index

    folder = tmp_path_factory.mktemp("pages")
    texts = {
        "internal": render(release(), audit(), mechanism=conformance(), edition=Edition.INTERNAL),
        "public": render(
            release(source_public=False), audit(), mechanism=conformance(), edition=Edition.PUBLIC
        ),
        "refuted": render(
            release(),
            list(verdicts().values())[2],
            mechanism=conformance(failing=True),
            edition=Edition.INTERNAL,
        ),
        "bare": render(release(), None, edition=Edition.INTERNAL),
        "index": index(
            {
                "simulated-eps8": (release(), audit(), conformance()),
                "simulated-eps3": (release(epsilon=3.0), audit(), conformance()),
            }
        ),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


def opened(browser: Any, path: Path, *, width: int) -> None:
    """Exactly so wide, however wide a window must be."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    browser.get(path.as_uri())


NAMES = ("internal", "public", "refuted", "bare", "index")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
def test_no_page_is_wider_than_its_window_and_every_picture_is_visible(
    browser: Any, pages: dict[str, Path], name: str, width: int
) -> None:
    opened(browser, pages[name], width=width)
    assert browser.execute_script("return window.innerWidth") == width
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('figure svg')].map(x => [x.clientWidth, x.clientHeight])"
    )
    assert sizes and all(wide >= 290 and tall >= 50 for wide, tall in sizes), sizes
    small = browser.execute_script(
        "return [...document.querySelectorAll('figure svg text')].map(x => x.getBoundingClientRect().height).filter(x => x < 7).length"
    )
    assert small == 0, "letters that nobody can read"


@pytest.mark.parametrize("name", NAMES)
def test_no_page_asks_for_anything_or_complains(
    browser: Any, pages: dict[str, Path], name: str
) -> None:
    browser.get("about:blank")
    browser.get_log("performance"), browser.get_log("browser")
    opened(browser, pages[name], width=800)
    said = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        each["params"]["request"]["url"]
        for each in said
        if each["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if url != pages[name].as_uri()] == []
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("name", NAMES)
def test_no_words_of_a_picture_leave_it(browser: Any, pages: dict[str, Path], name: str) -> None:
    opened(browser, pages[name], width=1400)
    cut = browser.execute_script("""
        const out = [];
        for (const svg of document.querySelectorAll('figure svg')) {
            const box = svg.parentElement.getBoundingClientRect();
            for (const text of svg.querySelectorAll('text')) {
                const each = text.getBoundingClientRect();
                if (each.right > box.right + 1 || each.left < box.left - 1) out.push(text.textContent);
            }
        }
        return out;""")
    assert cut == []


@pytest.mark.parametrize("name", NAMES)
def test_every_page_prints(browser: Any, pages: dict[str, Path], name: str) -> None:
    opened(browser, pages[name], width=1400)
    printed = base64.b64decode(
        browser.execute_cdp_cmd(
            "Page.printToPDF", {"printBackground": False, "preferCSSPageSize": True}
        )["data"]
    )
    assert printed.startswith(b"%PDF") and len(printed) > 20_000


@pytest.mark.parametrize("name", ["internal", "public", "index", "axes.svg"])
def test_hostile_text_in_every_field_of_every_record_runs_nothing(
    browser: Any, tmp_path: Path, name: str
) -> None:
    end = End(names=(Name(label=HOSTILE, strength=0.5),), items=(HOSTILE,))
    axis = Axis(title=HOSTILE, share=0.5, spread=0.1, low=end, high=end)
    drawn = TasteAxes(
        source=HOSTILE, release_id=HOSTILE, choosing=(axis,), rating=(), bias_share=None, learned=()
    )
    path = tmp_path / (name if name == "axes.svg" else f"{name}.html")
    path.write_text(
        picture(drawn) if name == "axes.svg" else hostile_pages()[name], encoding="utf-8"
    )
    browser.get("about:blank")
    browser.get_log("browser")
    opened(browser, path, width=800)
    assert browser.title != "HIT" and "HIT" in browser.execute_script(
        "return document.documentElement.textContent"
    )
    assert (
        browser.execute_script(
            "return document.querySelectorAll('script, img, [onload], [onerror]').length"
        )
        == 0
    )
    assert browser.get_log("browser") == []


def test_the_policy_of_a_page_stops_what_text_could_not(
    browser: Any, pages: dict[str, Path], tmp_path: Path
) -> None:
    """Were markup to slip through after all, the policy would still run and load nothing."""
    spoilt = tmp_path / "spoilt.html"
    payload = "<script>document.title='HIT'</script><img src='http://localhost:1/x' onerror=document.title='HIT'>"
    spoilt.write_text(
        pages["bare"].read_text(encoding="utf-8").replace("<main>", f"<main>{payload}"),
        encoding="utf-8",
    )
    opened(browser, spoilt, width=800)
    assert browser.title != "HIT"
    assert any(
        "Content Security Policy" in entry["message"] for entry in browser.get_log("browser")
    )
