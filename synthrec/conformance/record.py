"""What a check of the mechanism found: frozen, JSON-able, public, since all of it comes from a
simulated log.

A check is one number and the range in which an honest mechanism keeps it. What the number must have
been able to show (half the noise, a rate off by a tenth) is part of the check: one without power
fails.
"""

from __future__ import annotations

import math
from typing import Literal

from synthrec.privacy.event import PublicRecord

Topic = Literal["replay", "sensitivity", "noise", "sampling", "canaries", "accounting"]
TOPICS: tuple[Topic, ...] = ("replay", "sensitivity", "noise", "sampling", "canaries", "accounting")


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
    """One run of the whole suite on the installed code."""

    format_version: Literal[1] = 1
    synthrec_version: str
    subject: str
    model: str
    epsilon: float
    delta: float
    checks: tuple[Check, ...]
    seconds: float

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
    *,
    asked: str,
    statistic: float,
    low: float = -math.inf,
    high: float = math.inf,
    power: bool = True,
) -> Check:
    """A check with its answer; not a number is no answer, and `power` says whether a fault would
    have been seen.
    """
    return Check(
        topic=topic,
        name=name,
        asked=asked,
        statistic=float(statistic),
        low=float(low),
        high=float(high),
        passed=bool(power and low <= statistic <= high),
    )


def _number(value: float) -> str:
    if abs(value) >= 1e6 or not math.isfinite(value):
        return f"{value:.3g}"
    return f"{value:.0f}" if value == round(value, 0) else f"{value:.4f}"
