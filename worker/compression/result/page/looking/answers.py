"""What a model answers to a sample, in words, and what decides whether two answers are the same."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from winnow.contract.evaluation import Task
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.detections import Detections, ious
from worker.compression.measure.quality.decode.plain import classes_at

Box = tuple[float, float, float, float]
SAME_PLACE: Final = 0.5
"""Intersection over union from which on two boxes of a class are the same thing."""
OTHER_PIXELS: Final = 0.01
"""The share of pixels up to which two masks are the same."""


@dataclass(frozen=True)
class Answer:
    """`key`: all that counts of it but the places of its `boxes`, which are in pixels of the model's input, and of
    `classes`. `mask`: the class of each pixel, of its own size."""

    text: str
    key: object
    boxes: list[Box] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    mask: Array | None = None


def same(x: Answer, y: Answer) -> bool:
    """Whether both say the same: of a detector the same things at the same places, of masks almost all pixels."""
    if x.mask is not None and y.mask is not None:
        return x.mask.shape == y.mask.shape and bool(np.mean(x.mask != y.mask) <= OTHER_PIXELS)
    if x.key != y.key or not x.boxes:
        return x.key == y.key
    from scipy.optimize import linear_sum_assignment

    overlap = ious(np.array(x.boxes), np.array(y.boxes))
    apart = (overlap < SAME_PLACE) | (np.array(x.classes)[:, None] != np.array(y.classes)[None])
    return not apart[linear_sum_assignment(apart)].any()


def answers(
    task: Task | None, predictions: Any, rows: int, names: list[str], confident: float = 0.0
) -> list[Answer]:
    """One for each of `rows` samples. `confident`: boxes of a lower score are no answer."""
    if task == "classification":
        scores = np.asarray(predictions).reshape(rows, -1)
        if scores.shape[1] > 1 or scores.dtype.kind == "f":
            return [_class(row, names) for row in scores]
        return [Answer(named(int(row[0]), names), int(row[0])) for row in scores]
    if task == "detection":
        return [_detected(each, names, confident) for each in predictions]
    if task == "segmentation":
        return [_masked(mask, names) for mask in classes_at(predictions)]
    if task in ("regression", "anomaly"):
        values = np.asarray(predictions, np.float64).reshape(rows, -1)
        return [Answer(_numbers(row), tuple(np.round(row, 6))) for row in values]
    if task == "sequence":
        return [Answer(" ".join(map(str, row))[:80] or "nothing", tuple(row)) for row in predictions]
    if task == "multilabel":
        chosen = [tuple(np.flatnonzero(np.asarray(row) >= 0.5).tolist()) for row in predictions]
        return [Answer(", ".join(named(n, names) for n in row[:8]) or "nothing", row) for row in chosen]
    return []


def named(number: int, names: list[str]) -> str:
    return names[number] if 0 <= number < len(names) else f"class {number}"


def _class(scores: Any, names: list[str]) -> Answer:
    best = int(np.nan_to_num(np.asarray(scores, np.float64), nan=-np.inf).argmax())
    return Answer(f"{named(best, names)} ({float(scores[best]):.3g})", best)


def _detected(each: Detections, names: list[str], confident: float) -> Answer:
    sure = np.flatnonzero(each.scores >= confident)
    classes = each.classes[sure].tolist()
    kinds = [named(number, names) for number in classes]
    counted = ", ".join(f"{kinds.count(kind)} × {kind}" for kind in sorted(set(kinds))[:5])
    boxes = [(float(a), float(b), float(c), float(d)) for a, b, c, d in each.boxes[sure]]
    return Answer(counted or "nothing", tuple(sorted(classes)), boxes, classes)


def _masked(mask: Array, names: list[str]) -> Answer:
    """By the areas of its classes."""
    areas = Counter(dict(zip(*(side.tolist() for side in np.unique(mask, return_counts=True)), strict=True)))
    shares = (f"{named(number, names)} {count / mask.size:.1%}" for number, count in areas.most_common(4))
    return Answer(", ".join(shares), (), mask=mask.astype(np.int16))


def _numbers(values: Any) -> str:
    return ", ".join(f"{value:.4g}" for value in values[:4]) + (" …" if len(values) > 4 else "")
