"""Replace an If whose condition is a constant by the branch it takes.

Exporters write one wherever a shape is asked at run time (`squeeze` of an axis that may be 1); once the shape
arithmetic is folded the condition is known, and training and quantization see the layers inside.
"""

import onnx_ir as ir

from worker.compression.graph.opset.conversion import opset_of
from worker.compression.ir.values import array_of, input_at, is_constant
from worker.compression.runtime.evaluate import PLAIN_DTYPES, Array, accepts


def take_branches(model: ir.Model) -> bool:
    """Put the taken branch of every decided If in its place, in subgraphs too. Returns whether there was any.

    Names of the branch are kept; those that are taken already are made unique by `NameOnce`.
    """
    opset, taken = opset_of(model), 0
    for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
        condition = _condition(node)
        if condition is None or node.graph is None:  # without a graph it lay in a branch that is not taken
            continue
        if can_be_taken(node, condition, opset):
            _take(node, _branch(node, condition))
            drop_inputs(_branch(node, not condition))
            taken += 1
    return taken > 0


def can_be_taken(node: ir.Node, condition: bool, opset: int) -> bool:
    """Whether whoever reads the If accepts what it would then see, where that is a constant.

    If not, the condition must not become a constant either: ONNX Runtime takes decided branches itself, and fails.
    """
    results = {
        str(value.name): constant
        for value, output in zip(node.outputs, _branch(node, condition).outputs, strict=True)
        if (constant := _constant(output)) is not None
    }
    readers = {use.node for value in node.outputs for use in value.uses()}
    return all(accepts(reader, opset, results) for reader in readers)


def _branch(node: ir.Node, condition: bool) -> ir.Graph:
    return node.attributes["then_branch" if condition else "else_branch"].as_graph()


def _constant(value: ir.Value) -> Array | None:
    """The constant that a value is or passes on."""
    while (
        (source := value.producer()) is not None
        and source.op_type == "Identity"
        and source.inputs[0] is not None
    ):
        value = source.inputs[0]
    tensor = value.const_value
    return tensor.numpy() if tensor is not None and tensor.dtype in PLAIN_DTYPES else None


def _condition(node: ir.Node) -> bool | None:
    value = input_at(node, 0)
    if node.op_type != "If" or node.domain != "" or not is_constant(value):
        return None
    return bool(array_of(value).reshape(-1)[0])


def _take(node: ir.Node, branch: ir.Graph) -> None:
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    outputs = list(branch.outputs)
    branch.outputs.clear()
    for key in list(branch.initializers):
        _adopt(branch.initializers.pop(key), graph)
    nodes = list(branch)
    branch.remove(nodes)
    graph.insert_before(node, nodes)
    for value, output in zip(node.outputs, outputs, strict=True):
        # an Identity keeps the output's name; where that is not needed normalising drops it again
        alias = ir.Node("", "Identity", [output], name=f"{node.name}_{value.name}")
        alias_output = alias.outputs[0]
        alias_output.name, alias_output.type, alias_output.shape = value.name, value.type, value.shape
        graph.insert_before(node, alias)
        value.replace_all_uses_with(alias_output, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def drop_inputs(branch: ir.Graph) -> None:
    """Let the branch that is not taken read nothing, so that what only it read is unused."""
    for node in ir.traversal.RecursiveGraphIterator(branch):
        for index in range(len(node.inputs)):
            node.replace_input_with(index, None)


def _adopt(value: ir.Value, graph: ir.Graph) -> None:
    name, number = str(value.name), 0
    while value.name in graph.initializers:
        number += 1
        value.name = f"{name}_{number}"
    graph.register_initializer(value)
