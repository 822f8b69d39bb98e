"""Graphs of many parts, each of another shape: what is done for each part must not be done for each pair of them."""

from collections.abc import Callable
from typing import Final

import onnx
from onnx import TensorProto, helper

FLOAT: Final = TensorProto.FLOAT
SIZE: Final = [1, 4]


def chain(count: int, operator: str = "Add") -> onnx.ModelProto:
    """Nodes one behind the other."""
    values = ["x", *(f"v{i}" for i in range(count - 1)), "y"]
    nodes = [_node(operator, [values[i], "w"], [values[i + 1]], i) for i in range(count)]
    return _model(nodes, ["x"], ["y"], [_tensor("w")])


def products(count: int) -> onnx.ModelProto:
    """Layers that share one weight."""
    values = ["x", *(f"v{i}" for i in range(count - 1)), "y"]
    nodes = [_node("MatMul", [values[i], "w"], [values[i + 1]], i) for i in range(count)]
    weight = helper.make_tensor("w", FLOAT, [4, 4], [1.0] * 16)
    return _model(nodes, ["x"], ["y"], [weight])


def parallel(count: int) -> onnx.ModelProto:
    """Nodes side by side, each of an output."""
    nodes = [_node("Add", ["x", "w"], [f"y{i}"], i) for i in range(count)]
    return _model(nodes, ["x"], [f"y{i}" for i in range(count)], [_tensor("w")])


def weights(count: int) -> onnx.ModelProto:
    """A chain in which each node has a constant of its own."""
    model = chain(count)
    for i, node in enumerate(model.graph.node):
        node.input[1] = f"w{i}"
    del model.graph.initializer[:]
    model.graph.initializer.extend(_tensor(f"w{i}") for i in range(count))
    return model


def constants(count: int) -> onnx.ModelProto:
    """What is computed from constants alone, one behind the other."""
    model = chain(count)
    model.graph.node[0].input[0] = "w"
    model.graph.node.append(helper.make_node("Add", ["x", "y"], ["z"]))
    model.graph.output[0].name = "z"
    return model


def inputs(count: int) -> onnx.ModelProto:
    """One node with many inputs, all of the model."""
    return _model(
        [_node("Sum", [f"x{i}" for i in range(count)], ["y"], 0)], [f"x{i}" for i in range(count)], ["y"]
    )


def outputs(count: int) -> onnx.ModelProto:
    """One node with many outputs."""
    return _model(
        [_node("Split", ["x"], [f"y{i}" for i in range(count)], 0)], ["x"], [f"y{i}" for i in range(count)]
    )


def branches(count: int) -> onnx.ModelProto:
    """Decisions one behind the other, each with two branches."""
    model = chain(count, "If")
    for i, node in enumerate(model.graph.node):
        before = node.input[0]
        node.input[:] = ["w"]
        for side in ("then_branch", "else_branch"):
            body = helper.make_graph(
                [_node("Relu", [before], [f"{side}{i}"], i)], "b", [], [_value(f"{side}{i}")]
            )
            node.attribute.append(helper.make_attribute(side, body))
    del model.graph.initializer[:]
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.BOOL, []))
    return model


def branches_and_nodes(count: int) -> onnx.ModelProto:
    """Many decisions, and a long graph around them whose names each of their branches could use."""
    model = branches(min(count // 4, 990))
    rest = count - len(model.graph.node) * 3
    last = model.graph.output[0].name
    for i in range(rest):
        model.graph.node.append(_node("Relu", [last], [f"r{i}"], count + i))
        last = f"r{i}"
    model.graph.output[0].name = last
    return model


def reshapes(count: int) -> onnx.ModelProto:
    """Shapes that are asked for and put back, of a size that is not known."""
    nodes, last = [], "x"
    for i in range(count // 3):
        nodes += [
            _node("Shape", [last], [f"s{i}"], 3 * i),
            _node("Reshape", [last, f"s{i}"], [f"r{i}"], 3 * i + 1),
            _node("Relu", [f"r{i}"], [f"v{i}"], 3 * i + 2),
        ]
        last = f"v{i}"
    model = _model([*nodes, helper.make_node("Identity", [last], ["y"])], ["x"], ["y"])
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return model


def functions(count: int) -> onnx.ModelProto:
    """Calls of a function of the model."""
    model = chain(count, "F")
    for node in model.graph.node:
        node.domain = "f"
    body = [helper.make_node("Add", ["a", "b"], ["c"])]
    model.functions.append(
        helper.make_function("f", "F", ["a", "b"], ["c"], body, [helper.make_opsetid("", 17)])
    )
    model.opset_import.append(helper.make_opsetid("f", 1))
    return model


SHAPES: Final[dict[str, Callable[[int], onnx.ModelProto]]] = {
    build.__name__: build
    for build in (
        chain,
        products,
        parallel,
        weights,
        constants,
        inputs,
        outputs,
        branches,
        branches_and_nodes,
        reshapes,
        functions,
    )
}


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[str],
    outputs: list[str],
    tensors: list[TensorProto] | None = None,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes, "g", [_value(i) for i in inputs], [_value(o) for o in outputs], tensors or []
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _node(operator: str, inputs: list[str], outputs: list[str], number: int) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, outputs, name=f"n{number}")


def _value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, FLOAT, SIZE)


def _tensor(name: str) -> TensorProto:
    return helper.make_tensor(name, FLOAT, SIZE, [1.0] * 4)
