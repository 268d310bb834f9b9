"""What an audit writes down: the base of all records, the one shape of a statistic (value,
interval, n, method), and every typed figure of attacks, disclosure, use and likeness.

Guarantees: figures computed on a real log are not differentially private, so the record lives below
`private/` (rule: audits are not private).
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from synthrec.records import FrozenRecord

MAX_NUMBER = 2**53  # beyond, floats do not hold every whole number, and libraries refuse them


class Record(FrozenRecord):
    """A record whose numbers are such that floats and libraries can hold them."""

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        values = (getattr(self, name) for name in type(self).model_fields)
        if any(
            isinstance(value, int | float) and MAX_NUMBER < abs(value) < math.inf
            for value in values
        ):
            raise ValueError("a number must be one that something has")
        return self


Effort = Literal["quick", "full"]


class Figure(Record):
    """A statistic with its confidence interval and the number of units behind it."""

    value: float
    low: float
    high: float
    n: int
    method: str
    confidence: float = 0.95


class RealismLimit(Record):
    """One realism limit of the protocol on one synthetic log: distance from real, and the most that
    is allowed.
    """

    name: str
    real: float | None
    synthetic: float | None
    distance: float
    limit: float
    passed: bool


class Stratum(Record):
    """RMSE on a part of the held-out events: items by popularity, or users by activity."""

    by: Literal["item popularity", "user activity"]
    name: str  # head | middle | tail, or "decile 1" ... "decile 10"
    rmse: Figure | None
    gap_closed: Figure | None


class Arm(Record):
    """One row of the utility ladder, `nothing` at the bottom, `real` at the top."""

    name: str  # nothing | popularity | marginals | moments | synthrec | real
    label: str  # for people
    epsilon: (
        float | None
    )  # total epsilon of the arm's training; None for nothing, popularity and real
    ledger_kind: str | None  # release | internal | None
    rmse: (
        Figure | None
        # matrix factorisation learned from the arm's log, real test users; None for popularity, or
        # no
        # ratings
    )
    mae: Figure | None
    bias_rmse: float | None  # item biases only
    gap_closed: Figure | None  # of RMSE, from nothing to real
    ndcg: Figure | None  # NDCG@10 of EASE^R
    ranking_gap_closed: Figure | None  # from popularity to real
    realism: tuple[RealismLimit, ...] = ()
    strata: tuple[Stratum, ...] = ()


class Against(Record):
    """The release against the best simpler DP method at equal epsilon; below zero in RMSE, above
    zero in NDCG is better.
    """

    rival: str
    measure: Literal["RMSE", "NDCG@10"]
    difference: Figure  # release less rival, paired over test users
    beats: bool  # the interval excludes zero on the good side


class Utility(Record):
    """Protocol of the evaluation protocol, docs/design.md on the audit's own split."""

    test_users: int
    heldout_events: int
    ladder: tuple[Arm, ...]
    against: tuple[Against, ...] = ()


class PanelRow(Record):
    """One recommender of the panel, trained on the real and on the synthetic log."""

    name: str
    real: Figure  # NDCG@10, trained on real, scored on real test users
    synthetic: Figure  # trained on synthetic, scored on the same real test users
    receiver: (
        Figure  # trained on synthetic, scored on synthetic users, as somebody without the log would
    )


class Agreement(Record):
    """Does the synthetic log rank recommenders as the real one does?"""

    scored_on: Literal["real users", "synthetic users"]
    tau: Figure  # Kendall's, over all pairs
    tau_resolved: (
        Figure | None
    )  # over pairs whose real difference has an interval that excludes zero
    resolved_pairs: int
    pairs: int
    top_agrees: bool


class Panel(Record):
    """At least six recommenders and how well their orders agree."""

    rows: tuple[PanelRow, ...]
    agreements: tuple[Agreement, ...]
    left_out: tuple[str, ...] = ()  # recommenders that were not run, and why


class CurvePoint(Record):
    """One arm at one size."""

    arm: str
    size: int  # of the partner's log in users, or known events of a new user
    measure: str  # RMSE, or NDCG@10
    figure: Figure
    difference: Figure | None = (
        # less the first arm's at the same size, paired over test users; None for the first arm
        # itself
        None
    )


class Curve(Record):
    """Augmentation over the partner's size, or cold start over known events."""

    name: Literal["augmentation", "cold start: users", "cold start: items"]
    size_means: str
    points: tuple[CurvePoint, ...]


