"""A small log whose every row is known, its configuration, and a way to compare logs whose users
come in random order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.progress import Progress

CONFIG = """
[source]
name = "small log"
population = 50
ledger = "small.ledger.jsonl"
epsilon_cap = 10.0
[privacy]
events_per_user = 5
unit = "user_id"
[columns]
user_id   = { role = "user" }
item_id   = { role = "item", catalogue = "items.csv" }
rating    = { type = "ordinal", min = 1, max = 5, step = 1 }
timestamp = { type = "datetime", unit = "s", zone = "UTC", min = "2024-01-01", max = "2024-12-31" }
[users]
table = "users.csv"
gender = { type = "categorical", values = ["F", "M"] }
age    = { type = "numeric", min = 0, max = 100, bins = 10 }
[items]
independent_of_log = true
genres = { type = "set", separator = "|" }
year   = { type = "numeric" }
title  = { type = "text" }
"""
START = 1_704_067_200  # 2024-01-01 UTC
ITEMS = 12


class RecordingProgress(Progress):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def config(*changes: tuple[str, str]) -> str:
    """The configuration with pieces of text replaced."""
    text = CONFIG
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def without_tables() -> str:
    """The configuration of a log that has neither a user table nor item attributes."""
    return CONFIG[: CONFIG.index("[users]")]


def events(*, users: int = 20, seed: int = 0, per_user: int = 8) -> pd.DataFrame:
    """A valid log: distinct items per user."""
    rng = np.random.default_rng(seed)
    items = np.concatenate([rng.permutation(ITEMS)[:per_user] + 1 for _ in range(users)])
    return pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(1, users + 1), per_user),
            "item_id": items,
            "rating": rng.integers(1, 6, users * per_user),
            "timestamp": START + rng.integers(0, 300 * 86_400, users * per_user),
        }
    )


def write_tables(folder: Path, *, users: int = 20) -> Path:
    """items.csv and users.csv as CONFIG names them."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = np.arange(1, ITEMS + 1)
    pd.DataFrame(
        {
            "item_id": numbers,
            "title": [f'Film "{n}", part' for n in numbers],
            "genres": ["Drama|War"] * ITEMS,
            "year": 1990 + numbers,
        }
    ).to_csv(folder / "items.csv", index=False)
    people = np.arange(1, users + 1)
    pd.DataFrame(
        {"user_id": people, "gender": np.where(people % 2, "F", "M"), "age": people}
    ).to_csv(folder / "users.csv", index=False)
    return folder


def prepared(folder: Path, text: str = CONFIG) -> tuple[Schema, Catalogue]:
    """Schema and catalogue, with the tables written."""
    schema = Schema.parse(text, folder=write_tables(folder))
    return schema, Catalogue.read(schema)


def read(log: Any, folder: Path, text: str = CONFIG, **options: Any) -> EventLog:
    """`read_log` with the small tables; K = None unless said."""
    schema, catalogue = prepared(folder, text)
    return read_log(
        log, schema, catalogue, spill=folder / "spill", **{"events_per_user": None, **options}
    )


def people(log: EventLog) -> list[Any]:
    """What each user did and is, in an order that does not depend on the users' places."""

    def column(values: np.ndarray | None, start: int, stop: int) -> list[Any]:
        return (
            [None] * (stop - start)
            if values is None
            else [round(float(value), 3) for value in values[start:stop]]
        )

    spans = list(zip(log.offsets[:-1].tolist(), log.offsets[1:].tolist(), strict=True))
    return sorted(
        (
            list(
                zip(
                    column(log.time, *span),
                    column(log.item, *span),
                    column(log.rating, *span),
                    strict=True,
                )
            ),
            [int(codes[user]) for codes in log.attributes.values()],
        )
        for user, span in enumerate(spans)
    )
