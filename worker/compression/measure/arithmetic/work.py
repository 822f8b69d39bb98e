"""Multiply-accumulates of a node as a runtime may have fused it: those of `formulas`, and of attention.

Attention, MultiHeadAttention     |q| · L + |output| · L        keys and values of length L
… with the projections within     B · S · H · 3H more           its second input is their weight [H, 3H]
"""

import math
from typing import Final

import onnx_ir as ir

from worker.compression.graph.nodes.formulas import node_macs
from worker.compression.graph.nodes.known_shapes import static_dims
from worker.compression.ir.values import input_at

ATTENTION: Final = frozenset({"Attention", "MultiHeadAttention", "QAttention"})


def macs_of(node: ir.Node) -> int | None:
    """Count them: 0 where it is no linear layer, None where its shapes are unknown."""
    return _attention(node) if node.op_type in ATTENTION else node_macs(node)


def _attention(node: ir.Node) -> int | None:
    data, second, output = (static_dims(v) for v in (node.inputs[0], input_at(node, 1), node.outputs[0]))
    if data is None or second is None or output is None:
        return None
    if len(second) == 2:  # [B, S, H] with a weight [H, 3H]
        return math.prod(data) * second[1] + math.prod(data[:2]) * data[1] * 2 * second[1] // 3
    length = second[-2] if len(second) == 4 else second[1]
    return (math.prod(data) + math.prod(output)) * length
