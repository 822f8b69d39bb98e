"""Rounding to blocks: errors keep the law of rounding, and fitted scales are never worse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.compression.ir.arrays import Array
from worker.compression.quantization.weights.block_affine import Fitted, Grid, fit_range
from worker.compression.quantization.weights.hqq import fit_hqq

GRIDS = st.builds(Grid, st.sampled_from([2, 3, 4, 8]), st.booleans())
ROUNDING = 1e-5
"""Relative: float32."""


def weights(rows: int, inner: int, seed: int, kind: str = "normal") -> Array:
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((rows, inner)) if kind == "normal" else rng.standard_t(3, (rows, inner)) + 0.5
    return w.astype(np.float32)


def restored(w: Array, grid: Grid, fitted: Fitted) -> tuple[Array, Array]:
    scale, zero = fitted.spread(w.shape[1])
    return scale * (grid.codes(w, scale, zero) - zero), scale


@settings(max_examples=50, deadline=None)
@given(grid=GRIDS, inner=st.integers(1, 100), block=st.integers(1, 100), seed=st.integers(0, 99))
def test_rounding_to_nearest_errs_by_half_a_step_and_a_shifted_end_by_one(
    grid: Grid, inner: int, block: int, seed: int
) -> None:
    """A zero point is rounded too, so an end of the range may lie half a step outside."""
    w = weights(4, inner, seed, "skewed")
    found, scale = restored(w, grid, fit_range(w, grid, block))
    limit = 0.5 if grid.symmetric else 1.0
    assert (np.abs(w - found) <= scale * limit * (1 + ROUNDING) + 1e-7).all()


@settings(max_examples=50, deadline=None)
@given(grid=GRIDS, inner=st.integers(1, 100), block=st.integers(1, 100), seed=st.integers(0, 99))
def test_fitted_scales_are_never_worse_than_the_range(grid: Grid, inner: int, block: int, seed: int) -> None:
    w = weights(4, inner, seed)
    errors = [
        float(((w - restored(w, grid, fit(w, grid, block))[0]) ** 2).sum()) for fit in (fit_hqq, fit_range)
    ]
    assert errors[0] <= errors[1] * (1 + ROUNDING) + 1e-12


@pytest.mark.parametrize(("bits", "share"), [(4, 0.97), (3, 0.93), (2, 0.8)])
def test_the_fewer_bits_the_more_the_fit_wins(bits: int, share: float) -> None:
    """Squared error on Gaussian weights in blocks of 32: of rounding's, at most this share."""
    w, grid = weights(64, 256, 0), Grid(bits, symmetric=False)
    fitted, ranged = (
        float(((w - restored(w, grid, fit(w, grid, 32))[0]) ** 2).sum()) for fit in (fit_hqq, fit_range)
    )
    assert fitted <= share * ranged


@pytest.mark.parametrize("fit", [fit_range, fit_hqq])
@pytest.mark.parametrize("number", [0.0, 0.3, -1e-3, 1e30])
@pytest.mark.parametrize("symmetric", [True, False])
def test_constant_blocks_stay_what_they_are(fit: object, number: float, symmetric: bool) -> None:
    w, grid = np.full((2, 20), number, np.float32), Grid(4, symmetric)
    found, scale = restored(w, grid, fit(w, grid, 16))  # type: ignore[operator]
    assert np.isfinite(scale).all()
    np.testing.assert_allclose(found, w, rtol=1e-5)
