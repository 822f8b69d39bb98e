"""Regression: outputs against numbers of the same shape.

Errors are means over all numbers. R², Pearson's and Spearman's correlation are those of each column [n, columns],
averaged; where a sample has more than `MAX_COLUMNS` numbers (an image) all of them together are one column, by sums:

    R²       1 − Σ (y − p)² / Σ (y − ȳ)²
    Pearson  (Σ y p − n ȳ p̄) / √((Σ y² − n ȳ²) (Σ p² − n p̄²))
"""

from collections.abc import Callable

import numpy as np

from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Metric
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.measure import Floats, Measure, Value, mean_of_rows, weighted_mean
from worker.compression.measure.quality.metrics import ranks

MAX_COLUMNS = 64
MAX_ERROR = float(np.sqrt(np.finfo(np.float32).max))
"""So far a prediction may be off; what is no number is so far off."""
SUMS = 7
"""Of a sample with many numbers: how many, Σ y, Σ y², Σ p, Σ p², Σ |y − p|, Σ (y − p)². Odd, as no two sides are."""
CONSTANT = 1e-12
"""A column whose variance is that small beside its squares does not vary."""


def regression(metric: Metric) -> Measure:
    match metric:
        case "mae":
            return Measure(both_sides, _mean_error, weighted_mean, _absolute, _absolute_chance)
        case "mse":
            return Measure(both_sides, _mean_error, weighted_mean, _squared, _variance)
        case "rmse":
            return Measure(both_sides, _root_mean, _weighted_root, _squared, _deviation)
        case "r2" | "agreement":
            return Measure(both_sides, _r2, _weighted_r2, chance=_zero)
        case "pearson":
            return Measure(both_sides, _pearson, _weighted_pearson, chance=_zero)
        case "spearman":
            return rank_correlation(_few_columns)
        case _:
            raise AssertionError(f"{metric} is not of regression")


def rank_correlation(record: Callable[[Array, Array], Array]) -> Measure:
    """Make Spearman's correlation of records [n, 2 · columns], averaged over the columns."""

    def drawn(records: Array, weights: Floats) -> Floats:
        truth, values = sides(records)
        columns = zip(truth.T, values.T, strict=True)
        averages: Floats = np.mean([ranks.spearman(y, p, weights) for y, p in columns], axis=0)
        return averages

    return Measure(record, _spearman, drawn, chance=_zero, work=lambda records: 8 * records.size)


def both_sides(values: Array, truth: Array) -> Array:
    """Make records [n, 2 · columns]: the truth, then what is predicted; of many columns [n, SUMS]."""
    n = len(truth)
    y, p = (np.asarray(v, np.float64).reshape(n, -1) for v in (truth, values))
    error = np.where(np.isfinite(p), np.clip(p - y, -MAX_ERROR, MAX_ERROR), MAX_ERROR)
    error = np.where(np.isfinite(y), error, 0)
    y = np.where(np.isfinite(y), y, 0)
    p = np.where(np.abs(error) < MAX_ERROR, np.where(np.isfinite(p), p, 0), y + error)
    if y.shape[1] <= MAX_COLUMNS:
        return np.concatenate([y, p], axis=1)
    many = np.full(n, float(y.shape[1]))
    return np.column_stack(
        [many, *(v.sum(axis=1) for v in (y, y * y, p, p * p, np.abs(error), error * error))]
    )


def _few_columns(values: Array, truth: Array) -> Array:
    records = both_sides(values, truth)
    if is_dense(records):
        raise Refusal(
            "labels_do_not_fit",
            f"spearman ranks the numbers of at most {MAX_COLUMNS} columns, and one sample has "
            f"{int(records[0, 0])}. Use pearson, r2 or mae.",
            field="evaluation.metric",
        )
    return records


def is_dense(records: Array) -> bool:
    return bool(records.shape[1] == SUMS)


def sides(records: Array) -> tuple[Array, Array]:
    half = records.shape[1] // 2
    return records[:, :half], records[:, half:]


def _absolute(records: Array) -> Array:
    if is_dense(records):
        return records[:, 5:6] / records[:, :1]
    truth, values = sides(records)
    errors: Array = np.abs(truth - values).mean(axis=1, keepdims=True)
    return errors


