"""Functions are replaced by their bodies, and the model answers as ONNX Runtime answers for it as it came."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.support.graphs import IR_VERSION
from tests.support.ort import run
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.inlining import inline

FLOAT = TensorProto.FLOAT
X = {"x": np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)}


def node(*what: Any, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(*what, **attributes)


def call(*what: Any, **attributes: Any) -> onnx.NodeProto:
    return node(*what, domain="own", **attributes)


def function(name: str, inputs: list[str], body: list[onnx.NodeProto], **more: Any) -> onnx.FunctionProto:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, inputs, ["out"], body, opsets, **more)


def model(nodes: list[onnx.NodeProto], functions: list[onnx.FunctionProto]) -> onnx.ModelProto:
    shape = [2, 3]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, shape)],
        [helper.make_tensor("out", FLOAT, [3], [1.0, 2.0, 3.0])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=IR_VERSION)


def softmax() -> onnx.NodeProto:
    made = node("Softmax", ["a"], ["out"])
    made.attribute.add(name="axis", ref_attr_name="axis", type=onnx.AttributeProto.INT)
    return made


def chosen(value: str) -> list[onnx.NodeProto]:
    """An If whose branches read what is outside."""
    one = helper.make_graph(
        [node("Neg", [value], ["n"])], "t", [], [helper.make_tensor_value_info("n", FLOAT, None)]
    )
    other = helper.make_graph(
        [call("F", [value], ["f"])], "e", [], [helper.make_tensor_value_info("f", FLOAT, None)]
    )
    return [
        node("ReduceSum", [value], ["sum"], keepdims=0),
        node("Constant", [], ["zero"], value_float=0.0),
        node("Greater", ["sum", "zero"], ["positive"]),
        node("If", ["positive"], ["out"], then_branch=one, else_branch=other),
    ]


ADD = function("F", ["a"], [node("Add", ["a", "a"], ["t"]), node("Relu", ["t"], ["out"])])
DEFAULT = function("S", ["a"], [softmax()], attribute_protos=[helper.make_attribute("axis", 0)])
IF = function("I", ["a"], chosen("a"))

MODELS = {
    "an initializer with the name of a value inside": model(
        [call("F", ["x"], ["h"]), node("Add", ["h", "out"], ["y"])], [ADD]
    ),
    "called twice": model([call("F", ["x"], ["t"]), call("F", ["t"], ["y"])], [ADD]),
    "the default of an attribute": model([call("S", ["x"], ["y"])], [DEFAULT]),
    "an attribute that is given": model([call("S", ["x"], ["y"], axis=1)], [DEFAULT]),
    "a branch inside that calls and captures": model([call("I", ["x"], ["y"])], [IF, ADD]),
    "called in a branch": model([*chosen("x"), node("Identity", ["out"], ["y"])], [ADD]),
}
del MODELS["called in a branch"].graph.initializer[:]


@pytest.mark.parametrize("name", MODELS)
def test_outputs_stay_equal(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(MODELS[name].SerializeToString())
    for feeds in (X, {"x": -X["x"] - 1}):
        expected = run(MODELS[name], feeds)
        loaded = model_files.load(path)
        assert not loaded.functions
        for was, now in zip(expected, run(normalise(loaded), feeds), strict=True):
            np.testing.assert_array_equal(now, was)


def test_weights_are_left_as_they_are() -> None:
    proto = onnx.ModelProto()
    proto.CopyFrom(MODELS["called twice"])
    inline(proto)
    assert proto.graph.initializer[0].float_data == [1.0, 2.0, 3.0]
    assert [n.op_type for n in proto.graph.node] == ["Add", "Relu"] * 2


@pytest.mark.parametrize(("inputs", "outputs"), [(["x", "x"], ["y"]), (["x"], ["y", "z"])])
def test_a_call_with_more_than_its_function_takes_is_refused(inputs: list[str], outputs: list[str]) -> None:
    with pytest.raises(ValueError, match="cannot be inlined"):
        inline(model([call("F", inputs, outputs)], [ADD]))
