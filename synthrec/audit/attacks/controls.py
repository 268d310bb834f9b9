"""Controls: a planted leak must be found, an innocent log must not, and an attacker without the
synthetic log must know nothing.

Graded leak: 100, 20, 5, 1 % of the synthetic users are replaced by training users with a tenth of
their items swapped, in several draws. Only the cheapest attacks and replays look for them, in the
spaces that were fitted for the audited log; Holm's correction counts all the attacks nevertheless, so the whole
battery's power is at least what is stated. On a log that leaks already any share is found: power
says something beside a pass only. Blind attacker: the reference users are split, one half poses as
the synthetic log; and with no such log at all: behaviour alone. Bootstrap: the same with resamples
of the first half; draws share the people asked about, so they are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from synthrec.audit import intervals, profiles
from synthrec.audit.attacks import learned, marginals, nearest_user, scoreboard
from synthrec.audit.attacks.battery import AttackSuite, Result
from synthrec.audit.attacks.exact import WHOLE_HISTORIES, Replay
from synthrec.audit.attacks.metrics import flagged, holm, strongest
from synthrec.audit.attacks.nearest_user import nearest, replaced
from synthrec.audit.record import Attack, Controls, CopyProbe, Effort, Figure, LeakProbe, Policy
from synthrec.audit.splits import AuditSplits
from synthrec.data.eventlog import EventLog


@dataclass(frozen=True)
class Workload:
    """Draws of each planted share and of the bootstrap, and the attacks that look for planted
    users: the cheapest.
    """

    draws: int
    seekers: tuple[str, ...]
    resamples: int  # of a bootstrapped interval


WORKLOADS: dict[Effort, Workload] = {
    "quick": Workload(draws=10, seekers=(nearest_user.NAME, learned.DENSITY_RATIO), resamples=500),
    "full": Workload(
        draws=20,
        seekers=(nearest_user.NAME, learned.DENSITY_RATIO, scoreboard.NAME, marginals.NAME),
        resamples=1_000,
    ),
}


SWAPPED_SHARE = 0.1  # of a planted user's events: their item is another one


@dataclass(frozen=True, repr=False, eq=False)
class Planting:
    """Which synthetic users stay, and who comes instead of the others. Shapes: kept bool[S], copied
    int[P] (training users).
    """

    kept: np.ndarray
    copied: np.ndarray
    copies: EventLog

    def applied_to(self, synthetic: EventLog) -> EventLog:
        """The leaky log; the planted users come last."""
        return EventLog.concat([synthetic.select(np.flatnonzero(self.kept)), self.copies])


def plant(
    trained: EventLog, *, synthetic_users: int, share: float, rng: np.random.Generator
) -> Planting:
    """`share` of the synthetic users are replaced by training users, a tenth of whose items are
    swapped for popular ones.

    At least one user is planted. Training users are taken again only when all of them are in.
    """
    users = trained.users
    planted = min(synthetic_users, max(1, int(np.rint(share * synthetic_users)))) if users else 0
    kept = np.ones(synthetic_users, dtype=bool)
    kept[rng.permutation(synthetic_users)[:planted]] = False
    chosen = np.concatenate(
        [rng.permutation(users) for _ in range(-(-planted // max(1, users)))]
        or [np.empty(0, dtype=np.int64)]
    )[:planted]
    return Planting(kept=kept, copied=chosen, copies=altered(trained.select(chosen), rng=rng))


def altered(log: EventLog, *, rng: np.random.Generator) -> EventLog:
    """A tenth of each user's events, at least one, get the item of a random event: popular items
    come often.
    """
    swaps = np.ceil(SWAPPED_SHARE * log.activity).astype(np.int64)
    swapped = profiles.random_rank(log, rng=rng) < swaps[log.user_of_event()]
    item = np.array(log.item, copy=True)
    item[swapped] = rng.choice(item, int(swapped.sum())) if len(item) else item
    return replace(log, item=item, role=None)


SHARES = (1.0, 0.2, 0.05, 0.01)
_NEIGHBOURS = 5  # the most that a score reads


@dataclass(frozen=True)
class NullControls:
    """Logs that leak nobody."""

    blind: tuple[Attack, ...]
    bootstrap_flagged: Figure


def together(
    leaks: tuple[LeakProbe, ...],
    innocent: NullControls,
    *,
    policy: Policy,
    copies: tuple[CopyProbe, ...] = (),
) -> Controls:
    """The record; power is the smallest share from which on all larger ones were found often
    enough.
    """
    power = None
    for leak in leaks:
        if leak.found.value < policy.power:
            break
        power = leak.share
    return Controls(
        leaks=leaks,
        power=power,
        blind=innocent.blind,
        bootstrap_flagged=innocent.bootstrap_flagged,
        copies=copies,
    )


def graded_leak(
    battery: AttackSuite,
    *,
    result: Result,
    people: AuditSplits,
    policy: Policy,
    workload: Workload,
    rng: np.random.Generator,
) -> tuple[LeakProbe, ...]:
    """Each share's draws, by the rule of the verdict.

    Of members only some are asked about in a large log; copies of the others tell nobody from
    holdout users, so they are not planted.
    """
    users, battery = people.synthetic.users, replace(battery, resamples=1)  # no interval is read
    probes = []
    once = replace(workload, draws=1)  # all of them planted: no two draws differ by much
    for share, workload in [(share, once if share == 1 else workload) for share in SHARES]:
        planted = share * people.asked_share
        found = [
            _sought(
                plant(people.trained, synthetic_users=users, share=planted, rng=rng),
                battery=battery,
                result=result,
                people=people,
                policy=policy,
                workload=workload,
                rng=rng,
            )
            for _ in range(workload.draws)
        ]
        probes.append(
            LeakProbe(
                share=share,
                draws=workload.draws,
                found=intervals.wilson(sum(each for each, _ in found), n=workload.draws),
                auc=float(np.mean([auc for _, auc in found])),
            )
        )
    return tuple(probes)


COPIED_SHARES = (0.05, 0.01, 0.0)  # of synthetic users, and at least one


def planted_copies(
    battery: AttackSuite,
    *,
    result: Result,
    people: AuditSplits,
    policy: Policy,
    workload: Workload,
    rng: np.random.Generator,
) -> tuple[CopyProbe, ...]:
    """Some members copied as they are, everything of them or one column's values on other people's
    events; only replays look for them, by the rule of the verdict.

    Where members or synthetic users are sampled, a copy is looked at as often as chance takes both.
    """
    looked_at = people.asked_share * people.given_share
    synthetic = round(result.replays[0].view.tokens[1].shape[0] / people.given_share)
    kinds: dict[str, tuple[Replay, ...]] = {WHOLE_HISTORIES: result.replays}
    names = dict(battery.knowledge.names)
    for replay in [each for each in result.replays if "item" not in each.view.columns]:
        column = replay.view.columns[0]
        name = names.get(column, column) if len(replay.view.columns) == 1 else replay.view.name
        kinds[name] = (*kinds.get(name, ()), replay)
    members, probes = np.flatnonzero(battery.member), []
    for what, replays in kinds.items():
        for share in COPIED_SHARES:
            users = min(max(1, round(share * synthetic)), round(len(members) / people.asked_share))
            found = 0
            for _ in range(workload.draws):
                chosen = rng.permutation(members)[: rng.binomial(users, looked_at)]
                found += battery.finds(
                    [x.planted(chosen, rng=rng) for x in replays], of=result, policy=policy
                )
            probes.append(
                CopyProbe(
                    what=what,
                    users=users,
                    share=users / synthetic,
                    draws=workload.draws,
                    found=intervals.wilson(found, n=workload.draws),
                )
            )
    return tuple(probes)


def innocent(
    battery: AttackSuite,
    *,
    people: AuditSplits,
    policy: Policy,
    workload: Workload,
    rng: np.random.Generator,
) -> NullControls:
    """The blind attacker, and bootstraps of what it saw."""
    order = rng.permutation(people.reference.users)
    posing, known = (people.reference.select(part) for part in np.array_split(order, 2))
    blind = holm(
        (
            *battery.attack(posing, reference=known, rng=rng).attacks,
            *battery.groups(people.reference, rng=rng),
        )
    )
    users, battery = posing.users, replace(battery, resamples=1)
    alarms = [
        flagged(
            battery.attack(
                posing.select(rng.integers(0, users, users)),
                reference=known,
                rng=rng,
                replays=False,
            ).attacks,
            policy,
        )
        for _ in range(workload.draws)
    ]
    return NullControls(blind=blind, bootstrap_flagged=intervals.wilson(sum(alarms), n=len(alarms)))


def _sought(
    planting: Planting,
    *,
    battery: AttackSuite,
    result: Result,
    people: AuditSplits,
    policy: Policy,
    workload: Workload,
    rng: np.random.Generator,
) -> tuple[bool, float]:
    """Do the cheap attacks on a leaky log, corrected as if all had been run, or replays, find it? And
    the highest AUC of the former.
    """
    reference = people.reference.users
    attacks: Sequence[Attack] = [
        battery.measured(
            name,
            _scores(name, planting, battery=battery, result=result, people=people),
            reference=reference,
            rng=rng,
        )
        for name in workload.seekers
    ]
    attacks = holm(attacks, tests=len(result.attacks))
    replays = sorted(result.replays, key=lambda each: "time" not in each.view.columns)
    leaky = (each.planted(planting.copied, swapped=SWAPPED_SHARE, rng=rng) for each in replays)
    found = flagged(attacks, policy) or battery.finds(leaky, of=result, policy=policy)
    return found, strongest(attacks).auc.value


def _scores(
    name: str, planting: Planting, *, battery: AttackSuite, result: Result, people: AuditSplits
) -> np.ndarray:
    if name == marginals.NAME:
        return marginals.score(
            battery.targets,
            synthetic=planting.applied_to(people.synthetic),
            reference=people.reference,
            items=people.items,
        )
    searched = result.searches[name]
    fresh = nearest(searched.space, searched.asked, planting.copies, count=_NEIGHBOURS)
    near = replaced(searched.near, kept=planting.kept, fresh=fresh, count=_NEIGHBOURS)
    return searched.space.score(near, searched.far)
