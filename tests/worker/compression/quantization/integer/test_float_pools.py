"""A float MaxPool before a quantized layer stays one in ONNX Runtime, whose kernel for bytes is many times as slow.

x ─ Conv ─ Relu ─ MaxPool ─ Conv ─ y         the first Conv stays float
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from tests.support.graphs import node
from tests.support.small_nets import model_of, proto, run, samples
from winnow.contract.recipe import Int8Static
from worker.compression.apply import apply
from worker.compression.ir.values import required_input
from worker.compression.progress import Silent
from worker.compression.steps.context import Context

RNG = np.random.default_rng(0)
WEIGHTS: dict[str, Any] = {
    "w": (RNG.normal(size=(8, 3, 3, 3)) / 5).astype(np.float32),
    "v": (RNG.normal(size=(4, 8, 3, 3)) / 9).astype(np.float32),
}
X = RNG.normal(size=(16, 3, 12, 12)).astype(np.float32)


def quantized(activation: str, folder: Path) -> ir.Model:
    nodes = [
        node("Conv", "x w", "c", "first"),
        node(activation, "c", "r", "activation"),
        node("MaxPool", "r", "m", "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "m v", "y", "second"),
    ]
    graph = model_of(nodes, {"x": [16, 3, 12, 12]}, {"y": [16, 4, 3, 3]}, WEIGHTS)
    step = Int8Static(kind="int8_static", exclude=["first"])
    return apply(graph, step, Context(folder, 0, Silent(), samples(folder, graph, x=X))).model


def kinds(model: onnx.ModelProto) -> list[str]:
    return [each.op_type for each in model.graph.node if each.op_type != "DequantizeLinear"]


def optimized(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "optimized.onnx")


def test_a_pool_of_a_relu_stays_before_the_quantization(tmp_path: Path) -> None:
    model = proto(quantized("Relu", tmp_path))
    order = kinds(model)
    assert order[order.index("MaxPool") + 1 :][:2] == ["Relu", "QuantizeLinear"]
    order = kinds(optimized(model, tmp_path))
    assert order.index("MaxPool") < order.index("QuantizeLinear")


def test_the_guard_changes_no_bit(tmp_path: Path) -> None:
    model = quantized("Relu", tmp_path)
    without = model.clone()
    (guard,) = (each for each in without.graph if each.op_type == "Relu" and each.name != "activation")
    ir.convenience.replace_all_uses_with(guard.outputs[0], required_input(guard, 0))
    without.graph.remove(guard, safe=True)
    assert np.array_equal(run(model, {"x": X}), run(without, {"x": X}))


@pytest.mark.parametrize("activation", ["Tanh", "HardSwish"])
def test_what_may_be_negative_gets_no_relu(activation: str, tmp_path: Path) -> None:
    order = kinds(proto(quantized(activation, tmp_path)))
    assert "Relu" not in order
