"""Puts the parts of a layer into the graph: smaller nodes before the node, which becomes the last of them.

The node keeps its name, its output and its bias. Of a convolution's attributes each part gets those of the axes that
its kernel spans; a part without a bias maps the zeros of the padding to zeros, so padding may come at any of them.
"""

import re
from collections.abc import Container, Iterator
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
    """Replace the layer, and all that reads its weight, by its parts [groups, rows, columns], in place; they are stored
    once. Without `bias` [outputs] each keeps its own."""
    old, graph = layer.weight, graph_of(layer.weight)
    stored = [
        new_constant(graph, names.fresh(f"{old.name}_{suffix}"), np.asarray(array, np.float32))
        for array, suffix in zip(_as_stored(layer, split, parts), _suffixes(parts), strict=True)
    ]
    for reader in layer.readers:
        if reader.node.op_type == "Conv":
            _convolutions(reader, split, stored, parts[0].shape[0], names)
        else:
            insert_before(reader.node, "MatMul", [reader.node.inputs[0], stored[0]], {}, "in", names)
            reader.node.replace_input_with(1, stored[1])
    if bias is not None:
        node = layer.node
        node.resize_inputs(3)
        node.replace_input_with(
            2, new_constant(graph, names.fresh(f"{node.name}_bias"), bias.astype(np.float32))
        )
    if not old.uses() and old.name is not None:
        graph.initializers.pop(old.name)


def original_layer(part: str, layers: Container[str]) -> str:
    """Name the one of these layers that a node is a part of; the node's own name where it is part of none.

    Layers may be split again, so that parts have parts: endings are taken off one after the other.
    """
    name = part
    while name not in layers and (ending := PART.search(name)) is not None:
        name = name[: ending.start()]
    return name if name in layers else part


def _suffixes(parts: list[Array]) -> list[str]:
    return ["in", "core", "out"] if len(parts) == 3 else ["in", "out"]


def _as_stored(layer: Linear, split: Split, parts: list[Array]) -> Iterator[Array]:
    """Lay the parts out as the nodes read them."""
    if layer.node.op_type != "Conv":
        yield parts[0][0].T
        yield parts[1][0] if layer.outputs_first else parts[1][0].T
        return
    for part, spanned in zip(parts, _spans(layer, split), strict=True):
        size = _size(layer, spanned)
        groups, rows, columns = part.shape
        yield part.reshape(groups * rows, columns // int(np.prod(size)), *size)


def _spans(layer: Linear, split: Split) -> list[list[bool]]:
    """Which axes of the kernel each part spans."""
    kernel = layer.dims[2:]
    all_axes, no_axes = [True] * len(kernel), [False] * len(kernel)
    return {
        "svd": [all_axes, no_axes],
        "channel": [all_axes, no_axes],
        "spatial": [[True, False], [False, True]],
        "tucker": [no_axes, all_axes, no_axes],
    }[split.kind]


def _size(layer: Linear, spanned: list[bool]) -> list[int]:
    return [k if spans else 1 for k, spans in zip(layer.dims[2:], spanned, strict=True)]


def _convolutions(layer: Linear, split: Split, stored: list[ir.Value], groups: int, names: Names) -> None:
    node, spans = layer.node, _spans(layer, split)
    sizes = [_size(layer, spanned) for spanned in spans]  # of the weight as it was: the node gets another
    window = {name: node.attributes[name] for name in WINDOW if name in node.attributes}
    *before, last = zip(stored, sizes, spans, strict=True)
    suffixes = ["in", "core"]
    for (weight, size, spanned), suffix in zip(before, suffixes, strict=False):
        insert_before(
            node, "Conv", [node.inputs[0], weight], _attributes(window, size, spanned, groups), suffix, names
        )
    weight, size, spanned = last
    node.replace_input_with(1, weight)
    for name in WINDOW:
        node.attributes.pop(name, None)
    node.attributes.update(_attributes(window, size, spanned, groups))


def _attributes(
    window: dict[str, ir.Attr], size: list[int], spanned: list[bool], groups: int
) -> dict[str, ir.Attr]:
    return _window_along(window, size, spanned) | {"group": ir.AttrInt64("group", groups)}


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


def insert_before(
    node: ir.Node,
    op: str,
    inputs: list[ir.Value | None],
    attributes: dict[str, ir.Attr],
    suffix: str,
    names: Names,
) -> None:
    """Insert a node between this one and its data; `inputs` are its own."""
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
