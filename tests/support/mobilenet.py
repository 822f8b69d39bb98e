"""MobileNetV1 of 0.25 of the width, as published for person detection on microcontrollers; weights are random."""

import numpy as np
import onnx

from tests.support.graphs import node, of

BLOCKS = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1))
"""channels and stride of each depthwise separable block"""


def mobilenet(classes: int = 2, side: int = 96, seed: int = 0) -> onnx.ModelProto:
    """`x` [N, 3, side, side] → `y` [N, classes]; batch normalisation is folded into the convolutions' biases."""
    rng = np.random.default_rng(seed)
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, np.ndarray] = {}

    def conv(name: str, source: str, shape: tuple[int, ...], stride: int, group: int) -> str:
        scale = (2 / np.prod(shape[1:])) ** 0.5
        weights[f"{name}.weight"] = (rng.normal(size=shape) * scale).astype(np.float32)
        weights[f"{name}.bias"] = (rng.normal(size=shape[0]) / 8).astype(np.float32)
        inputs = f"{source} {name}.weight {name}.bias"
        pads = [shape[2] // 2] * 4
        nodes.append(node("Conv", inputs, f"{name}/out", name, strides=[stride] * 2, pads=pads, group=group))
        nodes.append(node("Relu", f"{name}/out", f"{name}/relu", f"{name}/Relu"))
        return f"{name}/relu"

    value, width = conv("/stem", "x", (8, 3, 3, 3), 2, 1), 8
    for number, (channels, stride) in enumerate(BLOCKS):
        value = conv(f"/blocks.{number}/depthwise", value, (width, 1, 3, 3), stride, width)
        value, width = conv(f"/blocks.{number}/pointwise", value, (channels, width, 1, 1), 1, 1), channels
    weights["fc.weight"] = rng.normal(size=(classes, width)).astype(np.float32) / 16
    weights["fc.bias"] = np.zeros(classes, np.float32)
    nodes += [
        node("GlobalAveragePool", value, "pooled", "/pool"),
        node("Flatten", "pooled", "flat", "/flatten"),
        node("Gemm", "flat fc.weight fc.bias", "y", "/fc", transB=1),
    ]
    return of(nodes, {"x": ["N", 3, side, side]}, {"y": ["N", classes]}, weights, 17, ir_version=8)
