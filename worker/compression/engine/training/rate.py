"""A learning rate that is found, not guessed: the range test (Smith 2017, arXiv:1506.01186).

The rate rises geometrically from step to step while the loss is watched, smoothed. It falls, then rises again; where
it is clearly above what it was in the beginning the rate is too high. Weights and
statistics are put back afterwards.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn

from app.contract.recipe import Training
from worker.compression.engine.snapshot import put_back, taken
from worker.compression.engine.training.batches import Batch
from worker.compression.engine.training.descent import descend, optimizer_for, set_rate
from worker.compression.engine.training.smooth import Smoothed

STEPS = 60
BEGINNING = 10
"""Steps, at rates that change next to nothing, that say how high the loss was."""
LOWEST = {"adamw": 1e-5, "sgd": 1e-5}
HIGHEST = {"adamw": 0.03, "sgd": 1.0}
SHARE = 0.1
"""Of the rate that is too high: what is safe."""
WORSE = 1.2
"""How far above the beginning is clearly above: smoothed losses of single batches still differ by a tenth or so."""
MEMORY = 0.8


@dataclass(frozen=True)
class RangeTest:
    """`rates` and the smoothed `losses` at them; `proposed` is the rate to train with."""

    rates: list[float]
    losses: list[float]
    proposed: float


def range_test(
    module: nn.Module,
    loss_of: Callable[[Batch], torch.Tensor],
    batches: Iterator[Batch],
    settings: Training,
    scales: list[nn.Parameter],
) -> RangeTest:
    """At most `STEPS` steps; `loss_of` is the training loss of a batch. The module is as before when this returns."""
    before, parameters = taken(module), [p for p in module.parameters() if p.requires_grad]
    low, high = LOWEST[settings.optimizer], HIGHEST[settings.optimizer]
    optimizer = optimizer_for(parameters, settings, low, scales)
    smoothed = Smoothed(MEMORY)
    rates: list[float] = []
    losses: list[float] = []
    for index, batch in enumerate(islice(batches, STEPS)):
        rates.append(low * (high / low) ** (index / (STEPS - 1)))
        set_rate(optimizer, rates[-1])
        loss = loss_of(batch)
        losses.append(smoothed.add(float(loss.detach())))
        if index >= BEGINNING and not losses[-1] <= _limit(losses):
            break
        descend(optimizer, loss, parameters, settings.clip_norm)
    put_back(module, before)
    return RangeTest(rates, losses, _proposed(rates, losses))


def _proposed(rates: list[float], losses: list[float]) -> float:
    """Half the rate at which the loss was lowest, but at least a tenth of the one that is too high.

    Steps at rates that change next to nothing do not count: their losses differ by the batches alone.
    """
    learning = range(min(BEGINNING, len(losses) - 1), len(losses))
    lowest = min(learning, key=lambda index: losses[index])
    return max(rates[lowest] / 2, SHARE * rates[-1])


def _limit(losses: list[float]) -> float:
    """What the smoothed loss must not exceed after the beginning."""
    return WORSE * max(losses[:BEGINNING])
