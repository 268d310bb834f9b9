"""What an audit writes down of use and likeness: recommenders on real people, augmentation, cold start, fidelity.

Figures computed on a real log: private, as the audit record that holds them.
"""

from __future__ import annotations

from typing import Literal

from synthrec.audit.figure import Figure, Record


class RealismLimit(Record):
    """One realism limit of the protocol on one synthetic log: distance from real, and the most that is allowed."""

    name: str
    real: float | None
    synthetic: float | None
    distance: float
    limit: float
    passed: bool


class Stratum(Record):
    """RMSE on a part of the held-out events: items by popularity, or users by activity."""

    by: Literal["item popularity", "user activity"]
    name: str                       # head | middle | tail, or "decile 1" ... "decile 10"
    rmse: Figure | None
    gap_closed: Figure | None


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
    strata: tuple[Stratum, ...] = ()


class Against(Record):
    """The release against the best simpler DP method at equal epsilon; below zero in RMSE, above zero in NDCG is better."""

    rival: str
    measure: Literal["RMSE", "NDCG@10"]
    difference: Figure              # release less rival, paired over test users
    beats: bool                     # the interval excludes zero on the good side


class Utility(Record):
    """Protocol of design section 6 on the audit's own split."""

    test_users: int
    heldout_events: int
    ladder: tuple[Arm, ...]
    against: tuple[Against, ...] = ()


class PanelRow(Record):
    """One recommender of the panel, trained on the real and on the synthetic log."""

    name: str
    real: Figure                    # NDCG@10, trained on real, scored on real test users
    synthetic: Figure               # trained on synthetic, scored on the same real test users
    receiver: Figure                # trained on synthetic, scored on synthetic users, as somebody without the log would


class Agreement(Record):
    """Does the synthetic log rank recommenders as the real one does?"""

    scored_on: Literal["real users", "synthetic users"]
    tau: Figure                     # Kendall's, over all pairs
    tau_resolved: Figure | None     # over pairs whose real difference has an interval that excludes zero
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
    size: int                       # of the partner's log in users, or known events of a new user
    measure: str                    # RMSE, or NDCG@10
    figure: Figure
    difference: Figure | None = None    # less the first arm's at the same size, paired over test users; None for the first arm itself


class Curve(Record):
    """Augmentation over the partner's size, or cold start over known events."""

    name: Literal["augmentation", "cold start: users", "cold start: items"]
    size_means: str
    points: tuple[CurvePoint, ...]


class Compared(Record):
    """One figure of a real log beside that of a synthetic one."""

    name: str
    real: float
    synthetic: float


class Fidelity(Record):
    """How far the synthetic log is from the real one in one respect, between the distance of two halves of the real users and a floor.

    All distances are between equally many users, `users` on either side, and means over `draws` random halves.
    """

    topic: str                      # a file of audit/fidelity: popularity, activity, ratings, time, sessions, events, attributes ...
    name: str
    real: float | None
    synthetic: float | None
    distance: float
    halves: float | None            # ceiling: two random halves of the real users; at or below it is as good as other real users
    floor: float | None             # the DP marginals log, or items dealt anew where there is none
    method: str                     # "total variation over events", "Jensen-Shannon divergence (bits)", "difference" ...
    users: int | None = None
    draws: int | None = None
    distance_range: tuple[float, float] | None = None   # lowest and highest of all draws
    halves_highest: float | None = None     # of all draws: a distance above it tells the log from other real users


class AuditedUtility(Record):
    """All that was measured of use and likeness; None or empty for what the effort or the log did not allow."""

    protocol: Utility | None
    panel: Panel | None = None
    curves: tuple[Curve, ...] = ()
    fidelity: tuple[Fidelity, ...] = ()
