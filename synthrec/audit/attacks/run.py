"""All membership attacks on one release, with the controls that make a pass mean something.

The game: somebody is either a user who trained or one whom chance kept out, and an attacker who has
the synthetic log and other real people from the same population says which. Private throughout: the
figures are not differentially private (rule: audits are not private).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthrec.audit.attacks import controls, learned
from synthrec.audit.attacks.battery import AttackSuite
from synthrec.audit.attacks.controls import WORKLOADS
from synthrec.audit.attacks.exact import attacked_columns
from synthrec.audit.attacks.metrics import strongest
from synthrec.audit.record import AttackBound, Effort, Membership, Policy
from synthrec.audit.splits import AuditSplits
from synthrec.progress import Progress


@dataclass(frozen=True, repr=False, eq=False)
class ScoredMembership:
    """The record, and what it was made of: per attack one score for each trained and for each
    holdout user.

    The blend's scores used other people's labels, so they are no input to a bound that takes
    guesses for functions of the release alone; `label_free` leaves them out.
    """

    membership: Membership
    scores: Mapping[str, tuple[np.ndarray, np.ndarray]]

    @property
    def label_free(self) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        """The scores that depend on no one's label."""
        return {name: pair for name, pair in self.scores.items() if name != learned.BLEND}


def run_attacks(
    people: AuditSplits,
    *,
    bound: AttackBound | None,
    policy: Policy,
    effort: Effort,
    rng: np.random.Generator,
    fpr: float = 0.1,
    progress: Progress | None = None,
) -> ScoredMembership:
    """Attack, control, and write down. Needs at least two users who trained, two holdout users and
    four reference users.

    Each part has chance of its own, so that of two synthetic logs the same people are asked about
    in the blind controls.

    Guarantees: scores of all attacks but the blend depend on no label; nothing is fitted on a user
    whom it scores.
    """
    counts, progress = WORKLOADS[effort], progress or Progress()
    if (
        min(len(people.trained.offsets), len(people.holdout.offsets)) < 3
        or len(people.reference.offsets) < 5
    ):
        raise ValueError(
            "attacks need at least 2 trained, 2 holdout and 4 reference users, found fewer"
        )
    battery = AttackSuite.of(people, fpr=fpr, resamples=counts.resamples)
    planting, blind = rng.spawn(2)
    with progress.stage("attack", total=3) as advance:
        result = battery.attack(people.synthetic, reference=people.reference, rng=rng)
        attacks, copied = battery.with_copies(result.attacks, replays=result.replays, policy=policy)
        advance(1)
        planted = controls.graded_leak(
            battery, result=result, people=people, policy=policy, workload=counts, rng=planting
        )
        advance(1)
        copies = controls.planted_copies(
            battery, result=result, people=people, policy=policy, workload=counts, rng=rng
        )
        innocent = controls.innocent(
            battery, people=people, policy=policy, workload=counts, rng=blind
        )
        advance(1)
    membership = Membership(
        attacks=attacks,
        headline=strongest(attacks).name,
        bound=bound,
        controls=controls.together(planted, innocent, policy=policy, copies=copies),
        copied=int(copied.sum()),
        columns=attacked_columns(people.synthetic, result.replays, knowledge=people.knowledge),
    )
    member = battery.member
    return ScoredMembership(
        membership,
        scores={name: (found[member], found[~member]) for name, found in result.scores.items()},
    )
