"""k-means in one dimension: exact where points are few, never worse than even steps, the same every time."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from worker.compression.quantization.weights import kmeans
from worker.compression.quantization.weights.kmeans import kmeans_centres, nearest_centres


def error(x: Any, codebook: Any) -> float:
    return float(((x.astype(np.float64) - codebook[nearest_centres(x, codebook)]) ** 2).sum())


def best_error(x: Any, k: int) -> float:
    """By trying every way to cut the sorted values into k parts."""
    x = np.sort(x.astype(np.float64))
    cuts = combinations(range(1, len(x)), k - 1)
    return min(sum(((p - p.mean()) ** 2).sum() for p in np.split(x, cut)) for cut in cuts)


@settings(max_examples=60, deadline=None)
@given(
    x=npst.arrays(np.float32, st.integers(2, 9), elements=st.floats(-4, 4, width=32), unique=True),
    k=st.integers(2, 4),
)
def test_of_few_points_it_finds_the_least_error(x: Any, k: int) -> None:
    k = min(k, len(x))
    assert error(x, kmeans_centres(x, k)) <= best_error(x, k) + 1e-5


@settings(max_examples=60, deadline=None)
@given(
    x=npst.arrays(np.float32, st.integers(1, 600), elements=st.floats(-100, 100, width=32)),
    k=st.integers(2, 40),
)
def test_the_values_are_ascending_distinct_and_at_most_k(x: Any, k: int) -> None:
    codebook = kmeans_centres(x, k)
    assert 1 <= len(codebook) <= min(k, len(np.unique(x)))
    assert (np.diff(codebook) > 0).all()
    assert x.min() <= codebook[0]
    assert codebook[-1] <= x.max()


@pytest.mark.parametrize("k", [2, 3, 16, 60, 256])
@pytest.mark.parametrize("draw", ["normal", "laplace", "outlier", "spike"])
def test_it_is_never_worse_than_even_steps(draw: str, k: int) -> None:
    rng = np.random.default_rng(3)
    x = (rng.laplace if draw == "laplace" else rng.normal)(size=5_000).astype(np.float32)
    if draw == "outlier":
        x[0] = 1e4
    if draw == "spike":
        x[:4_000] = 0.5
    even = np.linspace(x.min(), x.max(), k, dtype=np.float32)
    assert error(x, kmeans_centres(x, k)) <= error(x, even) * (1 + 1e-6)


def test_of_many_points_it_comes_within_two_percent_of_the_best_known_for_a_normal() -> None:
    """16 levels of a normal distribution: distortion 0.009497 (Max 1960, table I)."""
    x = np.random.default_rng(0).normal(size=50_000).astype(np.float32)
    assert error(x, kmeans_centres(x, 16)) / len(x) == pytest.approx(0.009497, rel=0.02)


def test_it_is_the_same_every_time_in_any_order() -> None:
    x = np.random.default_rng(1).normal(size=5000).astype(np.float32)
    assert np.array_equal(kmeans_centres(x, 16), kmeans_centres(x[::-1].copy(), 16))


def test_fewer_distinct_values_than_asked_for_are_kept_as_they_are() -> None:
    x = np.array([3, 1, 3, 2, 1], np.float32)
    assert kmeans_centres(x, 8).tolist() == [1, 2, 3]


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e4])
def test_of_many_values_those_that_are_alike_count_as_their_mean(
    spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = (np.random.default_rng(1).standard_t(3, 5000) * spread).astype(np.float32)
    exact = kmeans_centres(x, 16)
    monkeypatch.setattr(kmeans, "AT_ONCE", 700)
    monkeypatch.setattr(kmeans, "MAX_SORTED", 700)
    assert error(x, kmeans_centres(x, 16)) <= error(x, exact) * 1.001
    without = kmeans_centres(np.concatenate([x, np.zeros(900, np.float32)]), 16, zeros=False)
    assert np.array_equal(without, kmeans_centres(x, 16))
    few = np.repeat(np.array([3, -1, 0, 3 + 1e-6], np.float32), 600)
    assert kmeans_centres(few, 8).tolist() == np.unique(few).tolist()
