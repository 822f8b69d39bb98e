"""Small ONNX models for tests, and the builders of one from text and from nodes. Each call makes a fresh model.

`N` is the symbolic batch dimension. Weights come from a seeded generator, so a graph is the same every time.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

from worker.compression.ir.protobuf_walk import messages

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
    text = f"""(float[N,3,{size},{size}] image) => (float[N,10] logits) {{
        [conv1] a = Conv <pads=[1, 1, 1, 1]> (image, "conv1.weight", "conv1.bias")
        [relu1] b = Relu (a)
        [conv2] c = Conv <pads=[1, 1, 1, 1]> (b, "conv2.weight", "conv2.bias")
        [residual] d = Add (b, c)
        [relu2] e = Relu (d)
        [pool] f = GlobalAveragePool (e)
        [flatten] g = Flatten (f)
        [fc] logits = Gemm <transB=1> (g, "fc.weight", "fc.bias")
    }}"""
    return parse(text, weights, opset=opset)


def mlp(*, inputs: int = 64, hidden: int = 32, opset: int = 18, seed: int = 0) -> onnx.ModelProto:
    """MatMul, Add, Relu, MatMul, Add: features[N,inputs] → logits[N,10]."""
    rng = np.random.default_rng(seed)
    weights = {
        "w1": _normal(rng, inputs, hidden),
        "b1": _normal(rng, hidden),
        "w2": _normal(rng, hidden, 10),
        "b2": _normal(rng, 10),
    }
    return parse(
        f"""(float[N,{inputs}] features) => (float[N,10] logits) {{
            [layer1] a = MatMul (features, w1)
            [bias1] b = Add (a, b1)
            [relu] c = Relu (b)
            [layer2] d = MatMul (c, w2)
            [bias2] logits = Add (d, b2)
        }}""",
        weights,
        opset=opset,
    )


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
    return parse(
        f"""(float[{steps},N,{inputs}] signal) => (float[{steps},N,4] scores) {{
            [lstm] y = LSTM <hidden_size={hidden}> (signal, "lstm.w", "lstm.r", "lstm.b")
            [squeeze] z = Squeeze (y, axes)
            [projection] scores = MatMul (z, proj)
        }}""",
        weights,
        opset=opset,
    )


def branches(*, opset: int = 18, seed: int = 0) -> onnx.ModelProto:
    """An If whose branches hold a MatMul each (weights as Constant nodes): x[N,4], flag[] → y[N,4]."""
    rng = np.random.default_rng(seed)
    model = parse(
        """(float[N,4] x, bool flag) => (float[N,4] y) {
            [choose] y = If <
                then_branch = then () => (float[N,4] "then.y") {
                    ["then.c"] "then.w" = Constant <value = float[1] {0}> ()
                    ["then.matmul"] "then.y" = MatMul (x, "then.w")
                },
                else_branch = else () => (float[N,4] "else.y") {
                    ["else.c"] "else.w" = Constant <value = float[1] {0}> ()
                    ["else.matmul"] "else.y" = MatMul (x, "else.w")
                }> (flag)
        }""",
        opset=opset,
    )
    for branch in model.graph.node[0].attribute:
        branch.g.node[0].attribute[0].t.CopyFrom(numpy_helper.from_array(_normal(rng, 4, 4)))
    return model


def branches_behind_a_relu() -> onnx.ModelProto:
    """`branches` with more than the If, so that no declared constant takes its place: x[N,4], flag[] → y[N,4]."""
    model = branches()
    model.graph.node.insert(0, onnx.helper.make_node("Relu", ["x"], ["positive"], "relu"))
    for attribute in model.graph.node[1].attribute:
        for node in attribute.g.node:
            node.input[:] = ["positive" if name == "x" else name for name in node.input]
    return model


def siblings(*, seed: int = 0) -> onnx.ModelProto:
    """All layers in the branches of an If, which use the same names: x[N,3,8,8], flag[] → y[N,10]."""
    rng = np.random.default_rng(seed)
    layers = """branch () => (float[N,10] z) {
        [first] a = Conv <pads=[1, 1, 1, 1]> (x, w1)
        [relu] b = Relu (a)
        [second] c = Conv (b, w2)
        [pool] p = GlobalAveragePool (c)
        [flat] f = Flatten (p)
        [head] z = MatMul (f, w3)
    }"""
    model = parse(f"""(float[N,3,8,8] x, bool flag) => (float[N,10] y) {{
        y = If <then_branch = {layers}, else_branch = {layers}> (flag)
    }}""")
    shapes = {"w1": (16, 3, 3, 3), "w2": (32, 16, 1, 1), "w3": (32, 10)}
    for branch in model.graph.node[0].attribute:
        branch.g.initializer.extend(tensors({n: _normal(rng, *shape) for n, shape in shapes.items()}))
    return model


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
    return parse(
        """(float[N,64] features) => (float[N,10] logits) {
            [first] h = local.Layer (features, w1, b1)
            [second] logits = local.Affine (h, w2, b2)
        }
        <domain: "local", opset_import: ["": 18, "local": 1]>
        Affine (x, w, b) => (y) {
            [product] t = MatMul (x, w)
            [sum] y = Add (t, b)
        }
        <domain: "local", opset_import: ["": 18, "local": 1]>
        Layer (x, w, b) => (y) {
            [affine] t = local.Affine (x, w, b)
            [relu] y = Relu (t)
        }""",
        weights,
        domains={"local": 1},
    )


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


def parse(
    text: str,
    weights: dict[str, Any] | None = None,
    *,
    opset: int = 18,
    ir_version: int = IR_VERSION,
    domains: dict[str, int] | None = None,
) -> onnx.ModelProto:
    """Parse a graph in ONNX's text format, `(float[N,4] x) => (float[N,3] y) { [layer] y = MatMul (x, w) }`.

    `weights` become initializers; functions may follow the graph, in a domain that `domains` gives its version.
    """
    opsets = ", ".join(f'"{domain}": {version}' for domain, version in {"": opset, **(domains or {})}.items())
    model = parser.parse_model(f"<ir_version: {ir_version}, opset_import: [{opsets}]> graph {text}")
    for made in messages(model, onnx.NodeProto):
        if not made.domain:
            made.ClearField("domain")  # the parser writes the empty one out, which no exporter does
    model.graph.initializer.extend(tensors(weights or {}))
    return model


def tensors(weights: dict[str, Any]) -> list[TensorProto]:
    return [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]


def node(op: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> onnx.NodeProto:
    """One node for `of`; names of values are separated by spaces."""
    return helper.make_node(op, inputs.split(), outputs.split(), name=name, **attributes)


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
    """Make a model of nodes that a test computes; outputs are float32. What is fixed is written as text: `parse`."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, inputs_are, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        tensors(weights),
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
