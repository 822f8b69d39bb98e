"""What a file need not say goes, and the model computes what it did."""

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from worker.compression.graph.terse import make_terse


def wordy() -> onnx.ModelProto:
    """A Conv and a Gemm with every attribute that exporters write, an attribute whose value is no default each."""
    rng = np.random.default_rng(0)
    shapes = {"w": (4, 3, 3, 3), "halves": (5, 64), "two": ()}
    weights = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", auto_pad="NOTSET", group=1, pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["c"], ["f"], "flatten", axis=1),
        helper.make_node("Mul", ["halves", "two"], ["v"], "scaling"),
        helper.make_node("Gemm", ["f", "v"], ["y"], "gemm", alpha=1.0, beta=1.0, transA=0, transB=1),
    ]
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
        for n, s in (("x", [2, 3, 4, 4]), ("y", [2, 5]))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answer(model: onnx.ModelProto) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(size=(2, 3, 4, 4)).astype(np.float32)
    return np.asarray(session.run(None, {"x": x})[0])


def test_defaults_go_and_what_says_something_stays() -> None:
    model = wordy()
    make_terse(model)
    onnx.checker.check_model(model, full_check=True)
    left = {node.op_type: {entry.name for entry in node.attribute} for node in model.graph.node}
    assert left == {"Conv": {"pads"}, "Flatten": set(), "Mul": set(), "Gemm": {"transB"}}


def test_only_nodes_that_make_weights_lose_their_names() -> None:
    model = wordy()
    make_terse(model)
    assert [node.name for node in model.graph.node] == ["conv", "flatten", "", "gemm"]


def test_it_computes_what_it_did() -> None:
    model = wordy()
    before = answer(model)
    make_terse(model)
    np.testing.assert_array_equal(answer(model), before)


def test_operators_that_onnx_does_not_know_stay_as_they_are() -> None:
    model = wordy()
    model.graph.node[0].op_type = "OfMyOwn"
    model.graph.node[1].domain = "com.example"
    before = [node.SerializeToString() for node in model.graph.node[:2]]
    make_terse(model)
    assert [node.SerializeToString() for node in model.graph.node[:2]] == before
