"""Small ONNX models for tests, built with `onnx.helper`. Every builder answers a fresh `onnx.ModelProto`.

`N` is the symbolic batch dimension. Weights come from a seeded generator, so a graph is the same every time.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IR_VERSION = 10
TRACE = 'File "/home/alice/secret/train.py", line 7, in forward'


def cnn(*, channels: int = 8, size: int = 8, opset: int = 18, seed: int = 0) -> onnx.ModelProto:
    """Two 3×3 convolutions with a residual sum, pooling and a linear layer: image[N,3,size,size] → logits[N,10]."""
    rng = np.random.default_rng(seed)
    weights = {
        "conv1.weight": _normal(rng, channels, 3, 3, 3),
        "conv1.bias": _normal(rng, channels),
        "conv2.weight": _normal(rng, channels, channels, 3, 3),
        "conv2.bias": _normal(rng, channels),
        "fc.weight": _normal(rng, 10, channels),
        "fc.bias": _normal(rng, 10),
    }
    nodes = [
        _conv("image", "conv1", "a"),
        helper.make_node("Relu", ["a"], ["b"], name="relu1"),
        _conv("b", "conv2", "c"),
        helper.make_node("Add", ["b", "c"], ["d"], name="residual"),
        helper.make_node("Relu", ["d"], ["e"], name="relu2"),
        helper.make_node("GlobalAveragePool", ["e"], ["f"], name="pool"),
        helper.make_node("Flatten", ["f"], ["g"], name="flatten"),
        helper.make_node("Gemm", ["g", "fc.weight", "fc.bias"], ["logits"], name="fc", transB=1),
    ]
    return of(nodes, {"image": ["N", 3, size, size]}, {"logits": ["N", 10]}, weights, opset)


def mlp(*, inputs: int = 64, hidden: int = 32, opset: int = 18, seed: int = 0) -> onnx.ModelProto:
    """MatMul, Add, Relu, MatMul, Add: features[N,inputs] → logits[N,10]."""
    rng = np.random.default_rng(seed)
    weights = {
        "w1": _normal(rng, inputs, hidden),
        "b1": _normal(rng, hidden),
        "w2": _normal(rng, hidden, 10),
        "b2": _normal(rng, 10),
    }
    nodes = [
        helper.make_node("MatMul", ["features", "w1"], ["a"], name="layer1"),
        helper.make_node("Add", ["a", "b1"], ["b"], name="bias1"),
        helper.make_node("Relu", ["b"], ["c"], name="relu"),
        helper.make_node("MatMul", ["c", "w2"], ["d"], name="layer2"),
        helper.make_node("Add", ["d", "b2"], ["logits"], name="bias2"),
    ]
    return of(nodes, {"features": ["N", inputs]}, {"logits": ["N", 10]}, weights, opset)


def lstm(
    *, inputs: int = 6, hidden: int = 5, steps: int = 7, opset: int = 18, seed: int = 0
) -> onnx.ModelProto:
    """An LSTM over signal[steps,N,inputs], then a MatMul: → scores[steps,N,4]."""
    rng = np.random.default_rng(seed)
    weights = {
        "lstm.w": _normal(rng, 1, 4 * hidden, inputs),
        "lstm.r": _normal(rng, 1, 4 * hidden, hidden),
        "lstm.b": _normal(rng, 1, 8 * hidden),
        "axes": np.array([1], np.int64),
        "proj": _normal(rng, hidden, 4),
    }
    nodes = [
        helper.make_node(
            "LSTM", ["signal", "lstm.w", "lstm.r", "lstm.b"], ["y"], name="lstm", hidden_size=hidden
        ),
        helper.make_node("Squeeze", ["y", "axes"], ["z"], name="squeeze"),
        helper.make_node("MatMul", ["z", "proj"], ["scores"], name="projection"),
    ]
    return of(nodes, {"signal": [steps, "N", inputs]}, {"scores": [steps, "N", 4]}, weights, opset)


def branches(*, opset: int = 18, seed: int = 0) -> onnx.ModelProto:
    """An If whose branches hold a MatMul each (weights as Constant nodes): x[N,4], flag[] → y[N,4]."""
    rng = np.random.default_rng(seed)
    nodes = [
        helper.make_node(
            "If",
            ["flag"],
            ["y"],
            name="choose",
            then_branch=_branch("then", _normal(rng, 4, 4)),
            else_branch=_branch("else", _normal(rng, 4, 4)),
        )
    ]
    model = of(nodes, {"x": ["N", 4]}, {"y": ["N", 4]}, {}, opset)
    model.graph.input.append(helper.make_tensor_value_info("flag", TensorProto.BOOL, []))
    return model


def siblings(*, seed: int = 0) -> onnx.ModelProto:
    """All layers in the branches of an If, which use the same names: x[N,3,8,8], flag[] → y[N,10]."""
    rng = np.random.default_rng(seed)
    chosen = {name: _pooled_convolutions(rng) for name in ("then_branch", "else_branch")}
    model = of(
        [helper.make_node("If", ["flag"], ["y"], **chosen)], {"x": ["N", 3, 8, 8]}, {"y": ["N", 10]}, {}, 18
    )
    model.graph.input.append(helper.make_tensor_value_info("flag", TensorProto.BOOL, []))
    return model


def _pooled_convolutions(rng: np.random.Generator) -> onnx.GraphProto:
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="first", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="second"),
        helper.make_node("GlobalAveragePool", ["c"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        helper.make_node("MatMul", ["f", "w3"], ["z"], name="head"),
    ]
    shapes = {"w1": (16, 3, 3, 3), "w2": (32, 16, 1, 1), "w3": (32, 10)}
    weights = [numpy_helper.from_array(_normal(rng, *shape), name) for name, shape in shapes.items()]
    answer = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 10])
    return helper.make_graph(nodes, "branch", [], [answer], weights)


def dirty() -> onnx.ModelProto:
    """`branches` with stack traces, doc strings and source paths in every place that can hold one.

    The model's own `metadata_props` (`names`, `stride`) must survive a tidying.
    """
    model = branches()
    soil(model)
    for key, value in {"names": "{0: 'cat', 1: 'dog'}", "stride": "32"}.items():
        model.metadata_props.add(key=key, value=value)
    return model


def with_constant_nodes() -> onnx.ModelProto:
    """`cnn` with every weight in a Constant node instead of an initializer."""
    model = cnn()
    constants = [
        helper.make_node("Constant", [], [tensor.name], name=f"const_{tensor.name}", value=tensor)
        for tensor in model.graph.initializer
    ]
    nodes = [*constants, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def with_functions() -> onnx.ModelProto:
    """`mlp` whose layers are calls of a local function that calls another: features[N,64] → logits[N,10]."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": _normal(rng, 64, 32),
        "b1": _normal(rng, 32),
        "w2": _normal(rng, 32, 10),
        "b2": _normal(rng, 10),
    }
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    affine = helper.make_function(
        "local",
        "Affine",
        ["x", "w", "b"],
        ["y"],
        [
            helper.make_node("MatMul", ["x", "w"], ["t"], name="product"),
            helper.make_node("Add", ["t", "b"], ["y"], name="sum"),
        ],
        opsets,
    )
    layer = helper.make_function(
        "local",
        "Layer",
        ["x", "w", "b"],
        ["y"],
        [
            helper.make_node("Affine", ["x", "w", "b"], ["t"], name="affine", domain="local"),
            helper.make_node("Relu", ["t"], ["y"], name="relu"),
        ],
        opsets,
    )
    nodes = [
        helper.make_node("Layer", ["features", "w1", "b1"], ["h"], name="first", domain="local"),
        helper.make_node("Affine", ["h", "w2", "b2"], ["logits"], name="second", domain="local"),
    ]
    model = of(nodes, {"features": ["N", 64]}, {"logits": ["N", 10]}, weights, 18)
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.functions.extend([affine, layer])
    return model


