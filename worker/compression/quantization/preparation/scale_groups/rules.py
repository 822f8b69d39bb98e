"""How factors of channels go through operators: f(s x) = s f(x) for each channel, s > 0.

    Relu, LeakyRelu, pools, Resize, Pad with zeros, …   the same channels
    Add, Sub                  both have the same factors; a constant is scaled too
    Mul                       those of one operand; a constant, and the other operand, stay
    Concat                    each input its own along the channels, else all the same
    Split, Slice, Transpose, Reshape, Flatten, …        where channels can be followed
    Conv, Gemm, MatMul, LayerNormalization              none goes through: what is read is a consumer, what is given
                                                        has new ones

Whatever else reads a channel pins it.
"""

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.values import array_of, is_constant, pads_zeros, required_input
from worker.compression.layers.bias import owns_bias
from worker.compression.layers.linear import Linear, linear
from worker.compression.quantization.preparation.scale_groups.labels import Labelled, Labels, Place
from worker.compression.quantization.preparation.scale_groups.moves import (
    rank_of,
    reshape,
    sizes_of,
    split,
    transpose,
)

SAME = frozenset(
    {
        "AveragePool",
        "Dropout",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Identity",
        "LeakyRelu",
        "MaxPool",
        "ReduceMax",
        "ReduceMean",
        "Relu",
        "Resize",
        "Upsample",
    }
)
RESHAPING = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})


def label_channels(edit: GraphEdit, cuts: Collection[tuple[str, int]] = ()) -> Labels:
    """Label the channels of all values of the main graph. `cuts` are inputs of Concats and layers, by the node's
    name and their number, at which a Mul may be put in: they have scales of their own."""
    labels = Labels()
    for node in edit.graph:
        if node.domain not in ("", "ai.onnx") or not edit.may_change(node):
            _pin_all(labels, node)
        elif (layer := linear(node)) is not None:
            _layer(labels, layer, (str(node.name), 0) in cuts)
        elif node.op_type in SAME or pads_zeros(node):
            _same(labels, node)
        else:
            _other(labels, node, cuts)
    for value in [*edit.graph.outputs, *_read_inside(edit)]:
        labels.pin(value)
    return labels


def _other(labels: Labels, node: ir.Node, cuts: Collection[tuple[str, int]]) -> None:
    match node.op_type:
        case "Add" | "Sub" | "Sum" if len(node.inputs) == 2:
            _sum(labels, node)
        case "Mul" | "Div":
            _product(labels, node)
        case "Concat":
            _concat(labels, node, cuts)
        case "LayerNormalization":
            _norm(labels, node)
        case "Split":
            split(labels, node)
        case "Transpose":
            transpose(labels, node)
        case operator if operator in RESHAPING:
            reshape(labels, node)
        case "Shape":
            pass
        case _:
            _pin_all(labels, node)


def _pin_all(labels: Labels, node: ir.Node) -> None:
    for value in node.inputs:
        labels.pin(value)


def _read_inside(edit: GraphEdit) -> list[ir.Value]:
    """Values of the main graph that branches and bodies read."""
    inside = (node for node in edit.nodes() if node.graph is not edit.graph)
    return [value for node in inside for value in node.inputs if value is not None]


def _layer(labels: Labels, layer: Linear, cut: bool) -> None:
    data, given = required_input(layer.node, 0), layer.node.outputs[0]
    axis = -1 if layer.node.op_type != "Conv" else 1 - len(layer.dims)
    groups, outer, _ = layer.shape
    if cut:
        own = labels.fresh(groups * layer.channels, axis)
        labels.pin(data)
        labels.put_in.append(Place(layer.node, 0, own.labels, axis))
    else:
        own = labels.read(data, groups * layer.channels, axis)
    labels.consumers.append((layer, own.labels))
    out = labels.fresh(groups * outer, axis)
    labels.of[given] = out
    if owns_bias(layer):
        labels.producers.append((layer, out.labels))
    else:
        labels.pin(given)


def _same(labels: Labels, node: ir.Node) -> None:
    """The value's shape may change, but not along its channels."""
    value, given = required_input(node, 0), node.outputs[0]
    labelled, sizes = labels.of.get(value), sizes_of(given)
    if labelled is None:
        return
    same_rank = sizes is not None and len(sizes) == rank_of(value)
    if sizes is not None and same_rank and sizes[labelled.axis] == len(labelled.labels):
        labels.of[given] = labelled
    else:
        labels.pin(value)


