"""Intervals cover the truth as often as they say, and agree with oracles that share no code with
them.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from synthrec.audit import intervals

WORLDS = 1_500


def assert_chance(hits: int, *, of: int, at_least: float, at_most: float = 1.0) -> None:
    """The chance behind `hits` lies in the range; a truth in it fails once in a million."""
    assert stats.binom.cdf(hits, of, at_least) > 1e-6, f"{hits} of {of} is too few for {at_least}"
    assert stats.binom.sf(hits - 1, of, at_most) > 1e-6, f"{hits} of {of} is too many for {at_most}"


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (1, 7), (3, 10), (50, 400), (400, 400)])
def test_intervals_of_a_proportion_agree_with_scipy(successes: int, n: int) -> None:
    for ours, method in ((intervals.wilson, "wilson"), (intervals.clopper_pearson, "exact")):
        figure = ours(successes, n=n)
        theirs = stats.binomtest(successes, n).proportion_ci(0.95, method=method)
        assert (figure.low, figure.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_clopper_pearson_never_covers_less_than_it_says() -> None:
    for n in (5, 23):
        for truth in (0.01, 0.1, 0.37, 0.5, 0.9):
            covered = sum(
                stats.binom.pmf(k, n, truth)
                for k in range(n + 1)
                if intervals.clopper_pearson(k, n=n).low
                <= truth
                <= intervals.clopper_pearson(k, n=n).high
            )
            assert covered >= 0.95


def test_an_empty_sample_says_nothing() -> None:
    assert (intervals.wilson(0, n=0).low, intervals.wilson(0, n=0).high) == (0.0, 1.0)
    assert (
        intervals.auc(np.ones(1), negative=np.ones(9)).low,
        intervals.auc(np.ones(1), negative=np.ones(9)).high,
    ) == (0.0, 1.0)


def test_auc_is_the_share_of_pairs_in_the_right_order_ties_half(rng: np.random.Generator) -> None:
    positive, negative = rng.integers(0, 6, 40), rng.integers(0, 5, 30)
    pairs = np.sign(positive[:, None] - negative[None, :])
    assert intervals.auc(positive, negative=negative).value == pytest.approx((pairs.mean() + 1) / 2)


def test_delong_variance_agrees_with_the_definition(rng: np.random.Generator) -> None:
    positive, negative = rng.normal(0.4, 1, 35), rng.normal(0, 1, 50)
    above = (positive[:, None] > negative[None, :]).astype(float)
    deviation = np.sqrt(above.mean(axis=1).var(ddof=1) / 35 + above.mean(axis=0).var(ddof=1) / 50)
    figure, value = intervals.auc(positive, negative=negative), above.mean()
    logit = lambda share: np.log(share / (1 - share))  # noqa: E731
    assert logit(figure.high) - logit(figure.low) == pytest.approx(
        2 * 1.959964 * deviation / (value * (1 - value)), rel=1e-5
    )


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_delong_covers_the_true_auc(shift: float, rng: np.random.Generator) -> None:
    truth = stats.norm.cdf(shift / np.sqrt(2))
    drawn = [
        intervals.auc(rng.normal(shift, 1, 120), negative=rng.normal(0, 1, 60))
        for _ in range(WORLDS)
    ]
    assert_chance(
        sum(figure.low <= truth <= figure.high for figure in drawn),
        of=WORLDS,
        at_least=0.935,
        at_most=0.97,
    )


def test_an_interval_of_half_the_width_would_be_caught(rng: np.random.Generator) -> None:
    drawn = [
        intervals.auc(rng.normal(0, 1, 120), negative=rng.normal(0, 1, 60), confidence=0.673)
        for _ in range(WORLDS)
    ]
    with pytest.raises(AssertionError):
        assert_chance(
            sum(figure.low <= 0.5 <= figure.high for figure in drawn),
            of=WORLDS,
            at_least=0.935,
            at_most=0.97,
        )


def test_separated_classes_still_have_a_lower_limit_below_one() -> None:
    figure = intervals.auc(np.arange(10, 60), negative=np.arange(10))
    assert figure.value == figure.high == 1.0
    assert figure.low == pytest.approx(0.025 ** (1 / 10))
    mirrored = intervals.auc(np.arange(10), negative=np.arange(10, 60))
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - figure.high, 1 - figure.low))


def test_constant_scores_sit_at_one_half_with_a_wide_interval() -> None:
    figure = intervals.auc(np.zeros(50), negative=np.zeros(40))
    assert figure.value == 0.5 and figure.low < 0.4 and figure.high > 0.6


def test_the_detectable_auc_is_found_with_eighty_percent_power(rng: np.random.Generator) -> None:
    m, n = 150, 90
    threshold = 0.5 + stats.norm.isf(0.05) * np.sqrt(intervals.auc_variance(0.5, m=m, n=n))

    def power(auc: float) -> int:
        shift = np.sqrt(2) * stats.norm.ppf(auc)
        return sum(
            intervals.auc(rng.normal(shift, 1, m), negative=rng.normal(0, 1, n)).value > threshold
            for _ in range(WORLDS)
        )

    detectable = intervals.detectable_auc(m, n=n)
    assert_chance(power(detectable), of=WORLDS, at_least=0.77, at_most=0.84)
    assert_chance(power(0.5), of=WORLDS, at_least=0.04, at_most=0.06)
    for wrong in (0.5 + 0.7 * (detectable - 0.5), 0.5 + 1.3 * (detectable - 0.5)):
        with pytest.raises(AssertionError):
            assert_chance(power(wrong), of=WORLDS, at_least=0.77, at_most=0.84)


def test_more_users_detect_a_smaller_auc_and_one_user_detects_none() -> None:
    assert intervals.detectable_auc(4_000, n=700) < intervals.detectable_auc(400, n=70) < 1.0
    assert intervals.detectable_auc(1, n=70) == 1.0
    assert intervals.detectable_auc(400, n=70, above=0.52) > intervals.detectable_auc(400, n=70)


def test_the_bootstrap_covers_a_ratio_of_sums_over_users(rng: np.random.Generator) -> None:
    def world() -> bool:
        size = rng.integers(5, 60, 100)
        error = (
            rng.gamma(2.0, 0.5, 100) * size
        )  # a user's mean error is 1 on average, whatever their size
        figure = intervals.bootstrap(
            lambda w: (w @ error) / (w @ size),
            weights=intervals.resamples(100, count=300, rng=rng),
            n=100,
        )
        assert figure is not None
        return figure.low <= 1.0 <= figure.high

    assert_chance(sum(world() for _ in range(600)), of=600, at_least=0.92, at_most=0.97)


def test_the_bootstrap_is_silent_where_the_statistic_is_not_defined(
    rng: np.random.Generator,
) -> None:
    weights = intervals.resamples(20, count=50, rng=rng)
    assert weights.sum(axis=1) == pytest.approx(np.full(50, 20.0))
    assert intervals.bootstrap(lambda w: w.sum(axis=1) / 0.0, weights=weights, n=20) is None


def test_the_difference_of_two_aucs_is_paired_and_covers_as_often_as_it_says(
    rng: np.random.Generator,
) -> None:
    covered = 0
    for _ in range(300):
        skill = np.concatenate((rng.normal(0.5, 1, 80), rng.normal(0.0, 1, 60)))
        one, other = (skill + rng.normal(0, 0.3, 140) for _ in range(2))
        pairs = [(each[:80], each[80:]) for each in (one, other)]
        found = intervals.auc_difference(pairs[0], other=pairs[1])
        apart = [intervals.auc(inside, negative=outside) for inside, outside in pairs]
        assert found.value == pytest.approx(apart[0].value - apart[1].value)
        assert found.high - found.low < apart[0].high - apart[0].low  # as people are the same
        covered += found.low <= 0 <= found.high
    assert_chance(covered, of=300, at_least=0.9)
