"""What a model is for, told from the shapes, names and numbers of its outputs and from the labels."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from winnow.contract.decoding import (
    Argmax,
    Boxes,
    Centernet,
    Classes,
    Ctc,
    Decode,
    Detr,
    Pooled,
    Retinaface,
    Scrfd,
    Sigmoid,
    Yolov5,
    Yolov8,
    Yolox,
)
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import TASK_DECODES, Task
from worker.compression.data.labels import is_one_hot, is_whole
from worker.compression.data.samples import Samples
from worker.compression.data.table import select
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.boxes import BOXES, MANY, ONE, SCORES
from worker.compression.measure.quality.decode.heads import (
    Heads,
    are_probabilities,
    are_shares,
    cells,
    frame_of,
    listed,
    misfit,
    named,
)

LOOKED_AT: Final = 64
"""Labels."""
MANY_BOXES: Final = 300
"""From so many on they have not been through NMS."""
FARTHEST_OFFSET: Final = 32.0
"""YOLOX's offsets from a cell lie within, decoded centres do not."""
LARGE_VOCABULARY: Final = 5000
PICTURES: Final = (1, 3)
"""Channels of an output that is a picture."""
VECTORS: Final = ("embed", "pool", "hidden", "feature")
ORDERED: Final = 0.95
STRIDES: Final = [8, 16, 32]


@dataclass(frozen=True)
class FirstBatch:
    """`heads`: what the model answers to `feed`, `rows` samples; `output` is the one that is judged alone."""

    feed: Heads
    rows: int
    heads: Heads
    output: str
    samples: Samples

    @property
    def judged(self) -> Array:
        return self.heads[self.output]

    @property
    def labels(self) -> Any:
        """Some of the labels; None without any."""
        samples = self.samples
        return None if samples.targets is None else select(samples.targets, samples.ordered_rows[:LOOKED_AT])


def propose(first: FirstBatch, decode: Decode | None) -> tuple[Task, Decode | None]:
    """Return task and decode; a decode that is named decides the task."""
    if decode is not None:
        return next(task for task, kinds in TASK_DECODES.items() if decode.kind in kinds), decode
    labels = first.labels
    if labels is None or _are_boxes(labels):
        detector = detector_of(first)
        if detector is not None:
            return "detection", detector
        if labels is not None:
            raise _undecodable(first)
    task = _task(first, labels)
    return task, usual_decode(task, first)


def usual_decode(task: Task, first: FirstBatch) -> Decode | None:
    match task:
        case "classification":
            return Classes(kind="classes")
        case "multilabel":
            return Sigmoid(kind="sigmoid")
        case "embedding":
            return Pooled(kind="pooled")
        case "segmentation":
            x = first.judged
            binary = x.dtype.kind == "f" and (x.ndim == 3 or (x.ndim == 4 and x.shape[1] == 1))
            return Sigmoid(kind="sigmoid") if binary else Argmax(kind="argmax")
        case "detection":
            detector = detector_of(first)
            if detector is None:
                raise _undecodable(first)
            return detector
        case "language":
            return Argmax(kind="argmax")
        case "sequence":
            return Ctc(kind="ctc")
        case "regression" | "anomaly":
            return None


def _undecodable(first: FirstBatch) -> Refusal:
    return misfit(
        f"How boxes lie in the outputs {listed(first.heads)} could not be told. Say it in evaluation.decode: its kinds "
        f"for boxes are {', '.join(TASK_DECODES['detection'])}."
    )


def _task(first: FirstBatch, labels: Any) -> Task:
    x = first.judged
    tokens = any(f.dtype.kind in "iu" and f.ndim == 2 and f.shape[1] > 1 for f in first.feed.values())
    narrow = x.reshape(x.shape[:2]) if x.ndim > 2 and x[0, 0].size == 1 else x
    if labels is not None and isinstance(labels[0], str):
        return "sequence"
    if x.dtype.kind in "iu":
        return "classification" if x.size == first.rows else "segmentation" if x.ndim > 2 else "sequence"
    if narrow.ndim == 2:
        return _of_vectors(first, narrow, labels, tokens)
    if narrow.ndim == 3:
        return _of_places(first, narrow, labels, tokens)
    if narrow.ndim == 4:
        return _of_maps(first, narrow, labels)
    return "regression"


def _of_vectors(first: FirstBatch, x: Array, labels: Any, tokens: bool) -> Task:
    width = x.shape[1]
    if len(x) == 2 * first.rows or (tokens and any(word in first.output.lower() for word in VECTORS)):
        return "embedding"
    if labels is None:
        several = width > 1 and are_shares(x) and not are_probabilities(x)
        return "regression" if width == 1 else "multilabel" if several else "classification"
    array = np.asarray(labels)
    if array.dtype.kind in "biuf" and is_whole(array) and width > 1:
        if array.size == len(array) or is_one_hot(array):
            return "classification"
        if array.reshape(len(array), -1).shape[1] == width and np.isin(array, (0, 1)).all():
            return "multilabel"
    return "regression"


