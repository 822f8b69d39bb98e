"""Fold what is done to each channel of a layer's output into the layer: a convolution or product alone remains.

    f · (w·x + b) + s  =  (f w)·x + (f b + s)

    BatchNormalization     f = γ / √(σ² + ε),  s = β − f μ         (Jacob et al. 2018)
    Mul, Div, Add, Sub     by constants that are the same all over a channel

The numbers are computed in float64. The node keeps its name, and its output takes the name of what is gone.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit, put_in_place
from worker.compression.ir.values import array_of, input_at, is_constant, is_read_once, required_input

LAYERS: Final = frozenset({"Conv", "ConvTranspose", "Gemm"})
WEIGHT, BIAS = 1, 2
CHANNELS: Final = 1
"""The axis of the channels in the output of each of these layers."""
EPSILON: Final = 1e-5
"""Of BatchNormalization, where the node gives none."""
FLOATS: Final = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE})


@dataclass(frozen=True)
class ChannelAffine:
    """What a node does to the output of the layer before it: `factor` and `shift` float64 [channels], None for none."""

    node: ir.Node
    layer: ir.Node
    factor: Array | None
    shift: Array | None

    @property
    def reads_weight_alone(self) -> bool:
        """Whether nothing else reads a weight that would become another."""
        return self.factor is None or len(required_input(self.layer, WEIGHT).uses()) == 1


def channel_affine(node: ir.Node) -> ChannelAffine | None:
    """Read what a node does to each channel of the layer that only it reads; None where that cannot be folded."""
    if node.domain not in ("", "ai.onnx"):
        return None
    match node.op_type:
        case "BatchNormalization":
            return _normalised(node)
        case "Mul" | "Add" | "Sub" | "Div":
            return _by_constant(node)
    return None


def fold(edit: GraphEdit, affine: ChannelAffine) -> None:
    """Put the factor and the shift into the layer, in place of the node."""
    layer, factor, shift = affine.layer, affine.factor, affine.shift
    weight, bias = required_input(layer, WEIGHT), input_at(layer, BIAS)
    numbers, dtype = array_of(weight).astype(np.float64), array_of(weight).dtype
    offset = None if bias is None else _bias(layer)
    if factor is not None:
        scaled = (numbers * _along_outputs(layer, factor)).astype(dtype)
        layer.replace_input_with(WEIGHT, edit.new_constant(f"{weight.name}_folded", scaled))
        offset = None if offset is None else offset * factor
    if shift is not None:
        offset = shift if offset is None else offset + shift
    if offset is not None:
        layer.resize_inputs(BIAS + 1)
        layer.replace_input_with(BIAS, edit.new_constant(f"{layer.name}_bias_folded", offset.astype(dtype)))
    put_in_place(affine.node, [], [(affine.node.outputs[0], layer.outputs[0])])


def _normalised(norm: ir.Node) -> ChannelAffine | None:
    layer = _layer_before(norm, 0)
    is_plain = norm.attributes.get_int("training_mode", 0) == 0 and norm.attributes.get_int("spatial", 1) == 1
    if layer is None or not is_plain or any(value.uses() for value in norm.outputs[1:]):
        return None
    if not all(_is_float(input_at(norm, index)) for index in range(1, 5)):
        return None
    gamma, beta, mean, variance = (array_of(norm.inputs[i]).astype(np.float64) for i in range(1, 5))
    with np.errstate(all="ignore"):
        factor = gamma / np.sqrt(variance + norm.attributes.get_float("epsilon", EPSILON))
        return _finite(norm, layer, factor, beta - factor * mean)


def _by_constant(node: ir.Node) -> ChannelAffine | None:
    for at in (0, 1):
        layer, other = _layer_before(node, at), input_at(node, 1 - at)
        if layer is None or not _is_float(other) or (at == 1 and node.op_type == "Div"):
            continue
        numbers = _per_channel(array_of(other), *_output(layer))
        if numbers is None:
            continue
        with np.errstate(all="ignore"):
            match node.op_type:
                case "Add":
                    return _finite(node, layer, None, numbers)
                case "Sub" if at == 0:
                    return _finite(node, layer, None, -numbers)
                case "Sub":
                    return _finite(node, layer, -np.ones_like(numbers), numbers)
                case "Mul":
                    return _finite(node, layer, numbers, None)
                case "Div":
                    return _finite(node, layer, 1 / numbers, None)
    return None


def _finite(node: ir.Node, layer: ir.Node, factor: Array | None, shift: Array | None) -> ChannelAffine | None:
    if not all(np.isfinite(numbers).all() for numbers in (factor, shift) if numbers is not None):
        return None
    return ChannelAffine(node, layer, factor, shift)


def _layer_before(node: ir.Node, index: int) -> ir.Node | None:
    """The layer whose output only this node reads, with a constant weight and a constant bias or none."""
    value = input_at(node, index)
    layer = None if value is None else value.producer()
    if value is None or layer is None or layer.domain not in ("", "ai.onnx") or layer.op_type not in LAYERS:
        return None
    if layer.graph is not node.graph or not is_read_once(value):
        return None
    weight, bias = input_at(layer, WEIGHT), input_at(layer, BIAS)
    if not _is_float(weight) or not (bias is None or _is_float(bias)):
        return None
    scales = (layer.attributes.get_float(name, 1.0) for name in ("alpha", "beta"))
    if layer.op_type == "Gemm" and any(scale != 1.0 for scale in scales):
        return None
    return layer if bias is None or _bias(layer) is not None else None


def _is_float(value: ir.Value | None) -> bool:
    return value is not None and is_constant(value) and value.dtype in FLOATS


def _output(layer: ir.Node) -> tuple[int, int]:
    """Channels and rank of its output."""
    shape = [int(dim) for dim in array_of(layer.inputs[WEIGHT]).shape]
    match layer.op_type:
        case "Conv":
            return shape[0], len(shape)
        case "ConvTranspose":
            return shape[1] * layer.attributes.get_int("group", 1), len(shape)
    return shape[0 if layer.attributes.get_int("transB", 0) else 1], 2


def _along_outputs(layer: ir.Node, factor: Array) -> Array:
    """The factor of each channel, so that it is multiplied with the weight of that layer."""
    shape = array_of(layer.inputs[WEIGHT]).shape
    match layer.op_type:
        case "Conv":
            return factor.reshape(-1, *[1] * (len(shape) - 1))
        case "ConvTranspose":  # [inputs, outputs / groups, …]: each group of inputs has outputs of its own
            groups = layer.attributes.get_int("group", 1)
            rows = np.repeat(factor.reshape(groups, -1), shape[0] // groups, axis=0)
            return rows.reshape(*shape[:2], *[1] * (len(shape) - 2))
    return factor[:, None] if layer.attributes.get_int("transB", 0) else factor


def _bias(layer: ir.Node) -> Array | None:
    numbers = array_of(layer.inputs[BIAS])
    return _per_channel(numbers, *_output(layer)) if layer.op_type == "Gemm" else numbers.astype(np.float64)


def _per_channel(numbers: Array, channels: int, rank: int) -> Array | None:
    """float64 [channels] of what is broadcast to an output of this rank; None where it differs within a channel."""
    shape = (1,) * (rank - numbers.ndim) + numbers.shape
    others = [size for axis, size in enumerate(shape) if axis != CHANNELS]
    if numbers.ndim > rank or any(size != 1 for size in others) or shape[CHANNELS] not in (1, channels):
        return None
    return np.broadcast_to(numbers.astype(np.float64).reshape(-1), channels).copy()
