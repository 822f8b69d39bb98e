import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.compression.measure.quality.bootstrap import (
    median_interval,
    paired_mean_intervals,
    resampled_intervals,
)

numbers = st.floats(-1e6, 1e6, allow_nan=False)
pairs = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=400)


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=60), st.integers(0, 2**32 - 1))
def test_the_interval_contains_the_median(values: list[float], seed: int) -> None:
    low, high = median_interval(values, seed)
    assert low <= np.median(values) <= high


@settings(deadline=None)
@given(pairs, st.integers(0, 2**32 - 1))
def test_the_intervals_contain_means_and_difference(values: list[tuple[float, float]], seed: int) -> None:
    first, second = np.mean(values, axis=0)
    estimates = (first, second, first - second)
    for (low, high), estimate in zip(paired_mean_intervals(values, seed), estimates, strict=True):
        slack = 1e-9 * max(1.0, abs(first), abs(second))
        assert low - slack <= estimate <= high + slack


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=400))
def test_equal_pairs_have_no_difference_at_all(values: list[float]) -> None:
    assert paired_mean_intervals([(v, v) for v in values], 0)[2] == (0.0, 0.0)


@settings(deadline=None)
@given(pairs)
def test_swapping_before_and_after_turns_the_difference_round(values: list[tuple[float, float]]) -> None:
    low, high = paired_mean_intervals(values, 3)[2]
    slack = 1e-6 * (1 + max(abs(v) for pair in values for v in pair))
    turned = paired_mean_intervals([(b, a) for a, b in values], 3)[2]
    wide = max(high - low, turned[1] - turned[0])
    np.testing.assert_allclose(turned, (-high, -low), atol=slack + 0.5 * wide)


def test_the_same_seed_gives_the_same_interval_and_another_does_not() -> None:
    values = np.random.default_rng(0).normal(size=(500, 2))
    assert paired_mean_intervals(values, 1) == paired_mean_intervals(values, 1)
    assert paired_mean_intervals(values, 1) != paired_mean_intervals(values, 2)


def test_a_mean_has_the_width_that_theory_gives() -> None:
    """1.96 σ/√n each way, within 10 %: for continuous values and for 0/1 outcomes, which take different paths."""
    rng = np.random.default_rng(0)
    n = 2000
    for values in (rng.normal(size=(n, 2)), (rng.random((n, 2)) < 0.8).astype(float)):
        low, high = paired_mean_intervals(values, 0)[0]
        np.testing.assert_allclose(high - low, 2 * 1.96 * values[:, 0].std() / np.sqrt(n), rtol=0.1)


def test_pairs_stay_pairs() -> None:
    """Outcomes that vary a lot but always by the same amount between the two: the difference is certain."""
    before = np.random.default_rng(0).normal(size=1000) * 100
    low, high = paired_mean_intervals(np.column_stack([before, before - 1]), 0)[2]
    np.testing.assert_allclose((low, high), (1, 1), atol=1e-9)


def test_drawing_counts_draws_as_many_samples_as_there_are() -> None:
    rows = np.array([[0.0], [0.0], [1.0], [2.0]])
    (total,) = resampled_intervals(rows, lambda _, weights: weights.sum(axis=1, keepdims=True), 0)
    assert total == (4.0, 4.0)