def _squared(records: Array) -> Array:
    if is_dense(records):
        return records[:, 6:7] / records[:, :1]
    truth, values = sides(records)
    errors: Array = np.square(truth - values).mean(axis=1, keepdims=True)
    return errors


def _mean_error(errors: Array) -> Value:
    return mean_of_rows(errors)


def _root_mean(errors: Array) -> Value:
    return Value(float(np.sqrt(np.mean(errors))))


def _weighted_root(errors: Array, weights: Floats) -> Floats:
    return np.sqrt(weighted_mean(errors, weights))


def _r2(records: Array) -> Value:
    if is_dense(records):
        return Value(float(_weighted_r2(records, np.ones((1, len(records))))[0]))
    from sklearn import metrics

    truth, values = sides(records)
    if len(truth) < 2:
        return Value(float(np.array_equal(truth, values)))
    by_column = metrics.r2_score(truth, values, multioutput="raw_values")
    return Value(float(by_column.mean()))


def _weighted_r2(records: Array, weights: Floats) -> Floats:
    """1 where nothing varies and nothing is wrong, 0 where nothing varies and something is (as scikit-learn)."""
    count, y, yy, _, _, _, off = _moments(records, weights)
    spread = yy - y * y / count
    varies = spread > CONSTANT * np.maximum(yy, 1e-300)
    exact = np.where(off > 0, 0.0, 1.0)
    values: Floats = np.where(varies, 1 - off / np.where(varies, spread, 1.0), exact).mean(axis=1)
    return values


def _pearson(records: Array) -> Value:
    if is_dense(records):
        return Value(float(_weighted_pearson(records, np.ones((1, len(records))))[0]))
    return Value(float(np.mean([_correlation(y, p, ranked=False) for y, p in _columns(records)])))


def _weighted_pearson(records: Array, weights: Floats) -> Floats:
    count, y, yy, p, pp, yp, _ = _moments(records, weights)
    spreads = yy - y * y / count, pp - p * p / count
    varies = (spreads[0] > CONSTANT * np.maximum(yy, 1e-300)) & (
        spreads[1] > CONSTANT * np.maximum(pp, 1e-300)
    )
    spread = np.sqrt(np.where(varies, spreads[0] * spreads[1], 1.0))
    values: Floats = np.where(varies, (yp - y * p / count) / spread, 0.0).mean(axis=1)
    return values


def _spearman(records: Array) -> Value:
    return Value(float(np.mean([_correlation(y, p, ranked=True) for y, p in _columns(records)])))


def _columns(records: Array) -> list[tuple[Array, Array]]:
    truth, values = sides(records)
    return list(zip(truth.T, values.T, strict=True))


def _correlation(y: Array, p: Array, *, ranked: bool) -> float:
    """Correlate; 0 where one side is constant, for then there is nothing that could go together."""
    from scipy import stats

    if len(y) < 2 or np.ptp(y) == 0 or np.ptp(p) == 0:
        return 0.0
    return float((stats.spearmanr if ranked else stats.pearsonr)(y, p).statistic)


def _moments(records: Array, weights: Floats) -> list[Floats]:
    """Weighted sums [b, columns] of 1, y, y², p, p², y p, (y − p)², around the columns' means."""
    if is_dense(records):
        m, y, yy, p, pp, _, off = ((weights @ column)[:, None] for column in records.T)
        return [m, y, yy, p, pp, (yy + pp - off) / 2, off]
    truth, values = sides(records)
    y, p = truth - truth.mean(axis=0), values - values.mean(axis=0)
    total = np.repeat(weights.sum(axis=1, keepdims=True), y.shape[1], axis=1)
    parts = (y, y * y, p, p * p, y * p, np.square(truth - values))
    return [total, *(weights @ part for part in parts)]


def _zero(records: Array) -> float:
    return 0.0


def _variance(records: Array) -> float:
    """The best constant answers the mean of each column."""
    if is_dense(records):
        m, y, yy = records[:, :3].sum(axis=0)
        return float(yy / m - (y / m) ** 2)
    return float(np.var(sides(records)[0], axis=0).mean())


def _deviation(records: Array) -> float:
    return float(np.sqrt(_variance(records)))


def _absolute_chance(records: Array) -> float | None:
    if is_dense(records):
        return None
    truth, _ = sides(records)
    return float(np.abs(truth - np.median(truth, axis=0)).mean())
