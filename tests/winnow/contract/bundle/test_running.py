"""The lines that say how a result is run, on page and card, are run: for each runtime it is measured on."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from tests.support.asked import latency
from tests.support.graphs import cnn
from tests.support.openvino import needs_openvino
from winnow.contract.bundle.running import graphs_lines, ways_to_run, zeros
from winnow.contract.model import TensorSpec

FEED = zeros([TensorSpec(name="image", dtype="float32", shape=["N", 3, 8, 8])], {"image": [2, 3, 8, 8]})


def answer(lines: str) -> np.ndarray:
    names: dict[str, object] = {}
    exec(lines, names)
    outputs = names["outputs"]
    return np.asarray(outputs[0])  # type: ignore[index]


@pytest.mark.parametrize(
    ("provider", "titles"),
    [
        ("CPUExecutionProvider", ["Python, ONNX Runtime"]),
        ("CUDAExecutionProvider", ["Python, ONNX Runtime", "On the target, CUDA"]),
        ("OpenVINO CPU", ["Python, ONNX Runtime", "On the target, OpenVINO"]),
        ("OpenVINO CPU, bfloat16", ["Python, ONNX Runtime", "On the target, OpenVINO"]),
    ],
)
def test_every_runtime_that_measures_has_its_lines(provider: str, titles: list[str]) -> None:
    measured = [latency(1, 1).model_copy(update={"provider": provider})]
    ways = dict(ways_to_run(FEED, measured))
    assert [*ways] == titles
    assert all(5 <= len(lines.splitlines()) <= 6 for lines in ways.values())
    assert provider in ways[titles[-1]] or "openvino" in ways[titles[-1]]


@needs_openvino
def test_the_lines_run_and_answer_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(cnn(), tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    measured = [latency(2, 1).model_copy(update={"provider": "OpenVINO CPU"})]
    ours, theirs = (answer(lines) for _, lines in ways_to_run(FEED, measured))
    session = ort.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"image": np.zeros((2, 3, 8, 8), np.float32)})
    np.testing.assert_array_equal(ours, expected)
    np.testing.assert_allclose(theirs, expected, atol=1e-4)


def test_the_graphs_of_a_package_are_opened_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(cnn(), tmp_path / "encoder.onnx")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(graphs_lines({"encoder": "encoder.onnx"}), names)
    sessions = names["sessions"]
    assert isinstance(sessions, dict)
    assert [value.name for value in sessions["encoder"].get_inputs()] == ["image"]
