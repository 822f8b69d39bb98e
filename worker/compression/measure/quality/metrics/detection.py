"""Detection: COCO's mean average precision (Lin et al. 2014), by faster-coco-eval.

Kept of a sample are its boxes with their scores, and which of them match a true one at each of the ten overlaps. For
each class, boxes in descending order of score, each image counted w times:

    AP = 1/101 Σ_{r = 0, 0.01, …, 1} max { precision at recall ≥ r },   mAP = mean over classes that occur, and overlaps
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from winnow.contract.evaluation import Metric
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.detections import Detections, ious
from worker.compression.measure.quality.measure import Floats, Measure, Value, in_parts

OVERLAPS: Final = np.linspace(0.5, 0.95, 10)
RECALLS: Final = np.linspace(0.0, 1.0, 101)
MAX_PER_CLASS: Final = 100
"""Boxes of one class and image that COCO looks at."""
AREA: Final = 1e10
COST: Final = 30
"""Passes over the boxes."""


@dataclass(frozen=True)
class Matches:
    """Of one image: `boxes`, and `hits` [k, overlaps], in the order of its classes, then scores. `truth` [m, 5]."""

    boxes: Detections
    hits: Array
    truth: Array
    confident: int


def detection(metric: Metric, confident: float) -> Measure:
    overlaps = 1 if metric in ("map50", "agreement") else len(OVERLAPS)

    def work(records: Array) -> int:
        return max(len(records), COST * sum(len(match.boxes) for match in records[:, 0]))

    empty = _empty_agreement if metric == "agreement" else _zero
    record = _against_boxes(confident) if metric == "agreement" else _against_truth(confident)
    return Measure(
        record, _library(overlaps, empty), _weighted(overlaps, empty), chance=lambda r: 0.0, work=work
    )


def _against_truth(confident: float) -> Callable[[list[Detections], list[Array]], Array]:
    def record(predicted: list[Detections], truth: list[Array]) -> Array:
        return _column([matches(p, t, confident) for p, t in zip(predicted, truth, strict=True)])

    return record


def _against_boxes(confident: float) -> Callable[[list[Detections], list[Detections]], Array]:
    """The original's confident boxes are the truth."""

    def record(predicted: list[Detections], others: list[Detections]) -> Array:
        truth = [as_truth(other, confident) for other in others]
        return _column([matches(p, t, confident) for p, t in zip(predicted, truth, strict=True)])

    return record


def as_truth(boxes: Detections, confident: float) -> Array:
    """Make rows [k, 5] of those boxes whose score is high enough."""
    sure = boxes.scores >= confident
    return np.column_stack([boxes.classes[sure], boxes.boxes[sure]])


def _column(images: list[Matches]) -> Array:
    records = np.empty((len(images), 1), object)
    records[:, 0] = images
    return records


def matches(predicted: Detections, truth: Array, confident: float) -> Matches:
    """Match boxes and truth as COCO does: the best box first takes the free one that it overlaps most."""
    order, hits = [], []
    for number in np.unique(predicted.classes):
        of_class = np.flatnonzero(predicted.classes == number)[:MAX_PER_CLASS]
        order.append(of_class)
        hits.append(_hits(predicted.boxes[of_class], truth[truth[:, 0] == number, 1:]))
    places = np.concatenate(order) if order else np.zeros(0, np.int64)
    flags = np.concatenate(hits) if hits else np.zeros((0, len(OVERLAPS)), bool)
    boxes = Detections(predicted.boxes[places], predicted.scores[places], predicted.classes[places])
    return Matches(boxes, flags, truth, int((predicted.scores >= confident).sum()))


def _hits(boxes: Array, truth: Array) -> Array:
    hits = np.zeros((len(boxes), len(OVERLAPS)), bool)
    if not len(truth):
        return hits
    overlap = ious(boxes, np.asarray(truth, np.float64))
    free = np.ones((len(OVERLAPS), len(truth)), bool)
    for place, row in enumerate(overlap):
        candidates = np.where(free & (row >= OVERLAPS[:, None] - 1e-10), row, -1.0)
        best = len(truth) - 1 - candidates[:, ::-1].argmax(axis=1)
        matched = candidates[np.arange(len(OVERLAPS)), best] >= 0
        hits[place] = matched
        free[np.flatnonzero(matched), best[matched]] = False
    return hits


Empty = Callable[[Array], float]


def _zero(records: Array) -> float:
    return 0.0


def _empty_agreement(records: Array) -> float:
    """Where the original has no confident box, the result agrees by having none either."""
    return float(not any(match.confident for match in records[:, 0]))


