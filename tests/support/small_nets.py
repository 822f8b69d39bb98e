"""Small networks for the tests of techniques: built here, trained in closed form on scikit-learn's digits."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import TensorProto, helper
from sklearn.datasets import load_digits

from tests.support import graphs
from winnow.contract.model import TensorSpec
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.graph.normal_form.normalise import normalise

FLOAT = TensorProto.FLOAT


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    weights: dict[str, Any],
    opset: int = 17,
    inputs_are: int = FLOAT,
) -> ir.Model:
    """A normalised float32 model."""
    made = graphs.of(nodes, inputs, outputs, weights, opset, inputs_are=inputs_are, ir_version=8)
    return normalise(ir.from_proto(made))


def node(op: str, inputs: str, outputs: str, name: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), name=name, **attributes)


@cache
def _digits() -> tuple[Any, Any]:
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return (x[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8), y[order]


@cache
def _weights() -> dict[str, Any]:
    """Random convolutions, a batch norm with measured moments, and a linear classifier fitted by ridge regression."""
    rng = np.random.default_rng(1)
    x, y = _digits()
    weights: dict[str, Any] = {
        "w1": rng.normal(size=(16, 1, 3, 3)).astype(np.float32)
        * np.geomspace(0.1, 2, 16)[:, None, None, None],
        "b1": rng.normal(size=16) * 0.3,
        "w2": rng.normal(size=(32, 16, 3, 3)) * 0.1,
        "gamma": rng.uniform(0.5, 2, 32),
        "beta": rng.normal(size=32) * 0.1,
        "mean": rng.normal(size=32) * 0.1,
        "var": rng.uniform(0.5, 2, 32),
        "w3": np.zeros((512, 10)),
        "b3": np.zeros(10),
    }
    weights = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    features = run(_assemble(weights), {"image": x[:1200]}, "flat")
    design = np.hstack([features, np.ones((1200, 1), np.float32)]).astype(np.float64)
    targets = np.eye(10)[y[:1200]]
    solution = np.linalg.solve(design.T @ design + np.eye(513), design.T @ targets)
    return weights | {"w3": solution[:-1].astype(np.float32), "b3": solution[-1].astype(np.float32)}


def _assemble(weights: dict[str, Any], opset: int = 17) -> ir.Model:
    nodes = [
        node("Conv", "image w1 b1", "c1", "conv1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1", "relu1"),
        node("MaxPool", "r1", "p1", "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p1 w2", "c2", "conv2", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c2 gamma beta mean var", "n2", "norm"),
        node("Relu", "n2", "r2", "relu2"),
        node("Flatten", "r2", "flat", "flatten"),
        node("Gemm", "flat w3 b3", "logits", "head/gemm"),
    ]
    return model(nodes, {"image": ["N", 1, 8, 8]}, {"logits": ["N", 10]}, weights, opset)


def digits_net(opset: int = 17) -> ir.Model:
    """Conv, Relu, MaxPool, Conv, BatchNormalization, Relu, Flatten, Gemm; over 95 % right on unseen digits."""
    return _assemble(_weights(), opset)


def digits_samples(folder: Path) -> Samples:
    """All 1797 digits; the net was trained on the first 1200."""
    x, y = _digits()
    return samples(folder, digits_net(), image=x, labels=y)


def joined_batchnorms() -> ir.Model:
    """Two convolutions with batch norms that were never trained: all their vectors of ones are one initializer."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(size=(32, 4, 3, 3)).astype(np.float32),
        "w2": rng.normal(size=(32, 32, 3, 3)).astype(np.float32),
        "w3": rng.normal(size=(8, 32, 1, 1)).astype(np.float32),
        "one": np.ones(32, np.float32),
        "zero": np.zeros(32, np.float32),
    }
    nodes = [
        node("Conv", "x w1", "c1", "conv1", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c1 one zero zero one", "n1", "norm1"),
        node("Relu", "n1", "r1", "relu1"),
        node("Conv", "r1 w2", "c2", "conv2", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c2 one zero zero one", "n2", "norm2"),
        node("Relu", "n2", "r2", "relu2"),
        node("Conv", "r2 w3", "y", "conv3"),
    ]
    return model(nodes, {"x": ["N", 4, 6, 6]}, {"y": ["N", 8, 6, 6]}, weights)


def samples(folder: Path, net: ir.Model, **arrays: Any) -> Samples:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data.npz", **arrays)
    specs = [
        TensorSpec(
            name=str(v.name),
            dtype=v.dtype.numpy().name,  # type: ignore[union-attr]
            shape=[d if isinstance(d, int) else d.value for d in v.shape],  # type: ignore[union-attr]
        )
        for v in net.graph.inputs
    ]
    return open_samples(Source(folder / "data.npz"), specs, folder / "scratch")


def proto(net: ir.Model) -> onnx.ModelProto:
    """Checked, so that every test that runs a result has it checked too."""
    made = ir.to_proto(net)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(net: ir.Model, feeds: dict[str, Any], output: str | None = None, *, fused: bool = True) -> Any:
    """One output (the first when not named; a value inside the graph may be asked for).

    Not `fused`, every node is computed as it is written: Q/DQ pairs around float operators.
    """
    made = proto(net)
    names = [o.name for o in made.graph.output]
    if output is not None and output not in names:
        made.graph.output.append(helper.make_empty_tensor_value_info(output))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not fused:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run([output or names[0]], feeds)[0]


def optimized(net: ir.Model, folder: Path) -> list[str]:
    """Operators of the graph that ONNX Runtime runs, which it leaves in `folder`/optimized.onnx."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(proto(net).SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [n.op_type for n in onnx.load(folder / "optimized.onnx").graph.node]


def loud_net() -> ir.Model:
    """Weights of one sign near full scale, and inputs likewise (`loud_images`): the largest sums a layer can have."""
    rng = np.random.default_rng(7)
    weights = {
        "w1": rng.uniform(0.9, 1, (16, 8, 3, 3)) * np.where(np.arange(16) % 2, -1, 1)[:, None, None, None],
        "w2": rng.uniform(0.9, 1, (16, 16, 3, 3)),
        "w3": rng.uniform(0.9, 1, (16, 4)) * [1, -1, 1, -1],
    }
    nodes = [
        node("Conv", "image w1", "c1", "conv1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1", "relu1"),
        node("Conv", "r1 w2", "c2", "conv2", pads=[1, 1, 1, 1]),
        node("GlobalAveragePool", "c2", "p", "pool"),
        node("Flatten", "p", "f", "flatten"),
        node("MatMul", "f w3", "y", "product"),
    ]
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    return model(nodes, {"image": ["N", 8, 8, 8]}, {"y": ["N", 4]}, weights)


def loud_images() -> Any:
    return np.random.default_rng(8).uniform(0.9, 1, (32, 8, 8, 8)).astype(np.float32)


def loud_product(op: str) -> ir.Model:
    """The same for one product or LSTM."""
    rng = np.random.default_rng(9)
    if op == "LSTM":
        weights = {"w": rng.uniform(0.9, 1, (1, 16, 64)) / 64, "r": rng.uniform(0.9, 1, (1, 16, 4)) / 4}
        nodes = [node("LSTM", "x w r", "y", "lstm", hidden_size=4)]
        shapes: tuple[list[Any], list[Any]] = (["T", "N", 64], ["T", 1, "N", 4])
    else:
        weights = {"w": rng.uniform(0.9, 1, (64, 16)) * np.where(np.arange(16) % 2, -1, 1)}
        nodes, shapes = [node(op, "x w", "y", "product")], (["N", 64], ["N", 16])
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    return model(nodes, {"x": shapes[0]}, {"y": shapes[1]}, weights)


def snr_db(reference: Any, got: Any) -> float:
    reference, got = np.asarray(reference, np.float64), np.asarray(got, np.float64)
    return float(10 * np.log10((reference**2).sum() / max(((reference - got) ** 2).sum(), 1e-30)))


def ops(net: ir.Model) -> list[str]:
    return [n.op_type for n in net.graph]


def named(net: ir.Model, name: str) -> ir.Node:
    return next(n for n in net.graph if n.name == name)
