"""On MovieLens the protocol gives the figures that the design's experiments gave: an outside check
of the whole chain.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthrec.audit.utility import score_ladder
from synthrec.data.eventlog import EventLog
from tests.conftest import shared_data


def read(name: str) -> tuple[EventLog, int]:
    events = pd.read_csv(shared_data(f"{name}.csv.gz")).sort_values("user_id", kind="stable")
    item_row = pd.Index(pd.read_csv(shared_data(f"{name}.items.csv.gz"))["item_id"])
    counts = np.unique(events["user_id"], return_counts=True)[1]
    return EventLog(
        offsets=np.concatenate(([0], np.cumsum(counts))),
        item=item_row.get_indexer(events["item_id"]).astype(np.int32),
        rating=events["rating"].to_numpy(dtype=np.float32),
    ), len(item_row)


def test_floor_biases_and_factors_on_movielens_100k_are_where_they_always_are() -> None:
    """Means over four splits of 10 % test users; a split moves each of them by about 0.02."""
    log, items = read("ml-100k")
    figures = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        order = rng.permutation(log.users)
        tenth = len(order) // 10
        ladder = score_ladder(
            train=log.select(order[tenth:]),
            test=log.select(order[:tenth]),
            arms={},
            items=items,
            scale=(1.0, 5.0),
            events_per_user=200,
            rng=rng,
            resamples=50,
        )
        rungs = {rung.name: rung for rung in ladder.summary().ladder}
        real = rungs["real"]
        figures.append(
            (
                rungs["nothing"].rmse.value,
                real.bias_rmse,
                real.rmse.value,
                real.ndcg.value,
                rungs["popularity"].ndcg.value,
            )
        )
    nothing, bias, factors, ranked, popular = np.mean(figures, axis=0)
    assert abs(nothing - 1.05) < 0.03 and abs(bias - 0.95) < 0.03 and abs(factors - 0.92) < 0.03
    assert 0.28 < ranked < 0.40 and 0.10 < popular < 0.20
