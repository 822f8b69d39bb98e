"""The range of least squared error: what rounding costs inside, and clipping outside (Choukroun et al. 2019).

With step s = (high − low) / 255, over a histogram of the values x:

    E(low, high) = s²/12 · #{low ≤ x ≤ high} + Σ over x outside of the squared distance to the nearer end

found end by end: first the upper one, then the lower one, then both again. Zero is rounded to itself, so the zeros that
a Relu leaves are not counted inside.
"""

import numpy as np

from worker.compression.ir.affine import LEVELS
from worker.compression.ir.arrays import Array

SHARES = np.linspace(1.0, 0.1, 91)
"""Of the observed end: the candidates."""
ROUNDS = 2


def least_error(counts: Array, low: float, high: float) -> tuple[float, float]:
    """(low, high). `counts`: equal bins over [low, high]."""
    edges = np.linspace(low, high, len(counts) + 1)
    centres, weights = (edges[:-1] + edges[1:]) / 2, counts.astype(np.float64)
    inside = np.where((edges[:-1] <= 0) & (edges[1:] >= 0), 0.0, weights)
    best_low, best_high = min(low, 0.0), max(high, 0.0)
    for _ in range(ROUNDS):
        highs = max(high, 0.0) * SHARES
        best_high = highs[_best(centres, weights, inside, np.full(len(highs), best_low), highs)]
        lows = min(low, 0.0) * SHARES
        best_low = lows[_best(centres, weights, inside, lows, np.full(len(lows), best_high))]
    return float(best_low), float(best_high)


def _best(centres: Array, weights: Array, inside: Array, lows: Array, highs: Array) -> int:
    """The number of the candidate (low, high) of least error, the widest of equals."""
    outside = np.maximum(centres - highs[:, None], 0.0) + np.maximum(lows[:, None] - centres, 0.0)
    rounding = ((highs - lows) / LEVELS) ** 2 / 12
    errors = rounding * ((outside == 0) @ inside) + (outside * outside) @ weights
    return int(np.argmin(errors))
