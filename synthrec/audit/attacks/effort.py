"""How much work the controls get; records say how many draws were made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from synthrec.audit.attacks import density_ratio, marginals, nearest_user, scoreboard

EffortName = Literal["quick", "full"]


@dataclass(frozen=True)
class Effort:
    """Draws of each planted share and of the bootstrap, and the attacks that look for planted users: the cheapest."""

    draws: int
    seekers: tuple[str, ...]
    resamples: int              # of a bootstrapped interval


EFFORTS: dict[EffortName, Effort] = {
    "quick": Effort(draws=10, seekers=(nearest_user.NAME, density_ratio.NAME), resamples=500),
    "full": Effort(draws=20, seekers=(nearest_user.NAME, density_ratio.NAME, scoreboard.NAME, marginals.NAME), resamples=1_000),
}
