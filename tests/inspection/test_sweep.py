"""A release of every kind of column, in both sections, by names of every kind, passes what its
recipient runs on it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from synthrec import pipeline
from synthrec.conformance.open_domains import supposed
from synthrec.conformance.subject import random_users
from synthrec.data.catalogue import Catalogue
from synthrec.data.schema import Schema
from synthrec.data.writer import FIRST_ID, event_table, user_table
from synthrec.inspection.checks import check_report, verify_share
from synthrec.inspection.share import inspect_share
from synthrec.release import open_folder
from tests.model.small import quick

USERS, ITEMS, K = 300, 24, 12
ODD = (
    "age band",
    'say "hi"',
    "it's",
    "a,b",
    "größe",
    "日本",
    "select",
    "events",
    "x" * 200,
    "item",
    "unit",
    "account",
    "self",
    "key",
    "second",
    "rating",
    "m0",
    "a0",
    "1st",
    "a=b",
    "draw",
    "user",
    "attribute",
    "ratings",
    " lead",
    "trail ",
    "new\nline",
    "tab\tname",
    "back\\slash",
    "{brace}",
    "%s",
    "popularity",
    "quality",
    "schema",
    "time",
    "names",
    "text",
    "-1",
    "nan",
    "<b>",
    "|",
    "*",
    "a.b",
    "drop",
)
WINDOWS = (
    ("1969-12-30", "1970-02-01"),
    ("2024-01-01T12:00:00", "2024-01-01T12:00:05"),
    ("1900-01-01", "2100-01-01"),
)
Pick = Callable[[str, tuple[Any, ...]], Any]


def configuration(pick: Pick) -> str:
    """A configuration in which `pick(what, choices)` takes each choice: first ones throughout give
    every kind of column.
    """
    start = pick("names", tuple(range(len(ODD))))
    names = iter(ODD[start:] + ODD[:start])
    paid, user, item = pick("paid", (False, True)), next(names), next(names)
    unit = next(names) if pick("accounts", (True, False)) else user
    outside = {
        word: (
            {"outside": rule}
            if (rule := pick(f"outside of {word}", ("other", "drop", None)))
            else {}
        )
        for word in "abc"
    }
    text = pick("ids", ("text", "integer"))
    listed = pick(
        "listed", (["buy", "cancel", 'say "x", =1'], ["cancel", "01"], ["cancel", " a", "nan"])
    )
    low, high = pick("range", ((-50, 10), (0.5, 50.0), (-20, -3), (-1.5, 2.5), (0, 100)))
    bounds = {
        "min": low,
        "max": high,
        "bins": pick("bins", (3, 1, 7)),
        "scale": pick("scale", ("log", "linear")),
    }
    grid = {} if (places := pick("decimals", (None, 0, 2))) is None else {"decimals": places}
    scale = pick("levels", ((1, 5, 1), (0.5, 5, 0.5), (-1.0, 1.0, 0.25), (0, 100, 25)))
    category = {"vocabulary": "dp"} if paid else {"values": listed}
    number = {"bounds": "dp", "bins": 4} if paid else bounds | grid
    ordinal = {"type": "ordinal"} | dict(zip(("min", "max", "step"), scale, strict=True))
    window = (
        {"bounds": "dp"}
        if paid
        else dict(zip(("min", "max"), pick("window", WINDOWS), strict=True))
    )
    items = pick(
        "items",
        (
            {"values": ["a", "b c", "d,e", 'say "x"', "ü", "=f", "007", "7"]},
            {"catalogue": "items.parquet"},
            {"values": list(range(5, 30))},
            {"vocabulary": "dp"},
        ),
    )
    columns = [{"role": "user", "type": text}, {"role": "item"} | items]
    if unit != user:
        columns += [{"role": "unit", "type": text}]
    columns += [
        each
        for word, each in {
            "kind": {"type": "categorical"} | category | outside["a"],
            "rating": ordinal,
            "second scale": ordinal | {"min": 0, "max": 50, "step": 25},
            "time": {
                "type": "datetime",
                "unit": pick("of time", ("iso", "s", "ns")),
                "zone": "Europe/Madrid",
            }
            | window,
            "baskets": {"type": "id", "groups": "events", "format": text},
            "class": {"type": "categorical", "of": "user"} | category | outside["b"],
            "amount": {"type": "numeric"}
            | number
            | outside["c"]
            | ({} if paid else {"negative": ["cancel"]}),
            "price": {"type": "numeric", "of": "item"} | number | outside["a"],
            "income": {"type": "numeric", "of": "user"} | number | outside["b"],
            "dropped": {"drop": True},
        }.items()
        if pick(word, (True, False)) or (word == "kind" and not paid)
    ]
    people = [
        {"type": "categorical"} | category,
        {"type": "categorical", "values": [1, 2, 3], "outside": "other"},
        ordinal,
        {"type": "numeric"} | number,
        {"type": "numeric", "min": -3, "max": 9, "bins": 2},
    ]
    called = [user, item, *([unit] if unit != user else []), *names]
    lines = [
        f'[source]\nname = "sweep"\npopulation = {USERS}\nledger = "s.jsonl"\nepsilon_cap = 100.0\n[privacy]\nevents_per_user = {K}',
        f"unit = {said(unit)}\n[columns]",
        *(f"{said(name)} = {said(each)}" for name, each in zip(called, columns, strict=False)),
    ]
    if pick("people", (True, False)):
        lines += ['[users]\ntable = "users.parquet"']
        lines += [
            f"{said(name)} = {said(each)}"
            for name, each in zip(called[len(columns) :], people, strict=False)
        ]
    if items.get("catalogue"):
        kinds = {
            "quality": "numeric",
            "popularity": "text",
            "self": "numeric",
            "a": "set",
            "a b": "set",
            "group": "set",
            "v": "embedding",
        }
        lines += [
            "[items]\nindependent_of_log = true",
            *(
                f'{said(name)} = {{ type = "{kind}" }}'
                for name, kind in kinds.items()
                if name != item
            ),
        ]
    return "\n".join([*lines, f"[events]\nrepeats = {said(pick('repeats', (True, False)))}"])


def said(value: Any) -> str:
    """As TOML."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{word} = {said(each)}' for word, each in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)


