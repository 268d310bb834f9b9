"""What an open vocabulary keeps: the items that a paid union names on public logs, and the events
that they cover.

    python -m benchmarks.vocabulary onlineretail ml-1m [--epsilons 8 3 1] [--seeds 0 1 2]

The catalogue of the log's own configuration is replaced by `vocabulary = "dp"`; the plan is a whole
release's, of which the union gets its fifth. All users of the public log are members. "Covered" is
exact, over all events that the log's other declarations keep; "paid figure" is what the release
says of it; "forecast" what `synthrec plan` says beforehand. Prints Markdown, kept in
benchmarks/vocabulary.md.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.logs import config_of, data_folder, delta_of
from synthrec.data.schema import Schema
from synthrec.domain_discovery import settle
from synthrec.forecast import expected_items
from synthrec.model.recipe import plan_release
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.session import Session
from synthrec.progress import Progress


def open_schema(name: str, *, data: Path | None = None) -> Schema:
    """The log's configuration without its catalogue."""
    text = re.sub(r'catalogue = "[^"]*"', 'vocabulary = "dp"', config_of(name))
    return Schema.parse(re.sub(r"(?s)\[items\].*?(?=\n\[|\Z)", "", text), folder=data_folder(data))


def row(name: str, *, epsilon: float, seeds: list[int], data: Path | None = None) -> str:
    """One line of the table: means over seeds of noise."""
    schema, log = open_schema(name, data=data), data_folder(data) / f"{name}.csv.gz"
    plan = plan_release(schema, epsilon=epsilon, delta=delta_of(name, schema))
    items = pd.read_csv(log, usecols=[schema.item])[schema.item].astype(str)
    named, covered, said = [], [], []
    for seed in seeds:
        with (
            tempfile.TemporaryDirectory() as folder,
            Ledger.open(Path(folder) / "ledger.jsonl") as ledger,
        ):
            charge = Charge(source=schema.source.name, release_id=str(seed), kind="trial")
            found = settle(
                log,
                schema,
                None,
                session=Session(plan, ledger=ledger, charge=charge),
                spill=Path(folder),
                role_key=b"k" * 32,
                audit_share=0.0,
                exclude_users=None,
                progress=Progress(),
            )
        values = {str(value) for value in found.schema.item_column.values or ()}
        named.append(len(values))
        covered.append(items.isin(values).mean())
        said.append(int(re.findall(r"about (\d+)%", found.said[0])[0]))
    look, forecast = plan.openings[0], expected_items(plan)
    return (
        f"| {name} | {epsilon:g} | {plan.delta:g} | {look.noise_std:.2f} | {look.threshold:.2f} "
        f"| {np.mean(named):,.0f} of {items.nunique():,} "
        f"| {np.mean(covered):.1%} | {np.mean(said):.0f} % | {forecast[0]:,}, {forecast[1]:.0%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--epsilons", nargs="+", type=float, default=[8.0, 3.0, 1.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--data", type=Path)
    asked = parser.parse_args()
    print(
        "| log | epsilon | delta | noise, users | threshold, users | items named | covered | paid figure | forecast: items, covered |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name in asked.names:
        for epsilon in asked.epsilons:
            print(row(name, epsilon=epsilon, seeds=asked.seeds, data=asked.data), flush=True)


if __name__ == "__main__":
    main()
