"""Models whose float function is that of a real file and whose scales drift apart, as in the field.

decoded   YOLOX's boxes in pixels beside its scores, as exporters write them with the decoding in the graph
joined    a face detector's boxes in pixels and its scores in one output
uneven    channels scaled by powers of two in front of a Relu, and back behind it: relu(s x) = s relu(x), s > 0
          (Nagel et al. 2019, arXiv:1906.04721, have networks that are so by training)
values    the same of attention's values, in which the answer is linear: softmax(q k) (v S) S⁻¹ W
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

OCTAVES = 4
"""Scales are from 2^-4 to 2^4."""
STRIDES, SIDE = (8, 16, 32), 416
PIXELS = (320, 240, 320, 240)


def decoded(model: onnx.ModelProto) -> onnx.ModelProto:
    """output float32 [1, places, 4 + scores], as YOLOX has it → detections, boxes as centre and size in pixels."""
    grids, strides = [], []
    for stride in STRIDES:
        side = SIDE // stride
        y, x = np.mgrid[:side, :side]
        grids.append(np.stack([x, y], 2).reshape(-1, 2))
        strides.append(np.full((side * side, 1), stride))
    _constant(model, "grid", np.concatenate(grids)[None].astype(np.float32))
    _constant(model, "stride", np.concatenate(strides)[None].astype(np.float32))
    for name, (start, end) in {"place": (0, 2), "size": (2, 4), "scores": (4, 85)}.items():
        _slice(model, "output", name, start, end)
    _add(model, "Add", ["place", "grid"], "cell")
    _add(model, "Mul", ["cell", "stride"], "centre")
    _add(model, "Exp", ["size"], "sizes")
    _add(model, "Mul", ["sizes", "stride"], "extent")
    return _answering(model, ["centre", "extent", "scores"], [1, 3549, 85])


def joined(model: onnx.ModelProto) -> onnx.ModelProto:
    """scores [1, n, 2], boxes [1, n, 4] in shares of the picture → detections [1, n, 6], boxes in pixels."""
    scores, boxes = sorted(
        model.graph.output, key=lambda value: value.type.tensor_type.shape.dim[2].dim_value
    )
    places = boxes.type.tensor_type.shape.dim[1].dim_value
    _constant(model, "pixels", np.array(PIXELS, np.float32))
    _add(model, "Mul", [boxes.name, "pixels"], "in_pixels")
    return _answering(model, ["in_pixels", scores.name], [1, places, 6])


def uneven(model: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """Each Conv whose answer goes through a Relu into Convs alone; exact but for the rounding of powers of two."""
    random = np.random.default_rng(seed)
    weights = {each.name: each for each in model.graph.initializer}
    for conv, readers in _rectified(model):
        count = weights[conv.input[1]].dims[0]
        scale = np.exp2(random.integers(-OCTAVES, OCTAVES + 1, count)).astype(np.float32)
        _scale(weights, conv.input[1], scale, 0)
        if len(conv.input) > 2:
            _scale(weights, conv.input[2], scale, 0)
        for reader in readers:
            depthwise = weights[reader.input[1]].dims[1] == 1
            _scale(weights, reader.input[1], 1 / scale, 0 if depthwise else 1)
    return model


def uneven_values(model: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """Of MiniLM as `tests.support.minilm` exports it."""
    random = np.random.default_rng(seed)
    weights = {each.name: each for each in model.graph.initializer}
    layers = sum(name.endswith("attention.value.bias") for name in weights)
    for layer in range(layers):
        names = [f"layers.{layer}.attention.{part}.bias" for part in ("value", "out")]
        inner, outer = (_product_in_front(model, name) for name in names)
        scale = np.exp2(random.integers(-OCTAVES, OCTAVES + 1, weights[names[0]].dims[0])).astype(np.float32)
        _scale(weights, inner, scale, 1)
        _scale(weights, names[0], scale, 0)
        _scale(weights, outer, 1 / scale, 0)
    return model


def _rectified(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, list[onnx.NodeProto]]]:
    """Convs, and the Convs that read them behind a Relu; none that anything else reads too."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for conv in (node for node in model.graph.node if node.op_type == "Conv"):
        behind = readers.get(conv.output[0], [])
        if len(behind) == 1 and behind[0].op_type == "Relu":
            last = readers.get(behind[0].output[0], [])
            if last and all(node.op_type == "Conv" and _plain(model, node) for node in last):
                yield conv, last


def _plain(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Whether it has one group, or one for each channel."""
    groups = next((each.i for each in node.attribute if each.name == "group"), 1)
    weight = next(each for each in model.graph.initializer if each.name == node.input[1])
    return groups == 1 or (groups == weight.dims[0] and weight.dims[1] == 1)


def _product_in_front(model: onnx.ModelProto, bias: str) -> str:
    """The weight of the MatMul to which the bias is added."""
    (added,) = (node for node in model.graph.node if bias in node.input)
    (product,) = (
        node for node in model.graph.node if node.output[0] in added.input and node.op_type == "MatMul"
    )
    return str(product.input[1])


def _scale(weights: dict[str, onnx.TensorProto], name: str, scale: np.ndarray, axis: int) -> None:
    array = numpy_helper.to_array(weights[name])
    shape = [1] * array.ndim
    shape[axis] = -1
    weights[name].CopyFrom(numpy_helper.from_array((array * scale.reshape(shape)).astype(np.float32), name))


def _slice(model: onnx.ModelProto, source: str, name: str, start: int, end: int) -> None:
    for part, value in {"start": start, "end": end, "axis": 2}.items():
        _constant(model, f"{name}_{part}", np.array([value], np.int64))
    _add(model, "Slice", [source, f"{name}_start", f"{name}_end", f"{name}_axis"], name)


def _answering(model: onnx.ModelProto, parts: list[str], shape: list[int]) -> onnx.ModelProto:
    """With these joined along the last axis as the only output."""
    _add(model, "Concat", parts, "detections", axis=2)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("detections", onnx.TensorProto.FLOAT, shape))
    return model


def _add(model: onnx.ModelProto, kind: str, inputs: list[str], output: str, **attributes: int) -> None:
    model.graph.node.append(helper.make_node(kind, inputs, [output], name=f"made_{output}", **attributes))


def _constant(model: onnx.ModelProto, name: str, array: np.ndarray) -> None:
    model.graph.initializer.append(numpy_helper.from_array(array, name))
