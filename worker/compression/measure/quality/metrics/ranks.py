"""Statistics of ranks over samples that each count so and so often: vectorised over the draws.

N⁺ and N⁻ are the counts of positives and negatives, G⁺, G⁻ those of the samples of one score, of which only those of
positives matter:

    AUC       Σ_groups G⁺ (N⁻ below + G⁻ / 2) / (N⁺ N⁻)              (Mann & Whitney; ties count half)
    AP        Σ_groups (G⁺ / N⁺) · (positives at or above) / (all at or above)
    Spearman  Pearson's correlation of mid-ranks: counts below + half of those in the group
"""

import numpy as np
import numpy.typing as npt

from worker.compression.ir.arrays import Array

Floats = npt.NDArray[np.float64]


def auc(positive: Array, scores: Array, counts: Floats) -> Floats:
    """Compute the area under the ROC curve of each draw [b] with counts [n, b]; NaN where it has one kind only."""
    place, values = _places(positive, scores)
    up = sums_of(place[positive] // 2, values, counts[positive])
    down = sums_of(place[~positive], 2 * values + 1, counts[~positive])
    below = np.cumsum(down, axis=0)[::2][:values]
    area = (up * (below + down[1::2] / 2)).sum(axis=0)
    return _divided(area, up.sum(axis=0) * down.sum(axis=0))


def average_precision(positive: Array, scores: Array, counts: Floats) -> Floats:
    """Compute the average precision of each draw [b] with counts [n, b]; NaN where it has no positive."""
    place, values = _places(positive, scores)
    up = sums_of(place[positive] // 2, values, counts[positive])
    every = sums_of(place, 2 * values + 1, counts)
    right = np.cumsum(up[::-1], axis=0)[::-1]
    above = np.cumsum(every[::-1], axis=0)[::-1][1::2]
    return _divided((up * right / np.maximum(above, 1e-300)).sum(axis=0), up.sum(axis=0))


def sums_of(place: Array, places: int, counts: Floats) -> Floats:
    """Sum counts [n, b] by the place of each sample: [places, b]."""
    from scipy import sparse

    rows = np.arange(len(place))
    member = sparse.csr_array((np.ones(len(place)), (place, rows)), shape=(places, len(place)))
    sums: Floats = member @ counts
    return sums


def _places(positive: Array, scores: Array) -> tuple[Array, int]:
    """Return of each score its place among the distinct scores of positives, 2 k + 1 where it is the k-th of them and
    2 k where it lies below the k-th and above the one before; and how many those are."""
    values = np.unique(scores[positive])
    below = np.searchsorted(values, scores, side="left")
    return below + np.searchsorted(values, scores, side="right"), len(values)


def spearman(x: Array, y: Array, weights: Floats) -> Floats:
    """Compute Spearman's rank correlation of each draw [b]; 0 where one side is constant."""
    return pearson(_mid_ranks(x, weights), _mid_ranks(y, weights), weights)


def pearson(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Compute the correlation of x, y [n] or [b, n] in each draw [b]; 0 where one side is constant."""
    total = weights.sum(axis=1, keepdims=True)
    x = x - (weights * x).sum(axis=1, keepdims=True) / total
    y = y - (weights * y).sum(axis=1, keepdims=True) / total
    xx, yy = (weights * x * x).sum(axis=1), (weights * y * y).sum(axis=1)
    spread = np.sqrt(xx * yy)
    constant = spread <= 1e-12 * (weights.sum(axis=1) + spread.max(initial=0.0))
    return np.where(constant, 0.0, (weights * x * y).sum(axis=1) / np.where(constant, 1.0, spread))


class _Groups:
    """Samples of one score side by side, in ascending order."""

    def __init__(self, scores: Array) -> None:
        self.order = np.argsort(scores, kind="stable")
        ordered = np.asarray(scores)[self.order]
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self.group = np.empty(len(scores), np.int64)
        self.group[self.order] = np.cumsum(np.r_[False, ordered[1:] != ordered[:-1]])

    def sums(self, weights: Floats) -> Floats:
        """Sum weights [b, n] by group [b, groups]."""
        ordered = weights[:, self.order]
        if len(self.starts) == len(self.order):
            return ordered
        sums: Floats = np.add.reduceat(ordered, self.starts, axis=1)
        return sums


def _mid_ranks(values: Array, weights: Floats) -> Floats:
    groups = _Groups(values)
    sums = groups.sums(weights)
    ranks: Floats = (np.cumsum(sums, axis=1) - sums / 2)[:, groups.group]
    return ranks


def _divided(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
