"""Folds scales and shifts of normalisations into the products that read them, exactly.

    y = n ⊙ γ + β        y W + b = n (γ ⊙ W) + (b + β W)

A Mul by a constant for each channel is a scale too, and an Add behind it a shift, as of a norm that is written out.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.channels.labels.node_view import integers
from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit, take_over
from worker.compression.ir.operator_sets import MATMULS
from worker.compression.ir.values import array_of, is_constant, required_input
from worker.compression.layers.linear import Linear, linear
from worker.compression.quantization.preparation.bias_correction import correct_bias
from worker.compression.quantization.preparation.channel_scaling import scale_inputs

NORMALISATIONS: Final = frozenset({"LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"})


def fold_normalisations(edit: GraphEdit) -> None:
    """Leave normalisations without scale and shift where only products read them, whatever picks, moves or
    averages rows in between."""
    for node in reversed(list(edit.graph)):
        if not edit.may_change(node):
            continue
        if node.op_type in NORMALISATIONS:
            _fold_norm(edit, node)
        elif node.op_type == "Mul" or (node.op_type == "Add" and _is_scaled(node)):
            _fold_constant(edit, node)


def _fold_norm(edit: GraphEdit, node: ir.Node) -> None:
    constants = [value for value in node.inputs[1:] if value is not None]
    if not constants or not all(map(is_constant, constants)):
        return
    scale, *shift = (array_of(value) for value in constants)
    readers = _products(edit, node.outputs[0], scale.size)
    if scale.ndim != 1 or not readers or (np.all(scale == 1) and not any(map(np.any, shift))):
        return
    for reader in readers:
        if shift:
            _shift(edit, reader, reader.matrix()[0].astype(np.float64) @ shift[0])
        scale_inputs(reader, scale)
    node.replace_input_with(1, edit.new_constant(f"{node.name}_scale", np.ones_like(scale)))
    if shift:
        node.replace_input_with(2, edit.new_constant(f"{node.name}_shift", np.zeros_like(scale)))


def _is_scaled(node: ir.Node) -> bool:
    makers = [value.producer() for value in node.inputs if value is not None]
    return any(
        each is not None and each.op_type == "Mul" and any(map(is_constant, each.inputs)) for each in makers
    )


def _fold_constant(edit: GraphEdit, node: ir.Node) -> None:
    """The Mul or Add goes."""
    index = 0 if is_constant(node.inputs[0]) else 1
    if not is_constant(node.inputs[index]) or is_constant(node.inputs[1 - index]):
        return
    numbers, data = array_of(required_input(node, index)), required_input(node, 1 - index)
    channels = numbers.size
    if channels < 2 or channels != numbers.shape[-1] or data.shape is None or data.shape[-1] != channels:
        return
    readers = _products(edit, node.outputs[0], channels)
    for reader in readers:
        if node.op_type == "Add":
            _shift(edit, reader, reader.matrix()[0].astype(np.float64) @ numbers.reshape(-1))
        else:
            scale_inputs(reader, numbers.reshape(-1))
    if readers:
        ir.convenience.replace_all_uses_with(node.outputs[0], data)
        edit.graph.remove(node, safe=True)


def _products(edit: GraphEdit, value: ir.Value, channels: int) -> list[Linear]:
    """All that read the channels; none where anything else does."""
    readers = list(_readers(value))
    layers = [each for each in readers if each is not None and each.channels == channels]
    fit = len(layers) == len(readers) and all(edit.may_change(layer.node) for layer in layers)
    return layers if fit else []


def _readers(value: ir.Value) -> Iterator[Linear | None]:
    """The products that read it, None for what is none."""
    if value.is_graph_output():
        yield None
    for use in value.uses():
        if use.node.op_type in ("Shape", "Size"):
            continue
        if use.idx == 0 and _keeps_last_axis(use.node):
            yield from _readers(use.node.outputs[0])
        else:
            yield linear(use.node) if use.idx == 0 and use.node.op_type in MATMULS else None


def _keeps_last_axis(node: ir.Node) -> bool:
    """Whether it only picks, moves or averages whole rows."""
    before, behind = required_input(node, 0).shape, node.outputs[0].shape
    if before is None or behind is None or not len(before) or not len(behind):
        return False
    if not isinstance(before[-1], int) or before[-1] != behind[-1]:
        return False
    last = len(before) - 1
    match node.op_type:
        case "Identity" | "Reshape":
            return True
        case "Squeeze" | "Unsqueeze":
            axes, rank = integers(node, "axes", 1), max(len(before), len(behind))
            return axes is not None and all(axis % rank != rank - 1 for axis in axes)
        case "Transpose":
            return "perm" in node.attributes and node.attributes["perm"].as_ints()[-1] == last
        case "Gather":
            return node.attributes.get_int("axis", 0) % len(before) != last
        case "ReduceMean":
            axes = integers(node, "axes", 1)
            return axes is not None and len(axes) > 0 and all(axis % len(before) != last for axis in axes)
        case "Slice":
            axes = integers(node, "axes", 3)
            return axes is not None and all(axis % len(before) != last for axis in axes)
    return False


def _shift(edit: GraphEdit, layer: Linear, by: Array) -> None:
    """Add to what the layer gives, float64 [out]: by its bias, or a sum behind it."""
    if correct_bias(edit, layer, -by):
        return
    given = layer.node.outputs[0]
    constant = edit.new_constant(f"{layer.name}_shift", by.astype(np.float32))
    added = edit.new_node("Add", [given, constant], f"{layer.name}_shifted")
    edit.graph.insert_after(layer.node, added)
    take_over(given, added.outputs[0])
    added.replace_input_with(0, given)
    given.name = edit.fresh_name(f"{layer.name}_unshifted")
    given.shape, given.type = added.outputs[0].shape, added.outputs[0].type
