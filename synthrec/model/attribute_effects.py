"""How groups of users differ: the mean taste of those with each attribute value, as one noisy sum,
and what it says after shrinkage.

A user's short taste is their rating bias and the tilt of their item choice along the features that
the catalogue names (a slope of ratings would double the noise and moves neither a group's mean
rating nor what it picks). It is entered once for each attribute, under the user's value, so that
one sum holds all groups. Noise is taken out as in a Gaussian process regression: neighbouring
values of an ordered attribute are alike, and how far groups differ at all is estimated by marginal
likelihood.

Guarantees: row b is a function of user b's own events and attributes, public features and released
measurements; a short taste has norm at most 1, so a row has norm at most the square root of the
number of attributes. All the rest is post-processing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.linalg import null_space

from synthrec.data.domain import Attribute, Categorical, Numeric
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.model.item_features import LEARNT
from synthrec.model.statistic import Known, Statistic, Tensor
from synthrec.model.tastes import TasteFrame, taste_vectors
from synthrec.privacy.mechanisms import Measurement

BIAS_WEIGHT = 2.0  # of the bias beside a tilt, both in units of the stacked taste
# short tastes are clipped to this, then scaled to 1: 9 in 10 users of the public logs lie below
SHORT_NORM = 0.7
MAX_VALUES = (
    32  # of an attribute whose groups are told apart; of more, each group would drown in noise
)
REACH = 0.2  # of an ordered attribute's values: how far away a value is still alike
SCALES = np.concatenate(
    ([0.0], np.geomspace(0.003, 0.6, 24))
)  # candidates: how far groups lie apart, in units of short tastes
USER_VARIANCES = (
    0.15,
    0.4,
    # of the bias, and of all tilts together, between users of a group, roughly: who happens to be
    # in
    # the log
)
TINY = 1e-9  # keeps groups of nobody solvable where there is no noise


@dataclass(frozen=True)
class Groups:
    """The attributes whose values are told apart; public: name -> number of values ("other" not
    counted), does their order mean size?
    """

    sizes: Mapping[str, int]
    ordered: Mapping[str, bool]

    @classmethod
    def of(cls, schema: Schema) -> Groups:
        """Those with few values."""
        few = {
            name: attribute
            for name, attribute in schema.user_attributes.items()
            if _most_values(attribute) <= MAX_VALUES
        }
        return cls(
            sizes={name: attribute.size for name, attribute in few.items()},
            ordered={
                name: not isinstance(attribute, Categorical) for name, attribute in few.items()
            },
        )

    @property
    def sensitivity(self) -> float:
        """Norm of a user's row, at most."""
        return float(np.sqrt(len(self.sizes)))

    @property
    def width(self) -> int:
        """How many groups there are, "other" included."""
        return sum(size + 1 for size in self.sizes.values())


def _most_values(attribute: Attribute) -> float:
    """Values that an attribute may have: known before its domain is paid for, so that the plan does
    not depend on what is found.
    """
    if isinstance(attribute, Categorical) and attribute.paid:
        return np.inf
    return attribute.bins if isinstance(attribute, Numeric) and attribute.paid else attribute.size


@dataclass(frozen=True)
class EffectFrame:
    """What short tastes are measured against.

    Shapes:
        columns int64[S]: the features of the whole frame that are kept.
    """

    frame: TasteFrame
    columns: np.ndarray

    @classmethod
    def of(cls, frame: TasteFrame, *, names: tuple[str, ...]) -> EffectFrame:
        """The features that the catalogue names, with popularity and quality."""
        named = [index for index, name in enumerate(names) if not LEARNT.fullmatch(name)]
        columns = np.array(named, dtype=np.int64)
        return cls(frame=replace(frame, features=frame.features[:, columns]), columns=columns)

    @property
    def size(self) -> int:
        """Length of a short taste."""
        return len(self.columns) + 1

    def vectors(self, users: EventLog) -> np.ndarray:
        """Short tastes of a block of users, of norm at most 1.

        Shapes:
            -> float64[B, S + 1]: bias, S tilts.
        """
        tastes = taste_vectors(users, frame=self.frame)
        short = np.concatenate(
            (BIAS_WEIGHT * tastes[:, :1], tastes[:, len(self.columns) + 1 :]), axis=1
        )
        return np.asarray(
            short / np.maximum(np.linalg.norm(short, axis=1, keepdims=True), SHORT_NORM)
        )


def group_vectors(users: EventLog, *, short: EffectFrame, groups: Groups) -> np.ndarray:
    """A user's short taste under each of their attribute values.

    Shapes:
        -> float64[B, groups.width (S + 1)].
    """
    tastes = short.vectors(users)
    member = np.concatenate(
        [
            np.eye(size + 1)[np.clip(users.attributes[name], 0, size)]
            for name, size in groups.sizes.items()
        ],
        axis=1,
    )
    return np.asarray(
        (member[:, :, None] * tastes[:, None, :]).reshape(len(tastes), groups.width * short.size)
    )


