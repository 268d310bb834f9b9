"""Every attack against the same people, for any log that poses as synthetic: what the attacker
sees, a score for each target from each attack, then records with Holm's correction.

Guarantees: scores do not know who trained: targets come in one log, and whatever is fitted is
fitted on synthetic and reference users (but for the blend, which is told half of the labels).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthrec.audit import profiles
from synthrec.audit.attacks import learned, marginals, nearest_user, scoreboard
from synthrec.audit.attacks.exact import REPLAY, REPLAY_KNOWS, Replay, views
from synthrec.audit.attacks.learned import BehaviourSpace
from synthrec.audit.attacks.metrics import (
    EXPOSED_SHARE,
    attack_from_scores,
    averaged,
    corrected_tops,
    holm,
    tops,
)
from synthrec.audit.attacks.nearest_user import Nearest, Space, nearest
from synthrec.audit.record import Attack, Policy
from synthrec.audit.splits import EVERYTHING, AuditSplits, Knowledge
from synthrec.data.eventlog import EventLog

KNOWS = {
    nearest_user.NAME: nearest_user.KNOWS,
    scoreboard.NAME: scoreboard.KNOWS,
    learned.DENSITY_RATIO: learned.DENSITY_RATIO_KNOWS,
    learned.CLASSIFIER: learned.CLASSIFIER_KNOWS,
    marginals.NAME: marginals.KNOWS,
    scoreboard.ECCENTRICITY: scoreboard.KNOWS,
}


@dataclass(frozen=True, repr=False, eq=False)
class AttackerView:
    """What an attacker sees: people to ask about, the synthetic log, and other real people who were
    in no training.
    """

    targets: EventLog
    synthetic: EventLog
    reference: EventLog
    items: int
    knowledge: Knowledge = EVERYTHING

    def alike(self) -> AttackerView:
        """The same with only those columns that all three logs have."""
        logs = (self.targets, self.synthetic, self.reference)
        absent = [
            name for name in ("rating", "time") if any(getattr(x, name) is None for x in logs)
        ]
        missing: dict[str, Any] = dict.fromkeys(absent)
        targets, synthetic, reference = (self.knowledge.of(replace(log, **missing)) for log in logs)
        return replace(self, targets=targets, synthetic=synthetic, reference=reference)


@dataclass(frozen=True, repr=False, eq=False)
class NeighbourSearch:
    """One way of being near, and who was found: in it, a planted user costs one more row."""

    space: Space
    asked: object
    near: Nearest
    far: Nearest

    @classmethod
    def of(cls, space: Space, sight: AttackerView) -> NeighbourSearch:
        """Search synthetic and reference users for every target."""
        asked = space.asked(sight.targets)
        return cls(
            space=space,
            asked=asked,
            near=nearest(space, asked, sight.synthetic),
            far=nearest(space, asked, sight.reference),
        )


@dataclass(frozen=True, repr=False, eq=False)
class Scored:
    """Scores by attack's name, and the searches behind some of them. Shapes: scores float64[T]."""

    scores: Mapping[str, np.ndarray]
    searches: Mapping[str, NeighbourSearch]
    replays: tuple[Replay, ...] = ()


def score_targets(sight: AttackerView, *, rng: np.random.Generator) -> Scored:
    """Every attack but the blend."""
    sight = sight.alike()
    synthetic, reference, items = sight.synthetic, sight.reference, sight.items
    sets = nearest_user.ItemSets.fit(synthetic, reference=reference, items=items)
    learned_from = profiles.some(synthetic, most=learned.MAX_LEARNED_FROM, rng=rng)
    behaviour = BehaviourSpace.fit(learned_from, reference=reference, sets=sets, rng=rng)
    spaces: dict[str, Space] = {
        nearest_user.NAME: sets,
        scoreboard.NAME: scoreboard.Scoreboard.fit(synthetic, reference=reference, items=items),
        learned.DENSITY_RATIO: learned.Densities(behaviour),
    }
    searches = {name: NeighbourSearch.of(space, sight) for name, space in spaces.items()}
    scores = {
        name: search.space.score(search.near, search.far) for name, search in searches.items()
    }
    scores[scoreboard.ECCENTRICITY] = scoreboard.eccentricity(searches[scoreboard.NAME].near)
    scores[learned.CLASSIFIER] = learned.classifier_scores(
        behaviour(sight.targets),
        synthetic=behaviour(learned_from),
        reference=behaviour(reference),
        rng=rng,
    )
    scores[marginals.NAME] = marginals.score(
        sight.targets, synthetic=synthetic, reference=reference, items=items
    )
    return Scored(scores={name: scores[name] for name in KNOWS}, searches=searches)


def with_replays(found: Scored, sight: AttackerView) -> Scored:
    """And what of people's histories, exactly, stands in single synthetic users."""
    logs = (sight.targets, sight.synthetic, sight.reference)
    replays = tuple(
        Replay.of(view) for view in views(logs) if all(map(sight.knowledge.knows, view.columns))
    )
    scores = {**found.scores, **{replay.name: replay.score for replay in replays}}
    return replace(found, scores=scores, replays=replays)


def exposure(targets: EventLog, *, reference: EventLog, items: int) -> np.ndarray:
    """How rare somebody's items are among reference users, on average: chosen beforehand, without a
    label or the synthetic log.

    Shapes:
        float64[T].
    """
    weights = nearest_user.inverse_document_frequency(reference, items=items)
    counts = targets.activity
    total = np.bincount(
        targets.user_of_event(), weights=weights[targets.item], minlength=len(counts)
    )
    return np.asarray(total / np.maximum(counts, 1))


@dataclass(frozen=True, repr=False, eq=False)
class Result(Scored):
    """The records of scores."""

    attacks: tuple[Attack, ...] = ()


