"""How good a student is on rows that it does not train on."""

from dataclasses import dataclass

import torch

from worker.compression.engine.training.batches import Batches
from worker.compression.engine.training.pair import Pair


@dataclass(frozen=True)
class Validation:
    """Mean loss over the rows; `metric` is `top1` or `agreement` (with the teacher) and its value, for classes."""

    loss: float
    metric: tuple[str, float] | None


@torch.no_grad()
def validate(pair: Pair, batches: Batches) -> Validation:
    pair.learning.eval()
    total, rows, right, answers, name = 0.0, 0, 0, 0, ""
    for batch in batches.ordered():
        own, taught, here = pair.answers(batch)
        total += float(pair.objective.loss(own, taught, here)) * len(batch)
        rows += len(batch)
        if (found := pair.objective.right(own, taught, here)) is not None:
            name, right, answers = found.name, right + found.right, answers + found.answers
    pair.learning.train()
    return Validation(total / rows, (name, right / answers) if answers else None)
