"""Compute what a metric needs of one sample, and its value over all of them (scikit-learn's functions).

scikit-learn takes a second to import, so only jobs that evaluate pay for it.
"""

from typing import assert_never

import numpy as np
import numpy.typing as npt

from winnow.contract.base import Interval
from winnow.contract.errors import Refusal
from winnow.contract.fitting import columns
from winnow.contract.job import ERRORS, Metric
from worker.compression.ir.values import Array
from worker.compression.measure.quality.bootstrap import resampled_intervals

Floats = npt.NDArray[np.float64]

NO_CLASS = -1
"""The prediction where the scores are not numbers; always wrong."""
MAX_FLOAT32 = float(np.finfo(np.float32).max)


def outcomes(metric: Metric, scores: Array, labels: Array) -> Array:
    """Compute of each sample in a batch: predicted class, hit or squared error. Refuses with `labels_do_not_fit`."""
    match metric:
        case "top1" | "precision" | "recall":
            return predicted(scores, labels)
        case "top5":
            return among_best(class_scores(scores, labels), labels.ravel(), 5)
        case "mse":
            return squared_errors(scores, labels)
        case _:
            assert_never(metric)


def metric_value(metric: Metric, labels: Array, predictions: Array) -> float:
    """Compute the metric over all samples. Macro averages go over the classes that occur among the labels."""
    from sklearn import metrics

    truth = labels.ravel()
    match metric:
        case "top1":
            return float(metrics.accuracy_score(truth, predictions))
        case "precision" | "recall":
            score = metrics.precision_score if metric == "precision" else metrics.recall_score
            return float(score(truth, predictions, labels=np.unique(truth), average="macro", zero_division=0))
        case "top5" | "mse":
            return float(np.mean(predictions))
        case _:
            assert_never(metric)


def check_labels(metric: Metric, scores: Array, labels: Array) -> None:
    """Check all labels against the scores of one batch: class numbers in range, or finite numbers for `mse`."""
    if metric in ERRORS:
        _check_numbers(labels)
    else:
        _check_classes(labels, None if answers_classes(scores, len(scores)) else scores.shape[1], scores)


def answers_classes(scores: Array, n: int) -> bool:
    """Whether the model answers classes, not scores."""
    return scores.dtype.kind in "iu" and scores.size == n


def predicted(scores: Array, labels: Array) -> Array:
    """Return the best class of [n, classes] scores, or the classes [n] that the model itself names."""
    if answers_classes(scores, len(labels)):
        _check_classes(labels, None, scores)
        return scores.reshape(-1).astype(np.int64)
    flat = class_scores(scores, labels)
    return np.where(np.isnan(flat).any(axis=1), NO_CLASS, flat.argmax(axis=1))


def class_scores(scores: Array, labels: Array) -> Array:
    """Return scores as [n, classes], axes of length one behind dropped; labels checked against them."""
    flat = scores.reshape(scores.shape[:2]) if scores.ndim > 2 and scores[0, 0].size == 1 else scores
    if flat.ndim != 2 or flat.shape[1] < 2 or len(flat) != len(labels):
        raise Refusal(
            "labels_do_not_fit",
            f"This metric needs an output of scores [samples, classes]; for {len(labels)} samples it is "
            f"{list(scores.shape)}. Name another output in evaluation.output, or use the metric 'mse'.",
            field="evaluation.output",
        )
    _check_classes(labels, flat.shape[1], scores)
    return flat


def among_best(scores: Array, labels: Array, k: int) -> Array:
    """Whether fewer than k other classes score at least as high (a tie or NaN is never to our favour)."""
    own = scores[np.arange(len(labels)), labels.astype(np.int64)][:, None]
    at_least: Array = np.logical_not(scores < own).sum(axis=1)
    return at_least <= k


