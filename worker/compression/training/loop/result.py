"""What comes of a training."""

from dataclasses import dataclass, field

import torch

from worker.compression.training.loop.optimization.rate import RangeTest
from worker.compression.training.loop.validate import Validation


@dataclass(frozen=True)
class Epoch:
    """`epoch` 0 is the student as it came."""

    epoch: int
    step: int
    loss: float | None
    validation: Validation | None


@dataclass
class TrainingResult:
    """`biases` are new, from folding, by node; `lowered` says why, each time that it went on at a lower rate;
    `diverged` says how it ended, when it did: then the best weights so far stay."""

    epochs: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    rate: float = 0.0
    range_test: RangeTest | None = None
    restored: int = 0
    biases: dict[str, torch.Tensor] = field(default_factory=dict)
    lowered: list[str] = field(default_factory=list)
    diverged: str | None = None
    samples_per_second: float = 0.0
