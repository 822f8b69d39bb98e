"""Outputs of scores: classes, independent labels, a class at every place, values as they are."""

import numpy as np

from winnow.contract.decoding import Argmax, Sigmoid
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Task
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.heads import misfit, sigmoid
from worker.compression.measure.quality.measure import WRONG


def class_scores(scores: Array, rows: int) -> Array:
    """Return scores [n, classes], axes of length one behind dropped, or the classes [n] that the model answers."""
    if scores.dtype.kind in "iu" and scores.size == rows:
        return scores.reshape(-1)
    flat = scores.reshape(scores.shape[:2]) if scores.ndim > 2 and scores[0, 0].size == 1 else scores
    if flat.ndim != 2 or flat.shape[1] < 2 or len(flat) != rows:
        raise Refusal(
            "labels_do_not_fit",
            f"This metric needs an output of scores [samples, classes]; for {rows} samples it is "
            f"{list(scores.shape)}. Name another output in evaluation.output, or use the metric 'mse'.",
            field="evaluation.output",
        )
    return flat


def label_scores(scores: Array, settings: Sigmoid, rows: int) -> Array:
    """Return probabilities [n, labels]."""
    if scores.size % rows or len(scores) != rows:
        raise misfit(
            f"Labels need an output [samples, labels]; for {rows} samples it is {list(scores.shape)}."
        )
    flat = np.asarray(scores, np.float64).reshape(rows, -1)
    return flat if settings.activation == "none" else sigmoid(flat)


def binary_masks(scores: Array, settings: Sigmoid) -> Array:
    """Return masks of classes 0 and 1 [n, height, width], -1 where the score is no number."""
    if scores.ndim == 4 and scores.shape[1] == 1:
        scores = scores[:, 0]
    if scores.ndim != 3:
        raise misfit(
            f"Masks of two classes need an output [samples, 1, height, width]; it is {list(scores.shape)}."
        )
    shares = np.asarray(scores, np.float64) if settings.activation == "none" else sigmoid(scores)
    return np.where(np.isnan(scores), -1, shares >= settings.threshold).astype(np.int64)


def class_axis_last(scores: Array, settings: Argmax, task: Task) -> Array:
    """Move the axis of the classes behind the others; classes that the model itself answers have none."""
    if scores.dtype.kind in "iu":
        whole = (
            scores[:, 0] if task == "segmentation" and scores.ndim == 4 and scores.shape[1] == 1 else scores
        )
        return np.asarray(whole, np.int64)
    axis = settings.axis if settings.axis is not None else 1 if task == "segmentation" else -1
    if not -scores.ndim < axis < scores.ndim or axis % scores.ndim == 0 or scores.ndim < 3:
        raise misfit(
            f"A class at every place needs an output of three axes or more, the classes along axis {axis} behind the "
            f"samples; it is {list(scores.shape)}."
        )
    return np.moveaxis(scores, axis, -1)


def anomaly_scores(values: Array, rows: int, pictured: Array | None) -> Array:
    """Return a score for each sample: the output's only number, the second of two classes, its largest, or what a
    reconstruction is off by (mean square) where the output has the shape of the input."""
    x = np.asarray(values, np.float64)
    if pictured is not None and pictured.shape == x.shape and x.ndim > 1:
        off: Array = np.square(x - np.asarray(pictured, np.float64)).reshape(rows, -1).mean(axis=1)
        return off
    if len(x.reshape(-1)) % rows or len(x) != rows:
        raise misfit(
            f"A score for each sample is needed; for {rows} samples the output is {list(values.shape)}."
        )
    flat = x.reshape(rows, -1)
    scores: Array = flat[:, 1] if flat.shape[1] == 2 else flat.max(axis=1)
    return scores


def classes_at(scores: Array) -> Array:
    """Return the best class along the last axis; classes that the model itself answers as they are. NaN is no class."""
    if scores.dtype.kind in "iu":
        return scores.astype(np.int64)
    wrong = np.isnan(scores).any(axis=-1)
    return np.where(wrong, -1, np.nan_to_num(scores, nan=-np.inf).argmax(axis=-1))


def predicted(scores: Array) -> Array:
    """Return the best class of probabilities [n, classes], or the classes [n] that the model itself names."""
    if scores.ndim == 1:
        return scores.astype(np.int64)
    return np.where(np.isnan(scores).any(axis=1), WRONG, np.nan_to_num(scores, nan=-np.inf).argmax(axis=1))


def needed_scores(scores: Array) -> Array:
    """Return the scores; refuse class numbers in their place."""
    if scores.ndim == 1:
        raise Refusal(
            "labels_do_not_fit",
            "This metric needs scores [samples, classes], and the model answers class numbers. Name another output in "
            "evaluation.output, or use top1.",
            field="evaluation.output",
        )
    return scores
