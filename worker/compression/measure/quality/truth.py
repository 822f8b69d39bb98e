"""The labels of a task, batch by batch, checked: class numbers, numbers, masks, boxes, tokens, texts.

What lies in memory is checked whole before any work; what is read when it is needed, as it comes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from winnow.contract.decoding import Argmax, Ctc
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Metric
from winnow.contract.fitting import columns
from worker.compression.data.labels import class_numbers, is_whole
from worker.compression.data.samples import Samples
from worker.compression.data.table import select
from worker.compression.data.targets.placed import MaskTargets
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.ctc import spelled
from worker.compression.measure.quality.decode.decoder import Decoder
from worker.compression.measure.quality.metrics.segmentation import IGNORED
from worker.compression.measure.quality.own_tokens import OwnTokens, own_tokens

BOX_COLUMNS = 5
"""Class, left, top, right, bottom."""


@dataclass(frozen=True)
class Truth:
    """Labels of the samples as they are, and what they are read for. `classes`: how many the outputs have."""

    labels: Any
    rows: Any
    decoder: Decoder
    metrics: tuple[Metric, ...]
    classes: int | None

    def batch(self, start: int, count: int, predictions: Any) -> Any:
        """Return the truth of samples [start, start + count) in the form that the metrics take.

        Raises `Refusal` `labels_do_not_fit`.
        """
        rows = np.asarray(self.rows[start : start + count])
        raw = select(self.labels, self.rows[start : start + count])
        match self.decoder.task:
            case "classification":
                return _labelled(_class_of_each(raw, self.classes, rows), rows)
            case "anomaly":
                return _two_kinds(raw, rows)
            case "multilabel":
                return _zeros_and_ones(raw, np.asarray(predictions).shape)
            case "regression":
                return _alike(raw, np.asarray(predictions), self.metrics[0])
            case "embedding":
                return _one_number(raw)
            case "segmentation":
                return _masks(raw, _mask_shape(predictions), self.classes, self._ignored, rows)
            case "detection":
                return [_boxes(b, self.classes, int(row)) for b, row in zip(raw, rows, strict=True)]
            case "language":
                return self._tokens(raw, predictions, rows)
            case "sequence":
                return [self._symbols(s, int(row)) for s, row in zip(raw, rows, strict=True)]

    @property
    def _ignored(self) -> int | None:
        """The number of pixels that do not count."""
        if isinstance(self.labels, MaskTargets):
            return self.labels.ignore
        return IGNORED if self.classes is None or self.classes <= IGNORED else None

    def _tokens(self, raw: Any, logits: Array, rows: Array) -> Array:
        tokens = np.stack([np.asarray(row) for row in raw])
        shift = 0 if isinstance(self.labels, OwnTokens) else _shift(self.decoder)
        shape = logits.shape[:-1] if logits.dtype.kind == "f" else logits.shape
        if tokens.dtype.kind not in "iu" or tokens.shape != shape:
            raise _unfit(
                f"Language needs a token for each place, whole numbers {list(shape)}, negative where none counts; the "
                f"labels are {tokens.dtype} {list(tokens.shape)}."
            )
        _check_range(np.maximum(tokens, 0), self.classes, rows, "a token")
        if not shift:
            return tokens
        return np.concatenate([tokens[:, shift:], np.full((len(tokens), shift), -1, tokens.dtype)], axis=1)

    def _symbols(self, row: Any, number: int) -> tuple[object, ...]:
        alphabet = self.decoder.settings.alphabet if isinstance(self.decoder.settings, Ctc) else None
        if isinstance(row, str):
            if alphabet is None:
                raise _unfit(
                    "The labels are texts, and what the outputs mean in letters is not known. Give "
                    "evaluation.decode.alphabet, the symbols by their number."
                )
            return tuple(row)
        numbers = np.asarray(row).ravel()
        if numbers.dtype.kind not in "iu":
            raise _unfit(
                f"A sequence is whole numbers, negative behind its end; row {number} is {numbers.dtype}."
            )
        return spelled(numbers[numbers >= 0], alphabet)


def truth_of(
    samples: Samples, decoder: Decoder, metrics: tuple[Metric, ...], classes: int | None
) -> Truth | None:
    """Return the labels of the samples for this task, of language without any the tokens that are read; else None
    without any. Raises `Refusal` `labels_do_not_fit`."""
    labels: Any = samples.targets
    if labels is None and decoder.task == "language":
        labels = own_tokens(samples, _shift(decoder))
    if labels is None:
        return None
    if decoder.task in ("classification", "embedding") and isinstance(labels, np.ndarray):
        labels = class_numbers(labels, one_hot=decoder.task == "classification")
        if decoder.task == "classification":
            _class_of_each(select(labels, samples.ordered_rows), classes, np.asarray(samples.ordered_rows))
    return Truth(labels, samples.ordered_rows, decoder, metrics, classes)


def _shift(decoder: Decoder) -> int:
    return decoder.settings.shift if isinstance(decoder.settings, Argmax) else 0


def _class_of_each(raw: Any, classes: int | None, rows: Array) -> Array:
    labels = np.asarray(raw)
    if labels.dtype == object or labels.size != len(labels) or not is_whole(labels):
        raise _unfit(
            f"This metric needs one class number per sample; the labels are {labels.dtype} {list(labels.shape)}."
        )
    _check_range(labels, classes, rows, "a class")
    return labels.ravel().astype(np.int64)


def _labelled(classes: Array, rows: Array) -> Array:
    """The same; of outputs that are numbers of classes, how many there are is not known."""
    if classes.min(initial=0) < 0:
        at = int(np.argmax(classes < 0))
        raise _unfit(
            f"Classes are numbered from 0; that of row {rows[at]} is {classes[at]}. Leave out rows without a label, by "
            "a slice."
        )
    return classes


def _check_range(labels: Array, classes: int | None, rows: Array, what: str) -> None:
    if labels.size and classes is not None and not 0 <= labels.min() <= labels.max() < classes:
        beyond = ((labels < 0) | (labels >= classes)).reshape(len(labels), -1).any(axis=1)
        row = int(rows[int(np.argmax(beyond))])
        raise _unfit(
            f"The output has {classes} classes, so labels go from 0 to {classes - 1}; they go from "
            f"{labels.min()} to {labels.max()}, {what} beyond first in row {row}. Name another output in "
            "evaluation.output, or correct the labels."
        )


def _two_kinds(raw: Any, rows: Array) -> Array:
    labels = _class_of_each(class_numbers(np.asarray(raw), one_hot=False), None, rows)
    if labels.min() < 0 or labels.max() > 1:
        raise _unfit(
            f"Anomalies need labels 0 (usual) and 1 (anomaly); they go from {labels.min()} to {labels.max()}."
        )
    return labels


def _zeros_and_ones(raw: Any, shape: tuple[int, ...]) -> Array:
    labels = np.asarray(raw)
    flat = labels.reshape(len(labels), -1) if labels.dtype != object else labels
    if labels.dtype.kind not in "biuf" or flat.shape != shape or not np.isin(flat, (0, 1)).all():
        raise _unfit(
            f"Several labels a sample are zeros and ones, one for each of the output's {list(shape)}; the labels are "
            f"{labels.dtype} {list(labels.shape)}."
        )
    return flat


def _alike(raw: Any, values: Array, metric: Metric) -> Array:
    labels = np.asarray(raw)
    if labels.dtype.kind not in "biuf" or not np.isfinite(labels).all():
        raise _unfit(
            f"The metric '{metric}' needs labels that are finite numbers; these are {labels.dtype}, or NaN "
            "or infinity is among them."
        )
    if values.shape[:1] != labels.shape[:1] or columns(values.shape) != columns(labels.shape):
        raise Refusal(
            "labels_do_not_fit",
            f"The metric '{metric}' compares output and labels element by element: the output is "
            f"{list(values.shape)}, the labels are {list(labels.shape)}.",
            field="evaluation.output",
        )
    return labels


def _one_number(raw: Any) -> Array:
    labels = np.asarray(raw)
    if labels.dtype.kind not in "biuf" or labels.size != len(labels) or not np.isfinite(labels).all():
        raise _unfit(
            f"Embeddings need one number a sample: how alike a pair is, or a class; the labels are {labels.dtype} "
            f"{list(labels.shape)}."
        )
    return labels.ravel()


def _mask_shape(predictions: Array) -> tuple[int, ...]:
    return predictions.shape[:-1] if predictions.dtype.kind == "f" else predictions.shape


def _masks(raw: Any, shape: tuple[int, ...], classes: int | None, ignored: int | None, rows: Array) -> Array:
    masks = np.stack([np.asarray(row) for row in raw])
    if masks.ndim == len(shape) + 1:
        masks = masks[:, 0] if masks.shape[1] == 1 else class_numbers(masks)
    if masks.shape != shape or not is_whole(masks):
        raise _unfit(
            f"Segmentation needs a class number for each of the output's pixels {list(shape)}; the labels from row "
            f"{int(rows[0])} on are {masks.dtype} {list(masks.shape)}."
        )
    masks = masks.astype(np.int64)
    if classes is not None:
        masks = masks if ignored is None else np.where(masks == ignored, -1, masks)
        _check_range(np.maximum(masks, 0), classes, rows, "a pixel")
    return masks


def _boxes(row: Any, classes: int | None, number: int) -> Array:
    boxes = np.asarray(row, np.float64)
    boxes = boxes.reshape(0, BOX_COLUMNS) if not boxes.size else boxes
    if boxes.ndim != 2 or boxes.shape[1] != BOX_COLUMNS or not np.isfinite(boxes).all():
        raise _unfit(
            f"A box is {BOX_COLUMNS} numbers (class, left, top, right, bottom in pixels of the model's input), and "
            f"row {number} has {list(boxes.shape)}."
        )
    boxes = boxes[boxes[:, 0] >= 0]
    if classes is not None and len(boxes) and boxes[:, 0].max() >= classes:
        raise _unfit(
            f"The outputs have {classes} classes, 0 to {classes - 1}, and a box of row {number} is of class "
            f"{int(boxes[:, 0].max())}. Correct the labels, or name the classes in the model's order."
        )
    return boxes


def _unfit(detail: str) -> Refusal:
    return Refusal("labels_do_not_fit", detail, field="data.evaluation")
