"""A transformer of any size with external data, written weight by weight.

x float32 [N, L, width]  →  y float32 [N, L, width]; a block is attention and two wide products
"""

from pathlib import Path
from typing import IO, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data


def large_transformer(path: Path, width: int, blocks: int, seed: int = 0) -> int:
    """Write `path` and, beside it, `<name>.data`. Answers the bytes of the largest weight."""
    writer = _Writer(path, seed)
    with path.with_name(f"{path.name}.data").open("wb") as data:
        value = "x"
        writer.shrink(width)
        for block in range(blocks):
            value = writer.block(data, value, f"block{block}", width)
    writer.nodes[-1].output[0] = "y"
    shape = ["N", "L", width]
    graph = helper.make_graph(
        writer.nodes,
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        writer.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return 16 * width * width


class _Writer:
    def __init__(self, path: Path, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._path, self._rng = path, np.random.default_rng(seed)

    def shrink(self, width: int) -> None:
        """What keeps the scores of attention near 1."""
        self.weights.append(numpy_helper.from_array(np.float32(width**-0.5), "shrink"))

    def block(self, data: IO[bytes], x: str, name: str, width: int) -> str:
        normed = self._norm(x, f"{name}/norm", width)
        q, k, v = (self._product(data, normed, f"{name}/{part}", width, width) for part in "qkv")
        q = self._node("Mul", [q, "shrink"], f"{name}/shrink")
        turned = self._node("Transpose", [k], f"{name}/turn", perm=[0, 2, 1])
        scores = self._node("MatMul", [q, turned], f"{name}/scores")
        shares = self._node("Softmax", [scores], f"{name}/softmax", axis=-1)
        mixed = self._node("MatMul", [shares, v], f"{name}/mix")
        x = self._node("Add", [x, self._product(data, mixed, f"{name}/out", width, width)], f"{name}/add")
        normed = self._norm(x, f"{name}/last_norm", width)
        wide = self._node(
            "Relu", [self._product(data, normed, f"{name}/wide", width, 4 * width)], f"{name}/relu"
        )
        narrow = self._product(data, wide, f"{name}/narrow", 4 * width, width)
        return self._node("Add", [x, narrow], f"{name}/last_add")

    def _norm(self, x: str, name: str, width: int) -> str:
        for suffix, value in (("scale", 1.0), ("shift", 0.0)):
            self.weights.append(
                numpy_helper.from_array(np.full(width, value, np.float32), f"{name}.{suffix}")
            )
        return self._node("LayerNormalization", [x, f"{name}.scale", f"{name}.shift"], name)

    def _product(self, data: IO[bytes], x: str, name: str, inner: int, outer: int) -> str:
        array = self._rng.standard_normal((inner, outer), np.float32) / np.float32(np.sqrt(inner))
        tensor = TensorProto(
            name=f"{name}.weight", data_type=TensorProto.FLOAT, dims=[inner, outer], raw_data=b""
        )
        begin = data.tell()
        array.tofile(data)
        set_external_data(tensor, f"{self._path.name}.data", begin, data.tell() - begin)
        tensor.ClearField("raw_data")
        self.weights.append(tensor)
        return self._node("MatMul", [x, f"{name}.weight"], name)

    def _node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}_out"], name=name, **attributes))
        return f"{name}_out"
