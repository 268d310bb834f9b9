"""Our own arithmetic of a ledger: known answers, never above the claim, near it, and above a claim
that leaves something out.
"""

from __future__ import annotations

import math

import pytest
from scipy.stats import norm

from synthrec.conformance.accounting import claimed
from synthrec.conformance.closed_form import gaussian_delta, least_epsilon
from synthrec.privacy.event import gaussian
from synthrec.privacy.ledger import Charge, Entry

DELTA = 1e-5
CHARGE = Charge(source="s", release_id="r", kind="trial")


def entry(noise: float, *, rate: float = 1.0, count: int = 1, extra_delta: float = 0.0) -> Entry:
    return CHARGE.entry(
        mechanism="m",
        event=gaussian(noise_multiplier=noise, sampling_rate=rate, count=count),
        extra_delta=extra_delta,
    )


SUMS = (entry(2.0), entry(1.0), entry(3.0, count=2))
STEPS = (entry(1.2, rate=0.2, count=10),) * 5


def test_the_epsilon_of_one_gaussian_is_where_its_delta_is_the_area_between_two_normal_curves() -> (
    None
):
    epsilon = least_epsilon((entry(0.8),), delta=DELTA)
    edge = (
        0.8 * (epsilon - 0.5 / 0.8**2) + 1 / 0.8
    )  # in standard deviations, where the likelihood ratio is e^epsilon
    assert norm.sf(edge - 1 / 0.8) - math.exp(epsilon) * norm.sf(edge) == pytest.approx(
        DELTA, rel=1e-6
    )


def test_nothing_at_all_and_no_noise_at_all_are_the_two_ends() -> None:
    assert least_epsilon((), delta=DELTA) == 0.0 and gaussian_delta(0.0, mu=0.0) == 0.0
    assert math.isinf(least_epsilon((entry(0.0),), delta=DELTA))
    assert math.isinf(least_epsilon((entry(1.0, extra_delta=DELTA),), delta=DELTA))


@pytest.mark.parametrize(
    "entries",
    [
        SUMS,
        STEPS,
        SUMS + STEPS,
        (*SUMS, *STEPS, entry(1.0, extra_delta=DELTA / 3)),
        (entry(0.6, rate=0.02, count=50), entry(9.0, rate=0.2, count=50), entry(0.5)),
    ],
)
def test_it_is_below_the_claim_and_near_it(entries: tuple[Entry, ...]) -> None:
    assert 0 <= claimed(entries, delta=DELTA) - least_epsilon(entries, delta=DELTA) < 0.03


@pytest.mark.parametrize("left", [SUMS, STEPS, SUMS[1:] + STEPS, SUMS + STEPS[1:]])
def test_a_claim_that_leaves_out_a_sum_or_a_block_of_steps_lies_below_it(
    left: tuple[Entry, ...],
) -> None:
    assert claimed(left, delta=DELTA) < least_epsilon(SUMS + STEPS, delta=DELTA)
