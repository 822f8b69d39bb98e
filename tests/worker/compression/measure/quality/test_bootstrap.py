import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.contract.base import Interval
from worker.compression.measure.quality.bootstrap import (
    MAX_WORK,
    MIN_RESAMPLES,
    RESAMPLES,
    median_interval,
    paired_intervals,
    resamples,
    single_interval,
)
from worker.compression.measure.quality.measure import weighted_mean

numbers = st.floats(-1e6, 1e6, allow_nan=False)
pairs = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=400)


def paired_mean_intervals(pairs: npt.ArrayLike, seed: int) -> tuple[Interval, Interval, Interval]:
    x = np.asarray(pairs, np.float64)
    estimates = float(x[:, 0].mean()), float(x[:, 1].mean())
    return paired_intervals(x[:, :1], x[:, 1:], weighted_mean, estimates, seed, len(x))


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=60), st.integers(0, 2**32 - 1))
def test_the_interval_contains_the_median(values: list[float], seed: int) -> None:
    low, high = median_interval(values, seed)
    assert low <= np.median(values) <= high


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, st.integers(0, 4)), min_size=1, max_size=60), st.integers(0, 2**32 - 1))
def test_the_interval_over_clusters_contains_the_median(values: list[tuple[float, int]], seed: int) -> None:
    x, clusters = zip(*values, strict=True)
    low, high = median_interval(x, seed, clusters)
    assert min(x) <= low <= np.median(x) <= high <= max(x)


def test_clusters_that_differ_widen_the_interval() -> None:
    """Ten equal values in each of five: drawn singly the median hardly moves."""
    values, clusters = np.repeat(np.arange(5.0), 10), np.repeat(np.arange(5), 10)
    low, high = median_interval(values, 0)
    wide_low, wide_high = median_interval(values, 0, clusters)
    assert wide_low < low <= high < wide_high


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


def test_every_draw_is_of_as_many_samples_as_there_are() -> None:
    """Of few distinct rows, and of many."""
    for rows in (np.array([[0.0], [0.0], [0.0], [1.0], [1.0]]), np.arange(50.0)[:, None]):
        sizes: list[float] = []

        def total(_: np.ndarray, weights: np.ndarray, sizes: list[float] = sizes) -> np.ndarray:
            sizes.extend(weights.sum(axis=1))
            return weights.sum(axis=1)

        paired_intervals(rows, rows, total, (len(rows), len(rows)), 0, len(rows))
        assert set(sizes) == {float(len(rows))}
        assert len(sizes) == 2 * RESAMPLES


def test_what_costs_much_is_drawn_less_often_but_enough() -> None:
    assert [resamples(work) for work in (1, MAX_WORK // 500, MAX_WORK)] == [RESAMPLES, 500, MIN_RESAMPLES]


def test_one_side_alone_has_the_interval_that_it_has_in_a_pair() -> None:
    x = np.random.default_rng(0).normal(size=(300, 1))
    paired = paired_intervals(x, x, weighted_mean, (x.mean(), x.mean()), 0, 300)
    np.testing.assert_allclose(single_interval(x, weighted_mean, x.mean(), 0, 300), paired[0])
