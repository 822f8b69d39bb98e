"""An If whose condition is known is its branch; any other stays."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from tests.support import graphs
from tests.support.ort import largest_difference, run
from worker.compression.graph.normal_form.normalise import normalise


def decided(flag: bool) -> onnx.ModelProto:
    """`branches` with its condition as a constant."""
    model = graphs.branches()
    del model.graph.input[1]
    model.graph.initializer.append(numpy_helper.from_array(np.array(flag), "flag"))
    return model


@pytest.mark.parametrize("flag", [True, False])
def test_a_decided_if_is_the_branch_it_takes(flag: bool) -> None:
    model = decided(flag)
    result = normalise(ir.from_proto(model))
    name = "then" if flag else "else"
    assert [node.name for node in result.graph if node.op_type != "Identity"] == [f"{name}.matmul"]
    assert [value.name for value in result.graph.outputs] == ["y"]
    assert list(result.graph.initializers) == [f"{name}.w"]
    feeds = graphs.feeds(model)
    assert largest_difference(run(model, feeds), run(result, feeds)) == 0


def test_an_if_that_depends_on_an_input_stays() -> None:
    result = normalise(ir.from_proto(graphs.branches()))
    assert [node.op_type for node in result.graph] == ["If"]


def test_the_same_names_in_two_branches_that_are_taken_are_told_apart() -> None:
    model = decided(True)
    second = onnx.NodeProto()
    second.CopyFrom(model.graph.node[0])
    second.name, second.output[0] = "again", "z"
    model.graph.node[0].output[0] = "first"
    model.graph.node.append(second)
    model.graph.node.append(helper.make_node("Add", ["first", "z"], ["y"], name="sum"))
    result = normalise(ir.from_proto(model))
    assert [node.op_type for node in result.graph] == ["MatMul", "MatMul", "Add"]
    feeds = graphs.feeds(model)
    assert largest_difference(run(model, feeds), run(result, feeds)) == 0


def test_exporters_squeeze_is_decided_once_the_shape_is_known() -> None:
    """`x.squeeze(1)` as torch writes it: If(shape[1] == 1, Squeeze, Identity)."""

    def branch(operator: str, inputs: list[str]) -> onnx.GraphProto:
        node = helper.make_node(operator, inputs, [f"{operator}.y"], name=operator)
        return helper.make_graph([node], operator, [], [helper.make_value_info(f"{operator}.y", _any())])

    nodes = [
        helper.make_node("Shape", ["x"], ["s"], name="shape"),
        helper.make_node("Gather", ["s", "axis"], ["d"], name="dim"),
        helper.make_node("Equal", ["d", "one"], ["is one"], name="equal"),
        helper.make_node(
            "If",
            ["is one"],
            ["q"],
            name="choose",
            then_branch=branch("Squeeze", ["x", "axis"]),
            else_branch=branch("Identity", ["x"]),
        ),
        helper.make_node("Relu", ["q"], ["y"], name="relu"),
    ]
    constants = {"axis": np.array([1], np.int64), "one": np.array([1], np.int64)}
    model = graphs.of(nodes, {"x": ["N", 1, 4]}, {"y": ["N", "M"]}, constants)
    result = normalise(ir.from_proto(model))
    assert [node.op_type for node in result.graph] == ["Squeeze", "Relu"]
    assert str(result.graph.outputs[0].shape) == "[N,4]"


def _any() -> onnx.TypeProto:
    return helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
