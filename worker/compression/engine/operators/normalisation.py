"""Normalisation of each example by itself. γ is the scale, β the bias.

y = γ (x − μ) / √(σ² + ε) + β    μ, σ² over the axes that the operator names
"""

import math
from typing import Final

import torch
from torch.nn import functional

from worker.compression.engine.operator import Attributes, Function, Operator
from worker.compression.engine.operators.arguments import outputs_used

BY_CHANNEL: Final = 21
"""From this version on GroupNormalization has a scale for each channel, not for each group."""


def layer_norm(attributes: Attributes) -> Function:
    """Over all axes from `axis` on; also mean and 1/√(σ² + ε) where they are asked for."""
    axis, epsilon = attributes.integer("axis", -1), attributes.number("epsilon", 1e-5)
    statistics = outputs_used(attributes) > 1

    def run(
        x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor | tuple[torch.Tensor, ...]:
        shape = x.shape[axis:]
        y = functional.layer_norm(x, shape, _filling(scale, shape), _filling(bias, shape), epsilon)
        return (y, *layer_statistics(x, axis, epsilon)) if statistics else y

    return run


def _filling(tensor: torch.Tensor | None, shape: torch.Size) -> torch.Tensor | None:
    """torch does not broadcast scale and bias."""
    return tensor if tensor is None or tensor.shape == shape else tensor.expand(shape)


def layer_statistics(x: torch.Tensor, axis: int, epsilon: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and 1 / √(variance + ε) over the axes from `axis` on, kept as axes of size 1."""
    variance, mean = torch.var_mean(x, list(range(axis % x.ndim, x.ndim)), correction=0, keepdim=True)
    return mean, (variance + epsilon).rsqrt()


def rms_norm(attributes: Attributes) -> Function:
    """γ x / √(mean x² + ε) over all axes from `axis` on."""
    axis, epsilon = attributes.integer("axis", -1), attributes.number("epsilon", 1e-5)

    def run(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        axes = list(range(axis % x.ndim, x.ndim))
        return x * (x.square().mean(axes, keepdim=True) + epsilon).rsqrt() * scale

    return run


def group_norm(attributes: Attributes) -> Function:
    """Over the channels of one group and all axes behind."""
    groups, epsilon = attributes.integer("num_groups", 1), attributes.number("epsilon", 1e-5)
    by_channel = attributes.opset >= BY_CHANNEL

    def run(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        if not by_channel:
            each = x.shape[1] // groups
            scale, bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
        return torch.group_norm(x, groups, scale, bias, epsilon)

    return run


def instance_norm(attributes: Attributes) -> Function:
    """Over all axes behind the channel: groups of one channel."""
    epsilon = attributes.number("epsilon", 1e-5)
    return lambda x, scale, bias: torch.group_norm(x, x.shape[1], scale, bias, epsilon)


def lp_norm(attributes: Attributes) -> Function:
    """x / ‖x‖ₚ along `axis`; zeros stay zeros."""
    axis, power = attributes.integer("axis", -1), attributes.integer("p", 2)
    return lambda x: functional.normalize(x, float(power), axis)


def mean_variance(attributes: Attributes) -> Function:
    """(x − μ) / (σ + 1e-9)."""
    axes = attributes.integers("axes") or [0, 2, 3]

    def run(x: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        return (x - mean) / (variance.sqrt() + 1e-9)

    return run


def lrn(attributes: Attributes) -> Function:
    """x / (bias + alpha/size · Σ x²)^beta, the sum over the `size` channels around each."""
    size, bias = attributes.integer("size", 1), attributes.number("bias", 1.0)
    alpha, beta = attributes.number("alpha", 1e-4), attributes.number("beta", 0.75)
    before, after = math.floor((size - 1) / 2), math.ceil((size - 1) / 2)

    def run(x: torch.Tensor) -> torch.Tensor:
        wide = functional.pad(x * x, [0, 0] * (x.ndim - 2) + [before, after])
        total = sum(wide.narrow(1, i, x.shape[1]) for i in range(size))
        return x / (bias + alpha / size * total) ** beta

    return run


OPERATORS: Final[dict[str, Operator]] = {
    "LayerNormalization": Operator(layer_norm, weights=(1, 2)),
    "RMSNormalization": Operator(rms_norm, weights=(1,)),
    "GroupNormalization": Operator(group_norm, weights=(1, 2)),
    "InstanceNormalization": Operator(instance_norm, weights=(1, 2)),
    "LpNormalization": Operator(lp_norm),
    "MeanVarianceNormalization": Operator(mean_variance),
    "LRN": Operator(lrn),
}
