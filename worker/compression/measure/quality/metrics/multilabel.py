"""Several labels a sample: probabilities [n, labels] against 0 and 1, averaged over the labels (macro).

Precision, recall and F1 count labels at `threshold`, and a label that never occurs as scikit-learn does: 0. ROC AUC is
averaged over labels for which it is defined. Average precision of a label that never occurs is 0.
"""

from collections.abc import Callable

import numpy as np

from winnow.contract.evaluation import Metric
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.measure import Floats, Measure, Value, mean_measure, ratio
from worker.compression.measure.quality.metrics import ranks
from worker.compression.measure.quality.metrics.probabilities import UNDEFINED_AUC, mean_of_defined


def multilabel(metric: Metric, threshold: float) -> Measure:
    match metric:
        case "precision" | "recall" | "f1":
            return Measure(_decided(threshold), _macro(metric), _weighted_macro(metric))
        case "roc_auc":
            return _ranked(ranks.auc, metric, UNDEFINED_AUC, lambda records: 0.5)
        case "average_precision":
            return _ranked(ranks.average_precision, metric, 0.0, _prevalence)
        case "agreement":
            return mean_measure(_shared_labels(threshold))
        case _:
            raise AssertionError(f"{metric} is not of multilabel")


def _decided(threshold: float) -> Callable[[Array, Array], Array]:
    """Make records [n, 2 · labels]: the labels, then those that are predicted; NaN is what is wrong."""

    def record(scores: Array, labels: Array) -> Array:
        truth = labels.reshape(len(labels), -1) > 0
        chosen = np.where(np.isnan(scores), ~truth, scores >= threshold)
        return np.concatenate([truth, chosen], axis=1).astype(np.int8)

    return record


def _sides(records: Array) -> tuple[Array, Array]:
    half = records.shape[1] // 2
    return records[:, :half], records[:, half:]


def _macro(metric: Metric) -> Callable[[Array], Value]:
    def value(records: Array) -> Value:
        from sklearn import metrics

        truth, chosen = _sides(records)
        score = {"precision": metrics.precision_score, "recall": metrics.recall_score}.get(
            metric, metrics.f1_score
        )
        if truth.shape[1] == 1:
            values = np.array([score(truth[:, 0], chosen[:, 0], average="binary", zero_division=0)])
        else:
            values = score(truth, chosen, average=None, zero_division=0)
        return Value(float(np.mean(values)), dict(enumerate(np.asarray(values, float).tolist())))

    return value


def _weighted_macro(metric: Metric) -> Callable[[Array, Floats], Floats]:
    def statistic(records: Array, weights: Floats) -> Floats:
        truth, chosen = (side.astype(np.float64) for side in _sides(records))
        support, picked, hits = weights @ truth, weights @ chosen, weights @ (truth * chosen)
        whole = {"precision": picked, "recall": support}.get(metric, (support + picked) / 2)
        scores: Floats = ratio(hits, whole).mean(axis=1)
        return scores

    return statistic


def _scored(scores: Array, labels: Array) -> Array:
    """Make records [n, 2 · labels]: the labels, then the probabilities, the worst there are in place of NaN."""
    truth = labels.reshape(len(labels), -1) > 0
    values = np.where(np.isnan(scores), np.where(truth, -1.0, 2.0), scores)
    return np.concatenate([truth, values], axis=1).astype(np.float64)


def _ranked(
    statistic: Callable[[Array, Array, Floats], Floats],
    metric: Metric,
    undefined: float,
    chance: Callable[[Array], float | None],
) -> Measure:
    def value(records: Array) -> Value:
        from sklearn import metrics

        score = metrics.roc_auc_score if metric == "roc_auc" else metrics.average_precision_score
        truth, scores = _sides(records)
        columns = range(truth.shape[1])
        defined = [c for c in columns if _is_defined(metric, truth[:, c])]
        values = {c: float(score(truth[:, c], scores[:, c])) for c in defined}
        if metric == "average_precision":
            values |= {c: 0.0 for c in columns if c not in values}
        return Value(float(np.mean(list(values.values()))) if values else undefined, values)

    def drawn(records: Array, weights: Floats) -> Floats:
        truth, scores = _sides(records)
        columns, counts = range(truth.shape[1]), np.ascontiguousarray(weights.T)
        values = np.stack([statistic(truth[:, c] > 0, scores[:, c], counts) for c in columns])
        if metric == "average_precision":
            values[~truth.any(axis=0)] = 0
        return mean_of_defined(values, undefined)

    return Measure(_scored, value, drawn, chance=chance, work=lambda records: records.size)


def _is_defined(metric: Metric, truth: Array) -> bool:
    return bool(truth.any() and (metric != "roc_auc" or not truth.all()))


def _prevalence(records: Array) -> float | None:
    truth, _ = _sides(records)
    present = truth.any(axis=0)
    return float(truth[:, present].mean()) if present.any() else None


def _shared_labels(threshold: float) -> Callable[[Array, Array], Array]:
    """Compute of each sample the share of labels that both predict among those that one does (Jaccard)."""

    def record(scores: Array, others: Array) -> Array:
        before, after = others >= threshold, scores >= threshold
        either = (before | after).sum(axis=1).astype(np.float64)
        shared = ratio((before & after).sum(axis=1).astype(np.float64), either, 1.0)
        shared[np.isnan(scores).any(axis=1) & ~np.isnan(others).any(axis=1)] = 0
        return shared[:, None]

    return record
