"""Activity: how many events users have, whole and cut at K.

Wasserstein distance: the mean number of events by which users would have to be changed (Kantorovich; scipy's `wasserstein_distance`).
A release that bounds users at K cannot follow the whole log beyond K: that row shows what the bound costs.
"""

from __future__ import annotations

from scipy.stats import wasserstein_distance

from synthrec.audit import profiles
from synthrec.audit.fidelity.question import Question, buckets, histogram, number


def questions() -> list[Question]:
    """Of any log."""
    return [
        histogram("activity", "events of a user, cut at K", lambda sample: buckets(profiles.activity(sample.cut)), over="users"),
        Question("activity", "events of a user", "Wasserstein distance (events)", lambda sample: profiles.activity(sample.whole),
                 lambda one, other: float(wasserstein_distance(one, other))),
        number("activity", "mean events of a user", lambda sample: profiles.activity(sample.whole).mean()),
    ]
