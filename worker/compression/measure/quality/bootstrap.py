"""Compute percentile bootstrap intervals (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).

Samples are drawn with replacement 1,000 times and the statistic computed for each draw; the interval goes from
its 2.5th to its 97.5th percentile. It always contains the estimate itself: where resampling is biased (macro
averages over rare classes) it is widened to do so. Drawing n samples of which only k are distinct is one
multinomial draw over k counts, which makes 0/1 outcomes cheap at any n. What costs more than `MAX_WORK` is drawn less
often, never fewer than 100 times.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from winnow.contract.base import Interval

Array = npt.NDArray[np.float64]
Statistic = Callable[[npt.NDArray[Any], Array], Array]
"""(rows [n, d], how often each counts [b, n]) → the value of each draw [b]."""

RESAMPLES = 1000
MIN_RESAMPLES = 100
MAX_WORK = 1_000_000_000
"""Numbers that all draws together go through."""
MAX_SORTED_COLUMNS = 8
"""Wider rows are not searched for equal ones."""
MAX_BLOCK_CELLS = 8_000_000
"""Of the weights that are drawn at once."""
MIN_CLUSTERS = 3
"""Fewer tell nothing of how clusters differ."""


def median_interval(values: npt.ArrayLike, seed: int, clusters: npt.ArrayLike | None = None) -> Interval:
    """Compute the interval of the median of `values` [n], drawing single values, or whole clusters where the numbers of
    at least three are given, [n] (Field and Welsh, Bootstrapping clustered data, 2007)."""
    x = np.asarray(values, np.float64)
    numbers, cluster_of = np.unique(np.arange(len(x)) if clusters is None else clusters, return_inverse=True)
    if len(numbers) < MIN_CLUSTERS:
        numbers = cluster_of = np.arange(len(x))
    order = np.argsort(x)
    by_size, cluster_of = x[order], cluster_of[order]

    def medians(_: npt.NDArray[Any], weights: Array) -> Array:
        passed = np.cumsum(weights[:, cluster_of], axis=1)
        half = passed[:, -1:] / 2
        low, high = (passed >= half).argmax(axis=1), (passed > half).argmax(axis=1)
        middle: Array = (by_size[low] + by_size[high]) / 2
        return middle

    return single_interval(numbers, medians, float(np.median(x)), seed, len(x))


def paired_intervals(
    before: npt.NDArray[Any],
    after: npt.NDArray[Any],
    statistic: Statistic,
    estimates: tuple[float, float],
    seed: int,
    work: int,
) -> tuple[Interval, Interval, Interval]:
    """Compute intervals of the statistic of both rows [n, d] and of first − second, drawing whole samples.

    `estimates` are both values over all samples, `work` the numbers that a draw goes through.
    """
    first, second, draws = _distinct(before, after)
    pairs = [
        (statistic(first, weights), statistic(second, weights)) for weights in draws(seed, resamples(work))
    ]
    one, other = (np.concatenate(side) for side in zip(*pairs, strict=True))
    value, changed = estimates
    return interval(one, value), interval(other, changed), interval(one - other, value - changed)


def single_interval(
    rows: npt.NDArray[Any], statistic: Statistic, estimate: float, seed: int, work: int
) -> Interval:
    """Compute the interval of the statistic of rows [n, d]."""
    weights = _even(len(rows))(seed, resamples(work))
    return interval(np.concatenate([statistic(rows, block) for block in weights]), estimate)


def resamples(work: int) -> int:
    """Return how often to draw where a draw goes through `work` numbers."""
    return int(np.clip(MAX_WORK // max(1, work), MIN_RESAMPLES, RESAMPLES))


def interval(drawn: Array, estimate: float) -> Interval:
    low, high = np.percentile(drawn, (2.5, 97.5))
    return min(float(low), estimate), max(float(high), estimate)


Draws = Callable[[int, int], Iterator[Array]]


def _distinct(
    before: npt.NDArray[Any], after: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], Draws]:
    """Return both rows and what draws how often each counts: each distinct pair once, where that is fewer by half."""
    width = before.shape[1] if before.ndim == 2 and before.dtype != object else MAX_SORTED_COLUMNS
    if width < MAX_SORTED_COLUMNS:
        rows, counts = np.unique(np.concatenate([before, after], axis=1), axis=0, return_counts=True)
        if 2 * len(rows) <= len(before):
            return rows[:, :width], rows[:, width:], _counted(counts)
    return before, after, _even(len(before))


def _counted(counts: npt.NDArray[np.int64]) -> Draws:
    def draws(seed: int, times: int) -> Iterator[Array]:
        rng, total = np.random.default_rng(seed), int(counts.sum())
        for size in _blocks(times, len(counts)):
            yield rng.multinomial(total, counts / total, size).astype(np.float64)

    return draws


def _even(n: int) -> Draws:
    def draws(seed: int, times: int) -> Iterator[Array]:
        rng = np.random.default_rng(seed)
        for size in _blocks(times, n):
            drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
            yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)

    return draws


def _blocks(times: int, width: int) -> list[int]:
    """Split `times` so that a block times `width` stays small in memory."""
    size = max(1, min(times, MAX_BLOCK_CELLS // max(1, width)))
    return [min(size, times - start) for start in range(0, times, size)]
