"""QuantizeLinear and DequantizeLinear as fake quantization: whole numbers held in floats, gradients passed through.

One after the other they have the gradients of `fakequant.fake_quantize`.
"""

from typing import Any, Final

import numpy as np
import onnx_ir as ir
import torch
from torch.autograd.function import once_differentiable

from worker.compression.engine.operator import Attributes, Function, Operator, Unsupported
from worker.compression.engine.operators.arguments import constant
from worker.compression.engine.operators.fakequant import RANGES, Zero, along, gradient_scale
from worker.compression.ir.values import input_at


class Quantize(torch.autograd.Function):
    """clamp(round(x / s) + z, lo, hi); rounding has the gradient of doing nothing."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: torch.Tensor, zero: Zero, lo: int, hi: int) -> torch.Tensor:
        ratio = x.to(scale.dtype) / scale
        whole = ratio.round() + zero
        clamped = whole.clamp(lo, hi)
        ctx.save_for_backward(whole == clamped, ratio, scale)
        ctx.factor, ctx.dtype = gradient_scale(x.numel(), scale.numel(), hi), x.dtype
        return clamped

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inside, ratio, scale = ctx.saved_tensors
        slope = grad * inside / scale
        to_scale = (slope * -ratio).sum_to_size(scale.shape) * ctx.factor if ctx.needs_input_grad[1] else None
        return slope.to(ctx.dtype), to_scale, None, None, None


class Dequantize(torch.autograd.Function):
    """(q − z) s."""

    @staticmethod
    def forward(ctx: Any, q: torch.Tensor, scale: torch.Tensor, zero: Zero, hi: int) -> torch.Tensor:
        level = q.to(scale.dtype) - zero
        ctx.save_for_backward(level, scale)
        ctx.factor, ctx.dtype = gradient_scale(q.numel(), scale.numel(), hi), q.dtype
        return level * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        level, scale = ctx.saved_tensors
        to_q = (grad * scale).to(ctx.dtype) if ctx.needs_input_grad[0] else None
        to_scale = (grad * level).sum_to_size(scale.shape) * ctx.factor if ctx.needs_input_grad[1] else None
        return to_q, to_scale, None, None


def quantize(attributes: Attributes) -> Function:
    """clip(round(x / scale) + zero, lo, hi); see `Quantize` for its gradient."""
    lo, hi = bounds(attributes.node)
    shaped = _shaped(attributes)

    def run(x: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor | None = None) -> Any:
        return Quantize.apply(x, *shaped(x, scale, zero), lo, hi)  # type: ignore[no-untyped-call]

    return run


def dequantize(attributes: Attributes) -> Function:
    """(q − zero) · scale; scale and zero of a tensor, an axis or blocks of an axis."""
    hi = _high(attributes.node)
    shaped = _shaped(attributes)

    def run(q: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor | None = None) -> Any:
        return Dequantize.apply(q, *shaped(q, scale, zero), hi)  # type: ignore[no-untyped-call]

    return run


def bounds(node: ir.Node) -> tuple[int, int]:
    """What a QuantizeLinear can hold, by its zero point's type, `output_dtype`, or else uint8."""
    zero = input_at(node, 2)
    dtype = ir.DataType.UINT8
    if zero is not None and zero.dtype is not None:
        dtype = zero.dtype
    elif (output_dtype := node.attributes.get("output_dtype")) is not None and output_dtype.as_int():
        dtype = ir.DataType(output_dtype.as_int())
    if dtype.name not in RANGES:
        raise Unsupported(f"the engine does not quantize to {dtype.name}")
    return RANGES[dtype.name]


def _high(node: ir.Node) -> int:
    """The largest that a DequantizeLinear can read: by the type of what it reads."""
    read = node.inputs[0]
    producer = read.producer() if read is not None else None
    if producer is not None and producer.op_type == "QuantizeLinear":
        return bounds(producer)[1]
    dtype = read.dtype if read is not None else None
    if dtype is not None and dtype.name.startswith("FLOAT"):
        raise Unsupported(f"the engine does not dequantize {dtype.name}")
    return RANGES.get(dtype.name if dtype is not None else "INT8", (0, 2**31 - 1))[1]


def _shaped(attributes: Attributes) -> Any:
    """A function to scale and zero point as they broadcast against x."""
    axis, block = attributes.integer("axis", 1), attributes.integer("block_size", 0)
    fixed = _equal(constant(attributes, 2))

    def run(x: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor | None) -> tuple[torch.Tensor, Zero]:
        if block:
            size = x.shape[axis]
            scale = scale.repeat_interleave(block, axis).narrow(axis, 0, size)
            zero = None if zero is None else zero.repeat_interleave(block, axis).narrow(axis, 0, size)
        wide = along(scale, x.ndim, axis)
        if fixed is not None or zero is None:
            return wide, fixed or 0.0
        if zero.numel() == 1:
            return wide, float(zero.item())
        return wide, along(zero, x.ndim, axis).to(wide)

    return run


def _equal(numbers: Any) -> float | None:
    """The number that a constant zero point is everywhere: most often zero."""
    values = set(np.ravel(numbers).tolist()) if numbers is not None else set()
    return float(values.pop()) if len(values) == 1 else None


def quantize_dynamically(attributes: Attributes) -> Function:
    """To uint8 by what x spans with zero: s = (max − min) / 255, z = round(−min / s)."""

    def run(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        least, most = x.amin().clamp_max(0.0), x.amax().clamp_min(0.0)
        scale = (most - least) / 255
        zero = (-least / scale).round().clamp(0, 255).detach()
        ratio = x / scale
        whole = ratio + (ratio.round() - ratio).detach()
        return (whole + zero).clamp(0, 255), scale, zero.to(torch.uint8)

    return run


OPERATORS: Final[dict[str, Operator]] = {
    "QuantizeLinear": Operator(quantize, weights=(1,), host=(2,)),
    "DequantizeLinear": Operator(dequantize, weights=(1,), host=(2,)),
    "DynamicQuantizeLinear": Operator(quantize_dynamically),
}