def _of_places(first: FirstBatch, x: Array, labels: Any, tokens: bool) -> Task:
    if labels is not None and len(labels):
        row = np.asarray(labels[0])
        if row.dtype.kind in "iu" and row.ndim == 1:
            return "language" if tokens and row.shape == x.shape[1:2] else "sequence"
        if row.ndim == 0:
            return "embedding" if tokens else "regression"
        return "regression"
    if not tokens:
        return "regression"
    return "language" if x.shape[2] >= LARGE_VOCABULARY else "embedding"


def _of_maps(first: FirstBatch, x: Array, labels: Any) -> Task:
    if labels is not None:
        row = np.asarray(labels[0])
        return "segmentation" if row.ndim >= 2 and is_whole(row) and row.dtype.kind != "f" else "regression"
    return "regression" if x.shape[1] in PICTURES else "segmentation"


def _are_boxes(labels: Any) -> bool:
    """Whether they are rows of class, left, top, right, bottom, another number of them for each sample."""
    shapes = [np.asarray(row).shape for row in labels]
    rows = [shape for shape in shapes if len(shape) == 2]
    return len(rows) == len(shapes) and all(shape[1] == 5 for shape in rows)


def detector_of(first: FirstBatch) -> Decode | None:
    """Return how the boxes of a detector of a known family are decoded; None where the outputs are of none."""
    heads = {name: x for name, x in first.heads.items() if x.ndim >= 2}
    return _by_name(heads) or _by_shape(heads, first)


def _by_name(heads: Heads) -> Decode | None:
    boxes = named(heads, None, BOXES)
    scores = named({n: x for n, x in heads.items() if n != boxes}, None, SCORES)
    logits = named(heads, None, ("logit",))
    if any(name.lower().startswith("obj_") for name in heads):
        return Centernet(kind="centernet", variant="yunet")
    if {"hm", "wh"} <= set(heads):
        return Centernet(kind="centernet")
    if boxes is not None and logits is not None and heads[boxes].shape[-1] == 4:
        return Detr(kind="detr")
    if boxes is None or scores is None or heads[boxes].shape[-1] != 4:
        return None
    x, confidences = heads[boxes].reshape(-1, 4), heads[scores]
    if len(x) and (x[:, 2:] >= x[:, :2]).mean() < ORDERED:
        return None
    two = confidences.ndim == 3 and confidences.shape[2] == 2 and are_probabilities(confidences)
    many = heads[boxes].shape[-2] > MANY_BOXES
    return Boxes(kind="boxes", background=0 if two else None, nms=0.45 if many else None)


def _by_shape(heads: Heads, first: FirstBatch) -> Decode | None:
    shapes = [x.shape for x in heads.values()]
    widths = sorted(shape[-1] for shape in shapes)
    if len(heads) == 1 and shapes[0][-1] in (ONE, MANY) and first.judged.ndim in (2, 3):
        return Boxes(kind="boxes") if _holds_boxes(first.judged) else None
    if all(len(shape) == 5 for shape in shapes):
        return Yolov5(kind="yolov5")
    if widths in ([1] * 3 + [4] * 3, [1] * 3 + [4] * 3 + [10] * 3):
        return Scrfd(kind="scrfd")
    if len(heads) == 3 and widths == [2, 4, 10]:
        return Retinaface(kind="retinaface")
    return _yolo(heads, first)


def _holds_boxes(x: Array) -> bool:
    """Whether the columns in which a score lies do so: one of them is within 0 and 1."""
    return len(x) == 0 or are_shares(x[..., -2]) or are_shares(x[..., -1])


def _yolo(heads: Heads, first: FirstBatch) -> Decode | None:
    if len([x for x in first.feed.values() if x.ndim == 4]) != 1:
        return None
    frame = frame_of(first.feed, None)
    count = sum(len(places) for _, places in cells(frame, STRIDES))
    if len(heads) == len(STRIDES) and all(
        x.ndim == 4 and x.shape[1] > 64 and x.shape[2] * stride == frame[0]
        for x, stride in zip(sorted(heads.values(), key=lambda x: -x.size), STRIDES, strict=True)
    ):
        return Yolov8(kind="yolov8")
    x = first.judged
    if x.ndim != 3 or min(x.shape[1:]) <= 4:
        return None
    if x.shape[2] == count and x.shape[1] < count:
        return Yolov8(kind="yolov8")
    if x.shape[1] == count and x.shape[2] > 5:
        return Yolov5(kind="yolov5") if np.abs(x[..., :2]).max() > FARTHEST_OFFSET else Yolox(kind="yolox")
    return Yolov5(kind="yolov5") if x.shape[1] == 3 * count and x.shape[2] > 5 else None
