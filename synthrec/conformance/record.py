"""What a check of the mechanism found: frozen, JSON-able, public, since all of it comes from a
simulated log.

A check is one number and the range in which an honest mechanism keeps it. What the number must have
been able to show (half the noise, a rate off by a tenth) is part of the check: one without power
fails.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from synthrec.privacy.event import PublicRecord
from synthrec.records import Public

Topic = Literal["replay", "sensitivity", "noise", "sampling", "canaries", "accounting"]
# every question of the suite: name of the check -> what is asked; figures in braces
QUESTIONS: dict[Topic, dict[str, str]] = {
    "replay": {
        "looks, without {leaver}": "settled schemas that differ",
        "without {who}": "released things that differ",
    },
    "sensitivity": {
        "{add_up} of raw vectors": "longest move over 20 vectors: NaN, infinite, 1e300, 100 norms, 10,000 events; in declared norms",
        "lattice_sum of cells in parts": "longest move over 20 vectors whose cells come in 1,001 parts of both signs; in declared norms",
        "everybody counts": "measurements whose sum over two blocks of users is not the sum over two parts of them",
        "critic step, weights x{scale:g}": "longest move of the clipped sum of gradients when one of 21 users leaves, in clip norms",
        "critic step, 10,000 events": "move of the clipped sum by a user of 10,000 events, in clip norms",
        "critic step, denominator": "change of one user's pull when the batch is ten times larger, relative",
        "critic step, fakes": "change of the fakes' pull beside nobody, some, and many clipped users, relative",
        "{sum}": "longest move of the clipped sum over 26 neighbours, in declared norms; infinite if others' parts moved",
        "{look}": "longest move of the clipped sum over {neighbours} neighbours, in declared norms",
    },
    "noise": {
        "critic step, tensors are apart": "largest correlation of the noise of two tensors, over the largest that chance allows",
        "{drawn} of another process": "correlation with what a second process draws that starts alike",
        "bytes behind noise of training": "bytes of the operating system that a number depends on; 0 if it depends on anything else",
        "bytes behind coins": "bytes of the operating system that the coins of a training depend on; 0 if they depend on anything else",
        "noise of sums never meets": "of {draws:,} draws of noise, those that were there before; seeds of up to 16 bits would meet",
        "drawn once, whatever comes out": "draws that were not charged, of sums that came out far below 0, and far above",
        "critic step, {tensor}": "scale on one tensor, in planned noise",
        "{noise} leans nowhere": "mean of {draws:,} single draws on nothing, in standard errors",
        "critic steps are fresh": "largest correlation of the noise of two steps",
        "seeds repeat nothing": "correlation of the first noise of two trainings for which every library was seeded alike",
        "critic step": "scale of what collects on weights that no loss touches, in noise as charged; every step counts",
        "critic step, mostly empty batches": "scale of what collects on weights that no loss touches, in noise as charged; every step counts",
        "{mechanism}": "scale of {draws:,} draws, in noise as charged",
        "{mechanism} is fresh": "correlation of each draw of its noise with the next",
        "{look} is drawn once": "draws for one charge, of a look that comes out far below 0",
        "{look}, one user's own": "times of {tries} that something was named which one user alone holds",
    },
    "sampling": {
        "steps see the batch": "steps that were given another number of users than were drawn",
        "empty batches count": "steps of a training on three users, whose batches are sometimes empty",
        "{whose_coins}: {counts}": "spread, in that of independent coins",
        "{whose_coins}: rate": "inclusions over the planned number",
        "sampler: pairs": "two users, or one user in two steps, who take part together, over the planned number",
    },
    "canaries": {
        "lower bound on training's epsilon": "from {canaries:,} canaries at ten clip norms, half of them in; could have shown up to {most:.2f}, at delta {delta:g}",
    },
    "accounting": {
        "noise as charged, {whose}": "largest part by which the noise that a mechanism asked for differs from its entry in the ledger",
        "rate as charged, {whose}": "part by which the rate of the coins differs from the ledger's",
        "constants as planned, {whose}": "steps whose clip norm, denominator or number of fakes is not the plan's",
        "coins for everybody, {whose}": "times that coins were asked for another number of users than the log has",
        "within what was asked for": "epsilon of the recorded ledger",
        "claim is no less than it must be": "epsilon of the recorded ledger, less a lower bound from its lines by our own arithmetic, {least:.4f}",
        "sums compose in closed form": "epsilon of the sums over everybody, less that of one Gaussian as precise as all, {of_sums:.4f}",
        "second accountant agrees": "epsilon by PLD, {claim:.4f}, less by PRV, {second:.4f}",
        "Renyi accounting is above": "epsilon by RDP, {renyi:.4f}, less the claim",
        "a threshold's delta counts": "what epsilon grows by when an entry holds a third of delta besides",
        "ledger is whole, {whose}": "looks, measurements and steps of the plan that the ledger lacks, or has otherwise",
        "paid ahead, {whose}": "steps that ran before the ledger on disk was charged, or more than a block ahead",
        "one draw for each charge": "draws of noise that were not charged, or charges whose noise was not drawn, in all releases above",
    },
}
TOPICS = tuple(QUESTIONS)
# the figures of a name that are words; {sum}, {look} and {mechanism} are those of a plan
WORDS_IN_NAMES = {
    "who": (
        "an ordinary user",
        "a third of all users",
        "a user: no valid events",
        "a user: longest",
        "a user: unique item",
        "a user: extreme value",
        "a user: not a number",
    ),
    "add_up": ("lattice_sum", "lattice_pairs"),
    "tensor": ("body.0.weight", "body.0.bias"),
    "noise": ("noise of sums", "noise of training"),
    "drawn": ("noise of sums", "noise of training", "coins"),
    "whose_coins": ("sampler", "training"),
    "counts": ("inclusions of a user", "batch sizes"),
    "whose": ("many users", "three users"),
}


class Check(PublicRecord):
    """One question and its answer: passed when `low <= statistic <= high`."""

    topic: Topic
    name: str
    asked: str
    statistic: float
    low: float
    high: float
    passed: bool

    @property
    def found(self) -> str:
        """The number, for people."""
        return _number(self.statistic)

    @property
    def allowed(self) -> str:
        """The range, for people."""
        if self.low == self.high:
            return _number(self.low)
        if math.isinf(self.low):
            return f"at most {_number(self.high)}"
        return (
            f"at least {_number(self.low)}"
            if math.isinf(self.high)
            else f"{_number(self.low)} to {_number(self.high)}"
        )


class Conformance(PublicRecord):
    """One run of the whole suite on the installed code."""  # on a log that nobody is in

    format_version: Public[Literal[1]] = 1
    synthrec_version: Public[str]
    subject: Public[str]
    model: Public[str]
    epsilon: Public[float]
    delta: Public[float]
    checks: Public[tuple[Check, ...]]
    seconds: Public[float]

    @property
    def passed(self) -> bool:
        """Did every check pass, and was every topic asked?"""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)


def judged(
    topic: Topic,
    name: str,
    /,
    *,
    statistic: float,
    low: float = -math.inf,
    high: float = math.inf,
    power: bool = True,
    detail: str = "",
    **figures: Any,
) -> Check:
    """A check with its answer; not a number is no answer, and `power` says whether a fault would
    have been seen.

    Args:
        name: of a question in QUESTIONS. figures: what stands in braces there. detail: more of what
        was found, after the question.
    """
    return Check(
        topic=topic,
        name=name.format(**figures),
        asked=QUESTIONS[topic][name].format(**figures) + detail,
        statistic=float(statistic),
        low=float(low),
        high=float(high),
        passed=bool(power and low <= statistic <= high),
    )


def _number(value: float) -> str:
    if abs(value) >= 1e6 or not math.isfinite(value):
        return f"{value:.3g}"
    return f"{value:.0f}" if value == round(value, 0) else f"{value:.4f}"
