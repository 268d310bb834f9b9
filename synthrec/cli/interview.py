"""The questions of `synthrec init`: one for each "?" of a proposal, and for what a better answer than
the proposed one may be known.

Guarantees: sees the proposal alone, which holds names and the owner's own words, and no value that
the proposal does not hold; what is not answered stays "?".
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from datetime import date
from typing import Any

import click

from synthrec.cli.terminal import plain, show_wrapped
from synthrec.data.propose import DROPPED, toml_key

OPEN, DP = "?", "dp"
Read = Callable[[str], Any]

YES = {"y": True, "n": False}
REPEATS = "May one user do the same thing to the same item twice, as with purchases? y or n"
POPULATION = (
    "How many users does the log have, by a figure that you would publish? A factor of 2 off costs accuracy, not privacy: "
    "do not count the log for it."
)
BOUND = (
    "K: how many events of each user may count, at most? A small K means less noise, but the taste of heavy users is lost. A large K "
    "keeps it, and each event weighs less beside the noise. On one log of 11,000 people with 6 events each, K = 20 gave a ranking of "
    "7 % and K = 200 of 26 %. `synthrec plan --simulate` compares."
)
ITEMS = (
    "A public file with all items, also those that nobody chose? Or dp: 20 % of the budget buys the ids that enough users hold. They are "
    "published as they stand in the log, so never where ids name persons; rare items are lost."
)
SCALE = "Which scale do users see: lowest, highest, step? (Half stars: 0.5 5 0.5.) It is public; a value off the scale is dropped."
UNIT = "How is the time written: iso (text or a native time), or s, ms, us, ns since 1970?"
WINDOW = (
    "First and last day of the export, for example 2024-01-01 2024-06-30? They are public. Or dp: 2 % of the budget buys the months that "
    "many users are active in."
)
VALUES = (
    'Which values may it take: a, b, c? They are public, and others become "other". Or dp: 4 % of the budget buys those that enough users '
    "hold. Or drop."
)
TYPES = "Which types of event are there, in the order in which they come: view, buy? Others are dropped. Or dp, for 4 % of the budget. Or drop."
RANGE = (
    "Lowest and highest value that you would publish, whatever the log holds: 0 100? Or dp: 2 % of the budget buys the range that many users "
    "lie in. Or drop."
)
WHAT = "What is it: number, category (one of a few values), or drop? What is dropped is never read."
ROLE = "Does it name the user, or the item, or neither (drop)?"
INDEPENDENT = (
    "Was nothing in the item file computed from this log (popularity, mean rating, embeddings of it)? Only then it is public: y, or n, and "
    "item attributes are left out."
)


def interview(text: str) -> str:
    """The proposal with answers in the place of its questions, asked on the terminal."""
    section, user, left_out, lines = "", None, False, list[str]()
    for line in text.splitlines():
        if line.startswith("["):
            section = line[1 : line.index("]")]
        elif line and not line.startswith("#"):
            ((name, proposed),) = tomllib.loads(line).items()
            said = _declared(section, name, proposed, dropped=DROPPED in line)
            if section == "columns" and said == {"role": "user"}:
                user = name
            if said is None or (left_out and section == "items"):
                line = f"# {line}"
            elif said != proposed:
                line = f"{toml_key(name)} = {_toml(said)}"
            left_out = left_out or (name, said) == ("independent_of_log", False)
        lines.append(line)
    if user is not None:  # who is protected stands before the columns
        unit = 'unit = "?"'
        lines = [f"unit = {_toml(user)}" if line.startswith(unit) else line for line in lines]
    return "\n".join(lines) + "\n"


def _declared(section: str, name: str, proposed: Any, *, dropped: bool) -> Any:
    """What is declared in the end; None for an attribute that is left out."""
    if (section, name) == ("source", "population"):
        return _ask(name, POPULATION, OPEN, _whole)
    if (section, name) == ("privacy", "events_per_user"):
        return _ask(name, BOUND, str(proposed), _whole)
    if (section, name) == ("events", "repeats"):
        return _ask(name, REPEATS, "n", YES.__getitem__)
    if (section, name) == ("items", "independent_of_log"):
        return _ask(name, INDEPENDENT, "y", YES.__getitem__)
    if section not in ("columns", "users") or not isinstance(proposed, dict):
        return proposed
    said: Any = proposed
    if dropped:
        kinds: dict[str, Any] = {
            "number": {"type": "numeric", "min": OPEN, "max": OPEN, "bins": 40, "scale": "log"},
            "category": {"type": "categorical", "values": OPEN},
            "drop": said,
        }
        said = _ask(name, WHAT, "drop", kinds.__getitem__)
    elif said.get("role") == OPEN:
        roles: dict[str, Any] = {
            "user": {"role": "user"},
            "item": {"role": "item", "catalogue": OPEN},
            "drop": {"drop": True},
        }
        said = _ask(name, ROLE, "drop", roles.__getitem__)
    if said == OPEN:
        return proposed
    rest = {word: value for word, value in said.items() if value != OPEN}
    if said.get("type") == "datetime" and said["unit"] == OPEN:
        units = {unit: {"unit": unit} for unit in ("iso", "s", "ms", "us", "ns")}
        found = _ask(name, UNIT, "s", units.__getitem__)
        rest |= {} if found == OPEN else found
    if (question := _question(said)) is None:
        return said
    found = _ask(name, *question)
    if found == OPEN:
        return said | rest
    if found == {"drop": True}:
        return found if section == "columns" else None
    return rest | found


def _question(said: dict[str, Any]) -> tuple[str, str, Read] | None:
    """What a declaration asks: the question, what Enter answers, and how an answer is read."""
    kind, low = said.get("type"), said.get("min")
    if said.get("catalogue") == OPEN:
        return ITEMS, DP, _words(vocabulary=lambda file: {"catalogue": file})
    if said.get("values") == OPEN:
        asked = TYPES if said.get("outside") == "drop" else VALUES
        return asked, DP, _words(vocabulary=_listed)
    if low == OPEN and kind == "ordinal":
        return SCALE, "1 5 1", lambda text: _ends(text, "min", "max", "step")
    if low == OPEN and kind == "datetime":
        return WINDOW, DP, _words(bounds=_days)
    if low == OPEN:
        return RANGE, DP, _words(bounds=lambda text: _range(text, bins=said["bins"]))
    return None


def _ask(name: str, question: str, default: str, read: Read) -> Any:
    """One answer; "?" where the line is to stay open."""
    show_wrapped(f"{name}: {question}")

    def understood(text: str) -> Any:
        try:
            return OPEN if text.strip() == OPEN else read(text.strip())
        except (ValueError, KeyError):
            raise click.BadParameter(
                "answer as the question shows, or ? to leave it open"
            ) from None

    return click.prompt(plain(f"  {name}"), default=default, value_proc=understood)


def _words(**reads: Read) -> Read:
    """Reads "dp", "drop", or what else may be said; its one argument is named as what "dp" opens."""
    ((word, read),) = reads.items()
    known: dict[str, Any] = {DP: {word: DP}, "drop": {"drop": True}}
    return lambda text: known[text] if text in known else read(text)


def _whole(text: str) -> int:
    return int(text.replace(",", "").replace("_", ""))


def _listed(text: str) -> dict[str, Any]:
    values = [value.strip() for value in text.split(",") if value.strip()]
    if not values:
        raise ValueError
    return {"values": values}


def _days(text: str) -> dict[str, Any]:
    first, last = text.split()
    return {
        "min": date.fromisoformat(first).isoformat(),
        "max": date.fromisoformat(last).isoformat(),
    }


def _ends(text: str, *words: str) -> dict[str, Any]:
    numbers = [float(each) for each in text.replace(",", " ").split()]
    whole = "." not in text  # "0 24" are whole numbers, "0.0 24" are not
    return dict(zip(words, map(int, numbers) if whole else numbers, strict=True))


def _range(text: str, *, bins: int) -> dict[str, Any]:
    """Two ends; between whole numbers there are no more bins than numbers."""
    ends = _ends(text, "min", "max")
    width = ends["max"] - ends["min"]
    return ends | {"bins": max(1, min(bins, width)) if isinstance(width, int) else bins}


def _toml(said: Any) -> str:
    if isinstance(said, dict):
        return f"{{ {', '.join(f'{word} = {_toml(value)}' for word, value in said.items())} }}"
    return json.dumps(said, ensure_ascii=False)
