"""Allocates a model's zeros to its layers.

uniform        the same share s
Erdős–Rényi    density ∝ Σ dims / Π dims of the weight, at most 1 (Mocanu et al. 2018; with kernels: RigL,
               Evci et al. 2020, arXiv:1911.11134)
by error       where one more zero costs the least of the layer's output, relative to its size
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from worker.compression.layers.convex_hull import lower_hull, slope

Curve = Sequence[tuple[float, float]]
"""(share of zeros, relative error of the output), from no zeros on."""

CURVE_POINTS: Final = 20


def uniform(sizes: Sequence[int], share: float) -> list[float]:
    """Give each layer the same share of zeros."""
    return [share * size for size in sizes]


def erdos_renyi(shapes: Sequence[tuple[int, ...]], share: float) -> list[float]:
    """Give larger layers more zeros, from the dimensions that each weight is stored with."""
    sizes = np.array([np.prod(shape) for shape in shapes], float)
    raw = np.array([sum(shape) for shape in shapes]) / sizes
    dense = np.zeros(len(sizes), bool)
    while True:
        nonzeros = (1 - share) * sizes.sum() - sizes[dense].sum()
        scale = nonzeros / (raw * sizes)[~dense].sum()
        over = ~dense & (scale * raw > 1)
        if not over.any():
            break
        dense |= over
    density = np.where(dense, 1.0, scale * raw)
    return [float(x) for x in (1 - density) * sizes]


def curve_shares(share: float) -> list[float]:
    """List the shares of zeros at which curves are measured."""
    last = max(0.95, (1 + share) / 2)
    return [last * step / CURVE_POINTS for step in range(CURVE_POINTS + 1)]


def by_error(curves: Sequence[Curve], sizes: Sequence[int], share: float) -> list[float]:
    """Take the cheapest zeros first, all layers together: one threshold on the error that a zero costs."""
    segments = [
        (error, layer, zeros)
        for layer, (curve, size) in enumerate(zip(curves, sizes, strict=True))
        for error, zeros in _pieces(curve, size)
    ]
    rest, allocated = share * sum(sizes), [0.0] * len(sizes)
    for _, layer, zeros in sorted(segments):
        taken = min(rest, zeros)
        allocated[layer] += taken
        rest -= taken
    return allocated


def _pieces(curve: Curve, size: int) -> list[tuple[float, float]]:
    """(error for each zero, zeros) of the pieces of the curve's lower convex hull, which rise."""
    hull = lower_hull(curve, lambda point: point)
    return [(slope(a, b) / size, (b[0] - a[0]) * size) for a, b in pairwise(hull)]


def with_floor(zeros: Sequence[float], existing: Sequence[int]) -> list[float]:
    """Give no layer fewer zeros than it has, at the same sum: layers that have more leave less for the others."""
    allocated, floor = np.array(zeros, float), np.array(existing, float)
    total = allocated.sum()
    while (allocated < floor).any():
        allocated = np.maximum(allocated, floor)
        free = allocated > floor
        if not free.any() or (rest := total - allocated[~free].sum()) <= 0:
            return [float(x) for x in floor]
        allocated[free] *= rest / allocated[free].sum()
    return [float(x) for x in allocated]


def whole_units(zeros: Sequence[float], unit: int) -> list[int]:
    """Round to whole units; each is off by less than one, and their sum by half of one."""
    ends = np.concatenate([[0], np.round(np.cumsum(zeros) / unit + 1e-9)])
    return [int(count) * unit for count in np.diff(ends)]
