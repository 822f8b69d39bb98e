"""Running graphs in ONNX Runtime, and how far two results are apart."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime


def run(
    model: onnx.ModelProto | ir.Model | Path, feeds: dict[str, np.ndarray], *, optimize: bool = True
) -> list[np.ndarray]:
    """Outputs on one thread of the CPU; feeds the model does not ask for are left out. Without `optimize` each node is
    computed as it is written, so that equal numbers have equal bits."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(_source(model), options, providers=["CPUExecutionProvider"])
    wanted = {value.name for value in session.get_inputs()}
    return session.run(None, {name: array for name, array in feeds.items() if name in wanted})


def _source(model: onnx.ModelProto | ir.Model | Path) -> bytes | str:
    if isinstance(model, Path):
        return str(model)
    return (ir.to_proto(model) if isinstance(model, ir.Model) else model).SerializeToString()


def largest_difference(expected: list[np.ndarray], actual: list[np.ndarray]) -> float:
    """Largest difference of any output, as a share of that output's largest magnitude."""
    assert [a.shape for a in expected] == [a.shape for a in actual]
    return max(
        _difference(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(expected, actual, strict=True)
    )


def _difference(expected: np.ndarray, actual: np.ndarray) -> float:
    return float(np.abs(expected - actual).max() / max(np.abs(expected).max(), 1e-30))
