"""Draws: noise is drawn once for each charge, whatever comes out of it, and leans nowhere.

A sum whose noise is drawn again until it pleases, or twice and averaged, has the planned scale on
paper only. So a source of noise answers a whole training with what nobody would like (far below 0,
then far above, and the other way round) and counts how often it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from synthrec.conformance.answers import CHARGE, QUICK, NullLedger, RecordingNoise
from synthrec.conformance.record import Check, judged
from synthrec.conformance.statistics import FALSE_ALARM
from synthrec.conformance.subject import Subject
from synthrec.data.eventlog import EventLog
from synthrec.model.train import Means, train
from synthrec.privacy.mechanisms import SystemNoise
from synthrec.privacy.plan import BLOCK, Plan
from synthrec.privacy.session import Session
from synthrec.progress import Progress

FAR = 100.0  # standard deviations of the noise
SINGLE_DRAWS = 1_000


@dataclass
class Unpleasant(RecordingNoise):
    """Answers a first question far on one side of 0, and each further one on the other."""

    side: float = -1.0

    def sum_reply(self, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
        """See `RecordingNoise`."""
        return np.full(len(total), self.side * FAR * scale * (1 if self.draws[name] == 1 else -1))


def drawn_once(subject: Subject, *, log: EventLog) -> list[Check]:
    """A training whose sums are all far below 0, one whose sums are all far above, and single draws
    of the installed noise.
    """
    plan = _short(subject.plan)
    again = 0
    for side in (-1.0, 1.0):
        noise, ledger = Unpleasant(side=side), NullLedger()
        train(
            log,
            catalogue=subject.catalogue,
            schema=subject.schema,
            means=Means(effort=QUICK, seed=0),
            progress=Progress(),
            session=Session(plan, ledger=ledger, charge=CHARGE, noise=noise),
        )
        charged = sum(entry.event.count for entry in ledger.entries)
        again += abs(noise.draws.total() - charged) + sum(
            noise.draws[each.name] != 1 for each in plan.measurements
        )
    nothing, system = np.zeros(1, dtype=np.int64), SystemNoise()
    sums = [float(system.lattice("any", nothing, scale=1e6)[0]) / 1e6 for _ in range(SINGLE_DRAWS)]
    steps = [float(system.gradient(np.zeros(1), scale=1.0)[0]) for _ in range(SINGLE_DRAWS)]
    return [
        judged(
            "noise",
            "drawn once, whatever comes out",
            statistic=again,
            low=0,
            high=0,
            asked="draws that were not charged, of sums that came out far below 0, and far above",
        ),
        *(
            judged(
                "noise",
                f"{name} leans nowhere",
                statistic=abs(float(np.mean(drawn))) * SINGLE_DRAWS**0.5,
                high=float(stats.norm.isf(FALSE_ALARM / 2)),
                asked=f"mean of {SINGLE_DRAWS:,} single draws on nothing, in standard errors",
            )
            for name, drawn in (("noise of sums", sums), ("noise of training", steps))
        ),
    ]


def _short(plan: Plan) -> Plan:
    """The plan with one block of steps."""
    steps = (
        None
        if plan.training is None
        else plan.training.model_copy(update={"steps": min(BLOCK, plan.training.steps)})
    )
    return plan.model_copy(update={"training": steps})
