"""MobileNetV1 of 0.25 of the width, as published for person detection on microcontrollers; weights are random."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BLOCKS = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1))
"""channels and stride of each depthwise separable block"""


def mobilenet(classes: int = 2, side: int = 96, seed: int = 0) -> onnx.ModelProto:
    """`x` [N, 3, side, side] → `y` [N, classes]; batch normalisation is folded into the convolutions' biases."""
    rng = np.random.default_rng(seed)
    nodes, weights = [], []

    def conv(name: str, source: str, shape: tuple[int, ...], stride: int, group: int) -> str:
        scale = (2 / np.prod(shape[1:])) ** 0.5
        for end, array in (
            ("weight", rng.normal(size=shape) * scale),
            ("bias", rng.normal(size=shape[0]) / 8),
        ):
            weights.append(numpy_helper.from_array(array.astype(np.float32), f"{name}.{end}"))
        pads = [shape[2] // 2] * 4
        inputs = [source, f"{name}.weight", f"{name}.bias"]
        nodes.append(
            helper.make_node(
                "Conv", inputs, [f"{name}/out"], name, strides=[stride] * 2, pads=pads, group=group
            )
        )
        nodes.append(helper.make_node("Relu", [f"{name}/out"], [f"{name}/relu"], f"{name}/Relu"))
        return f"{name}/relu"

    value, width = conv("/stem", "x", (8, 3, 3, 3), 2, 1), 8
    for number, (channels, stride) in enumerate(BLOCKS):
        value = conv(f"/blocks.{number}/depthwise", value, (width, 1, 3, 3), stride, width)
        value, width = conv(f"/blocks.{number}/pointwise", value, (channels, width, 1, 1), 1, 1), channels
    weights.append(
        numpy_helper.from_array(rng.normal(size=(classes, width)).astype(np.float32) / 16, "fc.weight")
    )
    weights.append(numpy_helper.from_array(np.zeros(classes, np.float32), "fc.bias"))
    nodes += [
        helper.make_node("GlobalAveragePool", [value], ["pooled"], "/pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "/flatten"),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["y"], "/fc", transB=1),
    ]
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
        for n, s in (("x", ["N", 3, side, side]), ("y", ["N", classes]))
    ]
    graph = helper.make_graph(nodes, "mobilenet", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