def _sum(labels: Labels, node: ir.Node) -> None:
    first, second = required_input(node, 0), required_input(node, 1)
    if is_constant(first) or is_constant(second):
        _shifted(labels, node, 1 if is_constant(second) else 0)
        return
    a, b = labels.of.get(first), labels.of.get(second)
    if a is None or b is None or a.axis != b.axis or len(a.labels) != len(b.labels):
        _pin_all(labels, node)
        return
    labels.join(a, b)
    labels.of[node.outputs[0]] = a


def _shifted(labels: Labels, node: ir.Node, index: int) -> None:
    value, constant = required_input(node, 1 - index), array_of(node.inputs[index])
    labelled = labels.of.get(value)
    if labelled is None:
        return
    width = constant.shape[labelled.axis] if constant.ndim >= -labelled.axis else 1
    rank = rank_of(value)
    if width not in (1, len(labelled.labels)) or rank is None or constant.ndim > rank:
        labels.pin(value)
        return
    labels.shifts.append(Place(node, index, labelled.labels, labelled.axis))
    labels.of[node.outputs[0]] = labelled


def _product(labels: Labels, node: ir.Node) -> None:
    first, second = required_input(node, 0), required_input(node, 1)
    places = [value for value in (first, second) if value in labels.of]
    if first is second or not places or (node.op_type == "Div" and first not in labels.of):
        _pin_all(labels, node)
        return
    value, given = places[0], node.outputs[0]
    for other in places[1:]:
        labels.pin(other)
    labelled, sizes = labels.of[value], sizes_of(given)
    same_rank = sizes is not None and len(sizes) == rank_of(value)
    if sizes is not None and same_rank and sizes[labelled.axis] == len(labelled.labels):
        labels.of[given] = labelled
    else:
        labels.pin(value)


def _concat(labels: Labels, node: ir.Node, cuts: Collection[tuple[str, int]]) -> None:
    values = [value for value in node.inputs if value is not None]
    known = [labels.of[value] for value in values if value in labels.of]
    rank = rank_of(node.outputs[0])
    if rank is None or len({each.axis for each in known}) > 1:
        _pin_all(labels, node)
        return
    along = node.attributes["axis"].as_int()
    along = along - rank if along >= 0 else along
    axis = known[0].axis if known else along
    if along != axis:
        if not known or len(known) < len(values) or len({len(each.labels) for each in known}) > 1:
            _pin_all(labels, node)
            return
        for each in known[1:]:
            labels.join(known[0], each)
        labels.of[node.outputs[0]] = known[0]
        return
    parts = [_part(labels, node, index, axis, cuts) for index in range(len(values))]
    if any(part is None for part in parts):
        _pin_all(labels, node)
        return
    joined = np.concatenate([part.labels for part in parts if part is not None])
    labels.of[node.outputs[0]] = Labelled(joined, axis)


def _part(
    labels: Labels, node: ir.Node, index: int, axis: int, cuts: Collection[tuple[str, int]]
) -> Labelled | None:
    """Labels of one input of a Concat along its channels; None where it is not known how many it has."""
    value = required_input(node, index)
    sizes = sizes_of(value)
    if (str(node.name), index) not in cuts and value in labels.of:
        return labels.of[value]
    size = None if sizes is None else sizes[axis]
    if size is None:
        return None
    own = labels.fresh(size, axis)
    if (str(node.name), index) in cuts:
        labels.pin(value)
        labels.put_in.append(Place(node, index, own.labels, axis))
    else:
        labels.pin_labels(own.labels)
    return own


def _norm(labels: Labels, node: ir.Node) -> None:
    """Over the last axis alone, with a scale of its own."""
    labels.pin(node.inputs[0])
    constants = [value for value in node.inputs[1:] if value is not None]
    axis = node.attributes.get_int("axis", -1)
    rank = rank_of(node.inputs[0])
    last = axis == -1 or (rank is not None and axis == rank - 1)
    if not constants or not last or not all(map(is_constant, constants)):
        return
    shapes = {array_of(value).shape for value in constants}
    if len(shapes) == 1 and len(shape := shapes.pop()) == 1:
        out = labels.fresh(shape[0], -1)
        labels.norms.append((node, out.labels))
        labels.of[node.outputs[0]] = out
