"""Let a convolution pad by itself with the zeros that a Pad before it adds.

Conv(Pad(x, p), pads=q)  →  Conv(x, pads=p + q)          zeros, along height and width alone
"""

from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.values import all_nodes, array_of, input_at, is_constant, tensor_of

PADS, NUMBER, AXES = 1, 2, 3
"""Inputs of Pad, attributes until opset 10."""
SPATIAL: Final = 2
"""Axes from here on are padded by a convolution."""


def fold_paddings(model: ir.Model) -> int:
    """Fold them in place, subgraphs included. Returns how many convolutions pad by themselves now."""
    folded = 0
    for node in list(all_nodes(model)):
        pads = _folded_pads(node)
        if pads is not None:
            pad = node.inputs[0].producer()  # type: ignore[union-attr]
            node.attributes["pads"] = ir.AttrInt64s("pads", pads)
            node.replace_input_with(0, pad.inputs[0])  # type: ignore[union-attr]
            folded += 1
    return folded


def _folded_pads(node: ir.Node) -> list[int] | None:
    """All pads of a convolution with those of the Pad before it, which may have other readers."""
    x, weight = input_at(node, 0), input_at(node, 1)
    pad = None if x is None else x.producer()
    if (node.domain, node.op_type) != ("", "Conv") or pad is None or (pad.domain, pad.op_type) != ("", "Pad"):
        return None
    if not is_constant(weight) or node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET":
        return None
    if pad.attributes.get_string("mode", "constant") != "constant" or not _adds_zeros(pad):
        return None
    rank = len(tensor_of(weight).shape)
    added = _sizes(pad, rank)
    if added is None or added[:, :SPATIAL].any() or (added < 0).any():
        return None
    own = np.array(node.attributes.get_ints("pads", [0] * 2 * (rank - SPATIAL))).reshape(2, -1)
    return [int(size) for size in (own + added[:, SPATIAL:]).reshape(-1)]


def _adds_zeros(pad: ir.Node) -> bool:
    number = input_at(pad, NUMBER)
    if number is None:
        return pad.attributes.get_float("value", 0.0) == 0
    return is_constant(number) and not array_of(number).any()


def _sizes(pad: ir.Node, rank: int) -> np.ndarray | None:
    """int64 [2, rank]: what is added before and behind along each axis; None where that is not known."""
    sizes, axes = input_at(pad, PADS), input_at(pad, AXES)
    if sizes is None:
        flat = np.array(pad.attributes.get_ints("pads", ()), np.int64)
    elif is_constant(sizes) and (axes is None or is_constant(axes)):
        flat = array_of(sizes).reshape(-1)
    else:
        return None
    along = np.arange(rank) if axes is None else array_of(axes).reshape(-1) % rank
    if flat.size != 2 * len(along):
        return None
    made = np.zeros((2, rank), np.int64)
    made[:, along] = flat.reshape(2, -1)
    return made
