"""Read what a graph is known to have: inputs of a node, numbers of a constant, the graph around a node."""

from collections.abc import Iterator
from typing import Final

import onnx_ir as ir

from worker.compression.ir.arrays import Array

OTHER_FLOATS: Final = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE})
"""Than float32, in which steps work."""


def input_at(node: ir.Node, index: int) -> ir.Value | None:
    """Return an input, None where it is left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def required_input(node: ir.Node, index: int) -> ir.Value:
    """Return an input that the operator cannot do without."""
    value = node.inputs[index]
    assert value is not None
    return value


def tensor_of(value: ir.Value | None) -> ir.TensorProtocol:
    """Return the tensor of a value that is known to be constant."""
    assert value is not None
    assert value.const_value is not None
    return value.const_value


def array_of(value: ir.Value | None) -> Array:
    """Read the numbers of a value that is known to be constant."""
    return tensor_of(value).numpy()


def is_constant(value: ir.Value | None) -> bool:
    """Whether it is an initializer whose numbers nobody can give otherwise."""
    return (
        value is not None
        and value.const_value is not None
        and value.is_initializer()
        and not value.is_graph_input()
    )


def is_read_once(value: ir.Value) -> bool:
    """Whether one input of one node is all that reads it, and it is no output of a graph."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def graph_of(item: ir.Node | ir.Value) -> ir.Graph:
    """Return the graph that a node or an initializer is in."""
    assert isinstance(item.graph, ir.Graph)
    return item.graph


def subgraphs_of(node: ir.Node) -> Iterator[ir.Graph]:
    """Yield the graphs in a node's attributes: branches, bodies of loops."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()


def all_nodes(model: ir.Model) -> Iterator[ir.Node]:
    """Yield the nodes of the main graph, and behind each those of the branches and bodies in it."""
    return ir.traversal.RecursiveGraphIterator(model.graph)


def has_subgraph(node: ir.Node) -> bool:
    return any(True for _ in subgraphs_of(node))


def nodes_of(model: ir.Model) -> Iterator[ir.Node]:
    """Yield the nodes of ONNX's own domain, those in subgraphs and functions too."""
    bodies: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for body in bodies:
        yield from (node for node in ir.traversal.RecursiveGraphIterator(body) if node.domain == "")


def pads_zeros(node: ir.Node) -> bool:
    """Whether it is a Pad with a constant, and that is 0."""
    if not _pads_a_constant(node):
        return False
    value = input_at(node, 2)
    return value is None or (value.const_value is not None and not value.const_value.numpy().any())


def adds_values(node: ir.Node) -> bool:
    """Whether it is a Pad with a constant that is not 0, or not known here: no scale of other values need reach it."""
    return _pads_a_constant(node) and not pads_zeros(node)


def _pads_a_constant(node: ir.Node) -> bool:
    mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "constant"
    return node.op_type == "Pad" and mode == "constant"
