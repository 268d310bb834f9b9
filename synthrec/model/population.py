"""Who the synthetic users are before they do anything: attributes and activity, drawn from the
measured shares.

These are the generator's conditions: what it is asked to honour. Attributes are drawn independently
of each other, so that shares of what a sample asks for are exact: the measured ones, cut and scaled
to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthrec.data.filters import ACTIVITY, Scope
from synthrec.errors import ConditionError
from synthrec.privacy.plan import Plan


@dataclass(frozen=True)
class Conditions:
    """Attributes and number of events of B users.

    Shapes:
        events int64[B], at least 1; attributes name -> int16[B], the domain's size for "other".
    """

    events: np.ndarray
    attributes: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Shares:
    """What conditions are drawn from.

    Shapes:
        activity float64[len(edges) - 1]: bucket j holds edges[j] to edges[j + 1] - 1 events;
        attributes name -> float64[size + 1].
    """

    edges: tuple[int, ...]
    activity: np.ndarray
    attributes: Mapping[str, np.ndarray]

    def within(self, scope: Scope, *, plan: Plan) -> Shares:
        """The shares of what a sample asks for. Raises ConditionError for a group that the release
        does not tell from nobody.
        """
        rarest = {each.name: each.noise_std / plan.population for each in plan.measurements}
        attributes = {
            name: _within(shares, scope.where[name], name=name, rarest=rarest["attributes"])
            if name in scope.where
            else shares
            for name, shares in self.attributes.items()
        }
        if scope.events is None:
            return Shares(edges=self.edges, activity=self.activity, attributes=attributes)
        edges = np.clip(self.edges, scope.events[0], scope.events[1] + 1)
        parts = np.diff(np.log(edges)) / np.diff(np.log(self.edges))
        activity = _within(self.activity, parts, name=ACTIVITY, rarest=rarest["activity"])
        return Shares(edges=tuple(edges.tolist()), activity=activity, attributes=attributes)


def _within(shares: np.ndarray, parts: np.ndarray, *, name: str, rarest: float) -> np.ndarray:
    found = shares * parts
    if found.sum() <= rarest:
        raise ConditionError(
            "--where must ask for a group that is larger than the noise of its measurement",
            found=f"a measured share of {found.sum():.1%} for {name}, where noise alone makes {rarest:.1%}",
            remedy=f"Ask for more of {name}.",
        )
    return np.asarray(found / found.sum())


def draw_conditions(
    users: int, *, shares: Shares, most: int, rng: np.random.Generator
) -> Conditions:
    """Independent draws: each attribute from its shares, activity log-uniform within its bucket, at
    most `most` events.
    """
    bucket = rng.choice(len(shares.activity), users, p=shares.activity)
    low, past = np.asarray(shares.edges)[bucket], np.asarray(shares.edges)[bucket + 1]
    events = np.floor(np.exp(rng.uniform(np.log(low), np.log(past)))).astype(np.int64)
    codes = {
        name: rng.choice(len(part), users, p=part).astype(np.int16)
        for name, part in shares.attributes.items()
    }
    return Conditions(events=np.minimum(np.clip(events, low, past - 1), most), attributes=codes)


def condition_vectors(
    events: np.ndarray,
    attributes: Mapping[str, np.ndarray],
    *,
    sizes: Mapping[str, int],
    most_events: int,
) -> np.ndarray:
    """Conditions as numbers: log activity between 0 and 1, then a one-hot per attribute, "other"
    included.

    Shapes:
        events int64[B] -> float64[B, 1 + sum(size + 1)].
    """
    parts = [(np.log(np.maximum(events, 1)) / np.log(most_events + 1))[:, None]]
    for name, size in sizes.items():
        parts.append(np.eye(size + 1)[np.clip(attributes[name], 0, size)])
    return np.concatenate(parts, axis=1)
