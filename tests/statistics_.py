"""The statistical tests of the conformance suite, under the name by which the tests know them."""

from synthrec.conformance.statistics import (
    FALSE_ALARM,
    WRONG_SCALES,
    accepts_only_the_truth,
    are_binomial,
    draws_for_scale,
    has_scale,
    is_fresh,
)

__all__ = [
    "FALSE_ALARM",
    "WRONG_SCALES",
    "accepts_only_the_truth",
    "are_binomial",
    "draws_for_scale",
    "has_scale",
    "is_fresh",
]
