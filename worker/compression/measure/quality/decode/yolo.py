"""Heads of the YOLO families.

YOLOX    centre = (t_xy + cell) · stride,        size = exp(t_wh) · stride,  score = object · class
         (Megvii-BaseDetection/YOLOX, yolox/models/yolo_head.py, decode_outputs)
YOLOv5   centre = (2 σ(t_xy) − 0.5 + cell) · stride,  size = (2 σ(t_wh))² · anchor,  score = σ(object) σ(class)
         (ultralytics/yolov5, models/yolo.py, Detect; YOLOv7 the same)
YOLOv8   d = Σ_k k softmax(t)_k of each side,  corners = (cell + ½ ∓ d) · stride,  score = σ(class)
         (ultralytics, nn/modules/head.py, Detect; utils/tal.py, dist2bbox; Li et al. 2020, distribution focal loss)
"""

import numpy as np

from winnow.contract.decoding import Yolov5, Yolov8, Yolox
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.detections import Detections, best_class, corners
from worker.compression.measure.quality.decode.heads import Frame, cells, misfit, sigmoid, softmax

BESIDES_CLASSES = 5
MAX_SIZE_LOGARITHM = 20.0


def yolox(output: Array, settings: Yolox, frame: Frame) -> list[Detections]:
    maps = list(cells(frame, settings.strides))
    grid = np.concatenate([places for _, places in maps])
    stride = np.concatenate([np.full((len(places), 1), float(size)) for size, places in maps])
    if output.ndim != 3 or output.shape[1] != len(grid) or output.shape[2] <= BESIDES_CLASSES:
        raise misfit(
            f"YOLOX with the strides {settings.strides} has [samples, {len(grid)}, 5 + classes] for a frame of "
            f"{list(frame)}; the output is {list(output.shape)}."
        )
    x = np.asarray(output, np.float64)
    boxes = corners(
        (x[..., :2] + grid) * stride, np.exp(np.minimum(x[..., 2:4], MAX_SIZE_LOGARITHM)) * stride
    )
    scores = x[..., 4:5] * x[..., 5:]
    return [best_class(b, s, settings) for b, s in zip(boxes, scores, strict=True)]


def yolov5(outputs: list[Array], settings: Yolov5) -> list[Detections]:
    parts = [x.astype(np.float64) for x in outputs]
    if parts[0].ndim == 5:
        parts = _from_anchors(parts, settings)
    x = np.concatenate(parts, axis=1)
    if x.ndim != 3 or x.shape[2] <= BESIDES_CLASSES:
        raise misfit(
            f"YOLOv5 has [samples, boxes, 5 + classes], or heads of five axes; these are "
            f"{[list(o.shape) for o in outputs]}."
        )
    boxes, scores = corners(x[..., :2], x[..., 2:4]), x[..., 4:5] * x[..., 5:]
    return [best_class(b, s, settings) for b, s in zip(boxes, scores, strict=True)]


def _from_anchors(heads: list[Array], settings: Yolov5) -> list[Array]:
    """Decode [n, anchors, rows, columns, 5 + classes], the largest map first, into [n, boxes, 5 + classes]."""
    decoded = []
    for head, stride, sizes in zip(heads, settings.strides, settings.anchors, strict=True):
        n, count, rows, columns, width = head.shape
        anchors = np.reshape(sizes, (-1, 2))
        if len(anchors) != count:
            raise misfit(f"A head has {count} anchors, and evaluation.decode.anchors {len(anchors)}.")
        y, x = np.mgrid[:rows, :columns]
        shares = sigmoid(head)
        centre = (2 * shares[..., :2] - 0.5 + np.stack([x, y], axis=-1)) * stride
        size = (2 * shares[..., 2:4]) ** 2 * anchors[:, None, None]
        decoded.append(np.concatenate([centre, size, shares[..., 4:]], axis=-1).reshape(n, -1, width))
    return decoded


def yolov8(outputs: list[Array], settings: Yolov8) -> list[Detections]:
    if outputs[0].ndim == 4:
        boxes, scores = _from_distributions(outputs, settings)
    elif len(outputs) == 1 and outputs[0].ndim == 3 and outputs[0].shape[1] > 4:
        x = np.asarray(outputs[0], np.float64).transpose(0, 2, 1)
        boxes, scores = corners(x[..., :2], x[..., 2:4]), x[..., 4:]
    else:
        raise misfit(
            f"YOLOv8 has [samples, 4 + classes, boxes], or heads of four axes; these are "
            f"{[list(o.shape) for o in outputs]}."
        )
    return [best_class(b, s, settings) for b, s in zip(boxes, scores, strict=True)]


def _from_distributions(heads: list[Array], settings: Yolov8) -> tuple[Array, Array]:
    """Decode [n, 4 · bins + classes, rows, columns], the largest map first, into boxes and scores."""
    boxes, scores, bins = [], [], settings.bins
    for head, stride in zip(heads, settings.strides, strict=True):
        n, width, rows, columns = head.shape
        if width <= 4 * bins:
            raise misfit(f"A head has {width} channels: not more than the {4 * bins} of four sides.")
        x = np.asarray(head, np.float64).reshape(n, width, -1)
        shares = softmax(x[:, : 4 * bins].reshape(n, 4, bins, -1).swapaxes(2, 3))
        sides = (shares @ np.arange(bins)).swapaxes(1, 2)
        row, column = np.mgrid[:rows, :columns]
        centre = np.stack([column.ravel(), row.ravel()], axis=1) + 0.5
        boxes.append(np.concatenate([centre - sides[..., :2], centre + sides[..., 2:]], axis=-1) * stride)
        scores.append(sigmoid(x[:, 4 * bins :]).swapaxes(1, 2))
    return np.concatenate(boxes, axis=1), np.concatenate(scores, axis=1)
