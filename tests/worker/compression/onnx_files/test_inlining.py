"""Functions are replaced by their bodies, and the model answers as ONNX Runtime answers for it as it came."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.support import graphs
from tests.support.ort import run
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.inlining import inline

X = {"x": np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)}
OWN = '<domain: "own", opset_import: ["": 18, "own": 1]>'
ADD = f"{OWN} F (a) => (out) {{ t = Add (a, a)  out = Relu (t) }}"
DEFAULT = f"{OWN} S <axis: int = 0> (a) => (out) {{ out = Softmax <axis: int = @axis> (a) }}"


def chosen(value: str) -> str:
    """An If whose branches read what is outside."""
    return f"""
        sum = ReduceSum <keepdims=0> ({value})
        zero = Constant <value_float=0.0> ()
        positive = Greater (sum, zero)
        out = If <
            then_branch = t () => (float[] n) {{ n = Neg ({value}) }},
            else_branch = e () => (float[] f) {{ f = own.F ({value}) }}
        > (positive)"""


IF = f"{OWN} I (a) => (out) {{ {chosen('a')} }}"


def model(body: str, *functions: str, **weights: np.ndarray) -> onnx.ModelProto:
    text = f"(float[2,3] x) => (float[2,3] y) {{ {body} }} {' '.join(functions)}"
    return graphs.parse(text, weights, domains={"own": 1})


OUT = np.array([1, 2, 3], np.float32)
MODELS = {
    "an initializer with the name of a value inside": model("h = own.F (x)  y = Add (h, out)", ADD, out=OUT),
    "called twice": model("t = own.F (x)  y = own.F (t)", ADD, out=OUT),
    "the default of an attribute": model("y = own.S (x)", DEFAULT, out=OUT),
    "an attribute that is given": model("y = own.S <axis=1> (x)", DEFAULT, out=OUT),
    "a branch inside that calls and captures": model("y = own.I (x)", IF, ADD, out=OUT),
    "called in a branch": model(f"{chosen('x')} y = Identity (out)", ADD),
}


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
    np.testing.assert_array_equal(numpy_helper.to_array(proto.graph.initializer[0]), OUT)
    assert [n.op_type for n in proto.graph.node] == ["Add", "Relu"] * 2


@pytest.mark.parametrize(("inputs", "outputs"), [("x, x", "y"), ("x", "y, z")])
def test_a_call_with_more_than_its_function_takes_is_refused(inputs: str, outputs: str) -> None:
    with pytest.raises(ValueError, match="cannot be inlined"):
        inline(model(f"{outputs} = own.F ({inputs})", ADD))
