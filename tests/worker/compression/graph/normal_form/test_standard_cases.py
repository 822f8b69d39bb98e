"""The ONNX standard's own example of every operator computes the same after normalising and tidying."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from worker.compression.graph.facts.facts import facts
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.normal_form.tidy import tidy
from worker.compression.onnx_files import model_files
from worker.compression.upload_gate import check

FAMILIES = [
    "affine_grid", "attention", "average", "basic_conv", "batchnorm", "clip", "concat", "constant",
    "convtranspose", "dynamicquantize", "einsum", "gather", "gelu", "gemm", "group_norm", "gru", "hard",
    "identity", "if", "layer_norm", "loop", "lstm", "matmul", "matmulinteger", "maxpool", "nonmax",
    "prelu", "qlinear", "reduce", "reshape", "resize", "rnn", "scan", "sequence", "simple_rnn",
    "slice", "softmax", "split", "squeeze", "string", "tfidf", "unsqueeze", "where",
]  # fmt: skip


@pytest.fixture(scope="module")
def cases(standard_cases: list[Any]) -> dict[str, Any]:
    return {case.name.removeprefix("test_"): case for case in standard_cases}


def session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def answers(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any] | None:
    """What ONNX Runtime computes, None where it cannot."""
    try:
        return session(model.SerializeToString()).run(None, feeds)
    except Exception:
        return None


def same(expected: Any, actual: Any) -> bool:
    if isinstance(expected, list):
        return len(expected) == len(actual) and all(map(same, expected, actual))
    if isinstance(expected, np.ndarray) and expected.dtype.kind in "fc":
        close = np.allclose(expected, actual, rtol=1e-4, atol=1e-6, equal_nan=True)
        return expected.shape == actual.shape and bool(close)
    return np.array_equal(expected, actual)


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_stay_equal(family: str, cases: dict[str, Any], tmp_path: Any) -> None:
    compared = 0
    path = tmp_path / "model.onnx"
    for name, case in cases.items():
        if not name.startswith(family) or "random" in name or "bernoulli" in name:
            continue
        feeds = {
            value.name: array
            for value, array in zip(case.model.graph.input, case.data_sets[0][0], strict=False)
        }
        if (expected := answers(case.model, feeds)) is None:
            continue
        path.write_bytes(case.model.SerializeToString())
        check.check_onnx(path)
        model = model_files.load(path)
        tidy(model)
        normal = normalise(model)
        facts(normal)
        model_files.save(normal, path)
        assert same(expected, session(path.read_bytes()).run(None, feeds)), name
        compared += 1
    assert compared, f"no case of {family} runs"
