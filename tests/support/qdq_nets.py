"""Small models in Q/DQ form, and others that a target is known to take or to refuse, by onnx alone."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray] | None = None,
    *,
    inputs: dict[str, list[int | str]] | None = None,
    outputs: list[str] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    """Float32 inputs of these shapes, `x` [1, 4, 8, 8] by default; the last node's first output is the model's."""
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (inputs or {"x": [1, 4, 8, 8]}).items()
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in outputs or [nodes[-1].output[0]]
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    domains = sorted({node.domain for node in nodes if node.domain})
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports)


def single(op: str, *, opset: int = 17, domain: str = "", **attributes: Any) -> onnx.ModelProto:
    """One node that reads `x`."""
    return model([helper.make_node(op, ["x"], ["y"], name="it", domain=domain, **attributes)], opset=opset)


def quantized_conv(
    activation: type = np.uint8,
    zero_point: int = 128,
    weight: type = np.int8,
    *,
    per_channel: bool = True,
    axis: int = 0,
    bias: bool = True,
    opset: int = 17,
) -> onnx.ModelProto:
    """x ─ Q ─ DQ ─ Conv ─ Q ─ DQ, its weight [4, 4, 1, 1] and its bias dequantized."""
    scales = np.full(4, 0.1, np.float32) if per_channel else np.float32(0.1)
    zeros = np.zeros(4, weight) if per_channel else weight(0)
    constants = {
        "s": np.float32(0.1),
        "z": activation(zero_point),
        "w": np.ones((4, 4, 1, 1), weight),
        "ws": scales,
        "wz": zeros,
        "b": np.ones(4, np.int32),
        "bs": np.full(4, 0.01, np.float32),
        "bz": np.zeros(4, np.int32),
    }
    along = {"axis": axis} if per_channel else {}
    layer = ["xd", "wd", "bd"] if bias else ["xd", "wd"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"], name="quantize"),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"], name="dequantize"),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], name="weight", **along),
        *(
            [helper.make_node("DequantizeLinear", ["b", "bs", "bz"], ["bd"], name="bias", axis=0)]
            if bias
            else []
        ),
        helper.make_node("Conv", layer, ["y"], name="conv"),
        helper.make_node("QuantizeLinear", ["y", "s", "z"], ["yq"], name="quantize_out"),
        helper.make_node("DequantizeLinear", ["yq", "s", "z"], ["out"], name="dequantize_out"),
    ]
    return model(nodes, constants, opset=opset)


def quantized_matmul(
    weight: type = np.int8, zero_point: int = 0, *, per_channel: bool = False
) -> onnx.ModelProto:
    """x[1, 4] ─ Q ─ DQ ─ MatMul with a dequantized weight [4, 3]."""
    constants = {
        "s": np.float32(0.1),
        "z": np.uint8(128),
        "w": np.ones((4, 3), weight),
        "ws": np.full(3, 0.1, np.float32) if per_channel else np.float32(0.1),
        "wz": np.full(3, zero_point, weight) if per_channel else weight(zero_point),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"], name="quantize"),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"], name="dequantize"),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], name="weight", axis=1),
        helper.make_node("MatMul", ["xd", "wd"], ["y"], name="matmul"),
    ]
    return model(nodes, constants, inputs={"x": [1, 4]})


def dynamically_quantized() -> onnx.ModelProto:
    """What ONNX Runtime's `quantize_dynamic` makes of a product."""
    constants = {"w": np.ones((4, 3), np.int8), "wz": np.int8(0)}
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["xq", "s", "z"], name="quantize"),
        helper.make_node("MatMulInteger", ["xq", "w", "z", "wz"], ["y"], name="product"),
    ]
    return model(nodes, constants, inputs={"x": [1, 4]})


def float_conv(
    shape: list[int | str] | None = None, *, constant: bool = True, spatial: int = 2, opset: int = 17
) -> onnx.ModelProto:
    """Conv and Relu of x [1, 4, 8, …], its weight stored or another input."""
    weight = np.ones((4, 4, *[1] * spatial), np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], name="conv"),
        helper.make_node("Relu", ["y"], ["z"], name="relu"),
    ]
    inputs: dict[str, list[int | str]] = {"x": shape or [1, 4, *[8] * spatial]}
    if not constant:
        inputs["w"] = [*weight.shape]
    return model(nodes, {"w": weight} if constant else {}, inputs=inputs, opset=opset)
