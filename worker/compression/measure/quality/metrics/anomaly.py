"""Anomalies: one score a sample, higher where it is stranger, against 0 (usual) and 1 (anomaly)."""

import numpy as np

from winnow.contract.evaluation import Metric
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.measure import Floats, Measure, Value
from worker.compression.measure.quality.metrics import ranks
from worker.compression.measure.quality.metrics.probabilities import UNDEFINED_AUC
from worker.compression.measure.quality.metrics.regression import rank_correlation


def anomaly(metric: Metric) -> Measure:
    if metric == "agreement":
        return rank_correlation(_both_scores)
    return Measure(_scored, _auc, _weighted_auc, chance=lambda records: 0.5, work=len)


def _scored(scores: Array, labels: Array) -> Array:
    """Make records [n, 2]: whether it is an anomaly, and its score; what is no number says the opposite."""
    truth = labels.ravel() > 0
    wrong = np.where(truth, -np.inf, np.inf)
    return np.column_stack([truth, np.where(np.isnan(scores), wrong, scores)]).astype(np.float64)


def _both_scores(scores: Array, others: Array) -> Array:
    return np.column_stack([others, scores]).astype(np.float64)


def _auc(records: Array) -> Value:
    from sklearn import metrics

    truth, scores = records.T
    if len(np.unique(truth)) < 2:
        return Value(UNDEFINED_AUC)
    finite = np.nan_to_num(scores, posinf=np.finfo(np.float64).max, neginf=np.finfo(np.float64).min)
    return Value(float(metrics.roc_auc_score(truth, finite)))


def _weighted_auc(records: Array, weights: Floats) -> Floats:
    return np.nan_to_num(ranks.auc(records[:, 0] > 0, records[:, 1], weights.T), nan=UNDEFINED_AUC)
