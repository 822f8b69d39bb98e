"""Shapes that only computing tells are told, and nothing large is computed for it."""

from typing import Any

import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper
from onnxscript.optimizer import _constant_folding

from tests.support.graphs import IR_VERSION
from worker.compression.graph.nodes.known_shapes import node_outputs, static_dims
from worker.compression.graph.shapes.shapes import with_shapes

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


def model(*nodes: onnx.NodeProto, constants: list[onnx.TensorProto]) -> ir.Model:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", FLOAT, ["batch", 4, 6])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        constants,
    )
    opsets = [helper.make_opsetid("", 18)]
    return ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operators that the optimizer computes."""
    seen: list[str] = []
    evaluate = _constant_folding._reference_evaluator.evaluate

    def noting(domain: str, operator: str, *rest: Any, **attributes: Any) -> Any:
        seen.append(operator)
        return evaluate(domain, operator, *rest, **attributes)

    monkeypatch.setattr(_constant_folding._reference_evaluator, "evaluate", noting)
    return seen


def test_a_shape_that_is_computed_is_told(computed: list[str]) -> None:
    found = with_shapes(
        model(
            helper.make_node("Shape", ["x"], ["dims"]),
            helper.make_node("ReduceProd", ["dims"], ["all"], keepdims=1),
            helper.make_node("Concat", ["one", "all"], ["sizes"], axis=0),
            helper.make_node("Reshape", ["x", "sizes"], ["y"]),
            constants=[helper.make_tensor("one", INT, [1], [1])],
        )
    )
    assert {v.name: static_dims(v) for v in node_outputs(found)}["y"] == [1, 24]
    assert "ReduceProd" in computed


LARGE = {
    "Resize": (["c4", "", "", "sizes"], {}),
    "Tile": (["c4", "sizes"], {}),
    "Expand": (["c4", "sizes"], {}),
    "Einsum": (["v", "v", "v", "v"], {"equation": "a,b,c,d->"}),
    "AveragePool": (["c4"], {"kernel_shape": [10**4, 10**4], "pads": [9998, 9998, 1, 1]}),
}


@pytest.mark.parametrize("operator", LARGE)
def test_what_takes_long_is_not_computed(operator: str, computed: list[str]) -> None:
    inputs, attributes = LARGE[operator]
    with_shapes(
        model(
            helper.make_node(operator, inputs, ["large"], **attributes),
            helper.make_node("NonZero", ["x"], ["places"]),
            helper.make_node("Relu", ["x"], ["y"]),
            constants=[
                helper.make_tensor("c4", FLOAT, [1, 1, 2, 2], [1, 2, 3, 4]),
                helper.make_tensor("v", FLOAT, [1000], [1] * 1000),
                helper.make_tensor("sizes", INT, [4], [1, 1, 5000, 5000]),
            ],
        )
    )
    assert operator not in computed
