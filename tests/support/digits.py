"""A real classifier without torch: two convolutions with random filters, a linear layer fitted to real digits."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from winnow.contract.declaration import Declaration

TRAINED, CALIBRATION = 1000, (1000, 1200)
EVALUATION = (1200, 1797)
DECLARATION = Declaration.model_validate(
    {"inputs": {"image": {"array": "images", "add_axis": 1, "scale": 1 / 16}}, "targets": {"array": "labels"}}
)


@dataclass(frozen=True)
class Digits:
    """`model.onnx` (image[N,1,8,8] → logits[N,10]) and `data.npz` (uint8 images[1797,8,8], int64 labels)."""

    model: Path
    data: Path


def digits(folder: Path) -> Digits:
    """Both files, written into the folder."""
    model, images, labels = _fitted()
    onnx.save(model, folder / "model.onnx")
    np.savez(folder / "data.npz", images=images, labels=labels)
    return Digits(folder / "model.onnx", folder / "data.npz")


@cache
def _fitted() -> tuple[onnx.ModelProto, np.ndarray, np.ndarray]:
    bunch = load_digits()
    images, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.int64)
    features = _features(images.astype(np.float32)[:, None] / 16)
    linear = LogisticRegression(C=100, max_iter=1000).fit(features[:TRAINED], labels[:TRAINED])
    return _model(linear.coef_.astype(np.float32), linear.intercept_.astype(np.float32)), images, labels


def _features(images: np.ndarray) -> np.ndarray:
    proto = _graph(_convolutions(), _filters(), "features", 32 * 4)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": images})[0])


def _model(weight: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
    nodes = [*_convolutions(), helper.make_node("Gemm", ["features", "w", "b"], ["logits"], "fc", transB=1)]
    return _graph(nodes, _filters() | {"w": weight, "b": bias}, "logits", 10)


def _filters() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {"k1": (16, 1, 3, 3), "k2": (32, 16, 3, 3)}
    return {
        name: (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        for name, shape in shapes.items()
    }


def _convolutions() -> list[onnx.NodeProto]:
    same = {"pads": [1, 1, 1, 1]}
    halve = {"kernel_shape": [2, 2], "strides": [2, 2]}
    return [
        helper.make_node("Conv", ["image", "k1"], ["c1"], "conv1", **same),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("MaxPool", ["r1"], ["p1"], "pool1", **halve),
        helper.make_node("Conv", ["p1", "k2"], ["c2"], "conv2", **same),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("MaxPool", ["r2"], ["p2"], "pool2", **halve),
        helper.make_node("Flatten", ["p2"], ["features"], "flatten"),
    ]


def _graph(
    nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], output: str, width: int
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", width])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
