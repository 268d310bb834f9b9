"""What an audit writes down: typed figures, each with its interval, n and method.

Audit figures computed on a real log are not differentially private: the record lives below `private/` (rule 14).
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen, strict about unknown fields, quiet about inputs in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Figure(Record):
    """A statistic with its confidence interval and the number of units behind it."""

    value: float
    low: float
    high: float
    n: int
    method: str
    confidence: float = 0.95


class RealismLimit(Record):
    """One realism limit of the protocol on one synthetic log: distance from real, and the most that is allowed."""

    name: str
    real: float | None
    synthetic: float | None
    distance: float
    limit: float
    passed: bool


class Compared(Record):
    """One figure of a real log beside that of a synthetic one."""

    name: str
    real: float
    synthetic: float


class Variety(Record):
    """How much users of one log differ from each other, on equally many users of either log."""

    users: int
    figures: tuple[Compared, ...]


class Likeness(Record):
    """How far synthetic typed events are from real ones in one respect, and how far two halves of the real users are from each other."""

    name: str
    real: float | None
    synthetic: float | None
    distance: float
    halves: float


class Arm(Record):
    """One row of the utility ladder, `nothing` at the bottom, `real` at the top."""

    name: str                       # nothing | popularity | marginals | moments | synthrec | real
    label: str                      # for people
    epsilon: float | None           # total epsilon of the arm's training; None for nothing, popularity and real
    ledger_kind: str | None         # release | internal | None
    rmse: Figure | None             # matrix factorisation learned from the arm's log, real test users; None for popularity, or no ratings
    mae: Figure | None
    bias_rmse: float | None         # item biases only
    gap_closed: Figure | None       # of RMSE, from nothing to real
    ndcg: Figure | None             # NDCG@10 of EASE^R
    ranking_gap_closed: Figure | None   # from popularity to real
    realism: tuple[RealismLimit, ...] = ()


class Utility(Record):
    """Protocol of design section 6 on the audit's own split."""

    test_users: int
    heldout_events: int
    ladder: tuple[Arm, ...]


class Attack(Record):
    """One membership attack: members of training against holdout users, one score per user."""

    name: str
    auc: Figure
    advantage: Figure               # largest TPR - FPR
    tpr: Figure                     # at `fpr`
    fpr: float
    members: int
    holdout: int
    reference: int
    detectable_auc: float           # smallest AUC found with 80 % power at this n, one-sided 5 %
    roc: tuple[tuple[float, float], ...]    # (fpr, tpr), at most 101 points


class AttackBound(Record):
    """What any attacker can reach at most, from the whole privacy profile of the ledger."""

    fpr: float
    tpr: float
    auc: float
    advantage: float
    roc: tuple[tuple[float, float], ...]


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


class Membership(Record):
    """The attack, its positive control (a planted leak that it must find) and the proved bound."""

    attack: Attack
    control: Attack
    bound: AttackBound
    verdict: Verdict
    reason: str


class AuditRecord(Record):
    """audit.json."""

    format_version: int = 1
    release_id: str
    synthrec_version: str
    policy: dict[str, float]        # thresholds, fixed before scoring
    utility: Utility | None
    membership: Membership | None
    behaviour: tuple[Likeness, ...] = ()    # of a log with types, numbers, baskets or repeats
    verdict: Verdict
    reason: str
    seconds: float
