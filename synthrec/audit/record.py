"""What an audit writes down: typed figures, each with its interval, n and method.

Audit figures computed on a real log are not differentially private: the record lives below `private/` (rule 14). Figures of utility and
fidelity have a file of their own, `utility_record.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import model_validator

from synthrec.audit.figure import Figure, Record
from synthrec.audit.utility_record import AuditedUtility

__all__ = ["Attack", "AttackBound", "AuditRecord", "Controls", "Disclosure", "Figure", "LeakProbe", "LowerBound", "Membership", "Record",
           "Replay", "Risk", "Verdict"]


class Attack(Record):
    """One membership attack: users who trained against holdout users, one score per user."""

    name: str
    knows: str                      # what the attacker has, for people
    auc: Figure
    advantage: Figure               # largest TPR - FPR
    tpr: Figure                     # at `fpr`
    fpr: float
    tpr_at_1_percent: Figure | None     # only with >= 1,000 users a class
    members: int
    holdout: int
    reference: int
    detectable_auc: float           # smallest AUC found with 80 % power at this n, one-sided 5 %
    p_value: float                  # one-sided, AUC above one half
    p_holm: float                   # the same, corrected for all attacks that were run
    most_exposed: Figure | None     # AUC among the tenth chosen beforehand as most exposed; only with >= 50 a class
    roc: tuple[tuple[float, float], ...]    # (fpr, tpr), at most 101 points


class LeakProbe(Record):
    """A leak planted on purpose: `share` of synthetic users replaced by training users, a tenth of whose items are swapped."""

    share: float
    draws: int
    found: Figure                   # share of draws that the policy's rule flags
    auc: float                      # of the headline rule, mean over draws


class Controls(Record):
    """What makes a pass mean something."""

    leaks: tuple[LeakProbe, ...]    # share falling
    power: float | None             # smallest planted share found in at least 80 % of draws; None: not even all of it
    blind: tuple[Attack, ...]       # the same attacks on a second reference set in place of the synthetic log: nothing to find
    bootstrap_flagged: Figure | None    # share of bootstraps of reference users that the rule flags


class AttackBound(Record):
    """What any attacker can reach at most, from the whole privacy profile of the ledger."""

    fpr: float
    tpr: float
    auc: float
    advantage: float
    roc: tuple[tuple[float, float], ...]


class Membership(Record):
    """All attacks, their controls, and the proved bound."""

    attacks: tuple[Attack, ...]
    headline: str                   # name of the attack with the largest lower limit of AUC
    controls: Controls
    bound: AttackBound | None       # None: nobody proved one

    @model_validator(mode="after")
    def _has_its_headline(self) -> Membership:
        if self.headline not in [attack.name for attack in self.attacks]:
            raise ValueError("the headline must be one of the attacks")
        return self

    @property
    def strongest(self) -> Attack:
        """The headline attack."""
        return next(attack for attack in self.attacks if attack.name == self.headline)


class LowerBound(Record):
    """Epsilon is at least this, or the claim at its delta is false with the stated confidence: one-run audit of the coined users."""

    epsilon: float                  # 0 when nothing was shown
    delta: float
    confidence: float
    coined: int                     # users who entered training, or not, by a fair coin
    guesses: int
    correct: int
    choices: int                    # of attack and threshold, paid for by Bonferroni
    ceiling: float                  # the most that so many guesses, all correct, could have shown
    attack: str
    method: str
    claimed: float | None = None    # epsilon that is claimed at this very delta


class Risk(Record):
    """One of the three GDPR risks (WP29 05/2014), per user: main, control and random attack."""

    name: Literal["singling out", "linkability", "attribute inference"]
    setting: str                    # for example "4 known events", "gender"
    attack: Figure                  # success on users who trained
    control: Figure                 # the same on as many holdout users
    random: Figure                  # an attacker who guesses
    risk: Figure                    # (attack - control) / (1 - control), with its interval


class Replay(Record):
    """Verbatim replay: longest run of items, in order, that a user shares with some synthetic user."""

    members: Figure                 # mean over users who trained
    holdout: Figure
    longest_member: int
    longest_holdout: int


class Disclosure(Record):
    """What a motivated intruder learns beyond what the population gives away."""

    risks: tuple[Risk, ...]
    replay: Replay


class Verdict(StrEnum):
    """Worst first."""

    CLAIM_REFUTED = "CLAIM REFUTED"
    LEAK_DETECTED = "LEAK DETECTED"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_RUN = "NOT RUN"
    NO_LEAK_FOUND = "NO LEAK FOUND"

    @property
    def exit_code(self) -> int:
        """0 nothing found, 1 leak or refuted claim, 3 inconclusive or not run."""
        return {"NO LEAK FOUND": 0, "INCONCLUSIVE": 3, "NOT RUN": 3}.get(self.value, 1)


class Split(Record):
    """How many users played which part; private, as all counts of real users are."""

    trained: int
    coined_in: int
    holdout: int
    reference: int
    test: int


class AuditRecord(Record):
    """audit.json."""

    format_version: Literal[2] = 2
    subject: Literal["release", "second run", "tables"]     # a release, a second run of its plan (sacrificial), another tool's log
    release_id: str | None
    source_name: str
    synthrec_version: str
    effort: Literal["quick", "full"]
    policy: dict[str, float]        # thresholds, fixed before scoring
    policy_sha256: str
    epsilon: float | None           # the claim that was audited; None: none was made
    delta: float | None
    split: Split
    utility: AuditedUtility | None
    membership: Membership | None
    lower_bound: LowerBound | None
    disclosure: Disclosure | None
    verdict: Verdict
    reason: str
    seconds: float