def squared_errors(outputs: Array, targets: Array) -> Array:
    """Compute the mean squared error of each sample, at most the largest float32, which also stands for NaN."""
    from sklearn.metrics import mean_squared_error

    n = len(targets)
    if outputs.shape[:1] != (n,) or not _alike(outputs, targets):
        raise Refusal(
            "labels_do_not_fit",
            f"The metric 'mse' compares output and labels element by element: the output is "
            f"{list(outputs.shape)}, the labels are {list(targets.shape)}.",
            field="evaluation.output",
        )
    _check_numbers(targets)
    truth, values = (np.asarray(v, np.float64).reshape(n, -1) for v in (targets, outputs))
    finite: Array = np.asarray(np.isfinite(values).all(axis=1))
    errors = mean_squared_error(truth.T, np.where(finite[:, None], values, 0).T, multioutput="raw_values")
    return np.where(finite, np.minimum(errors, MAX_FLOAT32), MAX_FLOAT32)


def _alike(a: Array, b: Array) -> bool:
    """Whether the shapes are the same but for axes of length one."""
    return columns(a.shape) == columns(b.shape)


def _check_numbers(labels: Array) -> None:
    if labels.dtype.kind not in "biuf" or not np.isfinite(labels).all():
        raise Refusal(
            "labels_do_not_fit",
            f"The metric 'mse' needs labels that are finite numbers; these are {labels.dtype}, or NaN "
            "or infinity is among them.",
            field="data.evaluation",
        )


def _check_classes(labels: Array, classes: int | None, scores: Array) -> None:
    whole = labels.dtype.kind in "iub" or (
        labels.dtype.kind == "f" and bool(np.all(labels == np.round(labels)))
    )
    if labels.size != len(labels) or not whole:
        raise Refusal(
            "labels_do_not_fit",
            f"This metric needs one class number per sample; the labels are {labels.dtype} {list(labels.shape)} "
            f"for an output of {list(scores.shape)}.",
            field="data.evaluation",
        )
    if classes is not None and not 0 <= labels.min() <= labels.max() < classes:
        raise Refusal(
            "labels_do_not_fit",
            f"The output has {classes} classes, so labels go from 0 to {classes - 1}; they go from "
            f"{labels.min()} to {labels.max()}. Name another output in evaluation.output, or correct the labels.",
            field="data.evaluation",
        )


def macro_intervals(metric: Metric, labels: Array, predictions: Array, seed: int) -> list[Interval]:
    """Compute intervals of a macro average before, after and of its drop; `predictions` [n, 2] are predicted classes.

    A class that a draw leaves out is left out of its average.
    """
    classes, truth = np.unique(labels.ravel(), return_inverse=True)
    rows = np.column_stack([truth, _codes(predictions[:, 0], classes), _codes(predictions[:, 1], classes)])

    def statistic(distinct: Floats, weights: Floats) -> Floats:
        cells = distinct.astype(np.int64)
        scores = [_macro(metric, cells[:, 0], cells[:, side], weights, len(classes)) for side in (1, 2)]
        return np.stack([*scores, scores[0] - scores[1]], axis=1)

    return resampled_intervals(rows, statistic, seed)


def _codes(predictions: Array, classes: Array) -> Array:
    """Positions in `classes`, `len(classes)` for what is not among them."""
    at = np.searchsorted(classes, predictions).clip(max=len(classes) - 1)
    return np.where(classes[at] == predictions, at, len(classes))


def _macro(metric: Metric, truth: Array, predictions: Array, weights: Floats, classes: int) -> Floats:
    """Weighted cells [k] and weights [b, k] → the macro average of each draw [b]."""
    support = _per_class(weights, truth, classes)
    hits = _per_class(weights * (truth == predictions), truth, classes)
    whole = support if metric == "recall" else _per_class(weights, predictions, classes)
    scores = hits / np.maximum(whole, 1)
    present = support > 0
    averages: Floats = (scores * present).sum(axis=1) / present.sum(axis=1)
    return averages


def _per_class(weights: Floats, of: Array, classes: int) -> Floats:
    """Sums of weights [b, k] by class [b, classes]; the class `classes` is dropped."""
    from scipy import sparse

    member = sparse.csr_array((np.ones(len(of)), (np.arange(len(of)), of)), shape=(len(of), classes + 1))
    sums: Floats = np.asarray(weights @ member)[:, :classes]
    return sums
