"""Searches a learning rate by the range test (Smith 2017, arXiv:1506.01186).

The rate rises geometrically from step to step while the loss is watched, smoothed. It falls, then rises again; where
it is clearly above what it was in the beginning the rate is too high. Weights and
statistics are put back afterwards.

Searching and checking take at most a quarter of the training's steps; a training too short for that gets a rate that
moves its weights little.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import nn

from winnow.contract.recipe import Training
from worker.compression.engine.tensors import restore_snapshot, take_snapshot
from worker.compression.training.feeding.batches import Batch
from worker.compression.training.loop.optimization.descent import (
    Losses,
    gradients,
    optimizer_for,
    optimizer_step,
    set_rate,
)
from worker.compression.training.loop.optimization.divergence import Smoothed

MAX_STEPS = 60
MIN_STEPS = 14
"""With fewer the rate would rise by more than twofold a step."""
MAX_SHARE_OF_TRAINING = 0.25
CAREFUL_RATES = {"adamw": 1e-4, "sgd": 1e-3}
"""Rates of a training that is too short to search one."""
MIN_STEPS_FROM_LOWEST = 30
"""Shorter tests begin at the careful rate, to rise less from step to step."""
BASELINE_SHARE = 1 / 6
"""Share of the steps, at rates that change next to nothing, that say how high the loss was."""
CHECK_COST = 2
"""Steps that checking a rate takes: one, and a look at the loss before and behind it."""
LOWERED_BY = 3.0
MAX_CHECKS = 2
MIN_RATES = {"adamw": 1e-5, "sgd": 1e-5}
MAX_RATES = {"adamw": 0.03, "sgd": 1.0}
SAFE_SHARE = 0.1
"""Share of the rate that is too high, which is safe."""
MAX_RISE = 1.2
"""Times the beginning's loss that is clearly above it: smoothed losses of single batches still differ by a tenth."""
MEMORY = 0.8


@dataclass(frozen=True)
class RangeTest:
    """`rates` and the smoothed `losses` at them; `proposed` is the rate to train with."""

    rates: list[float]
    losses: list[float]
    proposed: float


def steps_for_search(total: int) -> int:
    """Count the steps that the search for a rate may take before a training of `total` steps; 0 for no search."""
    allowed = min(MAX_STEPS, int(total * MAX_SHARE_OF_TRAINING))
    return allowed if allowed >= MIN_STEPS else 0


def search_rate(
    module: nn.Module,
    losses_of: Losses,
    batches: Iterator[list[Batch]],
    settings: Training,
    scales: list[nn.Parameter],
    steps: int,
) -> RangeTest:
    """Propose a rate by a range test, and lower it where a step at it makes its own batch's loss worse; the careful
    one where that does not help.

    `batches` are those of a step each. Takes at most `steps` steps in all; the module is as before when this returns.
    """
    testing = steps - CHECK_COST * MAX_CHECKS
    test = range_test(module, losses_of, batches, settings, scales, testing)
    careful = CAREFUL_RATES[settings.optimizer]
    for rate in (test.proposed, test.proposed / LOWERED_BY):
        if _improves(module, losses_of, next(batches), settings, scales, rate):
            return replace(test, proposed=rate)
    return replace(test, proposed=min(careful, test.proposed / LOWERED_BY))


def _improves(
    module: nn.Module,
    losses_of: Losses,
    step: list[Batch],
    settings: Training,
    scales: list[nn.Parameter],
    rate: float,
) -> bool:
    """Whether a step at this rate leaves the loss of its own samples no higher than it was."""
    before, parameters = take_snapshot(module), [p for p in module.parameters() if p.requires_grad]
    optimizer = optimizer_for(parameters, settings, rate, scales)
    set_rate(optimizer, rate)
    loss = gradients(optimizer, losses_of, step)
    optimizer_step(optimizer, parameters, settings.clip_norm)
    with torch.no_grad():
        behind = sum(float(loss) for loss in losses_of(step))
    restore_snapshot(module, before)
    return behind <= loss


def range_test(
    module: nn.Module,
    losses_of: Losses,
    batches: Iterator[list[Batch]],
    settings: Training,
    scales: list[nn.Parameter],
    steps: int = MAX_STEPS,
) -> RangeTest:
    """Run the range test, `steps` at most, the `batches` of a step each; `losses_of` are the training losses of these.
    The module is as before when this returns."""
    beginning = max(1, round(steps * BASELINE_SHARE))
    before, parameters = take_snapshot(module), [p for p in module.parameters() if p.requires_grad]
    low = (MIN_RATES if steps >= MIN_STEPS_FROM_LOWEST else CAREFUL_RATES)[settings.optimizer]
    high = MAX_RATES[settings.optimizer]
    optimizer = optimizer_for(parameters, settings, low, scales)
    smoothed = Smoothed(MEMORY)
    rates: list[float] = []
    losses: list[float] = []
    for index, step in enumerate(islice(batches, steps)):
        rates.append(low * (high / low) ** (index / max(1, steps - 1)))
        set_rate(optimizer, rates[-1])
        losses.append(smoothed.add(gradients(optimizer, losses_of, step)))
        if index >= beginning and not losses[-1] <= MAX_RISE * max(losses[:beginning]):
            break
        optimizer_step(optimizer, parameters, settings.clip_norm)
    restore_snapshot(module, before)
    return RangeTest(rates, losses, _proposed(rates, losses, beginning))


def _proposed(rates: list[float], losses: list[float], beginning: int) -> float:
    """Propose half the rate at which the loss was lowest, but at least a tenth of the one that is too high.

    Steps at rates that change next to nothing do not count: their losses differ by the batches alone.
    """
    learning = range(min(beginning, len(losses) - 1), len(losses))
    lowest = min(learning, key=lambda index: losses[index])
    return max(rates[lowest] / 2, SAFE_SHARE * rates[-1])
