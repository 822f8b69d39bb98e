"""The clipping threshold of least information loss (Migacz 2017, "8-bit inference with TensorRT").

For every candidate T the histogram P of |x|, with what lies beyond T put into its last bin, is compared with Q: the
same bins merged to the levels that int8 has, spread again over the bins that were not empty. T minimises

    KL(P‖Q) = Σ P log(P / Q)
"""

import numpy as np

from worker.compression.ir.arrays import Array

STRIDE = 16
"""Bins between two candidates."""
FLOOR = 1e-12
"""Least probability of a bin."""


def threshold(counts: Array, low: float, high: float) -> float:
    """T in the units of low and high. `counts`: equal bins over [low, high]."""
    magnitudes, width = _folded(counts, low, high)
    magnitudes[0] = magnitudes[1]  # the zeros that a Relu leaves cost nothing, and would drown the rest
    levels = 256 if low >= 0 or high <= 0 else 128
    candidates = range(levels, len(magnitudes) + 1, STRIDE)
    losses = [_divergence(magnitudes, n, levels) for n in candidates]
    if not losses:
        return max(-low, high)
    return float(candidates[int(np.argmin(losses))] * width)


def _folded(counts: Array, low: float, high: float) -> tuple[Array, float]:
    """Histogram of |x| over as many bins as `counts` has, and the width of one."""
    bins = len(counts)
    width = max(-low, high) / bins
    if width == 0:
        return counts.copy(), 0.0
    edges = np.linspace(low, high, bins + 1)
    centres = np.abs(edges[:-1] + edges[1:]) / 2
    at = np.minimum((centres / width).astype(int), bins - 1)
    return np.bincount(at, weights=counts, minlength=bins), width


def _divergence(magnitudes: Array, n: int, levels: int) -> float:
    inside = magnitudes[:n].astype(np.float64)
    reference = inside.copy()
    reference[-1] += magnitudes[n:].sum()
    group = np.arange(n) * levels // n
    filled = (reference > 0).astype(np.float64)
    mass, room = np.bincount(group, inside, levels), np.bincount(group, filled, levels)
    quantized = np.divide(mass, room, out=np.zeros(levels), where=room > 0)[group] * filled
    return _kl(reference, quantized)


def _kl(p: Array, q: Array) -> float:
    """Where p has something and q nothing, q counts as `FLOOR`: costly, yet what is rare may be cut off."""
    p, q = p / max(p.sum(), 1), np.maximum(q / max(q.sum(), 1), FLOOR)
    some = p > 0
    return float((p[some] * np.log(p[some] / q[some])).sum())
