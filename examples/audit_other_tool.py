"""Audit what other tools made, given as plain tables: one tool copies people, one knows no more
than each column by itself.

    python examples/audit_other_tool.py FOLDER

All that is needed besides the synthetic log is who was in its training and who was not. On the
command line:

    synthrec audit --config synthrec.toml --synthetic events.csv --members members.csv --holdout
    holdout.csv --out FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from synthrec import Schema, pipeline
from synthrec.auditing import Tables
from synthrec.data.simulator import simulate

SHOWN = (
    "events of each item",
    "mean of each item",
    "hour by weekday",
    "lift of pairs of the 100 most popular items",
    "directions in effect",
)


def main(folder: Path) -> None:
    """300 users, half of whom the tools are given."""
    world = simulate(users=300, items=100, seed=4)
    schema = Schema.load(world.write(folder / "log"))
    coin = np.random.default_rng(0).random(300) < 0.5
    members, holdout = (
        world.events[world.events["user_id"].isin(world.users["user_id"][side])]
        for side in (coin, ~coin)
    )

    for name, tool in {
        "a tool that copies": copies,
        "a tool that deals every column anew": deals,
    }.items():
        tables = Tables(
            synthetic=tool(members), members=members, holdout=holdout, fair_coins=True
        )  # frames here; paths do as well
        record = pipeline.audit_tables(tables, schema=schema, out=folder / name)
        print(f"\n{name}: {record.verdict}\n  {record.reason}")
        print(f"  {'distance from the real log':62} {'found':>7} {'halves':>7}")
        for row in record.utility.fidelity:
            if row.name in SHOWN:
                print(f"  {row.topic + ': ' + row.name:62} {row.distance:7.3f} {row.halves:7.3f}")


def copies(members: pd.DataFrame) -> pd.DataFrame:
    """Everybody again under a new id, nine tenths of their events."""
    return members.sample(frac=0.9, random_state=1).assign(
        user_id=lambda log: log["user_id"] + 1_000_000
    )


def deals(members: pd.DataFrame) -> pd.DataFrame:
    """As many events, each column shuffled by itself: its marginals are right, and nothing belongs
    together.
    """
    rng = np.random.default_rng(2)
    dealt = pd.DataFrame({name: rng.permutation(members[name]) for name in members.columns})
    return dealt.assign(user_id=dealt["user_id"] + 1_000_000).drop_duplicates(
        ["user_id", "item_id"]
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
