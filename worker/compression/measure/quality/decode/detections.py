"""Boxes of one sample, and what all detectors do with theirs: the best stay, overlapping ones go.

Boxes are left, top, right, bottom in pixels of the frame, the model's input.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from winnow.contract.decoding import Boxes, Detector, Suppressed
from worker.compression.ir.arrays import Array

MAX_CANDIDATES: Final = 3000
"""The best boxes of a sample that are compared with each other."""


@dataclass(frozen=True)
class Detections:
    """`boxes` [k, 4], `scores` [k] in descending order, `classes` [k]."""

    boxes: Array
    scores: Array
    classes: Array

    def __len__(self) -> int:
        return len(self.scores)


def best_class(boxes: Array, scores: Array, settings: Detector) -> Detections:
    """Make detections of boxes [k, 4] and scores [k, classes]: one each, of its best class."""
    known = np.nan_to_num(scores, nan=-1.0)
    classes = known.argmax(axis=1) if known.shape[1] else np.zeros(len(known), np.int64)
    best = known.max(axis=1) if known.shape[1] else np.zeros(len(known))
    return detections(boxes, best, classes, settings)


def detections(
    boxes: Array, scores: Array, classes: Array, settings: Detector, nms: float | None = None
) -> Detections:
    """Keep boxes above the threshold that are numbers, then the best of those that overlap, then the best of all.
    `nms` stands in where the settings have none."""
    boxes, scores = np.asarray(boxes, np.float64), np.asarray(scores, np.float64)
    usable = (scores >= settings.score_threshold) & np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    order = np.flatnonzero(usable)[np.argsort(-scores[usable], kind="stable")]
    overlap = settings.nms if isinstance(settings, Suppressed) and settings.nms is not None else nms
    if overlap is not None:
        order = order[:MAX_CANDIDATES]
        order = order[suppressed(boxes[order], classes[order], overlap, settings.max_detections)]
    order = order[: settings.max_detections]
    return Detections(boxes[order], scores[order], np.asarray(classes[order], np.int64))


def suppressed(boxes: Array, classes: Array, threshold: float, most: int) -> Array:
    """Return the places of at most `most` boxes, best first, that stay: greedy non-maximum suppression within each
    class."""
    left = np.arange(len(boxes))
    stay: list[int] = []
    while len(left) and len(stay) < most:
        best, left = int(left[0]), left[1:]
        stay.append(best)
        overlap = ious(boxes[best : best + 1], boxes[left])[0]
        left = left[~((overlap > threshold) & (classes[left] == classes[best]))]
    return np.array(stay, np.int64)


def ious(a: Array, b: Array) -> Array:
    """Compute intersection over union of boxes a [k, 4] and b [m, 4]; 0 where both are empty."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    union = _areas(a)[:, None] + _areas(b)[None, :] - shared
    overlap: Array = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def _areas(boxes: Array) -> Array:
    areas: Array = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    return areas


def corners(centre: Array, size: Array) -> Array:
    """Make left, top, right, bottom of centres and sizes [..., 2]."""
    return np.concatenate([centre - size / 2, centre + size / 2], axis=-1)


def in_pixels(boxes: Array, settings: Boxes, frame: tuple[float, float]) -> Array:
    """Bring boxes [..., 4] of a stated format and unit into pixels."""
    x = np.asarray(boxes, np.float64)
    match settings.format:
        case "cxcywh":
            x = corners(x[..., :2], x[..., 2:])
        case "xywh":
            x = np.concatenate([x[..., :2], x[..., :2] + x[..., 2:]], axis=-1)
        case "yxyx":
            x = x[..., [1, 0, 3, 2]]
        case "xyxy":
            pass
    height, width = frame
    return x * [width, height, width, height] if settings.units == "normalized" else x
