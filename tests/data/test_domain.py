"""Declared domains: each code has a value, each value its code, and everything else is "other"."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthrec.data.domain import Categorical, Numeric, Ordinal

WHOLE = st.builds(
    lambda low, width, bins: Numeric(name="x", min=low, max=low + width, bins=min(bins, width)),
    st.integers(-1_000, 1_000),
    st.integers(1, 300),
    st.integers(1, 60),
)
REAL = st.builds(
    lambda low, width, bins: Numeric(name="x", min=float(low), max=float(low + width), bins=bins),
    st.floats(-1e3, 1e3),
    st.floats(0.1, 1e3),
    st.integers(1, 60),
)
GRID = st.builds(
    lambda low, steps, step: Ordinal(name="x", min=low, max=low + steps * step, step=step),
    st.integers(-10, 10),
    st.integers(1, 50),
    st.sampled_from([1, 2, 5]),
)
HALVES = st.builds(
    lambda steps, step: Ordinal(name="x", min=0.5, max=0.5 + steps * step, step=step),
    st.integers(1, 60),
    st.sampled_from([0.5, 0.1, 0.25, 1 / 3]),
)
WORDS = st.builds(
    lambda values: Categorical(name="x", values=tuple(values)),
    st.lists(st.text("abcXYZ-é", min_size=1), min_size=1, max_size=9, unique=True)
    | st.lists(st.integers(-99, 99), min_size=1, max_size=9, unique=True),
)


@given(WHOLE | REAL | GRID | HALVES | WORDS, st.integers(0, 2**32))
def test_a_decoded_code_encodes_to_itself_and_other_to_null(
    domain: Categorical | Ordinal | Numeric, seed: int
) -> None:
    codes = np.repeat(np.arange(domain.size + 1), 3).astype(np.int16)
    values = domain.decode(codes, np.random.default_rng(seed))
    assert values.null_count == 3 and len(domain.labels) == domain.size
    assert domain.encode(values).tolist() == codes.tolist()
    assert domain.encode(values).dtype == np.int16


def test_what_is_not_declared_is_other() -> None:
    words = Categorical(name="x", values=("F", "M"))
    assert words.encode(pa.array(["F", "f", "", None, "M"])).tolist() == [0, 2, 2, 2, 1]
    numbers = [None, np.nan, np.inf, -np.inf, 1e300, -1.0, 0.0, 100.0, 100.5]
    assert Numeric(name="x", min=0, max=100, bins=4).encode(
        pa.array(numbers, from_pandas=False)
    ).tolist() == [4] * 6 + [0, 3, 4]
    assert Ordinal(name="x", min=0, max=100, step=50).encode(
        pa.array([*numbers, 49.0, 50.0])
    ).tolist() == [3] * 6 + [0, 2, 3, 3, 1]


def test_a_column_declared_in_whole_numbers_is_written_in_whole_numbers() -> None:
    ages = Numeric(name="age", min=0, max=100, bins=10).decode(
        np.full(2_000, 9, np.int16), np.random.default_rng(0)
    )
    assert ages.type == pa.int64() and set(ages.to_pylist()) == set(range(90, 101))
    assert (
        Ordinal(name="x", min=1, max=5, step=1)
        .decode(np.array([0], np.int16), np.random.default_rng(0))
        .type
        == pa.int64()
    )
    assert Ordinal(name="x", min=0.5, max=5, step=0.5).decode(
        np.array([0], np.int16), np.random.default_rng(0)
    ).to_pylist() == [0.5]
    assert Categorical(name="x", values=(1, 18)).decode(
        np.array([1, 2], np.int16), np.random.default_rng(0)
    ).to_pylist() == [18, None]


def test_one_persons_value_changes_nobody_elses_code() -> None:
    domain = Numeric(name="x", min=0, max=100, bins=10)
    crowd = list(range(0, 101, 7))
    for odd in (None, 1e300, float("nan"), -5.0, 50.0):
        assert (
            domain.encode(pa.array([*map(float, crowd), odd]))[:-1].tolist()
            == domain.encode(pa.array(crowd)).tolist()
        )


@pytest.mark.parametrize(
    "domain", [Numeric(name="x", min=0, max=10, bins=10), Ordinal(name="x", min=0, max=9, step=1)]
)
def test_every_code_has_a_label(domain: Numeric | Ordinal) -> None:
    assert len(domain.labels) == domain.size == 10
