"""Every attack against the same people, for any log that poses as synthetic: scores, then records with Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthrec.audit.attacks import blend, nearest_user
from synthrec.audit.attacks.behaviour_space import BehaviourSpace
from synthrec.audit.attacks.measure import EXPOSED_SHARE, attack_from_scores, averaged, holm
from synthrec.audit.attacks.scoring import KNOWS, Searched, Sight, exposure, score_targets
from synthrec.audit.people import People
from synthrec.audit.record import Attack
from synthrec.data.eventlog import EventLog


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """Records, the scores behind them, and the searches behind those. Shapes: scores float64[T]."""

    attacks: tuple[Attack, ...]
    scores: Mapping[str, np.ndarray]
    searches: Mapping[str, Searched]


@dataclass(frozen=True, repr=False, eq=False)
class Battery:
    """The people asked about, and the labels that attacks do not see. Shapes: member bool[T], exposed bool[T]."""

    targets: EventLog
    member: np.ndarray
    exposed: np.ndarray
    items: int
    fpr: float
    resamples: int

    @classmethod
    def of(cls, people: People, *, fpr: float, resamples: int) -> Battery:
        """Trained users, then holdout users; the tenth of them whose items are rarest among reference users is the most exposed."""
        targets = EventLog.concat([people.trained, people.holdout])
        rarity = exposure(targets, reference=people.reference, items=people.items)
        member = np.arange(len(rarity)) < len(people.trained.offsets) - 1
        exposed = np.zeros(len(rarity), dtype=bool)
        exposed[np.argsort(-rarity, kind="stable")[: int(EXPOSED_SHARE * len(rarity))]] = True
        return cls(targets=targets, member=member, exposed=exposed, items=people.items, fpr=fpr, resamples=resamples)

    def attack(self, synthetic: EventLog, *, reference: EventLog, rng: np.random.Generator) -> Result:
        """All attacks, the blend among them where both classes are large enough to be halved."""
        found = score_targets(Sight(self.targets, synthetic, reference, self.items), rng=rng)
        known = len(reference.offsets) - 1
        attacks = [self.measured(name, scores, reference=known, rng=rng) for name, scores in found.scores.items()]
        scores = dict(found.scores)
        if self._halvable:
            scores[blend.NAME], attack = self._told(blend.NAME, np.stack(list(found.scores.values()), axis=1), reference=known, rng=rng)
            attacks.append(attack)
        return Result(attacks=holm(attacks), scores=scores, searches=found.searches)

    def groups(self, reference: EventLog, *, rng: np.random.Generator) -> tuple[Attack, ...]:
        """Behaviour of members against holdout users, no synthetic log: whatever it finds is not membership.

        Guarantees: before Holm's correction; none where the groups are too small to be halved.
        """
        if not self._halvable:
            return ()
        sets = nearest_user.ItemSets.fit(reference, reference=reference, items=self.items)
        behaviour = BehaviourSpace.fit(reference, reference=reference, sets=sets, rng=rng)
        return (self._told(blend.GROUPS, behaviour(self.targets), reference=len(reference.offsets) - 1, rng=rng)[1],)

    @property
    def _halvable(self) -> bool:
        return bool(min(self.member.sum(), (~self.member).sum()) >= blend.LEAST_PER_CLASS)

    def _told(self, name: str, columns: np.ndarray, *, reference: int, rng: np.random.Generator) -> tuple[np.ndarray, Attack]:
        """An attacker who was told who of one half trained, asked about the other; then the reverse. Shapes: columns float[T, F]."""
        first = blend.halves(self.member, rng=rng)
        scores = blend.score(columns, member=self.member, first=first)
        return scores, averaged([self.measured(name, scores, reference=reference, rng=rng, among=half) for half in (first, ~first)])

    def measured(self, name: str, scores: np.ndarray, *, reference: int, rng: np.random.Generator,
                 among: np.ndarray | None = None) -> Attack:
        """One attack's record, before Holm's correction; `among` some of the people."""
        some = np.ones(len(scores), dtype=bool) if among is None else among
        return attack_from_scores(name, knows=KNOWS.get(name, blend.KNOWS), scores=scores[some], member=self.member[some],
                                  exposed=self.exposed[some], reference=reference, fpr=self.fpr, rng=rng, resamples=self.resamples)