@dataclass(frozen=True, repr=False, eq=False)
class AttackSuite:
    """The people asked about, and the labels that attacks do not see. Shapes: member bool[T],
    exposed bool[T].
    """

    targets: EventLog
    member: np.ndarray
    exposed: np.ndarray
    items: int
    fpr: float
    resamples: int
    knowledge: Knowledge = EVERYTHING

    @classmethod
    def of(cls, people: AuditSplits, *, fpr: float, resamples: int) -> AttackSuite:
        """Trained users, then holdout users; the tenth of them whose items are rarest among
        reference users is the most exposed.
        """
        targets = EventLog.concat([people.trained, people.holdout])
        rarity = exposure(targets, reference=people.reference, items=people.items)
        member = np.arange(len(rarity)) < people.trained.users
        exposed = np.zeros(len(rarity), dtype=bool)
        exposed[np.argsort(-rarity, kind="stable")[: int(EXPOSED_SHARE * len(rarity))]] = True
        return cls(
            targets=targets,
            member=member,
            exposed=exposed,
            items=people.items,
            fpr=fpr,
            resamples=resamples,
            knowledge=people.knowledge,
        )

    def attack(
        self,
        synthetic: EventLog,
        *,
        reference: EventLog,
        rng: np.random.Generator,
        replays: bool = True,
    ) -> Result:
        """All attacks, the blend among them where both classes are large enough to be halved."""
        sight = AttackerView(self.targets, synthetic, reference, self.items, self.knowledge)
        found = score_targets(sight, rng=rng)
        found = with_replays(found, sight) if replays else found
        known = reference.users
        attacks = [
            self.measured(name, scores, reference=known, rng=rng)
            for name, scores in found.scores.items()
        ]
        wholes = {replay.name: replay.wholes(self.member) for replay in found.replays}
        attacks = [x.model_copy(update={"wholes": wholes.get(x.name)}) for x in attacks]
        scores = dict(found.scores)
        if self._halvable:
            scores[learned.BLEND], attack = self._told(
                learned.BLEND,
                np.stack(list(found.scores.values()), axis=1),
                reference=known,
                rng=rng,
            )
            attacks.append(attack)
        return Result(
            attacks=holm(attacks),
            scores=scores,
            searches=found.searches,
            replays=found.replays,
        )

    def with_copies(
        self, attacks: Sequence[Attack], *, replays: Sequence[Replay], policy: Policy
    ) -> tuple[tuple[Attack, ...], np.ndarray]:
        """The attacks, replays with how many members they find copied; and whom any of them finds.
        Shapes: bool[T].
        """
        everybody, found = np.zeros(len(self.member), dtype=bool), {}
        for replay in replays:
            copied = replay.copied(self.member, policy=policy, views=len(replays))
            everybody |= copied
            others = (replay.outside.shared, replay.far.shared)
            outside = np.concatenate((replay.near.shared[~self.member], *others))
            found[replay.name] = {
                "copied": int(copied.sum()),
                "shared_by_copied": int(replay.near.shared[copied].max(initial=0)),
                "shared_outside": int(outside.max(initial=0)),
            }
        return (
            tuple(attack.model_copy(update=found.get(attack.name, {})) for attack in attacks),
            everybody,
        )

    def finds(self, replays: Iterable[Replay], *, of: Result, policy: Policy) -> bool:
        """Would some of the replays flag a log, were all of them and all other attacks run?"""
        return any(
            replay.copied(self.member, policy=policy, views=len(of.replays)).any()
            or corrected_tops(
                tops(replay.score, member=self.member),
                wholes=replay.wholes(self.member),
                attacks=len(of.attacks),
                replays=len(of.replays),
            )
            <= policy.tail_level
            for replay in replays
        )

    def groups(self, reference: EventLog, *, rng: np.random.Generator) -> tuple[Attack, ...]:
        """Behaviour of members against holdout users, no synthetic log: whatever it finds is not
        membership.

        Guarantees: before Holm's correction; none where the groups are too small to be halved.
        """
        if not self._halvable:
            return ()
        sets = nearest_user.ItemSets.fit(reference, reference=reference, items=self.items)
        behaviour = BehaviourSpace.fit(reference, reference=reference, sets=sets, rng=rng)
        return (
            self._told(
                learned.GROUPS,
                behaviour(self.targets),
                reference=reference.users,
                rng=rng,
            )[1],
        )

    @property
    def _halvable(self) -> bool:
        return bool(min(self.member.sum(), (~self.member).sum()) >= learned.MIN_PER_CLASS)

    def _told(
        self, name: str, columns: np.ndarray, *, reference: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, Attack]:
        """An attacker who was told who of one half trained, asked about the other; then the
        reverse. Shapes: columns float[T, F].
        """
        first = learned.halves(self.member, rng=rng)
        scores = learned.blend_scores(columns, member=self.member, first=first)
        return scores, averaged(
            [
                self.measured(name, scores, reference=reference, rng=rng, among=half)
                for half in (first, ~first)
            ]
        )

    def measured(
        self,
        name: str,
        scores: np.ndarray,
        *,
        reference: int,
        rng: np.random.Generator,
        among: np.ndarray | None = None,
    ) -> Attack:
        """One attack's record, before Holm's correction; `among` some of the people."""
        some = np.ones(len(scores), dtype=bool) if among is None else among
        return attack_from_scores(
            name,
            knows=KNOWS.get(name)
            or (REPLAY_KNOWS if name.startswith(REPLAY) else learned.BLEND_KNOWS),
            scores=scores[some],
            member=self.member[some],
            exposed=self.exposed[some],
            reference=reference,
            fpr=self.fpr,
            rng=rng,
            resamples=self.resamples,
        )
