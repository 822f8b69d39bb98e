"""Tell whether the original is better than guessing. A metric of a model that is not says nothing of what compression
cost.

Chance is what the best constant answer reaches (`Measure.chance`): the share of the most frequent class for top1, of
the five most frequent for top5, 1/classes for macro averages, for mse the labels' variance (the answer is their mean).
"""

import numpy as np

from winnow.contract.evaluation import ERRORS, Metric, Task
from winnow.contract.report import Quality
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.measure import Measure

CLASSES_OF_BOTH: frozenset[Metric] = frozenset({"top1", "precision", "recall", "f1", "balanced_accuracy"})
"""Metrics whose records are the label and the predicted class."""


def original_notes(
    metric: Metric, measure: Measure, quality: Quality, records: Array, task: Task = "classification"
) -> list[str]:
    """Note what speaks against the original's quality: `records` are its own."""
    chance = measure.chance(records)
    low, high = quality.before_interval
    best = "" if chance is None else f"; the best constant answer reaches {chance:.4g}"
    notes = [
        f"The original's {metric} on {quality.samples} samples: {quality.before:.4g} ({low:.4g} to {high:.4g}{best})."
    ]
    if task == "classification":
        notes += _class_notes(metric, records)
    if chance is not None and ((high >= chance and chance > 0) if metric in ERRORS else low <= chance):
        notes.append(
            "The original cannot be told from chance on this data: what compression costs cannot be judged by it. "
            "Check scale, mean, std and layout of the inputs, and that the labels are the model's classes."
        )
    return notes


def _class_notes(metric: Metric, records: Array) -> list[str]:
    labels = records[:, 0]
    notes = []
    if len(labels) > 1 and metric != "ece" and bool((labels == labels[0]).all()):
        notes.append(f"All labels are {labels[0]:g}: {metric} cannot tell a good model from a constant.")
    if metric in CLASSES_OF_BOTH and len(records) > 1 and len(np.unique(records[:, 1])) == 1:
        notes.append(f"The original answers class {int(records[0, 1])} for every sample.")
    return notes
