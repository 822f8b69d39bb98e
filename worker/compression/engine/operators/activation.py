"""Activations. Formulas where torch has none of that name."""

from collections.abc import Callable
from typing import Final

import torch
from torch.nn import functional

from worker.compression.engine.operator import Attributes, Build, Function, Operator
from worker.compression.engine.operators.elementwise import plain

AXIS_ALONE: Final = 13
"""Before this version a softmax was over all axes from `axis` on, and `axis` was 1 by default."""


def numbered(function: Callable[..., torch.Tensor], **defaults: float) -> Build:
    """Build an activation whose attributes are numbers, passed in the order of their defaults here."""

    def build(attributes: Attributes) -> Function:
        values = [attributes.number(name, default) for name, default in defaults.items()]
        return lambda x: function(x, *values)

    return build


def along(function: Callable[[torch.Tensor, int], torch.Tensor]) -> Build:
    """Build a function over one axis, in older versions over all axes from one on."""

    def build(attributes: Attributes) -> Function:
        if attributes.opset >= AXIS_ALONE:
            axis = attributes.integer("axis", -1)
            return lambda x: function(x, axis)
        first = attributes.integer("axis", 1)
        return lambda x: function(x.flatten(first), -1).view(x.shape)

    return build


def gelu(attributes: Attributes) -> Function:
    """x Φ(x), or its approximation by tanh (Hendrycks & Gimpel 2016)."""
    approximate = attributes.text("approximate", "none")
    return lambda x: functional.gelu(x, approximate=approximate)


def prelu(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """Compute x where positive, else slope · x. torch's own knows one slope, or one a channel (axis 1)."""
    slope = slope.to(x.dtype)
    if slope.numel() == 1:
        return functional.prelu(x, slope.reshape(1))
    if slope.ndim == x.ndim - 1 and slope.shape[0] == slope.numel():
        return functional.prelu(x, slope.flatten())
    return torch.where(x > 0, x, slope * x)


def shrink(x: torch.Tensor, lambd: float, bias: float) -> torch.Tensor:
    """0 within ±`lambd`; beyond, x moved towards 0 by `bias`."""
    return torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, torch.zeros_like(x)))


OPERATORS: Final[dict[str, Operator]] = {
    "Relu": Operator(plain(torch.relu)),
    "LeakyRelu": Operator(numbered(functional.leaky_relu, alpha=0.01)),
    "PRelu": Operator(plain(prelu), since=7, weights=(1,)),
    "ThresholdedRelu": Operator(numbered(lambda x, alpha: functional.threshold(x, alpha, 0.0), alpha=1.0)),
    "Elu": Operator(numbered(functional.elu, alpha=1.0)),
    "Celu": Operator(numbered(functional.celu, alpha=1.0)),
    "Selu": Operator(
        numbered(
            lambda x, alpha, gamma: gamma * functional.elu(x, alpha),
            alpha=1.67326319217681884765625,
            gamma=1.05070102214813232421875,
        ),
        since=6,
    ),
    "Sigmoid": Operator(plain(torch.sigmoid)),
    "HardSigmoid": Operator(
        numbered(lambda x, alpha, beta: (alpha * x + beta).clamp(0.0, 1.0), alpha=0.2, beta=0.5)
    ),
    "Softplus": Operator(plain(lambda x: functional.softplus(x, threshold=50.0))),
    "Softsign": Operator(plain(functional.softsign)),
    "Gelu": Operator(gelu),
    "Swish": Operator(
        numbered(
            lambda x, alpha: functional.silu(x) if alpha == 1.0 else x * torch.sigmoid(alpha * x), alpha=1.0
        )
    ),
    "HardSwish": Operator(plain(functional.hardswish)),
    "Mish": Operator(plain(functional.mish)),
    "Shrink": Operator(numbered(shrink, lambd=0.5, bias=0.0)),
    "Softmax": Operator(along(torch.softmax)),
    "LogSoftmax": Operator(along(torch.log_softmax)),
    "Hardmax": Operator(
        along(lambda x, axis: torch.zeros_like(x).scatter(axis, x.argmax(axis, keepdim=True), 1.0))
    ),
}
