"""What a model answers to a sample, in words, and what decides whether two answers are the same."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from winnow.contract.evaluation import Task

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Answer:
    """Two answers are the same if their `key` is. `boxes` are in pixels of the model's input."""

    text: str
    key: object
    boxes: list[Box] = field(default_factory=list)


def answers(task: Task | None, predictions: Any, rows: int, names: list[str]) -> list[Answer]:
    """One for each of `rows` samples."""
    if task == "classification":
        scores = np.asarray(predictions).reshape(rows, -1)
        if scores.shape[1] > 1 or scores.dtype.kind == "f":
            return [_class(row, names) for row in scores]
        return [Answer(named(int(row[0]), names), int(row[0])) for row in scores]
    if task == "detection":
        return [_detected(boxes_found, names) for boxes_found in predictions]
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


def _detected(boxes_found: Any, names: list[str]) -> Answer:
    kinds = [named(int(kind), names) for kind in boxes_found.classes]
    counted = ", ".join(f"{kinds.count(kind)} × {kind}" for kind in sorted(set(kinds))[:5])
    key = tuple(sorted(kinds))
    boxes = [tuple(float(value) for value in box) for box in boxes_found.boxes[:50]]
    return Answer(counted or "nothing", key, boxes)  # type: ignore[arg-type]


def _numbers(values: Any) -> str:
    return ", ".join(f"{value:.4g}" for value in values[:4]) + (" …" if len(values) > 4 else "")
