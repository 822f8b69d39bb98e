"""Weights as whole numbers with a scale and a zero point for each block of inputs.

    ŵ = s (q - z),   q in 0 … 2^b - 1,   z a whole number in the same range (2^(b-1) where symmetric)

Rounding to nearest takes s and z from the smallest and the largest weight of a block. HQQ (Badri & Shaji 2023) solves

    min over s, z  Σ |w - ŵ|^p,   p < 1,

by half-quadratic splitting: errors of outliers are taken out by shrinkage, e ← sign(e) max(0, |e| - |e|^(p-1) / β),
and s and z fitted to the rest. Where HQQ keeps s and fits a real z, s and z are fitted together here, in closed form,
because the zero points that runtimes read are whole. Of all rounds the one with the least squared error is kept.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ROUNDS: Final = 10
NORM: Final = 0.7
BETA: Final = 10.0
KAPPA: Final = 1.01
"""β grows by this factor each round; errors are in units of the scale."""
SMALLEST: Final = 1e-30


@dataclass(frozen=True)
class Grid:
    """The whole numbers that a weight may become."""

    bits: int
    symmetric: bool

    @property
    def middle(self) -> int:
        return 1 << (self.bits - 1)

    @property
    def lowest(self) -> int:
        return 1 if self.symmetric else 0

    @property
    def highest(self) -> int:
        return (1 << self.bits) - 1

    def codes(self, w: Array, scale: Array, zero: Array) -> Array:
        """Nearest whole numbers, in w's dtype."""
        return np.clip(np.round(w / scale) + zero, self.lowest, self.highest)


@dataclass(frozen=True)
class Fitted:
    """scale float32 and zero (whole, float32), both [rows, blocks], for `block` inputs each."""

    scale: Array
    zero: Array
    block: int

    def spread(self, inner: int) -> tuple[Array, Array]:
        """scale and zero for each of `inner` inputs, [rows, inner]."""
        scale, zero = (np.repeat(part, self.block, axis=1)[:, :inner] for part in (self.scale, self.zero))
        return scale, zero


def nearest(w: Array, grid: Grid, block: int) -> Fitted:
    """Scales and zero points from the range of each block of w, float32 [rows, in]."""
    parts = _blocks(w, block)
    if grid.symmetric:
        scale = np.abs(parts).max(-1) / (grid.highest - grid.middle)
        scale = np.where(scale > SMALLEST, scale, 1)
        return Fitted(scale, np.full_like(scale, grid.middle), block)
    low, high = np.minimum(parts.min(-1), 0), np.maximum(parts.max(-1), 0)
    scale = (high - low) / grid.highest
    scale = np.where(scale > SMALLEST, scale, 1)
    return Fitted(scale, np.clip(np.round(-low / scale), 0, grid.highest), block)


def half_quadratic(w: Array, grid: Grid, block: int) -> Fitted:
    """Scales and zero points fitted to each block of w, float32 [rows, in], by HQQ."""
    start = nearest(w, grid, block)
    parts = _blocks(w, block)
    there = _blocks(np.ones((1, w.shape[1]), np.float32), block)
    scale, zero = start.scale[..., None], start.zero[..., None]
    best, least = (scale, zero), np.full_like(scale, np.inf)
    for number in range(ROUNDS):
        codes = grid.codes(parts, scale, zero)
        error = parts - scale * (codes - zero)
        found = _squares(error)
        better = found < least
        if not better.any():
            break
        least = np.where(better, found, least)
        best = np.where(better, scale, best[0]), np.where(better, zero, best[1])
        target = parts - scale * _shrunk(error / scale, BETA * KAPPA**number)
        scale, zero = (_slope if grid.symmetric else _line)(codes, target, there, scale, zero, grid)
    return Fitted(best[0][..., 0], best[1][..., 0], block)


def _line(
    codes: Array, target: Array, there: Array, scale: Array, zero: Array, grid: Grid
) -> tuple[Array, Array]:
    """target ≈ s q - s z, by least squares; where all codes are one, as it was."""
    count = there.sum(-1, keepdims=True)
    mean_code, mean_target = ((part * there).sum(-1, keepdims=True) / count for part in (codes, target))
    apart = (codes - mean_code) * there
    across, along = (apart * target).sum(-1, keepdims=True), (apart * apart).sum(-1, keepdims=True)
    usable = (along > 0) & (across > SMALLEST)
    slope = np.where(usable, across / np.maximum(along, SMALLEST), scale)
    moved = np.clip(np.round(mean_code - mean_target / slope), 0, grid.highest)
    return slope, np.where(usable, moved, zero)


def _slope(
    codes: Array, target: Array, there: Array, scale: Array, zero: Array, grid: Grid
) -> tuple[Array, Array]:
    """target ≈ s (q - z) with z in the middle, by least squares."""
    apart = (codes - zero) * there
    across, along = (apart * target).sum(-1, keepdims=True), (apart * apart).sum(-1, keepdims=True)
    usable = (along > 0) & (across > SMALLEST)
    return np.where(usable, across / np.maximum(along, SMALLEST), scale), zero


def _shrunk(error: Array, beta: float) -> Array:
    size = np.abs(error)
    shrunk: Array = np.sign(error) * np.maximum(size - np.maximum(size, 1e-8) ** (NORM - 1) / beta, 0)
    return shrunk


def _squares(error: Array) -> Array:
    return np.asarray((error * error).sum(-1, keepdims=True))


def _blocks(w: Array, block: int) -> Array:
    """[rows, in] as [rows, blocks, block], zeros behind the last input."""
    rows, inner = w.shape
    padded = np.pad(w, ((0, 0), (0, -inner % block)))
    return np.asarray(padded.reshape(rows, -1, block))
