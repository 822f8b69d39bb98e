"""A BERT as exporters wrote it before they folded shapes: every reshape asks its input for the sizes.

input_ids, attention_mask int64 [batch, sequence]  →  float32 [batch, sequence, width]
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LENGTH = 128
WORDS = 1000


def unfolded_bert(path: Path, *, layers: int, width: int, heads: int) -> int:
    """Write one with random weights; how many nodes it has."""
    graph = _Graph(width, heads)
    x = graph.embedded("input_ids")
    mask = graph.mask("attention_mask")
    for _ in range(layers):
        x = graph.layer(x, mask)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["batch", "sequence", width])]
    made = helper.make_graph(graph.nodes, "bert", inputs, outputs, graph.weights)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), path)
    return len(graph.nodes)


class _Graph:
    def __init__(self, width: int, heads: int) -> None:
        self.rng = np.random.default_rng(0)
        self.width, self.heads = width, heads
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [f"{name}_out"], name=name, **attributes))
        return f"{name}_out"

    def constant(self, number: object) -> str:
        return self.op("Constant", value=numpy_helper.from_array(np.asarray(number)))

    def weight(self, *shape: int) -> str:
        values = (self.rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, f"w{len(self.weights)}"))
        return self.weights[-1].name

    def dense(self, x: str, inner: int, outer: int) -> str:
        return self.op("Add", self.op("MatMul", x, self.weight(inner, outer)), self.weight(outer))

    def size(self, x: str, axis: int) -> str:
        found = self.op("Gather", self.op("Shape", x), self.constant(np.int64(axis)), axis=0)
        return self.op("Unsqueeze", found, self.constant(np.array([0])))

    def reshaped(self, x: str, *inner: int) -> str:
        ends = [self.constant(np.array([size])) for size in inner]
        return self.op("Reshape", x, self.op("Concat", self.size(x, 0), self.size(x, 1), *ends, axis=0))

    def norm(self, x: str) -> str:
        centred = self.op("Sub", x, self.op("ReduceMean", x, axes=[-1]))
        squares = self.op("Pow", centred, self.constant(np.float32(2)))
        variance = self.op("Add", self.op("ReduceMean", squares, axes=[-1]), self.constant(np.float32(1e-5)))
        unit = self.op("Div", centred, self.op("Sqrt", variance))
        return self.op("Add", self.op("Mul", unit, self.weight(self.width)), self.weight(self.width))

    def gelu(self, x: str) -> str:
        bent = self.op("Erf", self.op("Div", x, self.constant(np.float32(np.sqrt(2)))))
        wide = self.op("Mul", x, self.op("Add", bent, self.constant(np.float32(1))))
        return self.op("Mul", wide, self.constant(np.float32(0.5)))

    def embedded(self, ids: str) -> str:
        places = self.constant(np.arange(LENGTH))
        there = self.op("Slice", places, self.constant(np.array([0])), self.size(ids, 1))
        words = self.op("Gather", self.weight(WORDS, self.width), ids)
        return self.norm(self.op("Add", words, self.op("Gather", self.weight(LENGTH, self.width), there)))

    def mask(self, given: str) -> str:
        wide = self.op("Unsqueeze", given, self.constant(np.array([1, 2])))
        hidden = self.op("Sub", self.constant(np.float32(1)), self.op("Cast", wide, to=TensorProto.FLOAT))
        return self.op("Mul", hidden, self.constant(np.float32(-1e4)))

    def layer(self, x: str, mask: str) -> str:
        width, heads = self.width, self.heads
        q, k, v = (
            self.op(
                "Transpose",
                self.reshaped(self.dense(x, width, width), heads, width // heads),
                perm=[0, 2, 1, 3],
            )
            for _ in range(3)
        )
        scores = self.op("MatMul", q, self.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = self.op("Div", scores, self.constant(np.float32(np.sqrt(width // heads))))
        mixed = self.op("MatMul", self.op("Softmax", self.op("Add", scores, mask), axis=-1), v)
        joined = self.reshaped(self.op("Transpose", mixed, perm=[0, 2, 1, 3]), width)
        x = self.norm(self.op("Add", self.dense(joined, width, width), x))
        inner = self.gelu(self.dense(x, width, 4 * width))
        return self.norm(self.op("Add", self.dense(inner, 4 * width, width), x))