def put(folder: Path, text: str) -> Schema:
    """Tables that fit a configuration: users drawn at random in its domain."""
    folder.mkdir(exist_ok=True)
    rng, schema = np.random.default_rng(0), Schema.parse(text, folder=folder)
    words = {
        "numeric": rng.random(ITEMS),
        "text": [f"Film {place} ({1990 + place})" for place in range(ITEMS)],
        "set": ["|".join(rng.choice(["1", "2", "b c", "c"], 2)) for _ in range(ITEMS)],
        "embedding": list(rng.random((ITEMS, 3))),
    }
    described = {
        name: words[each["type"]]
        for name, each in tomllib.loads(text).get("items", {}).items()
        if isinstance(each, dict)
    }
    pd.DataFrame({schema.item: np.arange(ITEMS) + 1, **described}).to_parquet(
        folder / "items.parquet"
    )
    here, ids = supposed(schema), FIRST_ID + 1 + np.arange(USERS)
    catalogue = Catalogue.read(here)
    log = random_users(here, items=catalogue.size, users=USERS, most=K, rng=rng)
    pq.write_table(
        event_table(log, ids, schema=here, catalogue=catalogue, text_times=False),
        folder / "log.parquet",
    )
    pq.write_table(user_table(log, ids, schema=here, rng=rng), folder / "users.parquet")
    return schema


def troubles(folder: Path, text: str, *, model: Any = "moments") -> list[Any]:
    """What a recipient's own commands find wrong with a release that was made honestly, and would
    run on with the suite.
    """
    schema, out = put(folder, text), folder / "out"
    pipeline.fit(
        str(folder / "log.parquet"),
        schema=schema,
        epsilon=20.0,
        delta=1e-4,
        out=out,
        model=model,
        device="cpu",
        synthetic_users=200,
        mechanism=True,
    )
    pipeline.report(out)
    return [
        *((part.file, part.name, part.problem) for part in inspect_share(out / "share").problems),
        *(
            (check.name, check.found)
            for check in (*verify_share(out / "share"), *check_report(open_folder(out)))
            if not check.passed
        ),
    ]


CASES: dict[str, dict[str, Any]] = {
    "all declared": {"outside of b": "drop", "outside of c": None},
    "all declared, without users": {
        "people": False,
        "names": 20,
        "items": {"values": list(range(5, 30))},
        "range": (0.5, 50.0),
        "decimals": 2,
        "outside of a": "drop",
        "outside of b": None,
        "outside of c": "drop",
        "ids": "integer",
    },
    "all bought but the items": {"paid": True, "items": {"catalogue": "items.parquet"}, "names": 9},
    "all bought": {
        "paid": True,
        "items": {"vocabulary": "dp"},
        "names": 30,
        "time": False,
        "rating": False,
        "second scale": False,
    },
}


@pytest.mark.parametrize("case", CASES)
def test_a_release_of_every_kind_of_column_passes_its_own_inspection(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    assert (
        troubles(tmp_path, configuration(lambda word, choices: CASES[case].get(word, choices[0])))
        == []
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_a_release_of_any_columns_passes_its_own_inspection(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    rng = np.random.default_rng(seed)
    text = configuration(lambda word, choices: choices[int(rng.integers(len(choices)))])
    assert troubles(tmp_path, text, model=("marginals", "moments", "gan")[seed % 3]) == []


def test_two_items_that_nothing_tells_apart_make_a_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    fixed: dict[str, Any] = {"items": {"values": [1, 2]}}
    text = configuration(
        lambda word, choices: fixed.get(word, choices[0] if word == "names" else choices[-1])
    )
    text = text.replace("epsilon_cap", "public = true\nepsilon_cap")
    log = pd.DataFrame({"age band": np.repeat(np.arange(USERS), 2), 'say "hi"': [1, 2] * USERS})
    pipeline.fit(
        log,
        schema=Schema.parse(text, folder=tmp_path),
        epsilon=np.inf,
        delta=1e-4,
        out=tmp_path / "out",
        model="moments",
        device="cpu",
        synthetic_users=100,
    )
    assert inspect_share(tmp_path / "out" / "share").passed
