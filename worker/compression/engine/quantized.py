"""Make a graph of integers trainable: its weights as floats, and pairs of Q/DQ nodes as one function.

    int initializer ─ DQ ─ node      a latent float weight w, initially (q − z) s;  the DQ is fake_quantize(w, s)
    int32 initializer ─ DQ ─ node    a bias: a latent float, read as it is: its rounding is far below the weights'
    value ─ Q ─ DQ ─ nodes           fake_quantize(value, s)
    signs ─ Cast ─ Sub(½) ─ Mul(s)   a latent w in [−½, ½], initially q − ½;  the Cast is fake_quantize(w + ½, 1)

At the end q = clamp(round(w / s) + z), and a bias gets the scale that integer kernels ask for: that of the data times
that of the weight. Of a binary weight (`codebook_weights`) q = round(w + ½): as its latents never leave their range,
the gradients are those of BinaryConnect (Courbariaux et al. 2015, arXiv:1511.00363), in units of the channel's scale.
"""

from typing import Any, Final

import onnx_ir as ir
import torch

from worker.compression.engine.operator import Attributes, Function
from worker.compression.engine.operators.fakequant import RANGES, along, fake_quantize
from worker.compression.engine.operators.quantization import bounds
from worker.compression.engine.tensors import to_torch
from worker.compression.ir.values import input_at, tensor_of
from worker.compression.weight_storage.codebook_weights import HALF, weight_of_codes

WEIGHTS: Final = frozenset({ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT4, ir.DataType.UINT4})
BIAS: Final = ir.DataType.INT32


def reader_of(value: ir.Value) -> ir.Node | None:
    """Find the DequantizeLinear, or Cast of a binary weight's signs, that alone reads this integer initializer."""
    stored = value.const_value
    if stored is None or stored.dtype not in (WEIGHTS | {BIAS}):
        return None
    readers = [use.node for use in value.uses() if use.idx == 0]
    if (weight := weight_of_codes(value)) is not None:
        return readers[0] if weight.binary and weight.bits == 1 else None
    alone = len(readers) == 1 and len(value.uses()) == 1 and readers[0].op_type == "DequantizeLinear"
    if not alone or "block_size" in readers[0].attributes:
        return None
    scale = readers[0].inputs[1]
    return readers[0] if scale is not None and scale.is_initializer() else None


def is_bias(value: ir.Value) -> bool:
    return value.const_value is not None and value.const_value.dtype == BIAS


def reads_signs(reader: ir.Node) -> bool:
    """Whether a `reader_of` reads the signs of a binary weight."""
    return reader.op_type == "Cast"


def latent(value: ir.Value, reader: ir.Node) -> torch.Tensor:
    """Return the floats that the integers stand for."""
    integers = to_torch(tensor_of(value))
    if reads_signs(reader):
        return integers.float() - HALF
    scale, zero = _constant(reader, 1), _constant(reader, 2)
    assert scale is not None
    shape, axis = integers.ndim, _axis(reader)
    levels = integers.float() if zero is None else integers.float() - along(zero.float(), shape, axis)
    return levels * along(scale, shape, axis)


def latent_function(value: ir.Value, reader: ir.Node) -> Function:
    """Make what the reader of a latent weight does: (weight, scale, zero point) → weight as it will be stored; of signs
    weight → 0 or 1."""
    if reads_signs(reader):
        unit = torch.ones(())
        return lambda weight: fake_quantize(weight + HALF, unit, 0.0, 0, 1)
    if is_bias(value):
        return lambda weight, scale, zero=None: weight
    return _fake(limits(value), _axis(reader), _constant(reader, 2))


def limits(value: ir.Value) -> tuple[int, int]:
    """Bound what the integers may become: no farther from zero than they are, where their range was chosen to be
    narrower than their type's (7 bits for CPUs whose kernels would cut off larger sums)."""
    low, high = RANGES.get(tensor_of(value).dtype.name, (-(2**31) + 1, 2**31 - 1))
    if low == 0 or is_bias(value):
        return low, high
    widest = int(to_torch(tensor_of(value)).abs().max()) if tensor_of(value).size else high
    return max(low, -max(widest, 1)), min(high, max(widest, 1))


def fused(node: ir.Node) -> ir.Node | None:
    """Find the QuantizeLinear whose result this DequantizeLinear turns back with the same scale and zero point."""
    before = node.inputs[0].producer() if node.op_type == "DequantizeLinear" and node.inputs[0] else None
    if before is None or before.op_type != "QuantizeLinear" or before.domain != node.domain:
        return None
    same = [value.name if value is not None else None for value in before.inputs[1:]]
    here = [value.name if value is not None else None for value in node.inputs[1:]]
    blocks = "block_size" in before.attributes or "block_size" in node.attributes
    return before if same == here and _axis(before) == _axis(node) and not blocks else None


def fused_function(quantize: ir.Node) -> Function:
    return _fake(bounds(quantize), _axis(quantize), _constant(quantize, 2))


def integers(weight: torch.Tensor, value: ir.Value, reader: ir.Node) -> torch.Tensor:
    """Compute clamp(round(w / s) + z), as whole numbers in floats, with the scale as it is stored; of signs 0 and 1."""
    if reads_signs(reader):
        return (weight + HALF).round().clamp(0, 1)
    (low, high), scale, zero = limits(value), _constant(reader, 1), _constant(reader, 2)
    assert scale is not None
    ratio = weight.double() / along(scale.double(), weight.ndim, _axis(reader))
    shifted = (
        ratio.round() if zero is None else ratio.round() + along(zero.double(), weight.ndim, _axis(reader))
    )
    return shifted.clamp(low, high)


def _fake(within: tuple[int, int], axis: int, zero: torch.Tensor | None) -> Function:
    low, high = within
    fixed: Any = 0.0 if zero is None or not zero.any() else float(zero) if zero.numel() == 1 else None

    def run(x: torch.Tensor, scale: torch.Tensor, zero_input: torch.Tensor | None = None) -> torch.Tensor:
        return fake_quantize(
            x, scale, zero_input if fixed is None and zero_input is not None else fixed, low, high, axis
        )

    return run


def _axis(node: ir.Node) -> int:
    return Attributes(node, 0).integer("axis", 1)


def _constant(node: ir.Node, index: int) -> torch.Tensor | None:
    value = input_at(node, index)
    return None if value is None or value.const_value is None else to_torch(value.const_value)
