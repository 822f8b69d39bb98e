"""GPTQ: on the data that it was given, outputs move less than with rounding to nearest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.compression.ir.arrays import Array
from worker.compression.quantization.weights.block_affine import Grid, fit_range
from worker.compression.quantization.weights.gptq import GptqRounder, dead_inputs


def inputs(rows: int, inner: int, rank: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, rank)) @ rng.standard_normal((rank, inner))
    return np.asarray(x + 0.1 * rng.standard_normal((rows, inner)))


def moved(w: Array, codes: Array, grid: Grid, hessian: Array, block: int) -> float:
    scale, zero = fit_range(w, grid, block).spread(w.shape[1])
    error = w - scale * (codes - zero)
    return float(np.trace(error @ hessian @ error.T))


@settings(max_examples=25, deadline=None)
@given(
    bits=st.sampled_from([2, 3, 4]),
    symmetric=st.booleans(),
    act_order=st.booleans(),
    inner=st.integers(20, 200),
    block=st.sampled_from([16, 32, 500]),
    seed=st.integers(0, 99),
)
def test_outputs_move_less_than_with_rounding_to_nearest(
    bits: int, symmetric: bool, act_order: bool, inner: int, block: int, seed: int
) -> None:
    w = np.random.default_rng(seed).standard_normal((24, inner)).astype(np.float32)
    x, grid = inputs(400, inner, max(1, inner // 4), seed), Grid(bits, symmetric)
    hessian, fitted = x.T @ x, fit_range(w, grid, block)
    rounded = grid.codes(w, *fitted.spread(inner))
    codes = GptqRounder(hessian, act_order).codes(w, grid, fitted)
    assert codes.min() >= grid.lowest
    assert codes.max() <= grid.highest
    assert moved(w, codes, grid, hessian, block) < moved(w, rounded, grid, hessian, block)


def test_independent_inputs_are_rounded_to_nearest() -> None:
    w, grid = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32), Grid(4, symmetric=False)
    fitted = fit_range(w, grid, 32)
    codes = GptqRounder(np.diag(np.linspace(1, 2, 64)), act_order=True).codes(w, grid, fitted)
    np.testing.assert_array_equal(codes, grid.codes(w, *fitted.spread(64)))


@pytest.mark.parametrize("act_order", [True, False])
def test_inputs_that_were_never_there_are_rounded_to_nearest(act_order: bool) -> None:
    x = inputs(300, 40, 10, 0)
    x[:, 7:20] = 0
    hessian, grid = x.T @ x, Grid(4, symmetric=True)
    w = np.random.default_rng(0).standard_normal((8, 40)).astype(np.float32)
    fitted = fit_range(w, grid, 40)
    codes = GptqRounder(hessian, act_order).codes(w, grid, fitted)
    np.testing.assert_array_equal(codes[:, 7:20], grid.codes(w, *fitted.spread(40))[:, 7:20])
    assert dead_inputs(hessian).sum() == 13


@pytest.mark.parametrize("value", [0.0, 1.0, 1e4])
def test_constant_inputs_have_an_answer(value: float) -> None:
    x, grid = np.full((50, 30), value), Grid(4, symmetric=False)
    w = np.random.default_rng(0).standard_normal((5, 30)).astype(np.float32)
    fitted = fit_range(w, grid, 30)
    codes = GptqRounder(x.T @ x, act_order=True).codes(w, grid, fitted)
    rounded = grid.codes(w, *fitted.spread(30))
    assert moved(w, codes, grid, x.T @ x, 30) <= moved(w, rounded, grid, x.T @ x, 30)
