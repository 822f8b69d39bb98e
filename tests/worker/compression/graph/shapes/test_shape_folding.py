"""Shapes that only computing tells are told, and nothing large is computed for it."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnxscript.optimizer import _constant_folding

from tests.support import graphs
from worker.compression.graph.nodes.known_shapes import node_outputs, static_dims
from worker.compression.graph.shapes.shapes import with_shapes


def model(body: str, **constants: Any) -> ir.Model:
    return ir.from_proto(graphs.parse(f"(float[batch,4,6] x) => (float[] y) {{ {body} }}", constants))


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
    body = """
        dims = Shape (x)
        all = ReduceProd <keepdims=1> (dims)
        sizes = Concat <axis=0> (one, all)
        y = Reshape (x, sizes)
    """
    found = with_shapes(model(body, one=np.array([1])))
    assert {v.name: static_dims(v) for v in node_outputs(found)}["y"] == [1, 24]
    assert "ReduceProd" in computed


LARGE = {
    "Resize": "(c4, , , sizes)",
    "Tile": "(c4, sizes)",
    "Expand": "(c4, sizes)",
    "Einsum": '<equation="a,b,c,d->"> (v, v, v, v)',
    "AveragePool": "<kernel_shape=[10000, 10000], pads=[9998, 9998, 1, 1]> (c4)",
}


@pytest.mark.parametrize("operator", LARGE)
def test_what_takes_long_is_not_computed(operator: str, computed: list[str]) -> None:
    body = f"large = {operator} {LARGE[operator]}  places = NonZero (x)  y = Relu (x)"
    constants = {
        "c4": np.array([[[[1, 2], [3, 4]]]], np.float32),
        "v": np.ones(1000, np.float32),
        "sizes": np.array([1, 1, 5000, 5000]),
    }
    with_shapes(model(body, **constants))
    assert operator not in computed
