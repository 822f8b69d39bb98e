"""Tell whether the original is better than guessing. A metric of a model that is not says nothing of what compression
cost.

Chance is what the best constant answer reaches: the share of the most frequent class for top1, of the five most
frequent for top5, 1/classes for macro averages, and for mse the labels' variance (the answer is their mean).
"""

from typing import assert_never

import numpy as np

from winnow.contract.job import ERRORS, Metric
from winnow.contract.report import Quality
from worker.compression.ir.values import Array


def chance_level(metric: Metric, labels: Array) -> float:
    """Compute what one answer for all samples would reach at best, on these labels [n, …]."""
    if metric == "mse":
        return float(np.var(labels.astype(np.float64), axis=0).mean())
    counts = np.sort(np.unique(labels, return_counts=True)[1])[::-1]
    match metric:
        case "top1":
            return float(counts[0] / labels.size)
        case "top5":
            return float(counts[:5].sum() / labels.size)
        case "precision" | "recall":
            return 1 / len(counts)
        case _:
            assert_never(metric)


def original_notes(metric: Metric, quality: Quality, labels: Array, outcomes: Array) -> list[str]:
    """Note what speaks against the original's quality: `outcomes` [n] are its, as `metrics.outcomes` gives them."""
    chance = chance_level(metric, labels)
    low, high = quality.before_interval
    notes = [
        f"The original's {metric} on {quality.samples} samples: {quality.before:.4g} ({low:.4g} to {high:.4g}; the "
        f"best constant answer reaches {chance:.4g})."
    ]
    if labels.size > 1 and bool((labels == labels.flat[0]).all()):
        notes.append(f"All labels are {labels.flat[0]:g}: {metric} cannot tell a good model from a constant.")
    if metric in ("top1", "precision", "recall") and len(outcomes) > 1 and len(np.unique(outcomes)) == 1:
        notes.append(f"The original answers class {int(outcomes[0])} for every sample.")
    if (high >= chance and chance > 0) if metric in ERRORS else low <= chance:
        notes.append(
            "The original cannot be told from chance on this data: what compression costs cannot be judged by it. "
            "Check scale, mean, std and layout of the inputs, and that the labels are the model's classes."
        )
    return notes
