"""A metric in parts: what is kept of each sample (records), and its value over samples that each count so and so
often. So one pass over the data serves all metrics, and one bootstrap serves those that are no means too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.compression.ir.arrays import Array

Floats = npt.NDArray[np.float64]

Statistic = Callable[[Array, Floats], Floats]
"""(records [n, d], how often each counts [b, n]) → one value for each of the b draws."""

PRODUCT = 16
"""So many numbers of a product of matrices take as long as one that is sorted or summed up."""
MAX_CELLS = 4_000_000
WRONG = -1
"""The class that is predicted where the scores are not numbers; always wrong."""


@dataclass(frozen=True)
class Value:
    """A metric over all samples, and its value for each class that occurs, by number."""

    value: float
    per_class: dict[int, float] = field(default_factory=dict)


def plain(records: Array) -> Array:
    return records


def nothing(records: Array) -> float | None:
    return None


def one_product(records: Array) -> int:
    """Count what one draw costs where it is a product with records [n, d], in numbers gone through."""
    return int(max(len(records), records.size // PRODUCT))


@dataclass(frozen=True)
class Measure:
    """`record`: (predictions of a batch, their truth) → one record a sample. `gather` makes of all records what the
    statistic is computed of, `value` is the library's, `chance` what the best constant answer reaches, `work` what a
    draw costs."""

    record: Callable[[Any, Any], Array]
    value: Callable[[Array], Value]
    statistic: Statistic
    gather: Callable[[Array], Array] = plain
    chance: Callable[[Array], float | None] = nothing
    work: Callable[[Array], int] = one_product


def in_parts(weights: Floats, width: int, statistic: Callable[[Floats], Floats]) -> Floats:
    """Compute a statistic that holds `width` numbers for each draw so many draws at a time that they stay few."""
    size = max(1, MAX_CELLS // max(1, width))
    return np.concatenate(
        [statistic(weights[start : start + size]) for start in range(0, len(weights), size)]
    )


def mean_of_rows(records: Array) -> Value:
    return Value(float(np.mean(records)))


def weighted_mean(records: Array, weights: Floats) -> Floats:
    """Compute the mean of records [n, 1] in each draw."""
    means: Floats = (weights @ np.asarray(records[:, 0], np.float64)) / weights.sum(axis=1)
    return means


def mean_measure(
    record: Callable[[Any, Any], Array], chance: Callable[[Array], float | None] = nothing
) -> Measure:
    """Make a metric that is the mean over samples of one number each."""
    return Measure(record, mean_of_rows, weighted_mean, chance=chance)


def ratio(numerator: Floats, denominator: Floats, empty: float = 0.0) -> Floats:
    """Divide, `empty` where there is nothing to divide by."""
    quotient: Floats = np.divide(
        numerator, denominator, out=np.full_like(numerator, empty), where=denominator > 0
    )
    return quotient


def sums_by_class(weights: Floats, of: Array, classes: int) -> Floats:
    """Sums of weights [b, k] by class [b, classes]; the class `classes` is dropped."""
    from scipy import sparse

    member = sparse.csr_array((np.ones(len(of)), (np.arange(len(of)), of)), shape=(len(of), classes + 1))
    sums: Floats = np.asarray(weights @ member)[:, :classes]
    return sums
