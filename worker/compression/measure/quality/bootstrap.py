"""Compute percentile bootstrap intervals (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).

Samples are drawn with replacement 1,000 times and the statistic computed for each draw; the interval goes from
its 2.5th to its 97.5th percentile. It always contains the estimate itself: where resampling is biased (macro
averages over rare classes) it is widened to do so. Drawing n samples of which only k are distinct is one
multinomial draw over k counts, which makes 0/1 outcomes cheap at any n.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from winnow.contract.base import Interval

Array = npt.NDArray[np.float64]
Statistic = Callable[[Array, Array], Array]
"""(distinct rows [k, d], their weights [b, k]) → one value per draw and quantity [b, m]."""

RESAMPLES = 1000
MAX_DISTINCT_ROWS = 256
MAX_BLOCK_CELLS = 4_000_000


def median_interval(values: npt.ArrayLike, seed: int) -> Interval:
    """Compute the interval of the median of `values` [n]."""
    x = np.asarray(values, np.float64)
    drawn = x[np.random.default_rng(seed).integers(0, len(x), (RESAMPLES, len(x)))]
    return interval(np.median(drawn, axis=1), float(np.median(x)))


def paired_mean_intervals(pairs: npt.ArrayLike, seed: int) -> list[Interval]:
    """Compute intervals of both column means of `pairs` [n, 2] and of first − second, drawing whole rows."""
    x = np.asarray(pairs, np.float64)
    if len(np.unique(x, axis=0)) <= MAX_DISTINCT_ROWS:
        return resampled_intervals(x, lambda rows, weights: _with_difference(weights @ rows / len(x)), seed)
    columns = np.ascontiguousarray(x.T)
    means = np.concatenate(
        [np.stack([c[chosen].mean(axis=1) for c in columns], axis=1) for chosen in _draws(len(x), seed)]
    )
    return intervals(_with_difference(means), _with_difference(x.mean(axis=0)))


def _with_difference(means: Array) -> Array:
    return np.concatenate([means, means[..., :1] - means[..., 1:]], axis=-1)


def resampled_intervals(rows: npt.ArrayLike, statistic: Statistic, seed: int) -> list[Interval]:
    """Compute intervals of what `statistic` computes from weighted rows [n, d]; quick while few rows differ."""
    distinct, counts = np.unique(np.asarray(rows, np.float64), axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    chances = counts / counts.sum()
    drawn = [
        statistic(distinct, rng.multinomial(counts.sum(), chances, size).astype(np.float64))
        for size in _blocks(len(distinct))
    ]
    return intervals(np.concatenate(drawn), statistic(distinct, counts[None].astype(np.float64))[0])


def intervals(drawn: Array, estimates: Array) -> list[Interval]:
    return [interval(drawn[:, m], float(estimate)) for m, estimate in enumerate(estimates)]


def interval(drawn: Array, estimate: float) -> Interval:
    low, high = np.percentile(drawn, (2.5, 97.5))
    return min(float(low), estimate), max(float(high), estimate)


def _draws(n: int, seed: int) -> Iterator[npt.NDArray[np.int32]]:
    rng = np.random.default_rng(seed)
    for size in _blocks(n):
        yield rng.integers(0, n, (size, n), np.int32)


def _blocks(width: int) -> list[int]:
    """RESAMPLES split so that a block times `width` stays small in memory."""
    size = max(1, min(RESAMPLES, MAX_BLOCK_CELLS // max(1, width)))
    return [min(size, RESAMPLES - start) for start in range(0, RESAMPLES, size)]
