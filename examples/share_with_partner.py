"""Share a log with a partner who never sees it: fit, look at what would leave, hand it over; the
partner checks it and uses it.

    python examples/share_with_partner.py FOLDER

The log is simulated, so at the end we may look at what no partner can: how a recommender trained on
the real log would have done.
"""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from synthrec import Schema, Synthesizer, plan_release
from synthrec.data.simulator import SimulatedLog, simulate
from synthrec.inspection.checks import verify_share
from synthrec.inspection.share import inspect_share


def main(folder: Path) -> None:
    """Both sides, one after the other."""
    world = simulate(users=400, items=100, seed=3)
    ids = world.users["user_id"]
    members, strangers = (
        world.events[world.events["user_id"].isin(part)] for part in (ids[:300], ids[300:])
    )
    owner(folder, replace(world, events=members, users=world.users[:300]))
    shutil.copytree(
        folder / "release" / "share", folder / "partner" / "share"
    )  # all that the partner gets
    synthetic = partner(folder / "partner")

    print(
        "\nOf two items, which will somebody rate higher? Right answers about 100 people who are in neither log:"
    )
    for name, worth in {
        "guessing": None,
        "learned from the synthetic log": item_worth(synthetic),
        "learned from the real log": item_worth(members),
    }.items():
        print(f"  {0.5 if worth is None else right(worth, strangers):6.1%}  {name}")


def owner(folder: Path, log: SimulatedLog) -> None:
    """Declare, plan, fit, and look at every part of what would leave."""
    schema = Schema.load(log.write(folder / "owner"))
    plan = plan_release(
        schema, epsilon=8, delta=1e-4, model="moments"
    )  # takes seconds; leave the word out for the whole generator
    synthesizer = Synthesizer(schema, plan).fit(folder / "owner" / "events.csv")
    inspection = inspect_share(synthesizer.save(folder / "release") / "share")
    print(
        f"The owner: {len(inspection.parts)} parts in share/, {len(inspection.problems)} that are not public, paid for or synthetic."
    )


def partner(folder: Path) -> pd.DataFrame:
    """Check what came, then draw as many people as wanted: that costs nothing."""
    checks = verify_share(folder / "share")
    print(
        f"The partner: {sum(check.passed for check in checks)} of {len(checks)} checks passed, none of which needed the log."
    )
    received = Synthesizer.load(folder)
    print(
        f"The claim: epsilon {received.record.epsilon:.2f} at delta {received.record.delta:g} for each user."
    )
    return received.sample(users=600, seed=1).events


def item_worth(log: pd.DataFrame) -> pd.Series:
    """How far each item's ratings lie above its users' means, drawn towards zero as if by five more
    ratings.
    """
    own = (log["rating"] - log.groupby("user_id")["rating"].transform("mean")).groupby(
        log["item_id"]
    )
    return own.sum() / (own.size() + 5)


def right(worth: pd.Series, strangers: pd.DataFrame) -> float:
    """Two items that one person rated differently, by chance: how often is the better one said to
    be better? A tie is half right.
    """
    one = strangers.sample(frac=1, random_state=1).assign(
        worth=lambda log: log["item_id"].map(worth).fillna(0)
    )
    other = one.groupby("user_id")[["rating", "worth"]].shift()
    real, said = np.sign(one["rating"] - other["rating"]), np.sign(one["worth"] - other["worth"])
    asked = real.notna() & (real != 0)
    return float(((real * said)[asked].mean() + 1) / 2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
