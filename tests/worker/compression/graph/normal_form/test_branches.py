"""An If whose condition is known is its branch; any other stays."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

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
    model.graph.node.append(graphs.node("Add", "first z", "y", name="sum"))
    result = normalise(ir.from_proto(model))
    assert [node.op_type for node in result.graph] == ["MatMul", "MatMul", "Add"]
    feeds = graphs.feeds(model)
    assert largest_difference(run(model, feeds), run(result, feeds)) == 0


def test_exporters_squeeze_is_decided_once_the_shape_is_known() -> None:
    """`x.squeeze(1)` as torch writes it: If(shape[1] == 1, Squeeze, Identity)."""

    model = graphs.parse(
        """(float[N,1,4] x) => (float[N,M] y) {
            [shape] s = Shape (x)
            [dim] d = Gather (s, axis)
            [equal] "is one" = Equal (d, one)
            [choose] q = If <
                then_branch = squeeze () => (float[] a) { [Squeeze] a = Squeeze (x, axis) },
                else_branch = identity () => (float[] b) { [Identity] b = Identity (x) }
            > ("is one")
            [relu] y = Relu (q)
        }""",
        {"axis": np.array([1]), "one": np.array([1])},
    )
    result = normalise(ir.from_proto(model))
    assert [node.op_type for node in result.graph] == ["Squeeze", "Relu"]
    assert str(result.graph.outputs[0].shape) == "[N,4]"
