"""Learned rounding never costs more than rounding to nearest, by its own measure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.compression.ir.affine import round_to_nearest
from worker.compression.quantization.preparation.adaround import learn_rounding


def error(moved: np.ndarray, second: np.ndarray) -> float:
    return float(np.einsum("goi,gij,goj->", moved, second, moved))


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 999),
    groups=st.integers(1, 2),
    outputs=st.integers(1, 5),
    inner=st.integers(2, 12),
    limit=st.sampled_from([7, 127]),
)
def test_it_is_never_worse_and_stays_on_the_grid(
    seed: int, groups: int, outputs: int, inner: int, limit: int
) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(groups, outputs, inner)).astype(np.float32)
    x = rng.normal(size=(groups, 40, inner)) @ rng.normal(size=(groups, inner, inner))
    second = x.swapaxes(1, 2) @ x
    rounded = learn_rounding(matrix, second, limit, 150)
    nearest = round_to_nearest(matrix, limit)
    assert error(rounded - matrix, second) <= error(nearest - matrix, second) * 1.0001 + 1e-9
    np.testing.assert_allclose(round_to_nearest(rounded, limit), rounded, atol=1e-6)
    steps = np.abs(matrix).max(axis=2, keepdims=True) / limit
    assert (np.abs(rounded - matrix) <= steps * 1.0001).all()


def test_correlated_inputs_are_made_use_of() -> None:
    """Two inputs that are always equal: one is rounded up where the other goes down. A third of the error less."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(1, 8, 32)).astype(np.float32)
    x = np.repeat(rng.normal(size=(1, 200, 16)), 2, axis=2)
    second = x.swapaxes(1, 2) @ x
    ours = error(learn_rounding(matrix, second, 7) - matrix, second)
    assert ours < 0.67 * error(round_to_nearest(matrix, 7) - matrix, second)


def test_zeros_stay_zeros() -> None:
    matrix = np.zeros((1, 2, 3), np.float32)
    assert not learn_rounding(matrix, np.eye(3)[None], 7, 5).any()


@pytest.mark.parametrize("limit", [7])
def test_the_same_twice(limit: int) -> None:
    matrix = np.random.default_rng(3).normal(size=(1, 4, 6)).astype(np.float32)
    first, second = (learn_rounding(matrix, np.eye(6)[None], limit, 50) for _ in range(2))
    np.testing.assert_array_equal(first, second)
