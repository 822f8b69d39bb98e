"""Operators of ONNX Runtime's own domain `com.microsoft` that its optimizer writes into exported graphs."""

from collections.abc import Callable
from typing import Final

import torch
from torch.nn import functional

from worker.compression.engine.operator import Attributes, Function, Operator, Unsupported
from worker.compression.engine.operators.activation import numbered
from worker.compression.engine.operators.arguments import outputs_used
from worker.compression.engine.operators.elementwise import plain
from worker.compression.engine.operators.linear import conv
from worker.compression.engine.operators.normalisation import layer_statistics

FUSED: Final[dict[str, Callable[..., torch.Tensor]]] = {
    "": lambda x: x,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "LeakyRelu": functional.leaky_relu,
    "Clip": torch.clamp,
    "HardSigmoid": lambda x, alpha, beta: (alpha * x + beta).clamp(0.0, 1.0),
}


def fast_gelu(x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Gelu by tanh, of x + bias [C]."""
    return functional.gelu(x if bias is None else x + bias, approximate="tanh")


def fused_matmul(attributes: Attributes) -> Function:
    """Compute alpha · A' B', where ' is a transposition of the last two axes."""
    if attributes.integer("transBatchA", 0) or attributes.integer("transBatchB", 0):
        raise Unsupported("it moves the batch axis (transBatchA, transBatchB)")
    alpha = attributes.number("alpha", 1.0)
    trans_a, trans_b = attributes.integer("transA", 0), attributes.integer("transB", 0)

    def run(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        a = a.transpose(-1, -2) if trans_a and a.ndim > 1 else a
        b = b.transpose(-1, -2) if trans_b and b.ndim > 1 else b
        product = a @ b
        return product if alpha == 1.0 else alpha * product

    return run


def fused_conv(attributes: Attributes) -> Function:
    """Compute activation(Conv(x, W, B) + Z)."""
    name, inner = attributes.text("activation", ""), conv(attributes)
    numbers = attributes.numbers("activation_params") or []
    if name not in FUSED:
        raise Unsupported(f"the engine knows no activation {name!r} in it")

    def run(
        x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None, z: torch.Tensor | None = None
    ) -> torch.Tensor:
        y = inner(x, w, b)
        return FUSED[name](y if z is None else y + z, *numbers)

    return run


def skip_layer_norm(attributes: Attributes) -> Function:
    """Normalise x + skip + bias over the last axis; the fourth output is that sum."""
    epsilon, statistics = attributes.number("epsilon", 1e-12), 1 < outputs_used(attributes) < 4

    def run(
        x: torch.Tensor,
        skip: torch.Tensor,
        scale: torch.Tensor,
        beta: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor | None, ...]:
        total = x + skip if bias is None else x + skip + bias
        moments = layer_statistics(total, -1, epsilon) if statistics else (None, None)
        return functional.layer_norm(total, total.shape[-1:], scale, beta, epsilon), *moments, total

    return run


OPERATORS: Final[dict[str, Operator]] = {
    "Gelu": Operator(plain(functional.gelu)),
    "BiasGelu": Operator(plain(lambda x, bias: functional.gelu(x + bias)), weights=(1,)),
    "FastGelu": Operator(plain(fast_gelu), weights=(1,)),
    "QuickGelu": Operator(numbered(lambda x, alpha: x * torch.sigmoid(alpha * x), alpha=1.702)),
    "FusedMatMul": Operator(fused_matmul, weights=(0, 1)),
    "FusedConv": Operator(fused_conv, weights=(1, 2)),
    "SkipLayerNormalization": Operator(skip_layer_norm, weights=(2, 3, 4)),
}
