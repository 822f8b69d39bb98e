"""Puts the parts of a layer into the graph: smaller nodes before the node, which becomes the last of them.

The node keeps its name, its output and its bias. Of a convolution's attributes each part gets those of the axes that
its kernel spans; a part without a bias maps the zeros of the padding to zeros, so padding may come at any of them.
"""

import re
from collections.abc import Container
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import new_constant
from worker.compression.ir.naming import Names
from worker.compression.ir.values import graph_of
from worker.compression.layers.linear import Linear
from worker.compression.low_rank.decompositions import Split

PART: Final = re.compile(r"_(in|core)(_\d+)?$")
"""How the names of all parts but the last end, behind the layer's."""
WINDOW: Final = ("kernel_shape", "strides", "pads", "dilations", "auto_pad")


def factorise(layer: Linear, split: Split, parts: list[Array], bias: Array | None, names: Names) -> None:
    """Replace the layer by its parts [groups, rows, columns], in place; without `bias` [outputs] it keeps its own."""
    node, old = layer.node, layer.weight
    if node.op_type == "Conv":
        _convolutions(layer, split, parts, names)
    else:
        first = _constant(node, parts[0][0].T, f"{old.name}_in", names)
        _insert_before(node, "MatMul", [node.inputs[0], first], {}, "in", names)
        outputs_first = bool(node.attributes.get_int("transB", 0))
        last = parts[1][0] if outputs_first else parts[1][0].T
        node.replace_input_with(1, _constant(node, last, f"{old.name}_out", names))
    if bias is not None:
        node.resize_inputs(3)
        node.replace_input_with(2, _constant(node, bias, f"{node.name}_bias", names))
    if not old.uses() and old.name is not None:
        graph_of(node).initializers.pop(old.name)


def original_layer(part: str, layers: Container[str]) -> str:
    """Name the one of these layers that a node is a part of; the node's own name where it is part of none.

    Layers may be split again, so that parts have parts: endings are taken off one after the other.
    """
    name = part
    while name not in layers and (ending := PART.search(name)) is not None:
        name = name[: ending.start()]
    return name if name in layers else part


def _convolutions(layer: Linear, split: Split, parts: list[Array], names: Names) -> None:
    node = layer.node
    kernel = layer.dims[2:]
    all_axes, no_axes = [True] * len(kernel), [False] * len(kernel)
    spans = {
        "svd": [all_axes, no_axes],
        "channel": [all_axes, no_axes],
        "spatial": [[True, False], [False, True]],
        "tucker": [no_axes, all_axes, no_axes],
    }[split.kind]
    window = {name: node.attributes[name] for name in WINDOW if name in node.attributes}
    suffixes = ["in", "core", "out"] if len(parts) == 3 else ["in", "out"]
    for part, spanned, suffix in zip(parts, spans, suffixes, strict=True):
        size = [k if spans else 1 for k, spans in zip(kernel, spanned, strict=True)]
        groups, rows, columns = part.shape
        array = part.reshape(groups * rows, columns // int(np.prod(size)), *size)
        weight = _constant(node, array, f"{layer.weight.name}_{suffix}", names)
        attributes = _window_along(window, size, spanned) | {"group": ir.AttrInt64("group", groups)}
        if suffix == "out":
            node.replace_input_with(1, weight)
            for name in WINDOW:
                node.attributes.pop(name, None)
            node.attributes.update(attributes)
        else:
            _insert_before(node, "Conv", [node.inputs[0], weight], attributes, suffix, names)


def _window_along(window: dict[str, ir.Attr], size: list[int], spanned: list[bool]) -> dict[str, ir.Attr]:
    """Make the window attributes of a part: along an axis that it does not span it moves by one and pads nothing."""
    attributes: dict[str, ir.Attr] = {"kernel_shape": ir.AttrInt64s("kernel_shape", size)}
    for name, neutral in (("strides", 1), ("dilations", 1), ("pads", 0)):
        if name in window:
            values = window[name].as_ints()
            axes = spanned * (len(values) // len(spanned))  # pads: all beginnings, then all ends
            own = [v if spans else neutral for v, spans in zip(values, axes, strict=True)]
            attributes[name] = ir.AttrInt64s(name, own)
    if "auto_pad" in window and any(spanned):
        attributes["auto_pad"] = window["auto_pad"]
    return attributes


def _insert_before(
    node: ir.Node,
    op: str,
    inputs: list[ir.Value | None],
    attributes: dict[str, ir.Attr],
    suffix: str,
    names: Names,
) -> None:
    """Insert a node between this one and its data."""
    output = ir.Value(name=names.fresh(f"{node.name}_{suffix}_output"), type=ir.TensorType(ir.DataType.FLOAT))
    part = ir.Node(
        "",
        op,
        inputs,
        list(attributes.values()),
        outputs=[output],
        name=names.fresh(f"{node.name}_{suffix}"),
    )
    graph_of(node).insert_before(node, part)
    node.replace_input_with(0, output)


def _constant(node: ir.Node, array: Array, wish: str, names: Names) -> ir.Value:
    assert isinstance(node.graph, ir.Graph)
    return new_constant(node.graph, names.fresh(wish), array.astype(np.float32))
