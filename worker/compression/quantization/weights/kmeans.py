"""Finds the few values that stand for many with the least squared error: k-means in one dimension.

    min over c₁ < … < c_k of  Σ_i min_j (x_i - c_j)²

Clusters are intervals of the sorted values, so over m points the best are found exactly by dynamic programming

    D_j(b) = min_a  D_{j-1}(a) + cost(a, b)          (Grønlund et al. 2017, arXiv:1701.07204)

in O(k m²). With more distinct values than `points` that is done for the means of as many slices of them, and Lloyd's
iteration goes on with all. It also starts from evenly spaced values, so the answer is never worse than those. Nothing
is random.

Of more than `MAX_SORTED` values those that have their first 20 bits in common (they differ by less than a 2000th) count
as so many times their mean: so few need little memory, and a tensor is gone through a part at a time.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from worker.compression.ir.arrays import Array

MIN_POINTS: Final = 128
"""That are clustered exactly; four for each centre, where that is more."""
MAX_ROUNDS: Final = 30
AT_ONCE: Final = 1 << 20
"""Values that are looked at together; what is computed on the way takes about thirty bytes for each."""
MAX_SORTED: Final = AT_ONCE
FIRST_BITS: Final = 20
"""Sign, exponent and eleven bits of the fraction."""


def kmeans_centres(values: Array, k: int, *, zeros: bool = True) -> Array:
    """Choose float32 [≤ k] of float [n], n ≥ 1, ascending and distinct; fewer where there are fewer distinct values.
    Without `zeros` only what is not zero counts, and there is some."""
    few = _few_distinct(values, k, zeros=zeros) if values.size > MAX_SORTED else None
    if few is not None:
        return few
    counted = _alike if values.size > MAX_SORTED else _distinct
    x, weight = counted(values, zeros=zeros)
    if len(x) <= k:
        return x.astype(np.float32)
    starts = [_exact(*_sliced(x, weight, max(MIN_POINTS, 4 * k)), k), np.linspace(x[0], x[-1], k)]
    candidates = [_lloyd(x, weight, start) for start in starts]
    best = min(candidates, key=lambda c: float((weight * (x - c[_nearest(x, c)]) ** 2).sum()))
    return np.unique(best.astype(np.float32))


def nearest_centres(values: Array, codebook: Array) -> Array:
    """Tell which of the ascending codebook is nearest to each value, uint8 in their shape."""
    flat = np.asarray(values, np.float32).reshape(-1)
    codes = np.empty(flat.shape, np.uint8)
    for begin in range(0, flat.size, AT_ONCE):
        codes[begin : begin + AT_ONCE] = _nearest(flat[begin : begin + AT_ONCE], codebook)
    return codes.reshape(values.shape)


def _parts(values: Array, *, zeros: bool) -> Iterator[Array]:
    flat = np.asarray(values, np.float32).reshape(-1)
    for begin in range(0, flat.size, AT_ONCE):
        part = flat[begin : begin + AT_ONCE]
        yield part if zeros else part[part != 0]


def _distinct(values: Array, *, zeros: bool) -> tuple[Array, Array]:
    """Values, float64 ascending, and how often each occurs."""
    (part,) = _parts(values, zeros=zeros)
    distinct, counts = np.unique(part, return_counts=True)
    return distinct.astype(np.float64), counts.astype(np.float64)


def _few_distinct(values: Array, k: int, *, zeros: bool) -> Array | None:
    """The distinct values, float32 ascending, where they are k at most."""
    distinct = np.empty(0, np.float32)
    for part in _parts(values, zeros=zeros):
        distinct = np.union1d(distinct, part)
        if len(distinct) > k:
            return None
    return distinct


def _alike(values: Array, *, zeros: bool) -> tuple[Array, Array]:
    """The means of values with the same first bits, float64 ascending, and how many these are."""
    mass, sums = np.zeros(1 << FIRST_BITS), np.zeros(1 << FIRST_BITS)
    for part in _parts(values, zeros=zeros):
        bits = np.ascontiguousarray(part).view(np.uint32)
        ascending = np.where(bits >> 31, ~bits, bits | 0x80000000) >> (32 - FIRST_BITS)
        mass += np.bincount(ascending, minlength=len(mass))
        sums += np.bincount(ascending, part, minlength=len(sums))
    present = np.flatnonzero(mass)
    return sums[present] / mass[present], mass[present]


def _nearest(x: Array, c: Array) -> Array:
    return np.asarray(np.searchsorted((c[1:] + c[:-1]) / 2, x))


def _lloyd(x: Array, weight: Array, c: Array) -> Array:
    """Iterate on sorted x until nothing moves. A cluster that became empty keeps its centre."""
    sums, mass = _running(weight * x), _running(weight)
    for _ in range(MAX_ROUNDS):
        ends = np.concatenate([[0], np.searchsorted(x, (c[1:] + c[:-1]) / 2), [len(x)]])
        inside = np.diff(mass[ends])
        means = np.divide(np.diff(sums[ends]), inside, out=c.copy(), where=inside > 0)
        if np.array_equal(means, c):
            break
        c = np.sort(means)
    return c


def _sliced(x: Array, weight: Array, points: int) -> tuple[Array, Array]:
    """Average slices: a third of equal weight, a third of equal width, a third of as many distinct values each."""
    if len(x) <= points:
        return x, weight
    mass, third = _running(weight), points // 3 + 1
    by_weight = np.searchsorted(mass, np.linspace(0, mass[-1], third))
    by_width = np.searchsorted(x, np.linspace(x[0], x[-1], third))
    by_number = np.linspace(0, len(x), third).astype(np.int64)
    ends = np.unique(np.concatenate([by_weight, by_width, by_number]))
    inside = np.diff(mass[ends])
    return np.diff(_running(weight * x)[ends]) / inside, inside


def _exact(x: Array, weight: Array, k: int) -> Array:
    """Compute the k means of the best intervals of the sorted points."""
    mass, sums, squares = _running(weight), _running(weight * x), _running(weight * x * x)
    inside = mass[None, :] - mass[:, None]
    first = sums[None, :] - sums[:, None]
    cost = (
        squares[None, :]
        - squares[:, None]
        - np.divide(first**2, inside, out=np.zeros_like(first), where=inside > 0)
    )
    cost[inside <= 0] = np.inf  # [a, b): a before b
    best, begins = cost[0], []
    for _ in range(k - 1):
        total = best[:, None] + cost
        begins.append(total.argmin(0))
        best = total.min(0)
    ends = [len(x)]
    for begin in reversed(begins):
        ends.append(int(begin[ends[-1]]))
    edges = np.array([0, *reversed(ends)])
    return np.asarray(np.diff(sums[edges]) / np.diff(mass[edges]))


def _running(x: Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(x)])
