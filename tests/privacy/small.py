"""One sum or one union through a session of its own, whose plan holds nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from synthrec.data.open_domains import KeySets
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.mechanisms import GaussianSum, Measurement, Noise
from synthrec.privacy.partition_selection import Partitions, PartitionSelection
from synthrec.privacy.plan import Plan
from synthrec.privacy.session import Session

CHARGE = Charge(source="s", release_id="r", kind="release")


def opened(
    ledger: Ledger,
    *,
    measurements: tuple[GaussianSum, ...] = (),
    openings: tuple[PartitionSelection, ...] = (),
    charge: Charge = CHARGE,
    noise: Noise | None = None,
) -> Session:
    """A session that may ask these."""
    plan = Plan(
        model="gan",
        epsilon=8.0,
        delta=1e-5,
        population=1000,
        events_per_user=10,
        measurements=measurements,
        openings=openings,
        training=None,
        budget_share={},
    )
    return Session(plan, ledger=ledger, charge=charge, noise=noise)


class Rows:
    """Users whose rows are at hand."""

    def __init__(self, blocks: Iterable[Any]) -> None:
        self._blocks = blocks

    def blocks(self) -> Any:
        return iter(self._blocks)


def noisy_sum(
    blocks: Iterable[Any], *, plan: GaussianSum, size: int, ledger: Ledger, charge: Charge = CHARGE
) -> Measurement:
    session = opened(ledger, measurements=(plan,), charge=charge)
    return session.noisy_sum(plan.name, Rows(blocks), lambda rows: rows, size=size)


def noisy_union(
    read: Callable[[], KeySets],
    *,
    plan: PartitionSelection,
    ledger: Ledger,
    charge: Charge = CHARGE,
) -> Partitions:
    return opened(ledger, openings=(plan,), charge=charge).select_partitions(plan.name, read)
