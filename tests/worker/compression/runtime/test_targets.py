"""One model, loaded by every runtime that is here."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from tests.support.openvino import needs_openvino, with_unknown_operator
from tests.support.small_nets import digits_net, digits_samples, model
from winnow.contract.errors import Refusal
from winnow.contract.recipe import Int8Static
from winnow.contract.target import Target
from worker.compression.measure.network import Network
from worker.compression.progress import Silent
from worker.compression.quantization.int8_static import int8_static
from worker.compression.runtime.targets import is_installed
from worker.compression.steps.context import Context

TWO = """(float[N,4] x, int64[N,4] i) => (float[N,4] a, float[4,N] b, int64[N,4] same) {
    a = Relu (x)
    b = Transpose <perm=[1,0]> (a)
    same = Identity (i)
}"""


def loaded(graph: ir.Model, folder: Path, target: Target) -> Network:
    ir.save(graph, folder / "model.onnx")
    return Network(folder / "model.onnx", 1, "the model", target=target)


@needs_openvino
def test_openvino_answers_as_onnx_runtime_does_at_every_batch_size(tmp_path: Path) -> None:
    """To 1e-4 of the largest output; the inputs and outputs are called and typed alike."""
    ours, theirs = (loaded(digits_net(), tmp_path, target) for target in ("onnxruntime-cpu", "openvino-cpu"))
    assert (theirs.inputs, theirs.outputs) == (ours.inputs, ours.outputs)
    assert (ours.provider, theirs.provider) == ("CPUExecutionProvider", "OpenVINO CPU")
    for rows in (1, 3):
        feed = next(digits_samples(tmp_path).take(rows).batches(rows))
        (expected,), (result,) = ours.run(feed), theirs.run(feed)
        np.testing.assert_allclose(result, expected, atol=1e-4 * np.abs(expected).max())


@needs_openvino
def test_outputs_are_answered_by_name_and_kept_apart(tmp_path: Path) -> None:
    network = loaded(model(TWO), tmp_path, "openvino-cpu")
    assert network.outputs == ["a", "b", "same"]
    x, i = np.array([[-1, 2, 3, 4]], np.float32), np.array([[1, 2, 3, 4]])
    same, a = network.run({"x": x, "i": i}, ["same", "a"])
    network.run({"x": -x, "i": -i})
    assert a.tolist() == [[0, 2, 3, 4]], "no later run writes into it"
    assert (same.tolist(), same.dtype) == ([[1, 2, 3, 4]], np.int64)


@needs_openvino
def test_openvino_computes_the_float_model_in_float32(tmp_path: Path) -> None:
    from worker.compression.runtime.on_openvino import OpenvinoModel

    ir.save(digits_net(), tmp_path / "model.onnx")
    compiled = OpenvinoModel(tmp_path / "model.onnx", 2).compiled
    assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 2


@needs_openvino
def test_in_bfloat16_openvino_is_near_or_refused_where_the_cpu_has_none(tmp_path: Path) -> None:
    """To 3 % of the largest output, and not bit for bit."""
    from worker.compression.runtime import on_openvino

    feed = next(digits_samples(tmp_path).take(2).batches(2))
    if "BF16" in on_openvino.CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        exact, half = (
            loaded(digits_net(), tmp_path, target) for target in ("openvino-cpu", "openvino-cpu-bf16")
        )
        (expected,), (result,) = exact.run(feed), half.run(feed)
        assert (half.provider, half.target) == ("OpenVINO CPU, bfloat16", "openvino-cpu-bf16")
        np.testing.assert_allclose(result, expected, atol=0.03 * np.abs(expected).max())
        assert (result != expected).any()
    else:
        with pytest.raises(Refusal, match="does not multiply bfloat16"):
            loaded(digits_net(), tmp_path, "openvino-cpu-bf16")


@needs_openvino
def test_openvino_computes_our_quantized_convolutions_in_integers(tmp_path: Path) -> None:
    from worker.compression.runtime.on_openvino import OpenvinoModel

    context = Context(tmp_path, 0, Silent(), digits_samples(tmp_path))
    quantized = int8_static(digits_net(), Int8Static(kind="int8_static"), context).model
    ir.save(quantized, tmp_path / "model.onnx")
    executable = OpenvinoModel(tmp_path / "model.onnx", 1, PERF_COUNT=True)
    executable.run(None, next(context.draw_calibration("it", 1).batches(1)))
    kernels = {n.node_type: n.exec_type.lower() for n in executable.request.get_profiling_info()}
    assert kernels["Convolution"].endswith("i8")


@needs_openvino
def test_what_openvino_cannot_convert_is_refused_with_the_operator(tmp_path: Path) -> None:
    path = with_unknown_operator(tmp_path / "model.onnx")
    with pytest.raises(Refusal, match=r"In OpenVINO the model .* com\.microsoft\.NoSuchThing") as refused:
        Network(path, 1, "the model", target="openvino-cpu")
    assert refused.value.problem.code == "model_does_not_run"


@needs_openvino
def test_importing_openvino_reports_to_nobody(tmp_path: Path) -> None:
    """What it would send is kept in a folder `intel` at home."""
    code = "import sys, worker.compression.runtime.on_openvino; print(sys.modules['openvino_telemetry'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, list(tmp_path.iterdir())) == ("None\n", [])


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="it is here")
def test_a_runtime_that_is_not_here_is_refused_and_never_replaced(tmp_path: Path) -> None:
    assert not is_installed("onnxruntime-cuda")
    with pytest.raises(Refusal) as refused:
        loaded(digits_net(), tmp_path, "onnxruntime-cuda")
    assert (refused.value.problem.code, refused.value.problem.field) == ("target_unavailable", "target")
