"""Wrong starts of a newcomer: each ends in one message with the words that docs/troubleshooting.md
says of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from synthrec.cli.main import cli
from tests.cli.test_bad_input import configure, rewrite
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
INIT = "init {f}/events.csv --out {f}/new.toml"
PLAN = "plan {f}/synthrec.toml --epsilon 8 --delta 1e-4"
CHECK = "check {f}/events.csv --config {f}/synthrec.toml --quiet"
Spoil = Callable[[Path], object]


def said_by_the_page() -> dict[str, list[str]]:
    """What is wrong -> the words between backticks that the message must contain."""
    rows = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in row] for row in rows]
    return {
        wrong: re.findall("`([^`]+)`", said) for wrong, said, _ in cells if wrong != "what is wrong"
    }


def text(change: Callable[[str], str], *, encoding: str = "utf-8") -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "events.csv"
        path.write_text(change(path.read_text()), encoding=encoding)

    return spoil


def frame(change: Callable[[pd.DataFrame], pd.DataFrame], name: str = "events.csv") -> Spoil:
    return lambda folder: rewrite(folder, change, name)


def line(pattern: str, to: str) -> Spoil:
    return lambda folder: configure(folder, pattern, to)


def dated(style: str) -> Spoil:
    return frame(
        lambda d: d.assign(timestamp=pd.to_datetime(d["timestamp"], unit="s").dt.strftime(style))
    )


def german_dates(folder: Path) -> None:
    configure(folder, 'unit = "s"', 'unit = "iso"')
    dated("%d.%m.%Y %H:%M")(folder)


def with_decimal_comma(folder: Path) -> None:
    log = pd.read_csv(folder / "events.csv").astype({"rating": float})
    log.to_csv(folder / "events.csv", index=False, sep=";", decimal=",")


WRONG: dict[str, tuple[Spoil, str]] = {
    "columns separated by blanks or `::`": (text(lambda all: all.replace(",", "::")), INIT),
    "no header line": (text(lambda all: all.split("\n", 1)[1]), INIT),
    "the table's index as a first column without a name": (
        lambda f: pd.read_csv(f / "events.csv").to_csv(f / "events.csv"),
        INIT,
    ),
    'saved as UTF-16 ("Unicode text" of a spreadsheet)': (
        text(lambda all: all, encoding="utf-16"),
        INIT,
    ),
    "an Excel workbook": (
        lambda f: (f / "events.xlsx").write_bytes(b"PK"),
        "init {f}/events.xlsx --out {f}/new.toml",
    ),
    "an Excel export with a byte-order mark and semicolons": (
        text(lambda all: all.replace(",", ";"), encoding="utf-8-sig"),
        CHECK,
    ),
    "numbers with a decimal comma": (with_decimal_comma, CHECK),
    "a JSON array instead of JSON lines": (
        lambda f: pd.read_csv(f / "events.csv").to_json(f / "events.json", orient="records"),
        "init {f}/events.json --out {f}/new.toml",
    ),
    "no catalogue": (line('catalogue = "items.csv"', 'catalogue = "?"'), PLAN),
    "a catalogue that is not there": (line('"items.csv"', '"films.csv"'), CHECK),
    "a question mark is left": (line(r"population = \d+", 'population = "?"'), PLAN),
    "a number in quotes": (line(r"population = \d+", 'population = "300"'), PLAN),
    "a misspelt word": (line("step = 1", "steps = 1"), PLAN),
    "two user columns": (line("\nrating ", '\nbuyer = { role = "user" }\nrating '), PLAN),
    "the unit is no user column": (line('unit = "user_id"', 'unit = "person"'), PLAN),
    "a name spelt in another way than in the log": (
        frame(lambda d: d.rename(columns={"user_id": "userId"})),
        CHECK,
    ),
    "the log given in place of the configuration": (
        lambda f: None,
        PLAN.replace("synthrec.toml", "events.csv"),
    ),
    "first and last day exchanged": (
        line(r'min = "(\S+)", max = "(\S+)"', r'min = "\2", max = "\1"'),
        PLAN,
    ),
    "milliseconds declared as seconds": (
        frame(lambda d: d.assign(timestamp=d["timestamp"] * 1_000)),
        CHECK,
    ),
    "dates as text, declared as seconds": (dated("%Y-%m-%d %H:%M:%S"), CHECK),
    "dates written as 31.01.2024": (german_dates, CHECK),
    "item ids with leading zeros that the catalogue does not have": (
        frame(lambda d: d.assign(item_id=d["item_id"].astype(str).str.zfill(6))),
        CHECK,
    ),
    "ids with blanks around them": (
        frame(lambda d: d.assign(item_id=" " + d["item_id"].astype(str) + " ")),
        CHECK,
    ),
    "a percentage scale declared as stars": (
        frame(lambda d: d.assign(rating=d["rating"] * 20)),
        CHECK,
    ),
    "stars counted from 0, declared from 1": (
        frame(lambda d: d.assign(rating=d["rating"] - 1)),
        CHECK,
    ),
    "half stars declared by whole steps": (
        frame(lambda d: d.assign(rating=d["rating"] - 0.5 * (d.index % 2))),
        CHECK,
    ),
    "an attribute spelt in another way than declared": (
        frame(lambda d: d.assign(gender=d["gender"].str.lower() + "emale"), "users.csv"),
        CHECK,
    ),
}


def test_the_page_lists_the_wrong_starts_that_are_tried_here() -> None:
    assert set(said_by_the_page()) == set(WRONG) and len(WRONG) >= 20


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_start_ends_in_one_message_that_says_what_to_change(
    owned: Path, wrong: str
) -> None:
    spoil, command = WRONG[wrong]
    spoil(owned)
    result = CliRunner().invoke(cli, [word.format(f=owned) for word in command.split()])
    if command == CHECK and result.exit_code == 0:
        assert result.stderr == "", result.output
        (dropped, *more) = [
            each for each in result.output.splitlines() if "; [" in each and "age_band" not in each
        ] or [""]
        assert not more, "one line says it"
        assert "dropped, item not in the catalogue: 0 " in result.output
        message = dropped
    else:
        assert result.exit_code == 2 and result.stderr.count("\n") == 1, result.output
        assert not (owned / "new.toml").exists()
        message = result.stderr
    words = said_by_the_page()[wrong]
    assert all(word in message for word in words), message
    assert bool(message) == bool(words)
