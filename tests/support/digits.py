"""A real classifier without torch: two convolutions with random filters, a linear layer fitted to real digits."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from tests.support import graphs
from winnow.contract.declaration import Declaration

TRAINED, CALIBRATION = 1000, (1000, 1200)
EVALUATION = (1200, 1797)
DECLARATION = Declaration.model_validate(
    {"inputs": {"image": {"array": "images", "add_axis": 1, "scale": 1 / 16}}, "targets": {"array": "labels"}}
)


CONVOLUTIONS = """
    [conv1] c1 = Conv <pads=[1, 1, 1, 1]> (image, k1)
    [relu1] r1 = Relu (c1)
    [pool1] p1 = MaxPool <kernel_shape=[2, 2], strides=[2, 2]> (r1)
    [conv2] c2 = Conv <pads=[1, 1, 1, 1]> (p1, k2)
    [relu2] r2 = Relu (c2)
    [pool2] p2 = MaxPool <kernel_shape=[2, 2], strides=[2, 2]> (r2)
    [flatten] features = Flatten (p2)
"""


@dataclass(frozen=True)
class Digits:
    """`model.onnx` (image[N,1,8,8] → logits[N,10]) and `data.npz` (uint8 images[1797,8,8], int64 labels)."""

    model: Path
    data: Path


def digits(folder: Path, rows: int | None = None) -> Digits:
    """Both files, written into the folder; of the data only the first rows, where it is said how many."""
    model, images, labels = _fitted()
    onnx.save(model, folder / "model.onnx")
    np.savez(folder / "data.npz", images=images[:rows], labels=labels[:rows])
    return Digits(folder / "model.onnx", folder / "data.npz")


@cache
def _fitted() -> tuple[onnx.ModelProto, np.ndarray, np.ndarray]:
    bunch = load_digits()
    images, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.int64)
    features = _features(images.astype(np.float32)[:, None] / 16)
    linear = LogisticRegression(C=100, max_iter=1000).fit(features[:TRAINED], labels[:TRAINED])
    return _model(linear.coef_.astype(np.float32), linear.intercept_.astype(np.float32)), images, labels


def _features(images: np.ndarray) -> np.ndarray:
    text = f"(float[batch,1,8,8] image) => (float[batch,128] features) {{ {CONVOLUTIONS} }}"
    proto = graphs.parse(text, _filters(), opset=17, ir_version=8)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": images})[0])


def _model(weight: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
    text = f"""(float[batch,1,8,8] image) => (float[batch,10] logits) {{
        {CONVOLUTIONS}
        [fc] logits = Gemm <transB=1> (features, w, b)
    }}"""
    return graphs.parse(text, _filters() | {"w": weight, "b": bias}, opset=17, ir_version=8)


def _filters() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {"k1": (16, 1, 3, 3), "k2": (32, 16, 3, 3)}
    return {
        name: (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        for name, shape in shapes.items()
    }
