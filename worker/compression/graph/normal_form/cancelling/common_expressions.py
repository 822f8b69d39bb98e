"""Compute once what a graph computes several times: nodes with the same operator, attributes and inputs are a single
one.

    Shape(x) ─► Gather(·, 0)                      Shape(x) ─► Gather(·, 0)
    Shape(x) ─► Gather(·, 0)         becomes                             ╰─► both readers

Inputs are the same where they are the same value, or constants of the same numbers that nothing learns: integers, and
single floats. Equal weights are two, since a training may make them differ. What is random stays, and so do
QuantizeLinear and DequantizeLinear, of which integer kernels want a pair of their own, nodes with subgraphs, and what
gives an output, which pins what it comes from.
"""

from collections.abc import Hashable
from typing import Final

import onnx_ir as ir

from worker.compression.graph.normal_form.folding import NEVER_FOLDED
from worker.compression.ir.values import graph_of, has_subgraph, is_constant, tensor_of

Key = tuple[Hashable, ...]

FLOATS: Final = frozenset(kind for kind in ir.DataType if kind.is_floating_point())
MAX_COMPARED: Final = 1024
"""Numbers of a constant that is compared by what it holds."""
APART: Final = NEVER_FOLDED - {"BitwiseAnd", "BitShift"}
"""What answers otherwise each time, and pairs of Q/DQ."""


def join_expressions(model: ir.Model) -> bool:
    """Join them in place, graph by graph. Returns whether there was any."""
    joined = [_join(graph) for graph in model.graphs()]
    return any(joined)


def _join(graph: ir.Graph) -> bool:
    first: dict[Key, ir.Node] = {}
    joined = False
    for node in list(graph):
        if node.op_type in APART or has_subgraph(node) or any(v.is_graph_output() for v in node.outputs):
            continue
        same = first.setdefault(_key(node), node)
        if same is not node:
            for value, other in zip(node.outputs, same.outputs, strict=True):
                value.replace_all_uses_with(other)
            graph_of(node).remove(node, safe=True)
            joined = True
    return joined


def _key(node: ir.Node) -> Key:
    attributes = frozenset((name, _attribute_key(each)) for name, each in node.attributes.items())
    outputs = tuple(bool(value.name) for value in node.outputs)
    return (node.op_identifier(), outputs, attributes, tuple(map(_input_key, node.inputs)))


def _attribute_key(attribute: ir.Attr) -> Hashable:
    """By its bytes in the file, which tell 1 from 1.0, and -0 from 0."""
    return bytes(ir.serde.serialize_attribute(attribute).SerializeToString(deterministic=True))


def _input_key(value: ir.Value | None) -> Hashable:
    if value is None or not is_constant(value):
        return value
    tensor = tensor_of(value)
    if tensor.size > MAX_COMPARED or (tensor.dtype in FLOATS and tensor.size > 1):
        return value
    if tensor.dtype == ir.DataType.STRING:
        return value
    return (tensor.dtype, tuple(tensor.shape.numpy()), tensor.tobytes())
