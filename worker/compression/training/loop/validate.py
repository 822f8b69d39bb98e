"""Losses on rows that were held out, and whether they tell that one set of weights is better than another."""

import math
from dataclasses import dataclass

import torch

from worker.compression.training.feeding.batches import Batch, Batches
from worker.compression.training.goal.objective import Values
from worker.compression.training.goal.student_teacher import Pair

MAX_PARTS = 1024
"""Losses that are kept of one validation, each of as many rows."""
FEWEST_PARTS = 4
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
def validate(pair: Pair, batches: Batches) -> Validation:
    pair.learning.eval()
    parts: list[tuple[float, int]] = []
    right, answers, name = 0, 0, ""
    size = -(-len(batches.rows) // MAX_PARTS)
    for batch in batches.ordered():
        own, taught, here = pair.answers(batch)
        parts += _losses(pair, own, taught, here, size)
        if (found := pair.objective.right(own, taught, here)) is not None:
            name, right, answers = found.name, right + found.right, answers + found.answers
    pair.learning.train()
    total, rows = sum(loss * n for loss, n in parts), sum(n for _, n in parts)
    metric = (name, right / answers) if answers else None
    return Validation(total / rows, metric, tuple(loss for loss, _ in parts))


def better_beyond_noise(begun: Validation, now: Validation) -> bool:
    """Whether the rows tell that `now` has the lower loss (95 %, paired by row), and no worse metric."""
    if begun.metric is not None and now.metric is not None and now.metric[1] < begun.metric[1]:
        return False
    return _interval(begun, now)[0] > 0


def worse_beyond_noise(begun: Validation, now: Validation) -> bool:
    """Whether the rows tell that `now` has the higher loss (95 %, paired by row)."""
    return _interval(begun, now)[1] < 0


def _interval(begun: Validation, now: Validation) -> tuple[float, float]:
    """Of the mean by which the loss fell: Student's, its quantile by the expansion of Cornish and Fisher."""
    falls = torch.tensor(begun.losses, dtype=torch.float64) - torch.tensor(now.losses, dtype=torch.float64)
    if len(falls) < FEWEST_PARTS:
        return -math.inf, math.inf
    freedom = len(falls) - 1
    quantile = NORMAL + 2.37 / freedom + 2.82 / freedom**2
    mean, half = float(falls.mean()), quantile * float(falls.std()) / math.sqrt(len(falls))
    return mean - half, mean + half


def _losses(pair: Pair, own: Values, taught: Values, batch: Batch, size: int) -> list[tuple[float, int]]:
    """The loss of every `size` rows, and how many they are; of the whole batch where rows cannot be told apart."""
    rows = len(batch)
    apart = all(x.ndim and len(x) == rows for x in [*own.values(), *taught.values()])
    if not apart:
        return [(float(pair.objective.loss(own, taught, batch)), rows)]
    cuts = [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
    return [
        (
            float(pair.objective.loss(_cut(own, cut), _cut(taught, cut), _rows(batch, cut))),
            cut.stop - cut.start,
        )
        for cut in cuts
    ]


def _cut(values: Values, cut: slice) -> Values:
    return {name: x[cut] for name, x in values.items()}


def _rows(batch: Batch, cut: slice) -> Batch:
    labels = None if batch.labels is None else batch.labels[cut]
    return Batch(batch.feeds, labels, batch.rows[cut])
