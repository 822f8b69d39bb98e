"""Classification: classes, and probabilities of classes, against one class number a sample (scikit-learn's functions).

Macro averages go over the classes that occur among the labels; a class that a draw leaves out is left out of its
average.
"""

from collections.abc import Callable

import numpy as np

from winnow.contract.evaluation import Metric
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.heads import softmax
from worker.compression.measure.quality.decode.plain import needed_scores, predicted
from worker.compression.measure.quality.measure import (
    WRONG,
    Floats,
    Measure,
    Value,
    mean_measure,
    plain,
    sums_by_class,
    weighted_mean,
)
from worker.compression.measure.quality.metrics.probabilities import probabilities


def classification(metric: Metric, *, logits: bool) -> Measure:
    """`logits`: scores become probabilities by softmax, where a metric needs some."""
    match metric:
        case "top1":
            return Measure(labelled_classes, _accuracy, _weighted_accuracy, chance=_most_frequent(1))
        case "top5":
            return Measure(_five_best, _hits, _weighted_hits, chance=_most_frequent(5))
        case "precision" | "recall" | "f1" | "balanced_accuracy":
            return Measure(
                labelled_classes, _macro(metric), _weighted_macro(metric), chance=_guessing(metric)
            )
        case "roc_auc" | "average_precision" | "ece":
            return probabilities(metric, softmax if logits else plain)
        case "agreement":
            return mean_measure(_same_class)
        case _:
            raise AssertionError(f"{metric} is not of classification")


def labelled_classes(scores: Array, labels: Array) -> Array:
    """Make records [n, 2]: the label and the predicted class."""
    return np.column_stack([labels.ravel(), predicted(scores)]).astype(np.int64)


def _same_class(scores: Array, others: Array) -> Array:
    before, after = predicted(others), predicted(scores)
    same: Array = (before == after) | (before == WRONG)
    return same[:, None].astype(np.float64)


def _accuracy(records: Array) -> Value:
    from sklearn import metrics

    truth, answers = records.T
    per_class = metrics.recall_score(truth, answers, labels=np.unique(truth), average=None, zero_division=0)
    return Value(float(metrics.accuracy_score(truth, answers)), _by_class(truth, per_class))


def _by_class(truth: Array, values: Array) -> dict[int, float]:
    return dict(zip(np.unique(truth).tolist(), np.asarray(values, float).tolist(), strict=True))


def _weighted_accuracy(records: Array, weights: Floats) -> Floats:
    return weighted_mean((records[:, :1] == records[:, 1:]), weights)


def _five_best(scores: Array, labels: Array) -> Array:
    """Make records [n, 2]: the label, and whether fewer than five other classes score at least as high (a tie or NaN is
    never to our favour)."""
    truth, scores = labels.ravel().astype(np.int64), needed_scores(scores)
    own = scores[np.arange(len(truth)), truth][:, None]
    at_least: Array = np.logical_not(scores < own).sum(axis=1)
    return np.column_stack([truth, at_least <= 5]).astype(np.int64)


def _hits(records: Array) -> Value:
    truth, hits = records.T
    classes, at = np.unique(truth, return_inverse=True)
    shares = np.bincount(at, hits) / np.bincount(at)
    return Value(float(np.mean(hits)), dict(zip(classes.tolist(), shares.tolist(), strict=True)))


def _weighted_hits(records: Array, weights: Floats) -> Floats:
    return weighted_mean(records[:, 1:], weights)


def _macro(metric: Metric) -> Callable[[Array], Value]:
    def value(records: Array) -> Value:
        from sklearn import metrics

        truth, answers = records.T
        score = {"precision": metrics.precision_score, "f1": metrics.f1_score}.get(
            metric, metrics.recall_score
        )
        values = score(truth, answers, labels=np.unique(truth), average=None, zero_division=0)
        return Value(float(np.mean(values)), _by_class(truth, values))

    return value


def _weighted_macro(metric: Metric) -> Callable[[Array, Floats], Floats]:
    def statistic(records: Array, weights: Floats) -> Floats:
        classes, truth = np.unique(records[:, 0], return_inverse=True)
        answers = _codes(records[:, 1], classes)
        support = sums_by_class(weights, truth, len(classes))
        hits = sums_by_class(weights * (truth == answers), truth, len(classes))
        chosen = sums_by_class(weights, answers, len(classes))
        whole = {"precision": chosen, "f1": (support + chosen) / 2}.get(metric, support)
        scores = hits / np.maximum(whole, 0.5)
        present = support > 0
        averages: Floats = (scores * present).sum(axis=1) / present.sum(axis=1)
        return averages

    return statistic


def _codes(predictions: Array, classes: Array) -> Array:
    """Positions in `classes`, `len(classes)` for what is not among them."""
    at = np.searchsorted(classes, predictions).clip(max=len(classes) - 1)
    return np.where(classes[at] == predictions, at, len(classes))


def _most_frequent(k: int) -> Callable[[Array], float]:
    def chance(records: Array) -> float:
        counts = np.sort(np.unique(records[:, 0], return_counts=True)[1])[::-1]
        return float(counts[:k].sum() / len(records))

    return chance


def _guessing(metric: Metric) -> Callable[[Array], float]:
    """One answer for all: right for one class of those that occur; its F1 is highest for the most frequent."""

    def chance(records: Array) -> float:
        counts = np.unique(records[:, 0], return_counts=True)[1]
        if metric != "f1":
            return 1 / len(counts)
        share = counts.max() / len(records)
        return float(2 * share / (1 + share) / len(counts))

    return chance
