"""Optimizer, schedule, gradients and one step downhill.

    rate(t) = peak · min(1, (t+1)/w) · ½ (1 + cos(π (t−w)/(T−w)))      w steps of warm-up, T in all, of each stage

SGD has momentum 0.9; AdamW the usual 0.9 and 0.999 (Loshchilov & Hutter 2019, arXiv:1711.05101). Weights decay,
biases, norms and scales do not.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn

from winnow.contract.recipe import Training
from worker.compression.training.feeding.batches import Batch

MOMENTUM = 0.9
Losses = Callable[[Sequence[Batch]], Iterable[torch.Tensor]]
"""Of the batches of a step, one after the other: they add up to the step's."""


def optimizer_for(
    parameters: Iterable[nn.Parameter], settings: Training, rate: float, scales: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """Make the optimizer: vectors and scalars are in a group of their own, which does not decay.

    AdamW moves everything by about the rate, whatever its size, and a quantization scale (or the values of a codebook)
    may be far smaller than that: it moves by the rate times its own size. No scale decays.
    """
    learning = {id(p): p for p in parameters}
    scale_parameters = {id(scale): scale for scale in scales if id(scale) in learning}
    relative = settings.optimizer == "adamw"
    regular = [p for key, p in learning.items() if key not in scale_parameters]
    groups = [
        {"params": [p for p in regular if p.ndim > 1], "weight_decay": settings.weight_decay, "factor": 1.0},
        {"params": [p for p in regular if p.ndim <= 1], "weight_decay": 0.0, "factor": 1.0},
        *(
            {
                "params": [p],
                "weight_decay": 0.0,
                "factor": float(p.detach().abs().mean()) if relative else 1.0,
            }
            for p in scale_parameters.values()
        ),
    ]
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=MOMENTUM, fused=True)
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def schedule(settings: Training, total: int, first_steps: int = 0) -> Callable[[int], float]:
    """Make the schedule: step number → factor of the peak rate. It begins anew behind the first stage."""
    first, last = _schedule(settings, first_steps), _schedule(settings, total - first_steps)
    return lambda step: first(step) if step < first_steps else last(step - first_steps)


def _schedule(settings: Training, total: int) -> Callable[[int], float]:
    warm = round(settings.warmup * total)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        if settings.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))

    return factor


def gradients(optimizer: torch.optim.Optimizer, losses_of: Losses, step: Sequence[Batch]) -> float:
    """Compute the gradients of a step's loss, batch by batch, and return it."""
    optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for loss in losses_of(step):
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    return total


def optimizer_step(
    optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], clip: float | None
) -> None:
    """Make one step downhill. The gradient's norm over all weights is cut to `clip`."""
    if clip is not None:
        nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
