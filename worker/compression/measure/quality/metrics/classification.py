"""Classification: classes, and probabilities of classes, against one class number a sample (scikit-learn's functions).

Macro averages go over the classes that occur among the labels; a class that a draw leaves out is left out of its
average. `ece` is the expected calibration error with 15 bins (Guo et al. 2017, as torchmetrics bins it).
"""

from collections.abc import Callable

import numpy as np

from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Metric
from worker.compression.measure.quality.decode.heads import softmax
from worker.compression.measure.quality.measure import (
    WRONG,
    Array,
    Floats,
    Measure,
    Value,
    mean_measure,
    plain,
    weighted_mean,
)
from worker.compression.measure.quality.metrics import ranks

Shares = Callable[[Array], Array]
BINS = 15
MAX_LIBRARY_CLASSES = 64
UNDEFINED_AUC = 0.5
"""Of labels that are all of one class: what guessing reaches."""


def classification(metric: Metric, *, logits: bool) -> Measure:
    """`logits`: scores become probabilities by softmax, where a metric needs some."""
    shares = softmax if logits else plain
    match metric:
        case "top1":
            return Measure(labelled_classes, _accuracy, _weighted_accuracy, chance=_most_frequent(1))
        case "top5":
            return Measure(_five_best, _hits, _weighted_hits, chance=_most_frequent(5))
        case "precision" | "recall" | "f1" | "balanced_accuracy":
            return Measure(
                labelled_classes, _macro(metric), _weighted_macro(metric), chance=_guessing(metric)
            )
        case "roc_auc":
            return _ranked(ranks.auc, "roc_auc", UNDEFINED_AUC, lambda records: 0.5, shares)
        case "average_precision":
            return _ranked(ranks.average_precision, "average_precision", 0.0, _prevalence, shares)
        case "ece":
            return Measure(_confidences(shares), _calibration_error, _weighted_calibration_error)
        case "agreement":
            return mean_measure(_same_class)
        case _:
            raise AssertionError(f"{metric} is not of classification")


def predicted(scores: Array) -> Array:
    """Return the best class of probabilities [n, classes], or the classes [n] that the model itself names."""
    if scores.ndim == 1:
        return scores.astype(np.int64)
    return np.where(np.isnan(scores).any(axis=1), WRONG, np.nan_to_num(scores, nan=-np.inf).argmax(axis=1))


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
    truth, scores = labels.ravel().astype(np.int64), _scores(scores)
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
        support = _per_class(weights, truth, len(classes))
        hits = _per_class(weights * (truth == answers), truth, len(classes))
        chosen = _per_class(weights, answers, len(classes))
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


def _per_class(weights: Floats, of: Array, classes: int) -> Floats:
    """Sums of weights [b, k] by class [b, classes]; the class `classes` is dropped."""
    from scipy import sparse

    member = sparse.csr_array((np.ones(len(of)), (np.arange(len(of)), of)), shape=(len(of), classes + 1))
    sums: Floats = np.asarray(weights @ member)[:, :classes]
    return sums


def _labelled_scores(shares: Shares) -> Callable[[Array, Array], Array]:
    def record(scores: Array, labels: Array) -> Array:
        """Make records [n, 1 + classes]: the label and the probabilities, the worst there are in place of NaN."""
        truth, values = labels.ravel().astype(np.int64), shares(_scores(scores))
        worst = np.where(np.arange(values.shape[1]) == truth[:, None], -1.0, 2.0)
        values = np.where(np.isnan(values).any(axis=1, keepdims=True), worst, values)
        return np.column_stack([truth, values]).astype(np.float64)

    return record


def _scores(scores: Array) -> Array:
    if scores.ndim == 1:
        raise Refusal(
            "labels_do_not_fit",
            "This metric needs scores [samples, classes], and the model answers class numbers. Name another output in "
            "evaluation.output, or use top1.",
            field="evaluation.output",
        )
    return scores


def _ranked(
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
        best = predicted(_scores(scores))
        sure = np.where(best == WRONG, 1.0, np.nan_to_num(shares(scores), nan=1.0).max(axis=1))
        return np.column_stack([np.clip(sure, 0, 1), best == labels.ravel()]).astype(np.float64)

    return record


def _weighted_calibration_error(records: Array, weights: Floats) -> Floats:
    """Compute Σ_bins |Σ confidence − Σ right| / n, bins [lower, upper) of equal width."""
    edges = np.linspace(0, 1, BINS + 1)
    at = np.clip(np.searchsorted(edges, records[:, 0], side="right") - 1, 0, BINS)
    gaps = _per_class(weights * (records[:, 0] - records[:, 1]), at, BINS + 1)
    errors: Floats = np.abs(gaps).sum(axis=1) / weights.sum(axis=1)
    return errors


def _calibration_error(records: Array) -> Value:
    return Value(float(_weighted_calibration_error(records, np.ones((1, len(records))))[0]))


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


def _prevalence(records: Array) -> float:
    """Scores that say nothing: each class has its share as precision."""
    return 1 / len(np.unique(records[:, 0]))
