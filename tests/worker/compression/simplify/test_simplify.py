"""The law of the step, and what it does on request: fewer nodes, the same outputs, a second time nothing."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings

from tests.support import graphs
from tests.support.exported_habits import CHANNELS, SIDE, exported
from tests.support.ort import largest_difference, run
from tests.support.refusals import refusal
from winnow.contract.recipe import Simplify
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.progress import Silent
from worker.compression.simplify import simplify as technique
from worker.compression.simplify.simplify import simplify
from worker.compression.steps.context import Context, StepResult

X = np.random.default_rng(3).normal(size=(2, CHANNELS, SIDE, SIDE)).astype(np.float32)
TOLERANCE = 1e-5


def done(model: ir.Model, **asked: Any) -> StepResult:
    with TemporaryDirectory() as folder:
        return simplify(model, Simplify(kind="simplify", **asked), Context(Path(folder), 0, Silent()))


def of(made: onnx.ModelProto, **asked: Any) -> StepResult:
    return done(normalise(ir.from_proto(made)), **asked)


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in ir.traversal.RecursiveGraphIterator(model.graph)]


@settings(max_examples=25, deadline=None)
@given(exported())
def test_a_second_time_there_is_nothing_to_do_and_the_outputs_are_the_same(made: onnx.ModelProto) -> None:
    once = of(made)
    again = done(once.model.clone())
    assert again.changed == 0
    assert operators(again.model) == operators(once.model)
    before, after = (run(each, {"x": X}, optimize=False) for each in (made, once.model))
    assert largest_difference(before, after) <= TOLERANCE
    folded = once.details["done"].keys() - {"constants tied"}
    assert folded or all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    normal = normalise(ir.from_proto(made))
    assert len(operators(once.model)) <= len(operators(normal))
    assert ir.to_proto(once.model).ByteSize() <= ir.to_proto(normal).ByteSize()


def convnet(bias: float = 0.0) -> onnx.ModelProto:
    """Pad, Conv, BatchNormalization, which takes the convolution's bias away again, and ReLU, then a product and its
    bias."""
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=4).astype(np.float32) for name in ("g", "b")}
    weights |= {"v": rng.uniform(0.5, 2, 4).astype(np.float32), "m": np.full(4, bias, np.float32)}
    weights |= {"w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32), "c": np.full(4, bias, np.float32)}
    weights |= {
        "fc": rng.normal(size=(4, 5)).astype(np.float32),
        "bias": rng.normal(size=5).astype(np.float32),
    }
    return graphs.parse(
        """(float[N,3,8,8] x) => (float[N,5] y) {
            [pad] p = Pad (x, pads) [conv] a = Conv (p, w, c) [norm] n = BatchNormalization (a, g, b, m, v)
            [relu] r = Relu (n) [pool] q = GlobalAveragePool (r) [flat] f = Flatten (q)
            [fc] h = MatMul (f, fc) [add] y = Add (h, bias)
        }""",
        weights | {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
    )


def test_what_reorders_floats_is_done_within_its_bound_and_told() -> None:
    result = of(convnet())
    assert operators(result.model) == ["Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm"]
    assert [node.name for node in result.model.graph] == ["conv", "relu", "pool", "flat", "fc"]
    assert 0 < result.details["largest_error"] <= TOLERANCE
    assert result.details["nodes"] == [8, 5]
    assert result.details["operators"]["MatMul"] == [1, 0]
    assert result.notes == ["8 nodes and 9 constants are 5 and 4."]


def test_what_would_move_an_output_too_far_is_left_out() -> None:
    """A bias of 1e8 and a mean of 1e8 leave multiples of 8 of what lies between; folded they leave all of it."""
    result = of(convnet(1e8))
    assert "BatchNormalization" in operators(result.model)
    assert (result.changed, result.details["largest_error"]) == (0, 0)
    assert "The order of float operations stayed: an output would have moved by" in result.notes[1]


def test_a_model_in_its_simplest_form_is_told_so() -> None:
    result = of(graphs.cnn())
    assert (result.changed, result.notes) == (0, ["The model is in its simplest form already."])


def test_weights_that_another_layer_reads_are_not_stored_twice() -> None:
    rng = np.random.default_rng(0)
    made = graphs.parse(
        """(float[N,4,6,6] x) => (float[N,4,6,6] y) {
            a = Conv (x, w) b = Mul (a, f) c = Conv (b, v) y = Relu (c)
        }""",
        {
            "w": (weight := rng.normal(size=(4, 4, 1, 1)).astype(np.float32)),
            "v": weight.copy(),
            "f": rng.normal(size=(4, 1, 1)).astype(np.float32),
        },
    )
    result = of(made)
    assert operators(result.model) == ["Conv", "Mul", "Conv", "Relu"]
    assert result.details["done"] == {"constants tied": 1}


@pytest.mark.parametrize(("opset", "squeezes_by"), [(11, "attribute"), (13, "input"), (21, "input")])
def test_the_opset_is_the_one_that_was_asked_for(opset: int, squeezes_by: str) -> None:
    made = graphs.lstm(opset=18)
    result = of(made, opset=opset)
    assert opset_of(result.model) == opset
    squeeze = next(node for node in result.model.graph if node.op_type == "Squeeze")
    assert ("axes" in squeeze.attributes) == (squeezes_by == "attribute")
    feeds = graphs.feeds(made)
    assert largest_difference(run(made, feeds), run(result.model, feeds)) <= TOLERANCE


def test_an_opset_that_an_operator_has_no_form_in_is_refused_with_its_name() -> None:
    made = graphs.parse("(float[N,4] x) => (float[N,4] y) { y = Gelu (x) }", opset=20)
    problem = refusal(lambda: of(made, opset=13))
    assert problem is not None
    assert problem.code == "step_failed"
    assert "has opset 20 and cannot be lowered to 13" in problem.detail
    assert "Gelu" in problem.detail


def test_what_stays_of_onnx_runtimes_operators_is_named() -> None:
    made = graphs.parse(
        """(float[N,5,8] x) => (float[N,5,8] y) {
            a = com.microsoft.Gelu (x) y = com.microsoft.Attention <num_heads=2, unidirectional=1> (a, w, b)
        }""",
        {"w": np.ones((8, 24), np.float32), "b": np.ones(24, np.float32)},
        domains={"com.microsoft": 1},
    )
    result = of(made, undo_contrib=True)
    assert result.details["done"] == {"contrib operators undone": 1}
    assert result.notes[1] == "These operators of ONNX Runtime's own stay: 1 × com.microsoft.Attention."


def test_what_is_too_large_to_be_compared_keeps_every_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(technique, "MAX_COMPARED_BYTES", 0)
    made = convnet()
    made.graph.node.extend(
        [graphs.node("Neg", "y", "minus", "minus"), graphs.node("Neg", "y", "less", "less")]
    )
    made.graph.output[0].name = "z"
    made.graph.node.append(graphs.node("Add", "minus less", "z", "sum"))
    result = of(made)
    assert operators(result.model).count("BatchNormalization") == 1
    assert result.details["largest_error"] is None
    assert "could not be compared: its weights are too many" in result.notes[-1]
    problem = refusal(lambda: of(graphs.lstm(opset=18), opset=11))
    assert problem is not None
    assert "without comparing outputs 14 is the lowest" in problem.detail
