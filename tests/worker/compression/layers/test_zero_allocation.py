"""How zeros spread over layers: the sum is what was asked, no layer gets more than it has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.compression.layers import zero_allocation

SHAPES = st.lists(st.lists(st.integers(1, 40), min_size=2, max_size=4).map(tuple), min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(shapes=SHAPES, share=st.floats(0.01, 0.99))
def test_erdos_renyi_has_the_sum_and_stays_between_dense_and_empty(
    shapes: list[tuple[int, ...]], share: float
) -> None:
    sizes = [int(np.prod(shape)) for shape in shapes]
    zeros = zero_allocation.erdos_renyi(shapes, share)
    assert sum(zeros) == pytest.approx(share * sum(sizes), rel=1e-9)
    assert all(-1e-9 <= z <= size for z, size in zip(zeros, sizes, strict=True))


def test_erdos_renyi_keeps_more_of_small_layers() -> None:
    zeros = zero_allocation.erdos_renyi([(16, 3, 3, 3), (64, 64, 3, 3)], 0.8)
    assert zeros[0] / 432 < zeros[1] / 36864
    # both not capped: densities as (Σ dims) / (Π dims)
    first, second = 1 - zeros[0] / 432, 1 - zeros[1] / 36864
    assert first == 1 or first / second == pytest.approx((25 / 432) / (134 / 36864))


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(10, 5000), min_size=1, max_size=6),
    share=st.floats(0.01, 0.94),
    seed=st.integers(0, 99),
)
def test_zeros_by_error_have_the_sum_and_go_where_they_cost_least(
    sizes: list[int], share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shares = zero_allocation.curve_shares(share)
    curves = [
        [(s, float(e)) for s, e in zip(shares, np.r_[0, rng.random(len(shares) - 1).cumsum()], strict=True)]
        for _ in sizes
    ]
    zeros = zero_allocation.by_error(curves, sizes, share)
    assert sum(zeros) == pytest.approx(share * sum(sizes), rel=1e-9)
    assert all(-1e-6 <= z <= 0.98 * size for z, size in zip(zeros, sizes, strict=True))


def test_a_layer_that_costs_ten_times_as_much_gets_fewer() -> None:
    shares = zero_allocation.curve_shares(0.5)
    cheap, dear = [(s, s**2) for s in shares], [(s, 10 * s**2) for s in shares]
    first, second = zero_allocation.by_error([cheap, dear], [1000, 1000], 0.5)
    assert first > 800
    assert second < 200


@settings(max_examples=100, deadline=None)
@given(zeros=st.lists(st.floats(0, 1000), min_size=1, max_size=8), unit=st.integers(1, 8))
def test_whole_units_are_off_by_less_than_one_and_their_sum_by_half(zeros: list[float], unit: int) -> None:
    counts = zero_allocation.whole_units(zeros, unit)
    assert all(count % unit == 0 for count in counts)
    assert all(abs(c - z) < unit + 1e-3 for c, z in zip(counts, zeros, strict=True))
    assert abs(sum(counts) - sum(zeros)) <= unit / 2 + 1e-3


@settings(max_examples=100, deadline=None)
@given(layers=st.lists(st.tuples(st.floats(0.1, 100), st.integers(0, 100)), min_size=1, max_size=8))
def test_zeros_that_are_there_count(layers: list[tuple[float, int]]) -> None:
    wanted, there = [z for z, _ in layers], [t for _, t in layers]
    found = zero_allocation.with_floor(wanted, there)
    assert all(f >= t - 1e-6 for f, t in zip(found, there, strict=True))
    assert sum(found) == pytest.approx(max(sum(wanted), sum(there)), rel=1e-6)
