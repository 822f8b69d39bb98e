"""Fits scales and zero points so that outliers do not spoil them: HQQ (Badri & Shaji 2023).

    min over s, z  Σ |w - ŵ|^p,   p < 1,

by half-quadratic splitting: errors of outliers are taken out by shrinkage, e ← sign(e) max(0, |e| - |e|^(p-1) / β),
and s and z fitted to the rest. Where HQQ keeps s and fits a real z, s and z are fitted together here, in closed form,
because the zero points that runtimes read are whole. Of all rounds the one with the least squared error is kept.
"""

from typing import Final

import numpy as np

from worker.compression.ir.arrays import Array
from worker.compression.quantization.weights.block_affine import MIN_SCALE, Fitted, Grid, fit_range, in_blocks

MAX_ROUNDS: Final = 10
NORM: Final = 0.7
BETA: Final = 10.0
BETA_GROWTH: Final = 1.01
"""β grows by this factor each round; errors are in units of the scale."""


def fit_hqq(w: Array, grid: Grid, block: int) -> Fitted:
    """Fit scales and zero points to each block of w, float32 [rows, in]."""
    start = fit_range(w, grid, block)
    parts = in_blocks(w, block)
    inside = in_blocks(np.ones((1, w.shape[1]), np.float32), block)
    scale, zero = start.scale[..., None], start.zero[..., None]
    best, least = (scale, zero), np.full_like(scale, np.inf)
    for number in range(MAX_ROUNDS):
        codes = grid.codes(parts, scale, zero)
        error = parts - scale * (codes - zero)
        squares = np.asarray((error * error).sum(-1, keepdims=True))
        better = squares < least
        if not better.any():
            break
        least = np.where(better, squares, least)
        best = np.where(better, scale, best[0]), np.where(better, zero, best[1])
        target = parts - scale * _shrunk(error / scale, BETA * BETA_GROWTH**number)
        scale, zero = (_fit_scale if grid.symmetric else _fit_scale_and_zero)(
            codes, target, inside, scale, zero, grid
        )
    return Fitted(best[0][..., 0], best[1][..., 0], block)


def _fit_scale_and_zero(
    codes: Array, target: Array, inside: Array, scale: Array, zero: Array, grid: Grid
) -> tuple[Array, Array]:
    """target ≈ s q - s z, by least squares; where all codes are one, as it was."""
    count = inside.sum(-1, keepdims=True)
    mean_code, mean_target = ((part * inside).sum(-1, keepdims=True) / count for part in (codes, target))
    apart = (codes - mean_code) * inside
    across, along = (apart * target).sum(-1, keepdims=True), (apart * apart).sum(-1, keepdims=True)
    usable = (along > 0) & (across > MIN_SCALE)
    slope = np.where(usable, across / np.maximum(along, MIN_SCALE), scale)
    moved = np.clip(np.round(mean_code - mean_target / slope), 0, grid.highest)
    return slope, np.where(usable, moved, zero)


def _fit_scale(
    codes: Array, target: Array, inside: Array, scale: Array, zero: Array, grid: Grid
) -> tuple[Array, Array]:
    """target ≈ s (q - z) with z in the middle, by least squares."""
    apart = (codes - zero) * inside
    across, along = (apart * target).sum(-1, keepdims=True), (apart * apart).sum(-1, keepdims=True)
    usable = (along > 0) & (across > MIN_SCALE)
    return np.where(usable, across / np.maximum(along, MIN_SCALE), scale), zero


def _shrunk(error: Array, beta: float) -> Array:
    size = np.abs(error)
    shrunk: Array = np.sign(error) * np.maximum(size - np.maximum(size, 1e-8) ** (NORM - 1) / beta, 0)
    return shrunk
