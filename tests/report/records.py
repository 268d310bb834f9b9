"""A release and an audit made up for the report's tests: the figures are plausible, none is
measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm

from synthrec.audit.record import (
    Against,
    Agreement,
    Arm,
    Attack,
    AttackBound,
    AttackedColumn,
    AuditedUtility,
    AuditRecord,
    Controls,
    CopyProbe,
    Curve,
    CurvePoint,
    Disclosure,
    Fidelity,
    Figure,
    LeakProbe,
    LowerBound,
    Membership,
    Panel,
    PanelRow,
    RealismLimit,
    Replay,
    Risk,
    Split,
    Stratum,
    Utility,
    Verdict,
)
from synthrec.conformance.record import TOPICS, Check, Conformance
from synthrec.report.record import DataColumn, InternalRuns, Mechanism, ReleaseRecord

_GRID = tuple(float(x) for x in np.linspace(0.0, 1.0, 101))


def roc(separation: float) -> tuple[tuple[float, float], ...]:
    """The ROC of two unit normals `separation` apart."""
    return tuple(
        (x, float(norm.cdf(norm.ppf(x) + separation))) if 0 < x < 1 else (x, x) for x in _GRID
    )


def attack(
    name: str = "calibrated nearest user",
    *,
    separation: float = 0.06,
    half_width: float = 0.03,
    detectable: float = 0.547,
    knows: str = "which items a person has",
) -> Attack:
    auc = float(norm.cdf(separation / np.sqrt(2)))
    tpr = float(norm.cdf(norm.ppf(0.1) + separation))
    advantage = float(2 * norm.cdf(abs(separation) / 2) - 1)

    def figure(value: float, n: int, method: str) -> Figure:
        return Figure(
            value=value,
            low=max(0.0, value - half_width),
            high=min(1.0, value + half_width),
            n=n,
            method=method,
        )

    p_value = float(norm.sf((auc - 0.5) / (half_width / 1.96)))
    return Attack(
        name=name,
        knows=knows,
        auc=figure(auc, 943, "DeLong"),
        advantage=figure(advantage, 943, "bootstrap over users"),
        tpr=figure(tpr, 660, "Clopper-Pearson"),
        fpr=0.1,
        tpr_at_1_percent=None,
        members=660,
        holdout=283,
        reference=85,
        detectable_auc=detectable,
        p_value=p_value,
        p_holm=min(1.0, 6 * p_value),
        most_exposed=figure(auc + 0.01, 94, "DeLong"),
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
        chosen_with_sight=(
            "The tool chose nothing with sight of the log: every constant stands in the plan before the log is opened.",
        ),
        raw_data_seen_by=("Whoever ran synthrec held the log.",),
        columns=(
            DataColumn(
                table="events",
                name="user_id",
                kind="user",
                says="a synthetic user, from a space of ids of its own",
            ),
            DataColumn(
                table="events",
                name="item_id",
                kind="item",
                says="a real item id, so that a catalogue can be joined",
            ),
            DataColumn(table="events", name="rating", kind="rating", says="1 to 5 by 1"),
            DataColumn(
                table="events", name="timestamp", kind="time", says="1997-09-01 to 1998-05-01, UTC"
            ),
            DataColumn(table="users", name="user_id", kind="user", says="as in the events"),
            DataColumn(table="users", name="gender", kind="category", says="2 declared values"),
        ),
        sampler=(
            "Every user takes part in each measurement. Each user is in a training step's batch by an independent coin of chance "
            "0.256 (Poisson sampling)."
        ),
        model="gan",
        training={
            "steps": 400,
            "clip_norm": 1.0,
            "expected_batch_size": 256,
            "sampling_rate": 0.256,
            "critic_parameters": 7524,
        },
        budget_share={
            "items": 0.62,
            "tastes": 0.14,
            "activity": 0.04,
            "attributes": 0.02,
            "critic": 0.18,
        },
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
        profile=(
            (1e-4, 7.98),
            (1e-5, 8.94),
            (1e-6, 9.8),
            (1e-7, 10.58),
            (1e-8, 11.3),
            (1e-9, 11.97),
        ),
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
        commands=(
            "synthrec run ratings.csv --config synthrec.toml --epsilon 8 --delta 1e-4 --out release",
        ),
    )
    return ReleaseRecord.model_validate({**record.model_dump(), **changes})


def _figure(
    value: float, *, half: float = 0.006, n: int = 94, method: str = "bootstrap over users"
) -> Figure:
    return Figure(value=value, low=value - half, high=value + half, n=n, method=method)


def realism(*, failing: bool = False) -> tuple[RealismLimit, ...]:
    return (
        RealismLimit(
            name="rating histogram",
            real=None,
            synthetic=None,
            distance=0.081 if failing else 0.031,
            limit=0.06,
            passed=not failing,
        ),
        RealismLimit(
            name="variance within users",
            real=1.02,
            synthetic=0.97,
            distance=0.049,
            limit=0.15,
            passed=True,
        ),
        RealismLimit(
            name="variance of user means",
            real=0.20,
            synthetic=0.18,
            distance=0.10,
            limit=0.15,
            passed=True,
        ),
        RealismLimit(
            name="popularity", real=None, synthetic=None, distance=0.131, limit=0.15, passed=True
        ),
        RealismLimit(
            name="activity", real=None, synthetic=None, distance=0.06, limit=0.10, passed=True
        ),
        RealismLimit(
            name="similarity of users",
            real=0.142,
            synthetic=0.131,
            distance=0.077,
            limit=0.25,
            passed=True,
        ),
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
        gap_closed=None
        if name in ("nothing", "popularity")
        else _figure((1.057 - rmse) / (1.057 - 0.930), half=0.05),
        ndcg=_figure(ndcg, half=0.012),
        ranking_gap_closed=None
        if name in ("nothing", "popularity")
        else _figure((ndcg - 0.164) / (0.361 - 0.164), half=0.06),
        realism=() if name in ("nothing", "popularity", "real") else realism(failing=failing),
        strata=strata(rmse) if name in ("synthrec", "real") else (),
    )


def strata(rmse: float) -> tuple[Stratum, ...]:
    parts = [
        ("item popularity", name, shift)
        for name, shift in (("head", -0.03), ("middle", 0.0), ("tail", 0.09))
    ]
    parts += [("user activity", f"decile {k}", 0.05 - 0.01 * k) for k in range(1, 11)]
    return tuple(
        Stratum(
            by="user activity" if by.startswith("user") else "item popularity",
            name=name,
            rmse=_figure(rmse + shift, half=0.02),
            gap_closed=_figure(0.6, half=0.2),
        )
        for by, name, shift in parts
    )


def utility() -> Utility:
    return Utility(
        test_users=94,
        heldout_events=1998,
        ladder=(
            arm(
                "nothing",
                "knowing nothing but the user's own mean",
                rmse=1.057,
                bias=1.057,
                ndcg=0.05,
            ),
            arm("popularity", "most popular items", rmse=1.057, bias=1.057, ndcg=0.164),
            arm(
                "marginals",
                "DP marginals only",
                rmse=0.992,
                bias=0.990,
                ndcg=0.170,
                epsilon=7.9,
                kind="internal",
                failing=True,
            ),
            arm(
                "moments",
                "DP moments of tastes",
                rmse=0.978,
                bias=0.985,
                ndcg=0.221,
                epsilon=7.9,
                kind="internal",
            ),
            arm(
                "synthrec",
                "this release",
                rmse=0.975,
                bias=0.984,
                ndcg=0.232,
                epsilon=7.98,
                kind="release",
            ),
            arm("real", "the real log itself", rmse=0.930, bias=0.960, ndcg=0.361),
        ),
        against=(
            Against(
                rival="moments", measure="RMSE", difference=_figure(-0.003, half=0.002), beats=True
            ),
            Against(
                rival="moments",
                measure="NDCG@10",
                difference=_figure(0.011, half=0.013),
                beats=False,
            ),
        ),
    )


def attacks(strongest: float = 0.02) -> tuple[Attack, ...]:
    return (
        attack(separation=strongest),
        attack("scoreboard", separation=-0.01, knows="items, ratings (about) and dates (about)"),
        attack("density ratio", separation=-0.05, knows="items, ratings, times of events"),
        attack(
            "classifier, synthetic against reference",
            separation=0.0,
            knows="items, ratings, times of events",
        ),
        attack(
            "likelihood ratio of marginals",
            separation=0.01,
            knows="items and ratings; of the synthetic log only frequencies",
        ),
        attack(
            "blend of all attacks",
            separation=0.015,
            knows="all that the others know, and who of other people trained",
        ),
    )


def membership(strongest: float = 0.02, *, power: float | None = 0.05) -> Membership:
    found = tuple(
        LeakProbe(
            share=share, draws=20, found=_figure(rate, half=0.05, n=20, method="Wilson"), auc=auc
        )
        for share, rate, auc in (
            (1.0, 0.95, 0.98),
            (0.3, 0.95, 0.84),
            (0.1, 0.95, 0.66),
            (0.05, 0.85, 0.58),
            (0.02, 0.3, 0.53),
        )
    )
    controls = Controls(
        leaks=found,
        power=power,
        blind=tuple(each.model_copy(update={"roc": ()}) for each in attacks(0.0)),
        bootstrap_flagged=_figure(0.0, half=0.0, n=20, method="Wilson"),
        copies=tuple(
            CopyProbe(
                what=what,
                users=users,
                share=users / 600,
                draws=20,
                found=_figure(1.0, half=0.05, n=20, method="Wilson"),
            )
            for what in ("whole histories", "timestamp")
            for users in (30, 6, 1)
        ),
    )
    return Membership(
        attacks=attacks(strongest),
        headline="calibrated nearest user",
        controls=controls,
        bound=bound(),
        columns=(
            AttackedColumn(name="item_id", attacks=("replay of items",)),
            AttackedColumn(name="timestamp", attacks=("replay of exact times",)),
        ),
    )


def lower_bound(epsilon: float = 0.31) -> LowerBound:
    return LowerBound(
        epsilon=epsilon,
        delta=1e-4,
        confidence=0.95,
        coined=566,
        guesses=180,
        correct=101,
        choices=24,
        ceiling=3.6,
        attack="calibrated nearest user",
        method="one-run audit (Steinke, Nasr and Jagielski 2023)",
    )


def share(value: float, *, half: float, method: str) -> Figure:
    return Figure(
        value=value, low=max(0.0, value - half), high=min(1.0, value + half), n=283, method=method
    )


def risk(name: Any, setting: str, *, members: float, outside: float, guess: float) -> Risk:
    return Risk(
        name=name,
        setting=setting,
        attack=share(members, half=0.03, method="Wilson"),
        control=share(outside, half=0.03, method="Wilson"),
        random=share(guess, half=0.02, method="Wilson"),
        risk=_figure(
            (members - outside) / (1 - outside), half=0.035, n=283, method="normal, of a difference"
        ),
    )


def disclosure() -> Disclosure:
    return Disclosure(
        risks=(
            risk("singling out", "4 known events", members=0.021, outside=0.019, guess=0.011),
            risk("singling out", "8 known events", members=0.014, outside=0.016, guess=0.004),
            risk("linkability", "halves of a history", members=0.062, outside=0.058, guess=0.010),
            risk("attribute inference", "gender", members=0.726, outside=0.719, guess=0.71),
            risk("attribute inference", "age in 10 bins", members=0.334, outside=0.331, guess=0.30),
        ),
        replay=Replay(
            members=_figure(2.31, half=0.08, n=660),
            holdout=_figure(2.29, half=0.1, n=283),
            longest_member=6,
            longest_holdout=6,
        ),
    )


def panel() -> Panel:
    scores = (
        ("most popular", 0.164, 0.163),
        ("item neighbours", 0.262, 0.211),
        ("ALS", 0.301, 0.222),
        ("EASE", 0.361, 0.232),
        ("user neighbours", 0.288, 0.219),
        ("item means", 0.088, 0.081),
        ("BPR", 0.254, 0.208),
    )
    return Panel(
        rows=tuple(
            PanelRow(
                name=name,
                real=_figure(real, half=0.012),
                synthetic=_figure(synthetic, half=0.011),
                receiver=_figure(synthetic + 0.02, half=0.008),
            )
            for name, real, synthetic in scores
        ),
        agreements=(
            Agreement(
                scored_on="real users",
                tau=_figure(0.81, half=0.12),
                tau_resolved=_figure(0.94, half=0.06),
                resolved_pairs=17,
                pairs=21,
                top_agrees=True,
            ),
            Agreement(
                scored_on="synthetic users",
                tau=_figure(0.71, half=0.15),
                tau_resolved=None,
                resolved_pairs=17,
                pairs=21,
                top_agrees=True,
            ),
        ),
        left_out=("a neural recommender: needs a package that is not installed",),
    )


def curves() -> tuple[Curve, ...]:
    def point(arm: str, size: int, value: float, measure: str = "RMSE") -> CurvePoint:
        return CurvePoint(arm=arm, size=size, measure=measure, figure=_figure(value, half=0.008))

    sizes = (25, 50, 100, 200, 400)
    small = [point("partner alone", size, 1.06 - 0.02 * k) for k, size in enumerate(sizes)]
    both = [point("synthrec", size, 0.985 - 0.01 * k) for k, size in enumerate(sizes)]
    marginals = [point("marginals", size, 1.0 - 0.008 * k) for k, size in enumerate(sizes)]
    starts = (("partner alone", 0.15), ("synthrec", 0.21), ("marginals", 0.17))
    ranked = [
        point(arm, size, base + 0.02 * k, "NDCG@10")
        for arm, base in starts
        for k, size in enumerate(sizes)
    ]
    cold = [
        point(arm, known, base - 0.03 * k)
        for arm, base in (("nothing", 1.1), ("synthrec", 1.02), ("real", 0.98))
        for k, known in enumerate((1, 2, 4, 8))
    ]
    return (
        Curve(
            name="augmentation",
            size_means="users of the partner's log",
            points=(*small, *both, *marginals, *ranked),
        ),
        Curve(
            name="cold start: users", size_means="known events of a new user", points=tuple(cold)
        ),
    )


def fidelity() -> tuple[Fidelity, ...]:
    rows = (
        ("popularity", "events of each item", 0.13, 0.089, 0.15),
        ("popularity", "how unequal items are", 0.009, 0.0108, 0.0062),
        ("activity", "events of a user, cut at K", 0.09, 0.09, 0.1),
        ("ratings", "levels", 0.03, 0.023, 0.02),
        ("ratings", "variance within users", 0.026, 0.023, 0.15),
        ("time", "hour by weekday", 0.31, 0.34, 0.3),
        ("sessions", "gap between events, by octaves", 0.118, 0.023, 0.108),
        ("attributes", "gender", 0.031, 0.028, None),
        ("co-occurrence", "lift of pairs of the 100 most popular items", 0.53, 0.11, 0.91),
        ("variety", "nearest other user, median", 0.1, 0.0075, 0.147),
        ("variety", "whole users twice", 0.0, 0.0, 0.0),
    )
    return tuple(
        Fidelity(
            topic=topic,
            name=name,
            real=1.0,
            synthetic=0.9,
            distance=distance,
            halves=halves,
            floor=floor,
            method="total variation over events",
            users=330,
            draws=10,
            halves_highest=1.3 * halves,
        )
        for topic, name, distance, halves, floor in rows
    )


def audited_utility() -> AuditedUtility:
    return AuditedUtility(protocol=utility(), panel=panel(), curves=curves(), fidelity=fidelity())


REASONS = {
    Verdict.NO_LEAK_FOUND: "The strongest of 6 attacks has AUC 0.506; an AUC of 0.547 or more would have been found",
    Verdict.LEAK_DETECTED: "An attack (calibrated nearest user) tells members from holdout users with AUC 0.760, at least 0.730",
    Verdict.CLAIM_REFUTED: "Epsilon is at least 9.20 with 95% confidence (180 of 180 guesses were right); 7.98 was claimed",
    Verdict.INCONCLUSIVE: "Training users planted in place of all synthetic users were not found often enough",
    Verdict.NOT_RUN: "There were no holdout users to compare with",
}
POLICY = {
    "version": 3.0,
    "confidence": 0.95,
    "leak_auc": 0.52,
    "least_users_per_class": 20.0,
    "power": 0.8,
    "leak_risk": 0.05,
    "leak_replay_items": 1.0,
    "tail_level": 0.01,
    "extrapolated_level": 1e-6,
    "planted_share": 0.2,
    "copied_share": 0.05,
}


def audit(**changes: Any) -> AuditRecord:
    record = AuditRecord(
        subject="release",
        release_id="r-7f3c19a2",
        source_name="movie ratings 2025",
        synthrec_version="0.1.0",
        effort="full",
        policy=POLICY,
        policy_sha256="5" * 64,
        epsilon=7.98,
        delta=1e-4,
        split=Split(trained=660, coined_in=283, holdout=283, reference=85, test=94),
        utility=audited_utility(),
        membership=membership(),
        lower_bound=lower_bound(),
        disclosure=disclosure(),
        verdict=Verdict.NO_LEAK_FOUND,
        reason=REASONS[Verdict.NO_LEAK_FOUND],
        seconds=71.3,
        known=("item_id", "timestamp"),
        secret=("gender",),
    )
    return AuditRecord.model_validate({**record.model_dump(), **changes})


def brief(record: AuditRecord, **changes: Any) -> AuditRecord:
    """The same without figures of use, so that a page is drawn quickly."""
    return record.model_copy(update={"utility": None, **changes})


def verdicts() -> dict[Verdict, AuditRecord]:
    """An audit for each verdict, with the figures that lead to it."""
    found = {
        Verdict.NO_LEAK_FOUND: audit(),
        Verdict.LEAK_DETECTED: audit(membership=membership(1.0)),
        Verdict.CLAIM_REFUTED: audit(membership=membership(4.0), lower_bound=lower_bound(9.2)),
        Verdict.INCONCLUSIVE: audit(membership=membership(power=None)),
        Verdict.NOT_RUN: audit(
            membership=None,
            lower_bound=None,
            disclosure=None,
            split=Split(trained=943, coined_in=0, holdout=0, reference=0, test=0),
        ),
    }
    return {
        verdict: record.model_copy(update={"verdict": verdict, "reason": REASONS[verdict]})
        for verdict, record in found.items()
    }


def conformance(*, failing: bool = False) -> Conformance:
    checks = [
        Check(
            topic=topic,
            name=f"{topic} {place}",
            asked=f"what is asked of {topic}",
            statistic=1.0 + 0.01 * place,
            low=0.9,
            high=1.1,
            passed=True,
        )
        for topic in TOPICS
        for place in range(3)
    ]
    if failing:
        checks.append(
            Check(
                topic="noise",
                name="scale of the game's noise",
                asked="standard deviation over the planned one",
                statistic=0.5,
                low=0.9,
                high=1.1,
                passed=False,
            )
        )
    return Conformance(
        synthrec_version="0.1.0",
        subject="the plan of this release on a simulated log",
        model="gan",
        epsilon=8,
        delta=1e-4,
        checks=tuple(checks),
        seconds=31.0,
    )