def with_initializers_as_inputs() -> onnx.ModelProto:
    """`cnn` in the old manner (IR version 3): every initializer is listed as a graph input too."""
    model = cnn(opset=9)
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return model


def with_sparse_initializers() -> onnx.ModelProto:
    """`mlp` with three quarters of each matrix zero: `w1` sparse by flat index, `w2` by coordinates."""
    model = mlp()
    dense = {t.name: numpy_helper.to_array(t).copy() for t in model.graph.initializer}
    for name in ("w1", "w2"):
        dense[name].reshape(-1)[np.arange(dense[name].size) % 4 != 0] = 0
    del model.graph.initializer[:]
    for name in ("b1", "b2"):
        model.graph.initializer.append(numpy_helper.from_array(dense[name], name))
    flat = np.flatnonzero(dense["w1"]).astype(np.int64)
    model.graph.sparse_initializer.append(_sparse("w1", dense["w1"], flat))
    model.graph.sparse_initializer.append(
        _sparse("w2", dense["w2"], np.argwhere(dense["w2"]).astype(np.int64))
    )
    return model


def with_external_data(folder: Path, name: str = "model.onnx", data: str = "model.data") -> Path:
    """`mlp` written to `folder`, its weights in one file beside it. Answers the path of the `.onnx`."""
    path = folder / name
    onnx.save_model(mlp(), str(path), save_as_external_data=True, location=data, size_threshold=0)
    return path


