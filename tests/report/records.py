"""A release and an audit made up for the report's tests: the figures are plausible, none is measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm

from synthrec.audit.record import Arm, Attack, AttackBound, AuditRecord, Figure, Membership, RealismLimit, Utility, Verdict
from synthrec.report.record import InternalRuns, Mechanism, ReleaseRecord

_GRID = tuple(float(x) for x in np.linspace(0.0, 1.0, 101))


def roc(separation: float) -> tuple[tuple[float, float], ...]:
    """The ROC of two unit normals `separation` apart."""
    return tuple((x, float(norm.cdf(norm.ppf(x) + separation))) if 0 < x < 1 else (x, x) for x in _GRID)


def attack(*, separation: float = 0.06, half_width: float = 0.03, detectable: float = 0.547) -> Attack:
    auc = float(norm.cdf(separation / np.sqrt(2)))
    tpr = float(norm.cdf(norm.ppf(0.1) + separation))
    advantage = float(2 * norm.cdf(separation / 2) - 1)

    def figure(value: float, n: int, method: str) -> Figure:
        return Figure(value=value, low=max(0.0, value - half_width), high=min(1.0, value + half_width), n=n, method=method)

    return Attack(
        name="calibrated nearest user",
        auc=figure(auc, 943, "DeLong"),
        advantage=figure(advantage, 943, "bootstrap over users"),
        tpr=figure(tpr, 660, "Clopper-Pearson"),
        fpr=0.1,
        members=660,
        holdout=283,
        reference=85,
        detectable_auc=detectable,
        roc=roc(separation),
    )


def bound(separation: float = 2.6) -> AttackBound:
    return AttackBound(
        fpr=0.1,
        tpr=float(norm.cdf(norm.ppf(0.1) + separation)),
        auc=float(norm.cdf(separation / np.sqrt(2))),
        advantage=float(2 * norm.cdf(separation / 2) - 1),
        roc=roc(separation),
    )


def release(**changes: Any) -> ReleaseRecord:
    record = ReleaseRecord(
        release_id="r-7f3c19a2",
        created_utc="2026-03-04T10:15:00Z",
        synthrec_version="0.1.0",
        source_name="movie ratings 2025",
        source_public=True,
        population=1000,
        unit="user_id",
        neighbouring_relation="add or remove one user",
        events_per_user=100,
        audit_share=0.3,
        public_declarations=(
            "the item catalogue (ids and attributes), made without looking at this log",
            "the rating scale: 1 to 5 in steps of 1",
            "the time window: 1997-09-01 to 1998-05-01",
            "the population: 1,000",
        ),
        model="gan",
        training={"steps": 400, "clip_norm": 1.0, "expected_batch_size": 256, "sampling_rate": 0.256, "critic_parameters": 7524},
        budget_share={"items": 0.62, "tastes": 0.14, "activity": 0.04, "attributes": 0.02, "critic": 0.18},
        mechanisms=(
            Mechanism(
                name="items",
                purpose="how often each item is picked, and how it is rated",
                kind="discrete Gaussian",
                sensitivity=1.0,
                noise_std=1.31,
                unit_of_noise="user vectors",
                noise_multiplier=1.31,
                sampling_rate=None,
                count=1,
            ),
            Mechanism(
                name="activity",
                purpose="how many users have how many events",
                kind="discrete Gaussian",
                sensitivity=1.0,
                noise_std=5.2,
                unit_of_noise="users",
                noise_multiplier=5.2,
                sampling_rate=None,
                count=1,
            ),
            Mechanism(
                name="tastes",
                purpose="which likings go together",
                kind="discrete Gaussian",
                sensitivity=1.0,
                noise_std=2.7,
                unit_of_noise="squared clip norms",
                noise_multiplier=2.7,
                sampling_rate=None,
                count=1,
            ),
            Mechanism(
                name="attributes",
                purpose="how many users have each attribute value",
                kind="discrete Gaussian",
                sensitivity=1.414,
                noise_std=10.3,
                unit_of_noise="users",
                noise_multiplier=7.28,
                sampling_rate=None,
                count=1,
            ),
            Mechanism(
                name="critic",
                purpose="training of the critic",
                kind="Poisson-subsampled Gaussian",
                sensitivity=1.0,
                noise_std=6.4,
                unit_of_noise="clip norms",
                noise_multiplier=6.4,
                sampling_rate=0.256,
                count=400,
            ),
        ),
        epsilon=7.98,
        delta=1e-4,
        epsilon_cross_check=8.01,
        accountant="privacy loss distributions (dp-accounting 0.6.0)",
        cross_check_accountant="PRV (Opacus 1.6.0)",
        profile=((1e-4, 7.98), (1e-5, 8.94), (1e-6, 9.8), (1e-7, 10.58), (1e-8, 11.3), (1e-9, 11.97)),
        bound=bound(),
        ledger_total=7.98,
        releases_before=0,
        internal=InternalRuns(count=2, epsilon=16.2),
        trials=0,
        epsilon_cap=20.0,
        try_number=1,
        noise_source="operating system (OpenDP; torch generator seeded by the operating system)",
        floating_point="training noise is float32; measurements are exact integers",
        synthetic_users=2000,
        seed_of_sampling=7,
        versions={"python": "3.11.7", "synthrec": "0.1.0", "torch": "2.13.0"},
        limits=(
            "One membership attack was run. A better attacker may exist; the bound holds for every attacker.",
            "Facts about groups of users are learned on purpose and are not hidden.",
            "Items are real: whoever wrote a text in the catalogue is not protected by this claim.",
        ),
        commands=("synthrec run ratings.csv --config synthrec.toml --epsilon 8 --delta 1e-4 --out release",),
    )
    return ReleaseRecord.model_validate({**record.model_dump(), **changes})


def _figure(value: float, *, half: float = 0.006, n: int = 94, method: str = "bootstrap over users") -> Figure:
    return Figure(value=value, low=value - half, high=value + half, n=n, method=method)


def realism(*, failing: bool = False) -> tuple[RealismLimit, ...]:
    return (
        RealismLimit(
            name="rating histogram", real=None, synthetic=None, distance=0.081 if failing else 0.031, limit=0.06, passed=not failing
        ),
        RealismLimit(name="variance within users", real=1.02, synthetic=0.97, distance=0.049, limit=0.15, passed=True),
        RealismLimit(name="variance of user means", real=0.20, synthetic=0.18, distance=0.10, limit=0.15, passed=True),
        RealismLimit(name="popularity", real=None, synthetic=None, distance=0.131, limit=0.15, passed=True),
        RealismLimit(name="activity", real=None, synthetic=None, distance=0.06, limit=0.10, passed=True),
        RealismLimit(name="similarity of users", real=0.142, synthetic=0.131, distance=0.077, limit=0.25, passed=True),
    )


def arm(
    name: str,
    label: str,
    *,
    rmse: float,
    bias: float,
    ndcg: float,
    epsilon: float | None = None,
    kind: str | None = None,
    failing: bool = False,
) -> Arm:
    return Arm(
        name=name,
        label=label,
        epsilon=epsilon,
        ledger_kind=kind,
        rmse=_figure(rmse),
        mae=_figure(rmse * 0.79),
        bias_rmse=bias,
        gap_closed=None if name in ("nothing", "popularity") else _figure((1.057 - rmse) / (1.057 - 0.930), half=0.05),
        ndcg=_figure(ndcg, half=0.012),
        ranking_gap_closed=None if name in ("nothing", "popularity") else _figure((ndcg - 0.164) / (0.361 - 0.164), half=0.06),
        realism=() if name in ("nothing", "popularity", "real") else realism(failing=failing),
    )


def utility() -> Utility:
    return Utility(
        test_users=94,
        heldout_events=1998,
        ladder=(
            arm("nothing", "knowing nothing but the user's own mean", rmse=1.057, bias=1.057, ndcg=0.05),
            arm("popularity", "most popular items", rmse=1.057, bias=1.057, ndcg=0.164),
            arm("marginals", "DP marginals only", rmse=0.992, bias=0.990, ndcg=0.170, epsilon=7.9, kind="internal", failing=True),
            arm("moments", "DP moments of tastes", rmse=0.978, bias=0.985, ndcg=0.221, epsilon=7.9, kind="internal"),
            arm("synthrec", "this release", rmse=0.975, bias=0.984, ndcg=0.232, epsilon=7.98, kind="release"),
            arm("real", "the real log itself", rmse=0.930, bias=0.960, ndcg=0.361),
        ),
    )


def audit(**changes: Any) -> AuditRecord:
    membership = Membership(
        attack=attack(),
        control=attack(separation=3.1, half_width=0.012),
        bound=bound(),
        verdict=Verdict.NO_LEAK_FOUND,
        reason="the attack did no better than chance allows; an AUC of 0.547 or more would have been found",
    )
    record = AuditRecord(
        release_id="r-7f3c19a2",
        synthrec_version="0.1.0",
        policy={"attack_fpr": 0.1, "leak_auc": 0.55},
        utility=utility(),
        membership=membership,
        verdict=membership.verdict,
        reason=membership.reason,
        seconds=71.3,
    )
    return AuditRecord.model_validate({**record.model_dump(), **changes})
