"""All attacks on one synthetic log: what the attacker sees, and a score for each target from each attack.

Nothing here knows who trained: targets come in one log, and whatever is fitted is fitted on synthetic and reference users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from synthrec.audit.attacks import classifier, density_ratio, marginals, nearest_user, scoreboard
from synthrec.audit.attacks.behaviour_space import BehaviourSpace
from synthrec.audit.attacks.search import Nearest, Space, nearest
from synthrec.data.eventlog import EventLog

KNOWS = {part.NAME: part.KNOWS for part in (nearest_user, scoreboard, density_ratio, classifier, marginals)}
KNOWS[scoreboard.ECCENTRICITY] = scoreboard.KNOWS


@dataclass(frozen=True, repr=False, eq=False)
class Sight:
    """What an attacker sees: people to ask about, the synthetic log, and other real people who were in no training."""

    targets: EventLog
    synthetic: EventLog
    reference: EventLog
    items: int

    def alike(self) -> Sight:
        """The same with only those columns that all three logs have."""
        logs = (self.targets, self.synthetic, self.reference)
        missing = {name: None for name in ("rating", "time") if any(getattr(log, name) is None for log in logs)}
        return Sight(*(replace(log, **missing) for log in logs), items=self.items)  # type: ignore[arg-type]


@dataclass(frozen=True, repr=False, eq=False)
class Searched:
    """One way of being near, and who was found: in it, a planted user costs one more row."""

    space: Space
    asked: object
    near: Nearest
    far: Nearest

    @classmethod
    def of(cls, space: Space, sight: Sight) -> Searched:
        """Search synthetic and reference users for every target."""
        asked = space.asked(sight.targets)
        return cls(space=space, asked=asked, near=nearest(space, asked, space.given(sight.synthetic)),
                   far=nearest(space, asked, space.given(sight.reference)))

    def score(self) -> np.ndarray:
        """Shapes: float64[T]."""
        return self.space.score(self.near, self.far)


@dataclass(frozen=True, repr=False, eq=False)
class Scored:
    """Scores by attack's name, and the searches behind some of them. Shapes: scores float64[T]."""

    scores: Mapping[str, np.ndarray]
    searches: Mapping[str, Searched]


def score_targets(sight: Sight, *, rng: np.random.Generator) -> Scored:
    """Every attack but the blend."""
    sight = sight.alike()
    synthetic, reference, items = sight.synthetic, sight.reference, sight.items
    sets = nearest_user.ItemSets.fit(synthetic, reference=reference, items=items)
    behaviour = BehaviourSpace.fit(synthetic, reference=reference, sets=sets, rng=rng)
    spaces: dict[str, Space] = {
        nearest_user.NAME: sets,
        scoreboard.NAME: scoreboard.Scoreboard.fit(synthetic, reference=reference, items=items),
        density_ratio.NAME: density_ratio.Densities(behaviour),
    }
    searches = {name: Searched.of(space, sight) for name, space in spaces.items()}
    scores = {name: searched.score() for name, searched in searches.items()}
    scores[scoreboard.ECCENTRICITY] = scoreboard.eccentricity(searches[scoreboard.NAME].near)
    scores[classifier.NAME] = classifier.score(behaviour(sight.targets), synthetic=behaviour(synthetic), reference=behaviour(reference),
                                               rng=rng)
    scores[marginals.NAME] = marginals.score(sight.targets, synthetic=synthetic, reference=reference, items=items)
    return Scored(scores={name: scores[name] for name in KNOWS}, searches=searches)


def exposure(targets: EventLog, *, reference: EventLog, items: int) -> np.ndarray:
    """How rare somebody's items are among reference users, on average: chosen beforehand, without a label or the synthetic log.

    Shapes:
        float64[T].
    """
    weights = nearest_user.inverse_document_frequency(reference, items=items)
    counts = np.diff(targets.offsets)
    total = np.bincount(targets.user_of_event(), weights=weights[targets.item], minlength=len(counts))
    return np.asarray(total / np.maximum(counts, 1))
