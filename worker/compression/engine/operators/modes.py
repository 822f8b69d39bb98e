"""Operators that do one thing in training and another in evaluation."""

from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional

from worker.compression.engine.operator import Attributes, Function, Operator, Unsupported
from worker.compression.engine.operators.arguments import constant, outputs_used, single
from worker.compression.engine.recomputing import Statistics

STATISTICS_TOO: Final = 14
"""From this version on BatchNormalization is told by `training_mode`, not by the number of its outputs."""


class BatchNorm(Statistics):
    """γ (x − μ) / √(σ² + ε) + β for each channel; while training with the batch's μ, σ², which move the running ones,
    where it has more than one value a channel.

    ONNX counts momentum as what stays, torch as what comes.
    """

    def __init__(self, epsilon: float, momentum: float) -> None:
        super().__init__()
        self.epsilon, self.momentum = epsilon, 1.0 - momentum

    def forward(self, x: torch.Tensor, scale: Any, bias: Any, mean: Any, variance: Any) -> torch.Tensor:
        training = self.training and several(x)
        share = self.share(self.momentum)
        return functional.batch_norm(x, mean, variance, scale, bias, training, share, self.epsilon)


def several(x: torch.Tensor) -> bool:
    """Whether a channel has more values than one, whose variance would be zero."""
    return x.numel() > x.shape[1]


def batch_norm(attributes: Attributes) -> Function:
    """BatchNorm that learns; with the batch's statistics alone where the node is in training mode.

    Raises `Unsupported` for statistics of each value, and for what was exported in training mode below opset 14.
    """
    epsilon, momentum = attributes.number("epsilon", 1e-5), attributes.number("momentum", 0.9)
    if not attributes.integer("spatial", 1):
        raise Unsupported("its statistics are for each value, not for each channel (spatial = 0)")
    if attributes.integer("training_mode", 0):
        return _batch_statistics(epsilon, momentum)
    if attributes.opset < STATISTICS_TOO and outputs_used(attributes) > 1:
        raise Unsupported("it was exported in training mode")
    return BatchNorm(epsilon, momentum)


def _batch_statistics(epsilon: float, momentum: float) -> Function:
    """With `training_mode` the graph itself normalises by the batch, always, and answers the new statistics."""

    def run(x: torch.Tensor, scale: Any, bias: Any, mean: Any, variance: Any) -> tuple[torch.Tensor, ...]:
        y = functional.batch_norm(x, None, None, scale, bias, True, 0.0, epsilon)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        batch_variance, batch_mean = torch.var_mean(x, axes, correction=0)
        return y, mean.lerp(batch_mean, 1 - momentum), variance.lerp(batch_variance, 1 - momentum)

    return run


class Dropout(nn.Module):
    """Sets a share of the values to zero and the rest larger, only while training; also which ones stayed."""

    def __init__(self, ratio: float) -> None:
        super().__init__()
        self.ratio = ratio

    def forward(self, x: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        if not self.training or self.ratio == 0.0:
            return x, None
        return functional.dropout(x, self.ratio), None


class DropoutWithMask(Dropout):
    """Dropout that also gives which values were kept, a bool of x's shape."""

    def forward(self, x: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        share = self.ratio if self.training else 0.0
        mask = torch.rand_like(x) >= share
        return x * mask / (1.0 - share), mask


def dropout(attributes: Attributes) -> Function:
    """`ratio` and `training_mode` are inputs from version 12 on."""
    inputs = attributes.node.inputs
    if len(inputs) > 2 and inputs[2] is not None and single(constant(attributes, 2)) is not False:
        raise Unsupported("it drops values at random in evaluation too (training_mode)")
    has_ratio_input = len(inputs) > 1 and inputs[1] is not None
    ratio = single(constant(attributes, 1)) if has_ratio_input else attributes.number("ratio", 0.5)
    if ratio is None:
        raise Unsupported("its ratio is computed")
    return (DropoutWithMask if outputs_used(attributes) > 1 else Dropout)(ratio)


OPERATORS: Final[dict[str, Operator]] = {
    "BatchNormalization": Operator(batch_norm, since=7, weights=(1, 2)),
    "Dropout": Operator(dropout, since=7, host=(1, 2)),
}
