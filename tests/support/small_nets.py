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


def model(text: str, weights: dict[str, Any] | None = None, opset: int = 17) -> ir.Model:
    """Normalise a model that is written as text, see `graphs.parse`."""
    return normalise(ir.from_proto(graphs.parse(text, weights, opset=opset, ir_version=8)))


def model_of(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    weights: dict[str, Any],
    opset: int = 17,
    inputs_are: int = TensorProto.FLOAT,
) -> ir.Model:
    """Normalise a model of nodes that a test computes, see `graphs.of`."""
    return normalise(
        ir.from_proto(graphs.of(nodes, inputs, outputs, weights, opset, inputs_are=inputs_are, ir_version=8))
    )


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
    return model(
        """(float[N,1,8,8] image) => (float[N,10] logits) {
            [conv1] c1 = Conv <pads=[1, 1, 1, 1]> (image, w1, b1)
            [relu1] r1 = Relu (c1)
            [pool] p1 = MaxPool <kernel_shape=[2, 2], strides=[2, 2]> (r1)
            [conv2] c2 = Conv <pads=[1, 1, 1, 1]> (p1, w2)
            [norm] n2 = BatchNormalization (c2, gamma, beta, mean, var)
            [relu2] r2 = Relu (n2)
            [flatten] flat = Flatten (r2)
            ["head/gemm"] logits = Gemm (flat, w3, b3)
        }""",
        weights,
        opset=opset,
    )


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
    return model(
        """(float[N,4,6,6] x) => (float[N,8,6,6] y) {
            [conv1] c1 = Conv <pads=[1, 1, 1, 1]> (x, w1)
            [norm1] n1 = BatchNormalization (c1, one, zero, zero, one)
            [relu1] r1 = Relu (n1)
            [conv2] c2 = Conv <pads=[1, 1, 1, 1]> (r1, w2)
            [norm2] n2 = BatchNormalization (c2, one, zero, zero, one)
            [relu2] r2 = Relu (n2)
            [conv3] y = Conv (r2, w3)
        }""",
        weights,
    )


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
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    return model(
        """(float[N,8,8,8] image) => (float[N,4] y) {
            [conv1] c1 = Conv <pads=[1, 1, 1, 1]> (image, w1)
            [relu1] r1 = Relu (c1)
            [conv2] c2 = Conv <pads=[1, 1, 1, 1]> (r1, w2)
            [pool] p = GlobalAveragePool (c2)
            [flatten] f = Flatten (p)
            [product] y = MatMul (f, w3)
        }""",
        weights,
    )


def loud_images() -> Any:
    return np.random.default_rng(8).uniform(0.9, 1, (32, 8, 8, 8)).astype(np.float32)


def loud_product(op: str) -> ir.Model:
    """The same for one product or LSTM."""
    rng = np.random.default_rng(9)
    if op == "LSTM":
        weights = {"w": rng.uniform(0.9, 1, (1, 16, 64)) / 64, "r": rng.uniform(0.9, 1, (1, 16, 4)) / 4}
        text = "(float[T,N,64] x) => (float[T,1,N,4] y) { [lstm] y = LSTM <hidden_size=4> (x, w, r) }"
    else:
        weights = {"w": rng.uniform(0.9, 1, (64, 16)) * np.where(np.arange(16) % 2, -1, 1)}
        text = f"(float[N,64] x) => (float[N,16] y) {{ [product] y = {op} (x, w) }}"
    return model(text, {name: array.astype(np.float32) for name, array in weights.items()})


def snr_db(reference: Any, got: Any) -> float:
    reference, got = np.asarray(reference, np.float64), np.asarray(got, np.float64)
    with np.errstate(divide="ignore"):  # of a reference of zeros: minus infinity
        return float(10 * np.log10((reference**2).sum() / max(((reference - got) ** 2).sum(), 1e-30)))


def ops(net: ir.Model) -> list[str]:
    return [n.op_type for n in net.graph]


def named(net: ir.Model, name: str) -> ir.Node:
    return next(n for n in net.graph if n.name == name)
