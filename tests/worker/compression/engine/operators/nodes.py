"""Models of one node, run by the engine and by ONNX Runtime."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import torch
from onnx import helper, numpy_helper

from worker.compression.engine.module import GraphModule
from worker.compression.graph.normal_form.normalise import normalise

Array = np.ndarray[Any, Any]
IR_VERSION = 10
FUNCTIONS = ("GroupNormalization",)
"""Operators whose types onnx infers through a function that not every version has."""
RELATIVE, ABSOLUTE = 1e-4, 1e-6
"""The engine may differ by this share of an output's largest magnitude, and by this much."""


def rand(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def node_model(
    op: str,
    feeds: Mapping[str, Array],
    constants: Mapping[str, Array] | None = None,
    *,
    outputs: int = 1,
    opset: int = 18,
    domain: str = "",
    order: Sequence[str] | None = None,
    **attributes: Any,
) -> onnx.ModelProto:
    """Inputs in the given order ("": left out), else the feeds and then the constants."""
    constants = constants or {}
    rank = next(iter(feeds.values())).ndim
    names = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(
        op, list(order or [*feeds, *constants]), names, name="node", domain=domain, **attributes
    )
    graph = helper.make_graph(
        [node],
        "one",
        [
            helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for k, v in feeds.items()
        ],
        [_output(name, rank if domain or op in FUNCTIONS else None) for name in names],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)


def _output(name: str, rank: int | None) -> onnx.ValueInfoProto:
    """Its type is left to be inferred, which it cannot be in other domains."""
    if rank is None:
        return onnx.ValueInfoProto(name=name)
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [f"d{i}" for i in range(rank)])


def by_engine(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    module = graph_module(model).eval()
    with torch.no_grad():
        answers = module({name: tensor(array) for name, array in feeds.items()})
    return [answers[value.name].numpy() for value in model.graph.output]


def graph_module(model: onnx.ModelProto) -> GraphModule:
    return GraphModule(normalise(ir.from_proto(model)))


def tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.array(array))


def by_runtime(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, dict(feeds))  # type: ignore[no-any-return]


def difference(expected: Array, actual: Array, atol: float = ABSOLUTE) -> str | None:
    """None where they are the same within the tolerances."""
    if expected.shape != actual.shape:
        return f"shape {actual.shape}, not {expected.shape}"
    if expected.dtype.kind not in "fc":
        return None if np.array_equal(expected, actual) else f"{actual} is not {expected}"
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    limit = RELATIVE * largest + atol
    if np.allclose(actual.astype(np.float64), expected, rtol=0, atol=limit, equal_nan=True):
        return None
    return f"largest difference {np.nanmax(np.abs(actual - expected))}, allowed {limit}"


def assert_parity(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> None:
    """Same types, same shapes, same values as ONNX Runtime."""
    expected, actual = by_runtime(model, feeds), by_engine(model, feeds)
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert difference(theirs, ours) is None, difference(theirs, ours)
