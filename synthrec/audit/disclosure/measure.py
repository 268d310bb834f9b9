"""The three risks that the Article 29 Working Party names (opinion 05/2014), and verbatim replay,
all per user.

Each attack runs on users who trained, on as many holdout users (what the population gives away),
and as guesswork. A risk is what the first reaches beyond the second: (attack - control) / (1 -
control). The shape is that of Giomi, Boenisch, Wehmeyer, Tasnadi 2023; the unit here is a user with
all their events, not a row.

The users attacked are a random sample of those who trained; replay looks at all of them. Users who have no more events than the
intruder knows leave nothing to be learned and are not attacked.
"""

from __future__ import annotations

import numpy as np

from synthrec.audit.attacks.exact import views
from synthrec.audit.disclosure.linking import (
    SyntheticIndex,
    attribute_inference,
    linkability,
    linked_by_values,
)
from synthrec.audit.disclosure.replay import replay
from synthrec.audit.disclosure.singling_out import singled_out_by, singling_out
from synthrec.audit.record import Disclosure, Effort, Policy
from synthrec.audit.splits import AuditSplits
from synthrec.data.eventlog import EventLog

MAX_USERS = {"quick": 1_000, "full": 5_000}  # attacked, of each class


def measure_disclosure(
    people: AuditSplits,
    *,
    effort: Effort,
    policy: Policy | None = None,
    rng: np.random.Generator,
) -> Disclosure | None:
    """All risks, those of exact values as the policy's table of knowledge says; None without two
    users of each class, or without a synthetic log. Equal generators give equal figures.

    Guarantees: reads private logs; figures of a real log are not differentially private and stay
    below private/ (rule: audits are not private).
    """
    knowledge = people.knowledge
    users = min(MAX_USERS[effort], *(log.users for log in (people.trained, people.holdout)))
    if users < 2 or len(people.synthetic.item) == 0:
        return None
    trained, holdout = (
        _some(log, users=users, rng=rng) for log in (people.trained, people.holdout)
    )
    synthetic, index = people.synthetic, SyntheticIndex(people.synthetic, items=people.items)
    copies = max(1, round(index.users / (people.trained.users)))
    seen = [knowledge.of(log) for log in (trained, holdout, synthetic)]
    risks = [
        *singling_out(seen[0], holdout=seen[1], synthetic=seen[2], copies=copies, rng=rng),
        *linkability(trained, holdout=holdout, index=index, knowledge=knowledge, rng=rng),
        *attribute_inference(trained, holdout=holdout, index=index, knowledge=knowledge, rng=rng),
    ]
    for view in views((trained, holdout, synthetic)) if policy is not None else ():
        known = int(getattr(policy, f"known_{view.knowledge}", 0))
        if known and all(map(knowledge.knows, view.columns)):
            setting = f"{known} of {view.name}"
            risks.append(
                singled_out_by(view.tokens, facts=known, copies=copies, setting=setting, rng=rng)
            )
            linked = linked_by_values(view, known=known, rng=rng)
            risks += [] if linked is None else [linked]
    return Disclosure(
        risks=tuple(risks),
        replay=replay(people.trained, holdout=people.holdout, synthetic=synthetic, rng=rng),
    )


def _some(log: EventLog, *, users: int, rng: np.random.Generator) -> EventLog:
    """In random order, so that the first few of them are random users, too."""
    return log.select(rng.permutation(log.users)[:users])
