"""Frozen answers: every noisy sum replies what it replied to the first log that asked, and shows what it was about to add noise to.

The noisy sum itself runs as installed, with its charge, its clipping and its adding up; only the last step, the noise, is exchanged. For
simulated logs inside a check: nothing made this way can be written as a release.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.model import measurements
from synthrec.privacy import mechanisms
from synthrec.privacy.ledger import Charge, Entry
from synthrec.privacy.mechanisms import LATTICE, GaussianSum, Measurement
from synthrec.privacy.plan import Plan
from synthrec.progress import Progress

Replies = dict[str, np.ndarray]
CHARGE = Charge(source="simulated", release_id="conformance", kind="trial")


class Free:
    """A ledger for what never leaves a check."""

    def charge(self, entry: Entry) -> Entry:
        """Keep nothing."""
        return entry


@contextmanager
def answered(replies: Replies, *, totals: Replies | None = None) -> Iterator[None]:
    """Inside, every noisy sum gives the reply of its name (the answer to the first log that asks); `totals` gets the clipped sums."""
    ask, noise, asked = measurements.noisy_sum, mechanisms._add_noise, list[GaussianSum]()

    def named(blocks: Any, *, plan: GaussianSum, ledger: Any, **options: Any) -> Measurement:
        asked.append(plan)
        return ask(blocks, plan=plan, ledger=ledger or Free(), **options)

    def reply(total: np.ndarray, *, scale: float) -> np.ndarray:
        plan = asked[-1]
        if totals is not None:
            totals[plan.name] = total.copy()
        if plan.name not in replies:
            drawn = np.random.default_rng(len(plan.name)).normal(0, plan.noise_std, len(total))
            replies[plan.name] = total * (plan.sensitivity / LATTICE) + drawn
        return replies[plan.name] * (LATTICE / plan.sensitivity)

    measurements.noisy_sum, mechanisms._add_noise = named, reply
    try:
        yield
    finally:
        measurements.noisy_sum, mechanisms._add_noise = ask, noise


def clipped_sums(log: EventLog, *, schema: Schema, catalogue: Catalogue, plan: Plan, replies: Replies) -> Replies:
    """The clipped lattice sum of each measurement of a log, when all released values are `replies`."""
    totals: Replies = {}
    with answered(replies, totals=totals):
        measurements.measure(log, catalogue=catalogue, schema=schema, plan=plan, ledger=Free(), charge=CHARGE,     # type: ignore[arg-type]
                             progress=Progress())
    return totals
