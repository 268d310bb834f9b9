"""What the membership attacks find on real logs: copies, strangers, synthrec with and without DP.

    python -m benchmarks.attacks ml-100k --arms strangers leaky synthrec-8 synthrec-inf over-trained
    --seed 0

Roles are drawn among the protocol's training users, bounded at K: 55 % train, 25 % are kept out, 20
% are reference users; the protocol's test users, cut at K, pose as synthetic users. Prints
Markdown, kept in benchmarks/attacks.md.

- strangers: test users pose as synthetic ones; nobody who trained is in it;
- leaky: of synthrec at epsilon 8, one synthetic user in five is replaced by a training user with a
  tenth of the items swapped;
- copy: training users with a tenth of the items swapped, nothing else;
- synthrec-E: the product at epsilon E; synthrec-inf is without noise. So for the benchmark's other
  arms: pairs-only-inf, game-off-inf,
  moments-inf, marginals-inf say which part of it remembers;
- over-trained: without noise, twenty times the game's steps at ten times the generator's rate,
  nothing holding it to the measurements, and
  kept whatever the watch says.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.arms import SAMPLING_SEED, plan_arm
from benchmarks.logs import Split, load
from synthrec.audit import profiles
from synthrec.audit.attacks import ScoredMembership, flagged, run_attacks
from synthrec.audit.attacks.battery import AttackSuite
from synthrec.audit.attacks.controls import WORKLOADS, plant
from synthrec.audit.splits import AuditSplits
from synthrec.audit.verdict import policy
from synthrec.data.eventlog import EventLog
from synthrec.model import train as training
from synthrec.model.recipe import game, measures
from synthrec.model.sampling import generate
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.plan import Plan, solve_plan
from synthrec.privacy.session import Session
from synthrec.progress import Progress

ARMS = ("strangers", "leaky", "copy", "synthrec-8", "synthrec-inf", "over-trained")
TRAINED, HOLDOUT = 0.55, 0.25


def cast(split: Split, *, seed: int) -> AuditSplits:
    """Everybody but the synthetic users, who are the test users for now."""
    users = split.bounded.users
    order = np.random.default_rng(10_000 + seed).permutation(users)
    trained, holdout, reference = (
        split.bounded.select(np.sort(part))
        for part in np.split(order, (int(TRAINED * users), int((TRAINED + HOLDOUT) * users)))
    )
    strangers = profiles.cut(
        split.test, events_per_user=split.events_per_user, rng=np.random.default_rng(20_000 + seed)
    )
    return AuditSplits(
        trained=trained,
        coined=np.zeros(trained.users, dtype=bool),
        holdout=holdout,
        reference=reference,
        test=split.test,
        train_whole=trained,
        synthetic=strangers,
        items=split.catalogue.size,
        events_per_user=split.events_per_user,
    )


def synthetic(arm: str, *, people: AuditSplits, split: Split, seed: int) -> EventLog:
    """The log that an arm makes."""
    users, rng = split.synthetic_users, np.random.default_rng(seed)
    if arm == "strangers":
        return people.synthetic
    if arm == "copy":
        return plant(people.trained, synthetic_users=users, share=1.0, rng=rng).copies
    if arm == "leaky":
        honest = synthetic("synthrec-8", people=people, split=split, seed=seed)
        return plant(people.trained, synthetic_users=users, share=0.2, rng=rng).applied_to(honest)
    if arm == "over-trained":
        with whatever_the_watch_says():
            return fitted(people.trained, split=split, plan=over_trained(split), seed=seed)
    name, _, epsilon = arm.rpartition("-")
    plan = plan_arm(name, schema=split.schema, epsilon=float(epsilon), delta=split.delta)
    return fitted(people.trained, split=split, plan=plan, seed=seed)


def fitted(log: EventLog, *, split: Split, plan: Plan, seed: int) -> EventLog:
    """Train on the log, sample."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger.open(Path(folder) / "ledger.jsonl") as ledger,
    ):
        session = Session(
            plan,
            ledger=ledger,
            charge=Charge(source=split.name, release_id="attacks", kind="release"),
        )
        artifact = training.train(
            log,
            catalogue=split.catalogue,
            schema=split.schema,
            session=session,
            means=training.Means(seed=seed),
            progress=Progress(),
        )
    return EventLog.concat(
        list(
            generate(
                artifact,
                users=split.synthetic_users,
                rng=np.random.default_rng(SAMPLING_SEED + seed),
            )
        )
    )