def of(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    weights: dict[str, Any],
    opset: int = 18,
    *,
    inputs_are: int = TensorProto.FLOAT,
    ir_version: int = IR_VERSION,
) -> onnx.ModelProto:
    """A model of these nodes; outputs are float32."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, inputs_are, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def feeds(model: onnx.ModelProto, *, batch: int = 3, seed: int = 1) -> dict[str, np.ndarray]:
    """Normal float32 (or True) for every input that has no initializer, symbolic dimensions set to `batch`."""
    rng = np.random.default_rng(seed)
    given = {tensor.name for tensor in model.graph.initializer}
    made: dict[str, np.ndarray] = {}
    for value in model.graph.input:
        if value.name in given:
            continue
        shape = [d.dim_value or batch for d in value.type.tensor_type.shape.dim]
        boolean = value.type.tensor_type.elem_type == TensorProto.BOOL
        made[value.name] = np.ones(shape, bool) if boolean else _normal(rng, *shape)
    return made


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.standard_normal(shape) * 0.3).astype(np.float32)


def _conv(source: str, name: str, target: str) -> onnx.NodeProto:
    return helper.make_node(
        "Conv", [source, f"{name}.weight", f"{name}.bias"], [target], name=name, pads=[1, 1, 1, 1]
    )


def _branch(name: str, weight: np.ndarray) -> onnx.GraphProto:
    nodes = [
        helper.make_node(
            "Constant", [], [f"{name}.w"], name=f"{name}.c", value=numpy_helper.from_array(weight)
        ),
        helper.make_node("MatMul", ["x", f"{name}.w"], [f"{name}.y"], name=f"{name}.matmul"),
    ]
    return helper.make_graph(
        nodes, name, [], [helper.make_tensor_value_info(f"{name}.y", TensorProto.FLOAT, ["N", 4])]
    )


def _sparse(name: str, dense: np.ndarray, indices: np.ndarray) -> onnx.SparseTensorProto:
    values = numpy_helper.from_array(dense[dense != 0], name)
    return helper.make_sparse_tensor(values, numpy_helper.from_array(indices, f"{name}_indices"), dense.shape)


def soil(message: object) -> None:
    """Write `TRACE` into each `doc_string`, and into each `metadata_props` under an exporter's key."""
    for descriptor in message.DESCRIPTOR.fields:  # type: ignore[attr-defined]
        value = getattr(message, descriptor.name)
        if descriptor.name == "doc_string":
            message.doc_string = TRACE  # type: ignore[attr-defined]
        elif descriptor.name == "metadata_props":
            value.add(key="pkg.torch.onnx.stack_trace", value=TRACE)
        elif descriptor.message_type is not None and descriptor.is_repeated:
            for item in value:
                soil(item)
        elif descriptor.message_type is not None and message.HasField(descriptor.name):  # type: ignore[attr-defined]
            soil(value)
