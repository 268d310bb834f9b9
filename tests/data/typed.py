"""A small typed log: purchases and cancellations in baskets, with prices of items and countries of
users. All of it simulated.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from synthrec.data.catalogue import Catalogue
from synthrec.data.schema import Schema

K, ITEMS = 30, 60
START = 1_704_067_200  # 2024-01-01 UTC
CONFIG = f"""
[source]
name = "small shop"
population = 300
ledger = "shop.ledger.jsonl"
epsilon_cap = 100.0
[privacy]
events_per_user = {K}
unit = "user_id"
[columns]
user_id = {{ role = "user" }}
item_id = {{ role = "item", catalogue = "items.csv" }}
timestamp = {{ type = "datetime", unit = "s", zone = "UTC", min = "2024-01-01", max = "2024-12-31" }}
action = {{ type = "categorical", values = ["buy", "cancel"], outside = "drop", follows = {{ cancel = "buy" }} }}
quantity = {{ type = "numeric", min = 1, max = 100, bins = 20, scale = "log", negative = ["cancel"] }}
price = {{ type = "numeric", min = 0.5, max = 50.0, bins = 20, scale = "log", decimals = 2, of = "item" }}
basket = {{ type = "id", groups = "events", format = "text" }}
country = {{ type = "categorical", values = ["ES", "PT"], of = "user" }}
[items]
independent_of_log = true
genre = {{ type = "categorical" }}
[events]
repeats = true
"""


def shop(*, users: int = 300, seed: int = 0, person: str = "") -> pd.DataFrame:
    """Users who buy in baskets, some things again, and cancel one purchase in twelve later."""
    rng = np.random.default_rng(seed)
    price = np.round(np.exp(rng.normal(1.5, 0.8, ITEMS)).clip(0.5, 50), 2)
    chance = 1 / np.arange(1, ITEMS + 1)
    rows = []
    for user in range(1, users + 1):
        country = rng.choice(["ES", "PT", "XX"], p=[0.7, 0.2, 0.1])
        second = START + int(rng.integers(0, 200 * 86_400))
        favourites = rng.choice(ITEMS, 12, p=chance / chance.sum())
        for number in range(1 + rng.poisson(1.5)):
            second += int(rng.integers(3_600, 20 * 86_400))
            for item in set(rng.choice(favourites, 1 + rng.poisson(3))):
                quantity = int(rng.choice([1, 2, 6, 12]))
                rows.append(
                    (
                        f"{person}{user}",
                        item + 1,
                        second,
                        "buy",
                        quantity,
                        price[item],
                        f"B{user}-{number}",
                        country,
                    )
                )
                if rng.random() < 1 / 12:
                    rows.append(
                        (
                            f"{person}{user}",
                            item + 1,
                            second + 1_800,
                            "cancel",
                            -quantity,
                            price[item],
                            f"C{user}-{number}",
                            country,
                        )
                    )
    return pd.DataFrame(
        rows,
        columns=[
            "user_id",
            "item_id",
            "timestamp",
            "action",
            "quantity",
            "price",
            "basket",
            "country",
        ],
    )


def write_items(folder: Path) -> Path:
    """The shop's catalogue."""
    folder.mkdir(parents=True, exist_ok=True)
    items = np.arange(1, ITEMS + 1)
    pd.DataFrame({"item_id": items, "genre": np.where(items % 3, "tea", "mug")}).to_csv(
        folder / "items.csv", index=False
    )
    return folder


def config(*changes: tuple[str, str]) -> str:
    """The configuration with pieces of text replaced."""
    text = CONFIG
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def prepared(folder: Path, text: str = CONFIG) -> tuple[Schema, Catalogue]:
    """Schema and catalogue, with the catalogue written."""
    schema = Schema.parse(text, folder=write_items(folder))
    return schema, Catalogue.read(schema)