def over_trained(split: Split) -> Plan:
    """Without noise, and a game that nothing holds back."""
    trained = game(split.schema, model="gan")
    assert trained is not None
    return solve_plan(
        model="gan",
        epsilon=float("inf"),
        delta=split.delta,
        population=split.schema.source.population,
        events_per_user=split.events_per_user,
        measures=measures(split.schema, model="gan"),
        game=trained.model_copy(
            update={
                "steps": 20 * trained.steps,
                "generator_rate": 10 * trained.generator_rate,
                "anchor_weight": 0.0,
            }
        ),
    )


@contextmanager
def whatever_the_watch_says() -> Iterator[None]:
    """Inside, what the game made is kept."""
    with patch.object(
        training,
        "check_collapse",
        lambda trained, **rest: training.GanOutcome(generator=trained, game="kept unwatched"),
    ):
        yield


def shown(arm: str, *, found: ScoredMembership, seconds: float) -> str:
    """One arm's tables."""
    membership = found.membership
    said = "LEAK" if flagged(membership.attacks, policy()) else "no leak"
    members = membership.attacks[0]
    lines = [
        f"### {arm}: {said}, by the rule; {members.members:,} trained, {members.holdout:,} kept out, {members.reference:,} reference "
        f"users; {seconds:.0f} s",
        "",
        "| attack | AUC | Holm p | TPR at 10 % | blind AUC |",
        "|---|---:|---:|---:|---:|",
    ]
    for attack, blind in zip(membership.attacks, membership.controls.blind, strict=True):
        name = f"**{attack.name}**" if attack.name == membership.headline else attack.name
        lines.append(
            f"| {name} | {attack.auc.value:.3f} ({attack.auc.low:.3f} to {attack.auc.high:.3f}) | {attack.p_holm:.2g} | "
            f"{attack.tpr.value:.3f} ({attack.tpr.low:.3f} to {attack.tpr.high:.3f}) | {blind.auc.value:.3f} |"
        )
    leaks = ", ".join(
        f"{leak.share:.0%}: {leak.found.value:.0%}" for leak in membership.controls.leaks
    )
    power = membership.controls.power
    alarms = membership.controls.bootstrap_flagged
    assert alarms is not None
    lines += [
        "",
        f"Planted leaks found ({membership.controls.leaks[0].draws} draws each) {leaks}; power "
        f"{'none' if power is None else f'{power:.0%}'}; bootstraps of reference users flagged {alarms.value:.0%}; smallest AUC "
        f"detectable {membership.strongest.detectable_auc:.3f}.",
        "",
    ]
    return "\n".join(lines)


def levels(split: Split, *, worlds: int) -> str:
    """The blind attacker over many drawings of the roles: how often each attack says p <= 0.05, and
    all together raise an alarm.
    """
    found = []
    for world in range(worlds):
        people, rng = cast(split, seed=1_000 + world), np.random.default_rng(world)
        order = rng.permutation(people.reference.users)
        posing, known = (people.reference.select(part) for part in np.array_split(order, 2))
        found.append(
            AttackSuite.of(people, fpr=0.1, resamples=20)
            .attack(posing, reference=known, rng=rng)
            .attacks
        )
    lines = ["| attack | p <= 0.05 | mean AUC | interval holds 0.5 |", "|---|---:|---:|---:|"]
    for same in zip(*found, strict=True):
        low, value, high = np.transpose(
            [(attack.auc.low, attack.auc.value, attack.auc.high) for attack in same]
        )
        lines.append(
            f"| {same[0].name} | {np.mean([attack.p_value <= 0.05 for attack in same]):.1%} | {value.mean():.4f} +- "
            f"{value.std() / np.sqrt(worlds):.4f} | {np.mean((low <= 0.5) & (high >= 0.5)):.1%} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"Flagged: {sum(flagged(attacks, policy()) for attacks in found)} of {worlds}.",
        ]
    )


def main() -> None:
    """Make, attack, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("log")
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument(
        "--blind",
        type=int,
        default=0,
        help="only the blind attacker, in so many drawings of the roles",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--effort", choices=list(WORKLOADS), default="quick")
    asked = parser.parse_args()
    split = load(asked.log, seed=asked.seed)
    if asked.blind:
        print(levels(split, worlds=asked.blind))
        return
    people = cast(split, seed=asked.seed)
    for arm in asked.arms:
        log = synthetic(arm, people=people, split=split, seed=asked.seed)
        audited = AuditSplits(**(vars(people) | {"synthetic": log}))
        started = time.process_time()
        found = run_attacks(
            audited,
            bound=None,
            policy=policy(),
            effort=asked.effort,
            rng=np.random.default_rng(30_000 + asked.seed),
        )
        print(
            shown(f"{asked.log}, {arm}", found=found, seconds=time.process_time() - started),
            flush=True,
        )


if __name__ == "__main__":
    main()
