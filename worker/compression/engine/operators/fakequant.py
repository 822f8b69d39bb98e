"""Quantization that gradients pass through (LSQ, Esser et al. 2020, arXiv:1902.08153). v = x / s, z the zero point:

    q = clamp(round(v) + z, lo, hi)        y = (q − z) s

    ∂y/∂x = 1 where lo ≤ round(v) + z ≤ hi, else 0
    ∂y/∂s = (q − z − v  there,  q − z elsewhere) · 1/√(N · hi)

N is the number of values that share a scale. Halves are rounded to even, as ONNX Runtime does.
"""

import math
from typing import Any, Final

import torch
from torch.autograd.function import once_differentiable

Zero = float | torch.Tensor
"""The zero point: a number, or a tensor of the scale's shape."""


def fake_quantize(
    x: torch.Tensor, scale: torch.Tensor, zero: Zero, lo: int, hi: int, axis: int = 0
) -> torch.Tensor:
    """Round x to the nearest that can be stored, in the scale's type. A scale [C] is one for each index of `axis`."""
    shaped, zeros = along(scale, x.ndim, axis), zero
    if isinstance(zero, torch.Tensor):
        zeros = along(zero, x.ndim, axis).to(shaped)
    y: torch.Tensor = FakeQuantize.apply(x, shaped, zeros, lo, hi)  # type: ignore[no-untyped-call]
    return y


def along(scale: torch.Tensor, rank: int, axis: int) -> torch.Tensor:
    """Reshape a scale so that it broadcasts against a tensor of that rank."""
    if scale.numel() == 1:
        return scale.reshape(())
    if scale.ndim != 1:
        return scale
    return scale.view([-1 if i == axis % rank else 1 for i in range(rank)])


def gradient_scale(values: int, scales: int, hi: int) -> float:
    """Compute the factor 1/√(N · hi) by which a scale moves as far in proportion to itself as weights do."""
    return 1.0 / math.sqrt(max(values // max(scales, 1), 1) * hi)


class FakeQuantize(torch.autograd.Function):
    """Both halves at once: cheaper than one after the other, and the gradient of the scale is not a difference
    of two large sums."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: torch.Tensor, zero: Zero, lo: int, hi: int) -> torch.Tensor:
        ratio = x.to(scale.dtype) / scale
        whole = ratio.round()
        clamped = whole.clamp(_less(lo, zero), _less(hi, zero))
        inside = whole == clamped
        learnt = ctx.needs_input_grad[1]
        ctx.save_for_backward(inside, torch.where(inside, clamped - ratio, clamped) if learnt else None)
        ctx.factor = gradient_scale(x.numel(), scale.numel(), hi)
        ctx.shape, ctx.dtype = scale.shape, x.dtype
        return clamped * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inside, slope = ctx.saved_tensors
        to_x = (grad * inside).to(ctx.dtype) if ctx.needs_input_grad[0] else None
        to_scale = None
        if ctx.needs_input_grad[1]:
            to_scale = (grad * slope).sum_to_size(ctx.shape) * ctx.factor
        return to_x, to_scale, None, None, None


def _less(bound: int, zero: Zero) -> Any:
    """Compute a bound of q − z: a number where it can be, for speed."""
    return bound - zero


RANGES: Final = {
    "INT2": (-2, 1),
    "UINT2": (0, 3),
    "INT4": (-8, 7),
    "UINT4": (0, 15),
    "INT8": (-128, 127),
    "UINT8": (0, 255),
    "INT16": (-32768, 32767),
    "UINT16": (0, 65535),
}
"""What each type that ONNX quantizes to can hold."""
