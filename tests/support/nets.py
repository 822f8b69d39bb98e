"""Small graphs written layer by layer, with random weights: what channel groups are tried on."""

import numpy as np
import onnx
from onnx import helper

from tests.support import graphs

Value = str


class Net:
    """Each method adds a node and answers its value; shapes of weights follow from what the method is told."""

    def __init__(self, seed: int = 0, opset: int = 18) -> None:
        self.rng = np.random.default_rng(seed)
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def op(self, kind: str, *inputs: Value, outputs: int = 1, name: str = "", **attributes: object) -> Value:
        """A node; with several outputs they are called `<name>.0`, `<name>.1`, …, and the first is answered."""
        name = name or f"{kind.lower()}{len(self.nodes)}"
        results = [name] if outputs == 1 else [f"{name}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), results, name=name, **attributes))
        return results[0]

    def normal(self, *shape: int) -> Value:
        return self.constant(self.rng.standard_normal(shape).astype(np.float32) * 0.5)

    def constant(self, array: np.ndarray) -> Value:
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        return name

    def ints(self, *numbers: int) -> Value:
        return self.constant(np.array(numbers, np.int64))

    def conv(
        self,
        x: Value,
        ins: int,
        outs: int,
        *,
        kernel: int = 1,
        group: int = 1,
        stride: int = 1,
        name: str = "",
    ) -> Value:
        weight = self.normal(outs, ins // group, kernel, kernel)
        attributes = {"group": group, "pads": [kernel // 2] * 4, "strides": [stride] * 2}
        return self.op("Conv", x, weight, self.normal(outs), name=name, **attributes)

    def relu(self, x: Value) -> Value:
        return self.op("Relu", x)

    def linear(self, x: Value, ins: int, outs: int, name: str = "") -> Value:
        return self.op("Add", self.op("MatMul", x, self.normal(ins, outs), name=name), self.normal(outs))

    def head(self, x: Value, ins: int, outs: int = 3) -> Value:
        """Global average, Flatten, Gemm: the output `y`."""
        flat = self.op("Flatten", self.op("GlobalAveragePool", x))
        return self.op("Gemm", flat, self.normal(outs, ins), self.normal(outs), name="y", transB=1)

    def model(
        self, inputs: dict[str, list[int | str]], outputs: dict[str, list[int | str]]
    ) -> onnx.ModelProto:
        return graphs.of(self.nodes, inputs, outputs, self.constants, self.opset)

    def image_model(self, *, channels: int = 3, size: int = 8, outs: int = 3) -> onnx.ModelProto:
        """x[N, channels, size, size] → y[N, outs]."""
        return self.model({"x": ["N", channels, size, size]}, {"y": ["N", outs]})
