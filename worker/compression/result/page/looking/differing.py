"""The samples that both models answer differently, and which classes are taken for which."""

import heapq
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from winnow.contract.decoding import Detector
from worker.compression.ir.arrays import Array
from worker.compression.measure.feeds import batch_for
from worker.compression.measure.quality.judgement import Judgement, judgement_of
from worker.compression.result.page.looking.answers import Answer, answers, named, same
from worker.compression.result.page.looking.pair import Pair, Unseen
from worker.compression.result.page.looking.pictured import pictured
from worker.compression.result.page.looking.worded import worded
from worker.compression.result.page.seen import Confusion, Sample

MAX_SAMPLES: Final = 2000
SHOWN: Final = 12
MAX_CLASSES: Final = 200
GRID: Final = 16
"""Patches along each side of a mask."""
MOST_BOXES: Final = 50
"""Drawn on a picture, the surest; all of them are compared."""


@dataclass
class _Comparison:
    """`kept` is a heap of (whether the answers differ, distance, row, answers, truth), the least first."""

    compared: int = 0
    differing: int = 0
    kept: list[tuple[bool, float, int, Answer, Answer, str | None]] = field(default_factory=list)
    before: Array | None = None
    after: Array | None = None

    def add(self, row: int, pair: tuple[Answer, Answer], distance: float, truth: str | None) -> None:
        differs = not same(*pair)
        self.compared += 1
        self.differing += differs
        entry = (differs, distance, row, *pair, truth)
        if len(self.kept) < SHOWN:
            heapq.heappush(self.kept, entry)
        elif entry[:3] > self.kept[0][:3]:
            heapq.heapreplace(self.kept, entry)

    def count(self, truth: Array, answered: tuple[Array, Array], classes: int) -> None:
        if self.before is None or self.after is None:
            self.before, self.after = (np.zeros((classes, classes), np.int64) for _ in range(2))
        for counts, side in zip((self.before, self.after), answered, strict=True):
            np.add.at(counts, (truth, side), 1)


def differing(pair: Pair) -> dict[str, Any]:
    """Raises `Unseen`, and what judging raises."""
    evaluation, data = pair.materials.options.evaluation, pair.materials.data.evaluation
    if evaluation is None or data is None:
        raise Unseen("Nothing was evaluated.")
    samples = pair.samples.draw(MAX_SAMPLES, pair.materials.options.seed)
    judgement = judgement_of(evaluation, pair.networks[0], samples)
    comparison, rows = _Comparison(), samples.ordered_rows
    size = 1 if judgement.task == "detection" else batch_for(samples)
    for feed, count in samples.counted_batches(size):
        start = comparison.compared
        if (
            not _compare(pair, judgement, feed, np.asarray(rows[start : start + count]), comparison)
            or pair.is_over
        ):
            break
    if not comparison.compared:
        raise Unseen(f"Answers of the task {judgement.task} are not compared one by one.")
    kept = [entry for entry in sorted(comparison.kept, key=lambda entry: entry[:3], reverse=True) if entry[0]]
    return {
        "samples": [_sample(pair, *entry[1:]) for entry in kept],
        "compared": comparison.compared,
        "differing": comparison.differing,
        "confusion": _confusion(comparison, pair.classes),
    }


def _compare(
    pair: Pair,
    judgement: Judgement,
    feed: dict[str, Array],
    rows: Array,
    comparison: _Comparison,
) -> bool:
    """False where answers of the task are not compared."""
    count, start, names = len(rows), comparison.compared, pair.classes
    outputs = [network.run(feed, list(judgement.decoder.outputs)) for network in pair.networks]
    predictions = [judgement.predictions(side, feed, count) for side in outputs]
    settings = judgement.decoder.settings
    confident = settings.confident if isinstance(settings, Detector) else 0.0
    said = [answers(judgement.task, side, count, names, confident) for side in predictions]
    if not said[0]:
        return False
    truth = None
    if judgement.task == "classification" and judgement.truth is not None:
        truth = np.asarray(judgement.truth.batch(start, count, predictions[0]))
        _count(comparison, truth, said, np.asarray(predictions[0]))
    far = _distances(outputs[0][0], outputs[1][0], count)
    for index, row in enumerate(rows):
        label = None if truth is None or truth.ndim != 1 else named(int(truth[index]), names)
        comparison.add(int(row), (said[0][index], said[1][index]), far[index], label)
    return True


def _count(comparison: _Comparison, truth: Array, said: list[list[Answer]], scores: Array) -> None:
    classes = scores.shape[1] if scores.ndim == 2 else 0
    if truth.ndim == 1 and 1 < classes <= MAX_CLASSES:
        first, second = (np.array([answer.key for answer in side], np.int64) for side in said)
        comparison.count(truth.astype(np.int64), (first, second), classes)


def _distances(x: Array, y: Array, rows: int) -> list[float]:
    """Of the outputs of each sample, relative to the original's; 0 where rows are no samples."""
    if x.shape != y.shape or x.shape[:1] != (rows,):
        return [0.0] * rows
    x, y = (np.nan_to_num(side.reshape(rows, -1).astype(np.float64)) for side in (x, y))
    far = np.linalg.norm(x - y, axis=1) / np.maximum(np.linalg.norm(x, axis=1), 1e-12)
    return [float(value) for value in far]


def _sample(
    pair: Pair, distance: float, row: int, before: Answer, after: Answer, truth: str | None
) -> Sample:
    picture, size = pictured(pair, row)
    return Sample(
        words="" if picture else worded(pair, row),
        moved=_moved(before.mask, after.mask),
        row=row,
        before=before.text,
        after=after.text,
        truth=truth,
        distance=distance,
        picture=picture,
        boxes_before=[_share(box, size) for box in before.boxes[:MOST_BOXES]],
        boxes_after=[_share(box, size) for box in after.boxes[:MOST_BOXES]],
    )


def _moved(before: Array | None, after: Array | None) -> list[list[float]]:
    """The share of pixels of another class in each patch of a grid; empty where there are no masks to compare."""
    if before is None or after is None or before.ndim != 2 or before.shape != after.shape:
        return []
    other = before != after
    rows = np.array_split(other, min(GRID, len(other)))
    return [
        [float(part.mean()) for part in np.array_split(row, min(GRID, row.shape[1]), axis=1)] for row in rows
    ]


def _share(box: tuple[float, ...], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Of a picture (width, height), inside it."""
    width, height = (max(1, side) for side in size)
    x1, y1, x2, y2 = (min(1.0, max(0.0, v / side)) for v, side in zip(box, (width, height) * 2, strict=True))
    return x1, y1, max(x1, x2), max(y1, y2)


def _confusion(comparison: _Comparison, names: list[str]) -> Confusion | None:
    if comparison.before is None or comparison.after is None:
        return None
    classes = [named(number, names) for number in range(len(comparison.before))]
    short = [name.removeprefix("class ") for name in classes]
    return Confusion(short, comparison.before, comparison.after, comparison.compared)
