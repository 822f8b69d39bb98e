"""Weights as whole numbers with a scale and a zero point for each block of inputs.

    ŵ = s (q - z),   q in 0 … 2^b - 1,   z a whole number in the same range (2^(b-1) where symmetric)

`fit_range` takes s and z from the smallest and the largest weight of a block; `hqq` fits them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.compression.ir.arrays import Array

MIN_SCALE: Final = 1e-30


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
        """Round to the nearest whole numbers, in w's dtype."""
        return np.clip(np.round(w / scale) + zero, self.lowest, self.highest)


@dataclass(frozen=True)
class Fitted:
    """scale float32 and zero (whole, float32), both [rows, blocks], for `block` inputs each."""

    scale: Array
    zero: Array
    block: int

    def spread(self, inner: int) -> tuple[Array, Array]:
        """Repeat scale and zero for each of `inner` inputs, [rows, inner]."""
        scale, zero = (np.repeat(part, self.block, axis=1)[:, :inner] for part in (self.scale, self.zero))
        return scale, zero


def fit_range(w: Array, grid: Grid, block: int) -> Fitted:
    """Take scales and zero points from the range of each block of w, float32 [rows, in]."""
    parts = in_blocks(w, block)
    if grid.symmetric:
        scale = np.abs(parts).max(-1) / (grid.highest - grid.middle)
        scale = np.where(scale > MIN_SCALE, scale, 1)
        return Fitted(scale, np.full_like(scale, grid.middle), block)
    low, high = np.minimum(parts.min(-1), 0), np.maximum(parts.max(-1), 0)
    scale = (high - low) / grid.highest
    scale = np.where(scale > MIN_SCALE, scale, 1)
    return Fitted(scale, np.clip(np.round(-low / scale), 0, grid.highest), block)


def in_blocks(w: Array, block: int) -> Array:
    """Shape [rows, in] as [rows, blocks, block], zeros behind the last input."""
    rows, inner = w.shape
    padded = np.pad(w, ((0, 0), (0, -inner % block)))
    return np.asarray(padded.reshape(rows, -1, block))
