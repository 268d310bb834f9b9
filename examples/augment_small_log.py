"""A partner with few users adds the synthetic log of another organisation to their own, and
predicts ratings with both.

    python examples/augment_small_log.py FOLDER

Both logs are simulated, from one world. In practice ask first whether the other organisation's
users are like yours: a synthetic log brings its people's taste along, and its noise. So let it
speak where your own log says little, rather than pour both into one. The last line is what nobody
could do: train on the other organisation's real log.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from synthrec import Schema, Synthesizer, plan_release
from synthrec.data.simulator import simulate

DAMPING = 5.0  # events of zero deviation that every mean starts with


def main(folder: Path) -> None:
    """300 users elsewhere, 60 users here, and 100 new users of ours to predict for."""
    world = simulate(users=460, items=300, seed=8)
    ids = world.users["user_id"]
    elsewhere, ours, new = (
        world.events[world.events["user_id"].isin(part)]
        for part in (ids[:300], ids[300:360], ids[360:])
    )

    schema = Schema.load(
        replace(world, events=elsewhere, users=world.users[:300]).write(folder / "elsewhere")
    )
    plan = plan_release(
        schema, epsilon=8, delta=1e-4, model="moments"
    )  # with so few users the game has nothing to add
    synthetic = (
        Synthesizer(schema, plan)
        .fit(folder / "elsewhere" / "events.csv")
        .sample(users=600, seed=1)
        .events
    )

    print("Error (RMSE) of predicted ratings, 100 new users, 80 % of whose events are known:")
    nothing, theirs = pd.Series(dtype=float), item_worth(synthetic)
    for name, worth in {
        "each user's own mean": nothing,
        "our 60 users": item_worth(ours),
        "600 synthetic users": theirs,
        "both, in one log": item_worth(pd.concat([ours, synthetic])),
        "our 60 users, the synthetic ones where ours say little": item_worth(ours, prior=theirs),
        "our 60 users and the 300 real ones": item_worth(pd.concat([ours, elsewhere])),
    }.items():
        print(f"  {error(worth, new):.3f}  {name}")


def item_worth(log: pd.DataFrame, *, prior: pd.Series | None = None) -> pd.Series:
    """How far each item's ratings lie above its users' means, drawn towards a prior as if by five
    more ratings; 0 without one.
    """
    own = log["rating"] - log.groupby("user_id")["rating"].transform("mean")
    found = own.groupby(log["item_id"]).agg(["sum", "size"])
    expected = (
        pd.Series(0.0, index=found.index)
        if prior is None
        else prior.reindex(prior.index.union(found.index), fill_value=0.0)
    )
    found = found.reindex(expected.index, fill_value=0)
    return (found["sum"] + DAMPING * expected) / (found["size"] + DAMPING)


def error(worth: pd.Series, new: pd.DataFrame) -> float:
    """Learn what each new user is like from what is known of them, and predict the rest."""
    known = np.random.default_rng(2).random(len(new)) < 0.8
    shown, asked = new[known], new[~known]
    mean = shown["rating"].mean()
    deviation = (shown["rating"] - mean - shown["item_id"].map(worth).fillna(0)).groupby(
        shown["user_id"]
    )
    mood = deviation.sum() / (deviation.size() + DAMPING)
    said = mean + asked["item_id"].map(worth).fillna(0) + asked["user_id"].map(mood).fillna(0)
    return float(np.sqrt(((said.clip(1, 5) - asked["rating"]) ** 2).mean()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
