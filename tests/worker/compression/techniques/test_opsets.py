"""Raising the opset, or saying why it cannot be."""

import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from app.contract.errors import Refusal
from tests.worker.compression.techniques.nets import digits_net
from worker.compression.techniques.opsets import raised


def test_a_model_that_is_new_enough_is_given_back_as_it_is() -> None:
    net = digits_net(17)
    assert raised(net, 13, "this") == (net, [])


def test_an_operator_without_a_way_up_is_refused_with_what_to_do() -> None:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy"]
    unknown = helper.make_node("NoSuchOperator", ["x"], ["y"], name="unknown")
    graph = helper.make_graph([unknown], "g", values[:1], values[1:])
    net = ir.from_proto(
        onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=8)
    )
    with pytest.raises(Refusal, match=r"step_failed.*opset 13, the model has 9") as caught:
        raised(net, 13, "quantization per channel")
    assert "Export the model with opset 13" in caught.value.problem.detail