class Fidelity(Record):
    """How far the synthetic log is from the real one in one respect, between the distance of two
    halves of the real users and a floor.

    All distances are between equally many users, `users` on either side, and means over `draws`
    random halves.
    """

    # a file of audit/fidelity: popularity, activity, ratings, time, sessions, events, attributes
    # ...
    topic: str
    name: str
    real: float | None
    synthetic: float | None
    distance: float
    halves: (
        float | None
    )  # ceiling: two random halves of the real users; at or below it is as good as other real users
    floor: float | None  # the DP marginals log, or items dealt anew where there is none
    method: (
        str  # "total variation over events", "Jensen-Shannon divergence (bits)", "difference" ...
    )
    users: int | None = None
    draws: int | None = None
    distance_range: tuple[float, float] | None = None  # lowest and highest of all draws
    halves_highest: float | None = (
        None  # of all draws: a distance above it tells the log from other real users
    )


class AuditedUtility(Record):
    """All that was measured of use and likeness; None or empty for what the effort or the log did
    not allow.
    """

    protocol: Utility | None
    panel: Panel | None = None
    curves: tuple[Curve, ...] = ()
    fidelity: tuple[Fidelity, ...] = ()


class TopScores(Record):
    """How many of the people with the highest scores of an attack trained: those whose score is at
    least that of the one in place `place`.
    """

    place: int
    people: int  # more than `place` where scores are tied
    members: int
    p_value: float  # that chance makes so many of them members, or more: hypergeometric


class Attack(Record):
    """One membership attack: users who trained against holdout users, one score per user."""

    name: str
    knows: str  # what the attacker has, for people
    auc: Figure
    advantage: Figure  # largest TPR - FPR
    tpr: Figure  # at `fpr`
    fpr: float
    tpr_at_1_percent: Figure | None  # only with >= 100 users a class
    members: int
    holdout: int
    reference: int
    detectable_auc: float  # smallest AUC found with 80 % power at this n, one-sided 5 %
    p_value: float  # one-sided, AUC above one half
    p_holm: float  # the same, corrected for all attacks that were run
    most_exposed: (
        Figure | None
    )  # AUC among the tenth chosen beforehand as most exposed; only with >= 50 a class
    roc: tuple[tuple[float, float], ...]  # (fpr, tpr), at most 101 points
    tpr_at_0: Figure | None = None  # members above all holdout users
    tops: tuple[TopScores, ...] = ()
    wholes: TopScores | None = None  # of a replay: everybody with a whole copy; place 0
    p_tops: float = 1.0  # the smallest of `tops` and `wholes`, corrected for those of all attacks
    copied: int | None = None  # members copied by the rule of replays; None for what is no replay
    # the most that a copied member, and anybody with somebody outside, shares with one synthetic user
    shared_by_copied: int = 0
    shared_outside: int = 0


class LeakProbe(Record):
    """A leak planted on purpose: `share` of synthetic users replaced by training users, a tenth of
    whose items are swapped.
    """

    share: float
    draws: int
    found: Figure  # share of draws that the policy's rule flags
    auc: float  # of the headline rule, mean over draws


class CopyProbe(Record):
    """Members copied on purpose, as they are: with the whole of their histories, or in one respect
    onto other people's items.
    """

    what: str
    users: int
    share: float  # of the synthetic users
    draws: int
    found: Figure  # share of draws that the policy's rule flags


class AttackedColumn(Record):
    """A column of the synthetic log, and the attacks that look at its values as they are."""

    name: str
    attacks: tuple[str, ...]


class Controls(Record):
    """What makes a pass mean something."""

    leaks: tuple[LeakProbe, ...]  # share falling
    power: (
        float | None
    )  # smallest planted share found in at least 80 % of draws; None: not even all of it
    blind: tuple[
        Attack, ...
    ]  # the same attacks on a second reference set in place of the synthetic log: nothing to find
    bootstrap_flagged: Figure | None  # share of bootstraps of reference users that the rule flags
    copies: tuple[CopyProbe, ...] = ()


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
    headline: str  # name of the attack with the largest lower limit of AUC
    controls: Controls
    bound: AttackBound | None  # None: nobody proved one
    copied: int = 0  # members whose history stands in the synthetic log, in any respect
    columns: tuple[AttackedColumn, ...] = ()

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
    """Epsilon is at least this, or the claim at its delta is false with the stated confidence:
    one-run audit of the coined users.
    """

    epsilon: float  # 0 when nothing was shown
    delta: float
    confidence: float
    coined: int  # users who entered training, or not, by a fair coin
    guesses: int
    correct: int
    choices: int  # of attack and threshold, paid for by Bonferroni
    ceiling: float  # the most that so many guesses, all correct, could have shown
    attack: str
    method: str
    claimed: float | None = None  # epsilon that is claimed at this very delta


