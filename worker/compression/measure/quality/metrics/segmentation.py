"""Segmentation: a class for each pixel [n, height, width] against masks of class numbers.

Kept of a sample are, for each class, its pixels in both masks, in the label's, in the predicted one:

    IoU_c = Σ both_c / Σ (label_c + predicted_c − both_c);  mean IoU over the classes that occur on either side
"""

from collections.abc import Callable

import numpy as np

from winnow.contract.evaluation import Metric
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.plain import classes_at
from worker.compression.measure.quality.measure import Floats, Measure, Value, ratio

IGNORED = 255
"""Pixels of this number, where it is no class, and of negative ones do not count."""
PARTS = 3


def segmentation(metric: Metric, classes: int) -> Measure:
    counts = _counted(classes)
    if metric == "pixel_accuracy":
        return Measure(counts, _accuracy, _weighted_accuracy, chance=_largest_class)
    return Measure(counts, _iou, _weighted_iou, chance=_one_class if metric == "mean_iou" else lambda r: None)


def _counted(classes: int) -> Callable[[Array, Array], Array]:
    def record(predicted: Array, truth: Array) -> Array:
        """Make records [n, 3 · classes]."""
        pairs = zip(classes_at(predicted), classes_at(truth), strict=True)
        return np.stack([_areas(p.ravel(), t.ravel(), classes) for p, t in pairs])

    return record


def _areas(predicted: Array, truth: Array, classes: int) -> Array:
    counts = (truth >= 0) & (truth < classes)
    truth, predicted = truth[counts], predicted[counts]
    right = truth[truth == predicted]
    known = predicted[(predicted >= 0) & (predicted < classes)]
    parts = [np.bincount(part, minlength=classes) for part in (right, truth, known)]
    return np.concatenate(parts).astype(np.float64)


def _parts(sums: Array) -> tuple[Array, Array, Array]:
    both, label, predicted = np.split(sums, PARTS, axis=-1)
    return both, label, predicted


def _weighted_iou(records: Array, weights: Floats) -> Floats:
    both, label, predicted = _parts(weights @ records)
    union = label + predicted - both
    occur = union > 0
    values: Floats = ratio(both, union).sum(axis=1) / np.maximum(occur.sum(axis=1), 1)
    return np.where(occur.any(axis=1), values, 1.0)


def _iou(records: Array) -> Value:
    both, label, predicted = _parts(records.sum(axis=0))
    union = label + predicted - both
    values = {int(c): float(both[c] / union[c]) for c in np.flatnonzero(union)}
    return Value(float(np.mean(list(values.values()))) if values else 1.0, values)


def _weighted_accuracy(records: Array, weights: Floats) -> Floats:
    both, label, _ = _parts(weights @ records)
    return ratio(both.sum(axis=1), label.sum(axis=1), 1.0)


def _accuracy(records: Array) -> Value:
    both, label, _ = _parts(records.sum(axis=0))
    values = {int(c): float(both[c] / label[c]) for c in np.flatnonzero(label)}
    return Value(float(both.sum() / label.sum()) if label.sum() else 1.0, values)


def _largest_class(records: Array) -> float | None:
    label = _parts(records.sum(axis=0))[1]
    return float(label.max() / label.sum()) if label.sum() else None


def _one_class(records: Array) -> float | None:
    label = _parts(records.sum(axis=0))[1]
    return float(label.max() / label.sum() / np.count_nonzero(label)) if label.sum() else None
