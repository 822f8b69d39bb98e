"""Validates on rows that were held out, and tells whether one set of weights is better than another beyond noise."""

import math
from dataclasses import dataclass

import torch

from worker.compression.training.feeding.batches import Batch, Batches
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.goal.targets import Values

MAX_PARTS = 1024
"""Losses that one validation keeps, each of as many rows."""
MIN_PARTS = 4
"""Fewer losses have no spread to go by."""
NORMAL = 1.96
"""Of 95 %, both sides."""


@dataclass(frozen=True)
class Validation:
    """Mean loss over the rows; `metric` is `top1` or `agreement` (with the teacher) and its value, for classes.

    `losses` are those of single rows (or of a few rows each, of long validations), always in the same order.
    """

    loss: float
    metric: tuple[str, float] | None
    losses: tuple[float, ...] = ()


@torch.no_grad()
def validate(pair: StudentTeacher, batches: Batches) -> Validation:
    """Compute loss and metric on all rows, without training."""
    pair.learning.eval()
    parts: list[tuple[float, int]] = []
    correct, count, name = 0, 0, ""
    size = -(-len(batches.rows) // MAX_PARTS)
    for batch in batches.ordered():
        student, teacher, placed = pair.outputs(batch)
        parts += _losses(pair, student, teacher, placed, size)
        if (matches := pair.objective.count_matches(student, teacher, placed)) is not None:
            name, correct, count = matches.name, correct + matches.matches, count + matches.count
    pair.learning.train()
    total, rows = sum(loss * n for loss, n in parts), sum(n for _, n in parts)
    metric = (name, correct / count) if count else None
    return Validation(total / rows, metric, tuple(loss for loss, _ in parts))


def better_beyond_noise(before: Validation, after: Validation) -> bool:
    """Whether the rows tell that `after` has the lower loss (95 %, paired by row), and no worse metric."""
    if before.metric is not None and after.metric is not None and after.metric[1] < before.metric[1]:
        return False
    return _interval(before, after)[0] > 0


def worse_beyond_noise(before: Validation, after: Validation) -> bool:
    """Whether the rows tell that `after` has the higher loss (95 %, paired by row)."""
    return _interval(before, after)[1] < 0


def _interval(before: Validation, after: Validation) -> tuple[float, float]:
    """Bound the mean by which the loss fell: Student's t, its quantile by the expansion of Cornish and Fisher."""
    falls = torch.tensor(before.losses, dtype=torch.float64) - torch.tensor(after.losses, dtype=torch.float64)
    if len(falls) < MIN_PARTS:
        return -math.inf, math.inf
    freedom = len(falls) - 1
    quantile = NORMAL + 2.37 / freedom + 2.82 / freedom**2
    mean, half = float(falls.mean()), quantile * float(falls.std()) / math.sqrt(len(falls))
    return mean - half, mean + half


def _losses(
    pair: StudentTeacher, student: Values, teacher: Values, batch: Batch, size: int
) -> list[tuple[float, int]]:
    """Compute the loss of every `size` rows, and count them; of the whole batch where values have no row each."""
    rows = len(batch)
    apart = pair.objective.samples_first and all(
        x.ndim and len(x) == rows for x in [*student.values(), *teacher.values()]
    )
    if not apart:
        return [(float(pair.objective.loss(student, teacher, batch)), rows)]
    cuts = [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
    return [
        (
            float(pair.objective.loss(_cut(student, cut), _cut(teacher, cut), _rows(batch, cut))),
            cut.stop - cut.start,
        )
        for cut in cuts
    ]


def _cut(values: Values, cut: slice) -> Values:
    return {name: x[cut] for name, x in values.items()}


def _rows(batch: Batch, cut: slice) -> Batch:
    labels = None if batch.labels is None else batch.labels[cut]
    return Batch(batch.feeds, labels, batch.rows[cut])