class Risk(Record):
    """One of the three GDPR risks (WP29 05/2014), per user: main, control and random attack."""

    name: Literal["singling out", "linkability", "attribute inference"]
    setting: str  # for example "4 known events", "gender"
    attack: Figure  # success on users who trained
    control: Figure  # the same on as many holdout users
    random: Figure  # an attacker who guesses
    risk: Figure  # (attack - control) / (1 - control), with its interval


class Replay(Record):
    """Verbatim replay: longest run of items, in order, that a user shares with some synthetic user."""

    members: Figure  # mean over users who trained
    holdout: Figure
    longest_member: int
    longest_holdout: int


class Disclosure(Record):
    """What a motivated intruder learns beyond what the population gives away."""

    risks: tuple[Risk, ...]
    replay: Replay


WITHIN_CLAIM = "WITHIN CLAIM"  # stands in the reason of a leak that contradicts no claim


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


class Policy(Record):
    """What is called a leak, and what is too little to say anything."""

    version: int
    confidence: float = Field(
        gt=0, lt=1
    )  # of every interval; 1 less this is how often all attacks together may raise a false alarm
    # a leak: an attack's lower limit lies above this; planted leaks are found by the same rule
    leak_auc: float
    least_users_per_class: (
        int  # trained and holdout users each, and reference users for a pass; fewer say nothing
    )
    power: float  # a planted leak counts as found when this share of its draws was flagged
    leak_risk: float  # a leak: the lower limit of a risk beyond control lies above this
    # a leak: trained users' longest shared run is longer than holdout users' by more than this
    leak_replay_items: float
    # how often the highest scores of all attacks together may accuse by chance, and whole copies;
    # a tail beyond what was seen is assumed, so that what is read off it must be rarer by far
    tail_level: float = 0.0
    extrapolated_level: float = 0.0
    planted_share: float = 1.0  # a pass needs power at this share of synthetic users, or a smaller
    # what an intruder knows of a person, exactly: so many times, numbers, attributes, events with all
    # that they say but for their times
    known_times: int = 0
    known_numbers: int = 0
    known_attributes: int = 0
    known_events: int = 0
    copied_share: float = 1.0  # a pass needs that as many whole copies would have been found

    def numbers(self) -> dict[str, float]:
        """As a record keeps it."""
        return {name: float(value) for name, value in self}


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
    subject: Literal[
        "release", "second run", "tables"
    ]  # a release, a second run of its plan (sacrificial), another tool's log
    release_id: str | None
    source_name: str
    synthrec_version: str
    effort: Effort
    policy: dict[str, float]  # thresholds, fixed before scoring
    policy_sha256: str
    epsilon: float | None  # the claim that was audited; None: none was made
    delta: float | None
    split: Split
    utility: AuditedUtility | None
    membership: Membership | None
    lower_bound: LowerBound | None
    disclosure: Disclosure | None
    verdict: Verdict
    reason: str
    seconds: float
    # chosen by the owner: columns that the intruder knows, columns that are inferred; none: all
    known: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    within_claim_is_fine: bool = False  # the owner accepts a leak that contradicts no claim

    @property
    def exit_code(self) -> int:
        """Of the verdict, unless the owner accepts what was found."""
        fine = self.within_claim_is_fine and WITHIN_CLAIM in self.reason
        return 0 if fine and self.verdict is Verdict.LEAK_DETECTED else self.verdict.exit_code


class Difference(Record):
    """One candidate less another in one measure, paired over people."""

    one: str
    other: str
    measure: str  # "AUC of the strongest attack", "RMSE", "NDCG@10"
    difference: Figure

    @property
    def better(self) -> str | None:
        """Whose figure is better, where the interval excludes zero: less, but for NDCG."""
        figure = self.difference
        if figure.low <= 0 <= figure.high:
            return None
        return self.one if (figure.value > 0) == (self.measure == "NDCG@10") else self.other


class Comparison(Record):
    """comparison.json: audits of several synthetic logs on the same people."""

    format_version: Literal[1] = 1
    names: tuple[str, ...]
    audits: tuple[AuditRecord, ...]
    differences: tuple[Difference, ...]

    @property
    def exit_code(self) -> int:
        """Of the worst verdict."""
        return min(self.audits, key=lambda audit: list(Verdict).index(audit.verdict)).exit_code