def _by_class(records: Array) -> Iterator[tuple[int, Array, Array, Array]]:
    """Yield of each class in the truth: how many there are [n], and of its boxes, the highest score first, the image
    and the hits."""
    images = list(records[:, 0])
    counts = [np.unique(match.truth[:, 0], return_counts=True) for match in images]
    classes = sorted({int(c) for known, _ in counts for c in known})
    owner = np.repeat(np.arange(len(images)), [len(match.boxes) for match in images])
    scores, numbers = (
        np.concatenate([getattr(match.boxes, name) for match in images]) for name in ("scores", "classes")
    )
    hits = np.concatenate([match.hits for match in images])
    for number in classes:
        total = np.array([float(n[known == number].sum()) for known, n in counts])
        places = np.flatnonzero(numbers == number)
        places = places[np.argsort(-scores[places], kind="stable")]
        yield number, total, owner[places], hits[places]


def _weighted(overlaps: int, empty: Empty) -> Callable[[Array, Floats], Floats]:
    def statistic(records: Array, weights: Floats) -> Floats:
        sums, known = np.zeros(len(weights)), np.zeros(len(weights))
        for _, total, image, hits in _by_class(records):
            objects = weights @ total
            scores = in_parts(weights, len(image), partial(_precision, total, image, hits[:, :overlaps]))
            sums += np.where(objects > 0, scores, 0)
            known += objects > 0
        return np.where(known > 0, sums / np.maximum(known, 1), empty(records))

    return statistic


def _precision(total: Array, image: Array, hits: Array, weights: Floats) -> Floats:
    """Compute the average precision of each draw, averaged over the overlaps: objects of each image [n], of boxes by
    score image [k] and hits [k, overlaps]. Recall rises, and precision is highest, at hits alone."""
    drawn, objects = weights[:, image], weights @ total
    seen = np.cumsum(drawn, axis=1)
    averages = np.zeros(len(drawn))
    for at in (np.flatnonzero(column) for column in hits.T):
        right = np.cumsum(drawn[:, at], axis=1)
        precision = right / np.maximum(seen[:, at], 1e-12)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        reached = _thresholds_up_to(right / np.maximum(objects, 1)[:, None])
        averages += (np.diff(reached, axis=1, prepend=0) * precision).sum(axis=1)
    averages /= len(RECALLS) * hits.shape[1]
    return averages


def _thresholds_up_to(recall: Floats) -> Array:
    """Count the recalls of COCO's that are not above these, to the last bit as it compares them."""
    last = np.floor(recall * (len(RECALLS) - 1) + 1e-9).astype(np.int64)
    counts: Array = last + (RECALLS[last] <= recall)
    return counts


def _library(overlaps: int, empty: Empty) -> Callable[[Array], Value]:
    def value(records: Array) -> Value:
        if not any(len(match.truth) for match in records[:, 0]):
            return Value(empty(records))
        precision = _coco_precision(records)
        scores = {number: float(p[:overlaps].mean()) for number, p in precision.items()}
        return Value(float(np.mean(list(scores.values()))), scores)

    return value


def _coco_precision(records: Array) -> dict[int, Array]:
    """Return the precision [overlaps, recalls] of each class that occurs, as faster-coco-eval computes it."""
    from faster_coco_eval import COCO, COCOeval_faster

    images = list(records[:, 0])
    if not any(len(match.boxes) for match in images):
        classes = {int(c) for match in images for c in match.truth[:, 0]}
        return {number: np.zeros((len(OVERLAPS), len(RECALLS))) for number in classes}
    truth = COCO(_dataset(images))
    evaluation = COCOeval_faster(truth, truth.loadRes(_results(images)), "bbox", print_function=_silent)
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, AREA]], ["all"]
    evaluation.params.maxDets = [MAX_PER_CLASS]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, -1]
    numbers = enumerate(evaluation.params.catIds)
    return {int(c) - 1: precision[:, :, k] for k, c in numbers if (precision[:, :, k] > -1).any()}


def _silent(*_: Any) -> None: ...


def _dataset(images: list[Matches]) -> dict[str, Any]:
    """Category numbers begin with 1: zero is none to COCO."""
    rows = [(image, row) for image, match in enumerate(images) for row in match.truth]
    numbers = {int(c) for match in images for c in (*match.truth[:, 0], *match.boxes.classes)}
    annotations = [
        {
            "id": place + 1,
            "image_id": image + 1,
            "category_id": int(row[0]) + 1,
            "bbox": _corner_and_size(row[1:]),
            "area": float(np.prod(np.clip(row[3:] - row[1:3], 0, None))),
            "iscrowd": 0,
        }
        for place, (image, row) in enumerate(rows)
    ]
    return {
        "images": [{"id": image + 1} for image in range(len(images))],
        "annotations": annotations,
        "categories": [{"id": number + 1, "name": str(number)} for number in sorted(numbers)],
    }


def _results(images: list[Matches]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": image + 1,
            "category_id": int(number) + 1,
            "bbox": _corner_and_size(box),
            "score": float(score),
        }
        for image, match in enumerate(images)
        for box, score, number in zip(match.boxes.boxes, match.boxes.scores, match.boxes.classes, strict=True)
    ]


def _corner_and_size(box: Array) -> list[float]:
    left, top, right, bottom = np.asarray(box, np.float64).tolist()
    return [left, top, max(right - left, 0.0), max(bottom - top, 0.0)]
