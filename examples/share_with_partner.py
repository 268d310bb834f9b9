"""Share a log with a partner who never sees it: fit, look at what would leave, hand it over; the partner checks it and uses it.

    python examples/share_with_partner.py FOLDER

The log is simulated, so at the end we may look at what no partner can: how a recommender trained on the real log would have done.
"""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from synthrec import Schema, Synthesizer, plan_release
from synthrec.data.simulator import SimulatedLog, simulate
from synthrec.inspection.recipient import verify_share
from synthrec.inspection.share import inspect_share

ITEMS, TOP = 300, 10


def main(folder: Path) -> None:
    """Both sides, one after the other."""
    world = simulate(users=400, items=ITEMS, seed=3)
    ids = world.users["user_id"]
    members, strangers = (world.events[world.events["user_id"].isin(part)] for part in (ids[:300], ids[300:]))
    owner(folder, replace(world, events=members, users=world.users[:300]))
    shutil.copytree(folder / "release" / "share", folder / "partner" / "share")     # all that the partner gets
    synthetic = partner(folder / "partner")

    print(f"\nShare of {TOP} recommendations that 100 real people who are in neither log had picked:")
    print(f"  {hits(popular(synthetic), strangers):6.1%}  by the items' popularity in the synthetic log")
    print(f"  {hits(learned(synthetic), strangers):6.1%}  by what goes together in the synthetic log")
    print(f"  {hits(learned(members), strangers):6.1%}  by what goes together in the real log")


def owner(folder: Path, log: SimulatedLog) -> None:
    """Declare, plan, fit, and look at every part of what would leave."""
    schema = Schema.load(log.write(folder / "owner"))
    synthesizer = Synthesizer(schema, plan_release(schema, epsilon=8, delta=1e-4)).fit(folder / "owner" / "events.csv")
    inspection = inspect_share(synthesizer.save(folder / "release") / "share")
    print(f"The owner: {len(inspection.parts)} parts in share/, {len(inspection.problems)} that are not public, paid for or synthetic.")


def partner(folder: Path) -> pd.DataFrame:
    """Check what came, then draw as many people as wanted: that costs nothing."""
    checks = verify_share(folder / "share")
    print(f"The partner: {sum(check.passed for check in checks)} of {len(checks)} checks passed, none of which needed the log.")
    received = Synthesizer.load(folder)
    print(f"The claim: epsilon {received.record.epsilon:.2f} at delta {received.record.delta:g} for each user.")
    return received.sample(users=600, seed=1).events


def matrix(log: pd.DataFrame) -> pd.DataFrame:
    """Users by items, ones where somebody has something."""
    return (pd.crosstab(log["user_id"], log["item_id"]) > 0).astype(float)


def popular(log: pd.DataFrame) -> pd.DataFrame:
    """What each item says for each item, when only popularity speaks."""
    count = matrix(log).sum()
    return pd.DataFrame(np.tile(count, (len(count), 1)), index=count.index, columns=count.index)


def learned(log: pd.DataFrame) -> pd.DataFrame:
    """What each item says for each other one: EASE^R (Steck 2019)."""
    have = matrix(log)
    inverse = np.linalg.inv(have.T @ have + 50 * np.eye(have.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return pd.DataFrame(weights, index=have.columns, columns=have.columns)


def hits(weights: pd.DataFrame, strangers: pd.DataFrame) -> float:
    """Strangers show half of what they picked; how much of what is then recommended is in the other half?"""
    known = np.random.default_rng(1).random(len(strangers)) < 0.5
    shown, asked = (matrix(part).reindex(index=strangers["user_id"].unique(), columns=weights.index, fill_value=0)
                    for part in (strangers[known], strangers[~known]))
    score = (shown @ weights).to_numpy() - 1e9 * shown.to_numpy()
    best = np.argsort(-score, axis=1)[:, :TOP]
    return float(np.take_along_axis(asked.to_numpy(), best, axis=1).mean())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