@dataclass(frozen=True)
class GroupDifferences:
    """Mean short taste of each group less that of everybody.

    Shapes:
        columns int64[S], of the whole frame's features; values name -> float64[size + 1, S + 1].
    """

    columns: np.ndarray
    values: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, known: Known) -> GroupDifferences | None:
        """As measured; None where no attribute's values are told apart."""
        if "group.columns" not in known.arrays:
            return None
        names = Groups.of(known.schema).sizes
        values = {name: known[f"group.{index}"] for index, name in enumerate(names)}
        return cls(columns=known["group.columns"], values=values)

    def effect(self, frame: TasteFrame, *, sizes: Mapping[str, int]) -> np.ndarray:
        """What each number of a condition vector adds to a stacked taste; 0 for activity, and for
        attributes that are not told apart.

        Shapes:
            sizes: of all attributes -> float64[frame.size, 1 + sum(size + 1)].
        """
        count, effect, start = (
            frame.features.shape[1],
            np.zeros((frame.size, 1 + sum(size + 1 for size in sizes.values()))),
            1,
        )
        for name, size in sizes.items():
            if name in self.values:
                columns = slice(start, start + size + 1)
                effect[0, columns] = self.values[name][:, 0] * (SHORT_NORM / BIAS_WEIGHT)
                effect[count + 1 + self.columns, columns] = self.values[name][:, 1:].T * SHORT_NORM
            start += size + 1
        return effect

    def of_users(self, attributes: Mapping[str, np.ndarray]) -> np.ndarray:
        """The difference that each user's groups make together.

        Shapes:
            name -> int[B] -> float64[B, S + 1].
        """
        return np.asarray(
            sum(differences[attributes[name]] for name, differences in self.values.items())
        )


def estimate_groups(
    sums: np.ndarray,
    *,
    noise_std: float,
    short: EffectFrame,
    groups: Groups,
    shares: Mapping[str, np.ndarray],
    users: float,
) -> GroupDifferences:
    """Differences of groups from noisy sums over their users; weighted by the groups' shares they
    are 0.

    Shapes:
        sums float64[groups.width (S + 1)]; shares name -> float64[size + 1].
    """
    parts = (
        (slice(0, 1), USER_VARIANCES[0]),
        (slice(1, None), USER_VARIANCES[1] / max(short.size - 1, 1)),
    )
    rows, values, start = sums.reshape(groups.width, short.size), dict[str, np.ndarray](), 0
    for name, size in groups.sizes.items():
        part, count = rows[start : start + size + 1], users * shares[name]
        likeness = _likeness(size, ordered=groups.ordered[name])
        means = np.concatenate(
            [
                _james_stein(
                    part[:, columns],
                    count=count,
                    likeness=likeness,
                    noise_std=noise_std,
                    variance=variance,
                )
                for columns, variance in parts
            ],
            axis=1,
        )
        values[name] = means - shares[name] @ means
        start += size + 1
    return GroupDifferences(columns=short.columns, values=values)


def _likeness(size: int, *, ordered: bool) -> np.ndarray:
    """Prior correlation of the groups of one attribute; "other" is like no other value.

    Shapes:
        -> float64[size + 1, size + 1].
    """
    likeness = np.eye(size + 1)
    if ordered:
        position = np.arange(size) / max(REACH * size, 1.0)
        likeness[:size, :size] = np.exp(-0.5 * (position[:, None] - position) ** 2)
    return likeness


def _james_stein(
    sums: np.ndarray, *, count: np.ndarray, likeness: np.ndarray, noise_std: float, variance: float
) -> np.ndarray:
    """Posterior mean of each group's difference, averaged over how far groups may lie apart, each
    candidate by its likelihood.

    Shapes:
        sums float64[G, S], count float64[G], likeness float64[G, G] -> float64[G, S].
    """
    contrasts = null_space(
        count[None, :]
    )  # what is the same for everybody is left out (restricted likelihood)
    seen = contrasts.T @ sums
    noise = np.diag(noise_std**2 + variance * count + TINY)
    evidence, means = np.empty(len(SCALES)), np.empty((len(SCALES), *sums.shape))
    for index, scale in enumerate(SCALES):
        covariance = (
            contrasts.T @ (scale**2 * count[:, None] * likeness * count + noise) @ contrasts
        )
        solved = np.linalg.solve(covariance, seen)
        means[index] = scale**2 * (likeness * count) @ contrasts @ solved
        evidence[index] = -0.5 * (
            (seen * solved).sum() + sums.shape[1] * np.linalg.slogdet(covariance)[1]
        )
    weight = np.exp(evidence - evidence.max())
    return np.tensordot(weight / weight.sum(), means, axes=1)


def _short(known: Known) -> EffectFrame:
    return EffectFrame.of(TasteFrame.of(known), names=known.feature_names)


def _decoded(known: Known, noisy: Measurement) -> Known:
    """How groups differ, told by the attribute shares that were paid for before."""
    differences = estimate_groups(
        noisy.values,
        noise_std=noisy.noise_std,
        short=_short(known),
        groups=Groups.of(known.schema),
        shares=known.attributes,
        users=float(known["users"]),
    )
    values = {f"group.{index}": each for index, each in enumerate(differences.values.values())}
    return known.adding({"group.columns": differences.columns, **values})


def _tensors(known: Known) -> dict[str, Tensor]:
    sizes = Groups.of(known.schema).sizes if known.plan.has("groups") else {}
    if not sizes:
        return {}
    columns = sum(LEARNT.fullmatch(name) is None for name in known.feature_names)
    below = len(known.feature_names)
    codes = Tensor("I64", (columns,), "public", holds="codes", below=below)
    return {"group.columns": codes} | {
        f"group.{index}": Tensor("F64", (size + 1, columns + 1), "paid", ("groups",))
        for index, size in enumerate(sizes.values())
    }


GROUPS = Statistic(
    name="groups",
    purpose="how tastes differ between users with different attributes",
    unit="taste norms",
    share=0.05,
    sensitivity=lambda schema: Groups.of(schema).sensitivity,
    noise_words="on each sum of tastes over the users with one attribute value, where a user "
    "counts at most 1 an attribute",
    models=("gan", "moments"),
    needed=lambda schema: len(Groups.of(schema).sizes) > 0,
    vectors=lambda known: partial(
        group_vectors, short=_short(known), groups=Groups.of(known.schema)
    ),
    size=lambda known: Groups.of(known.schema).width * _short(known).size,
    decode=_decoded,
    tensors=_tensors,
)
