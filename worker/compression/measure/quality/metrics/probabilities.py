"""Probabilities of classes against one class number a sample: areas under curves, and how sure they are in truth.

An area is that of one class against the rest, averaged over the classes for which it is defined. `ece` is the expected
calibration error with 15 bins (Guo et al. 2017, as torchmetrics bins it).
"""

from collections.abc import Callable

import numpy as np

from winnow.contract.evaluation import Metric
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.plain import needed_scores, predicted
from worker.compression.measure.quality.measure import WRONG, Floats, Measure, Value, sums_by_class
from worker.compression.measure.quality.metrics import ranks

Shares = Callable[[Array], Array]
BINS = 15
MAX_LIBRARY_CLASSES = 64
UNDEFINED_AUC = 0.5
"""Of labels that are all of one class: what guessing reaches."""


def probabilities(metric: Metric, shares: Shares) -> Measure:
    """Make the parts of a metric that needs probabilities; `shares` makes them of scores."""
    match metric:
        case "roc_auc":
            return one_against_rest(ranks.auc, metric, UNDEFINED_AUC, lambda records: 0.5, shares)
        case "average_precision":
            return one_against_rest(ranks.average_precision, metric, 0.0, _prevalence, shares)
        case "ece":
            return Measure(_confidences(shares), _calibration_error, _weighted_calibration_error)
        case _:
            raise AssertionError(f"{metric} needs no probabilities")


def _labelled_scores(shares: Shares) -> Callable[[Array, Array], Array]:
    def record(scores: Array, labels: Array) -> Array:
        """Make records [n, 1 + classes]: the label and the probabilities, the worst there are in place of NaN."""
        truth, values = labels.ravel().astype(np.int64), shares(needed_scores(scores))
        worst = np.where(np.arange(values.shape[1]) == truth[:, None], -1.0, 2.0)
        values = np.where(np.isnan(values).any(axis=1, keepdims=True), worst, values)
        return np.column_stack([truth, values]).astype(np.float64)

    return record


def one_against_rest(
    statistic: Callable[[Array, Array, Floats], Floats],
    metric: Metric,
    undefined: float,
    chance: Callable[[Array], float | None],
    shares: Shares,
) -> Measure:
    """Make a macro average over one class against the rest, of those classes for which it is defined."""

    def value(records: Array) -> Value:
        from sklearn import metrics

        score = metrics.roc_auc_score if metric == "roc_auc" else metrics.average_precision_score
        truth, classes = records[:, 0].astype(np.int64), records.shape[1] - 1
        if classes > MAX_LIBRARY_CLASSES:
            values = _by_our_own(statistic, truth, records)
            return Value(float(np.mean(list(values.values()))) if values else undefined, values)
        enough = 2 if metric == "roc_auc" else 1
        occurring = np.unique(truth).tolist()
        defined = occurring if len(occurring) >= enough else []
        values = {int(c): float(score(truth == c, records[:, 1 + c])) for c in defined}
        return Value(float(np.mean(list(values.values()))) if values else undefined, values)

    def drawn(records: Array, weights: Floats) -> Floats:
        truth = records[:, 0].astype(np.int64)
        counts = np.ascontiguousarray(weights.T)
        values = np.stack([statistic(truth == c, records[:, 1 + c], counts) for c in np.unique(truth)])
        return mean_of_defined(values, undefined)

    def work(records: Array) -> int:
        return len(records) * len(np.unique(records[:, 0]))

    return Measure(_labelled_scores(shares), value, drawn, chance=chance, work=work)


def _by_our_own(
    statistic: Callable[[Array, Array, Floats], Floats], truth: Array, records: Array
) -> dict[int, float]:
    """Compute what scikit-learn would take seconds for, a call for each class."""
    once = np.ones((len(truth), 1))
    values = {int(c): float(statistic(truth == c, records[:, 1 + c], once)[0]) for c in np.unique(truth)}
    return {c: value for c, value in values.items() if not np.isnan(value)}


def mean_of_defined(values: Floats, undefined: float) -> Floats:
    """Average [classes, b] over the classes for which it is no NaN."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, values, 0).sum(axis=0) / np.maximum(count, 1), undefined)


def _confidences(shares: Shares) -> Callable[[Array, Array], Array]:
    def record(scores: Array, labels: Array) -> Array:
        """Make records [n, 2]: the highest probability, and whether it is right. NaN is sure and wrong."""
        best = predicted(needed_scores(scores))
        sure = np.where(best == WRONG, 1.0, np.nan_to_num(shares(scores), nan=1.0).max(axis=1))
        return np.column_stack([np.clip(sure, 0, 1), best == labels.ravel()]).astype(np.float64)

    return record


def _weighted_calibration_error(records: Array, weights: Floats) -> Floats:
    """Compute Σ_bins |Σ confidence − Σ right| / n, bins [lower, upper) of equal width."""
    edges = np.linspace(0, 1, BINS + 1)
    at = np.clip(np.searchsorted(edges, records[:, 0], side="right") - 1, 0, BINS)
    gaps = sums_by_class(weights * (records[:, 0] - records[:, 1]), at, BINS + 1)
    errors: Floats = np.abs(gaps).sum(axis=1) / weights.sum(axis=1)
    return errors


def _calibration_error(records: Array) -> Value:
    return Value(float(_weighted_calibration_error(records, np.ones((1, len(records))))[0]))


def _prevalence(records: Array) -> float:
    """Scores that say nothing: each class has its share as precision."""
    return 1 / len(np.unique(records[:, 0]))
