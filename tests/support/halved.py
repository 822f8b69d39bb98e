"""A ResNet-20 after heavy damage: inside each block half of the filters are cut away, those of the smallest L2 norm."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper


def halved(source: Path, path: Path) -> Path:
    """Only channels between the two convolutions of a block are cut, so nothing else in the graph changes."""
    model = onnx.load(str(source))
    weights = {weight.name: weight for weight in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"][1:]
    del model.graph.value_info[:]
    for first, second in zip(convolutions[::2], convolutions[1::2], strict=True):
        norms = np.linalg.norm(_array(weights, first.input[1]).reshape(-1, _inner(weights, first)), axis=1)
        kept = np.sort(np.argsort(norms)[len(norms) // 2 :])
        for name, axis in ((first.input[1], 0), (first.input[2], 0), (second.input[1], 1)):
            weights[name].CopyFrom(numpy_helper.from_array(_array(weights, name).take(kept, axis), name))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return path


def _array(weights: dict[str, onnx.TensorProto], name: str) -> np.ndarray:
    return numpy_helper.to_array(weights[name])


def _inner(weights: dict[str, onnx.TensorProto], node: onnx.NodeProto) -> int:
    return int(np.prod(weights[node.input[1]].dims[1:]))
