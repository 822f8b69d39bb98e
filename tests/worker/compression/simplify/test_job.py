"""Whole jobs of `simplify`: the artifact beside the upload, sizes that are fixed, types that stay."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.support import graphs
from tests.support.float_types import written_in
from tests.support.in_process import InProcess
from tests.support.ort import largest_difference, run
from tests.support.refusals import refusal
from tests.worker.compression.simplify.test_simplify import convnet
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression import float_candidate
from worker.compression.data.source import Data, Source
from worker.compression.measure.timing.fastest import Timed
from worker.compression.options import Options
from worker.compression.pipeline import ARTIFACT, compress

X = np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32)
TOLERANCE = 1e-5


def timed(monkeypatch: pytest.MonkeyPatch, low: float, high: float) -> None:
    """What the step's own timing says of the result; the report's is measured."""
    answer = Timed(1.0, (low + high) / 2, (low, high))
    monkeypatch.setattr(float_candidate, "time_candidates", lambda *_: [answer, answer])


@pytest.fixture(autouse=True)
def _as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, 0.99, 1.01)


def job(
    folder: Path, made: onnx.ModelProto, *steps: dict[str, Any], batch: int = 1, data: Data | None = None
) -> tuple[Report, onnx.ModelProto]:
    onnx.save(made, folder / "model.onnx")
    recipe = Recipe.model_validate({"steps": list(steps) or [{"kind": "simplify"}]})
    options = Options(benchmark=Benchmark(rounds=9, batch_sizes=[batch]), processes=InProcess())
    report = compress(folder / "model.onnx", recipe, data or Data(), folder / "out", options=options)
    return report, onnx.load(folder / "out" / ARTIFACT)


def test_the_artifact_has_fewer_nodes_and_bytes_and_answers_the_same(tmp_path: Path) -> None:
    made = convnet()
    report, artifact = job(tmp_path, made)
    assert [node.op_type for node in artifact.graph.node] == [
        "Conv",
        "Relu",
        "GlobalAveragePool",
        "Flatten",
        "Gemm",
    ]
    assert report.size_bytes.after <= report.size_bytes.before
    assert report.steps[0].changed > 0
    assert largest_difference(run(made, {"x": X}), run(artifact, {"x": X})) <= TOLERANCE
    shapes = [
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in artifact.graph.input
    ]
    assert shapes == [["N", 3, 8, 8]]
    again, _ = job(tmp_path / "out", artifact)
    assert again.steps[0].changed == 0


def test_what_is_measurably_slower_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, 0.9, 0.95)
    report, artifact = job(tmp_path, convnet())
    assert report.steps[0].changed == 0
    assert "0.93 times as fast (0.90 to 0.95)" in report.steps[0].notes[0]
    assert len(artifact.graph.node) == 8


@pytest.mark.parametrize("batch", [1, 4])
def test_fixed_sizes_hold_for_the_whole_job(batch: int, tmp_path: Path) -> None:
    """Also for the step before, and for the data, of which 9 rows are two batches of 4."""
    np.savez(tmp_path / "data.npz", x=np.concatenate([X, X[:1]]))
    data = Data(calibration=Source(tmp_path / "data.npz", slice=(0, 9 - 9 % batch)))
    steps = [{"kind": "int8_static", "samples": 8}, {"kind": "simplify", "fix_shapes": {"N": batch}}]
    report, artifact = job(tmp_path, graphs.cnn(), *steps, batch=batch, data=_named(data, "image"))
    for value, shape in zip((*artifact.graph.input, *artifact.graph.output), [(3, 8, 8), (10,)], strict=True):
        assert [d.dim_value for d in value.type.tensor_type.shape.dim] == [batch, *shape]
    assert report.parity[0].samples > 0
    feeds = {"image": X[:batch]}
    assert run(artifact, feeds)[0].shape == (batch, 10)


def _named(data: Data, name: str) -> Data:
    assert data.calibration is not None
    return replace(data, calibration=replace(data.calibration, map={name: "x"}))


def test_shape_arithmetic_goes_when_sizes_are_fixed(tmp_path: Path) -> None:
    made = graphs.parse(
        """(float[N,12] x) => (float[N,M,4] y) {
            s = Shape (x) n = Gather (s, zero) m = Unsqueeze (n, axes) t = Concat <axis=0> (m, rest)
            r = Reshape (x, t) y = Relu (r)
        }""",
        {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([3, 4])},
    )
    report, artifact = job(tmp_path, made, {"kind": "simplify", "fix_shapes": {"N": 1}})
    assert [node.op_type for node in artifact.graph.node] == ["Reshape", "Relu"]
    assert [d.dim_value for d in artifact.graph.output[0].type.tensor_type.shape.dim] == [1, 3, 4]
    assert report.steps[0].details["largest_error"] == 0


def test_sizes_that_the_graph_cannot_take_are_refused(tmp_path: Path) -> None:
    made = graphs.parse(
        "(float[N,12] x) => (float[M,8] y) { r = Reshape (x, t) y = Relu (r) }", {"t": np.array([-1, 8])}
    )
    problem = refusal(lambda: job(tmp_path, made, {"kind": "simplify", "fix_shapes": {"N": 1}}))
    assert problem is not None
    assert problem.code == "model_does_not_run"
    assert "x [1, 12]" in problem.detail


@pytest.mark.parametrize("form", ["float16", "float64"])
def test_floats_keep_their_types(form: Any, tmp_path: Path) -> None:
    made = written_in(graphs.mlp(), form)
    made.graph.node.insert(0, graphs.node("Neg", "features", "minus", "minus"))
    made.graph.node.insert(1, graphs.node("Neg", "minus", "plus", "plus"))
    made.graph.node[2].input[0] = "plus"
    report, artifact = job(tmp_path, made)
    types = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    assert {tensor.name: tensor.data_type for tensor in artifact.graph.initializer} == types
    assert len(artifact.graph.node) == len(made.graph.node) - (2 if form == "float16" else 4)
    assert report.steps[0].details["largest_error"] <= (0 if form == "float16" else TOLERANCE)


@pytest.mark.parametrize(("asked", "has"), [(20, 20), (13, 13)])
def test_the_artifact_has_the_opset_that_was_asked_for(asked: int, has: int, tmp_path: Path) -> None:
    report, artifact = job(tmp_path, graphs.mlp(opset=17), {"kind": "simplify", "opset": asked})
    assert next(entry.version for entry in artifact.opset_import if entry.domain == "") == has
    assert report.opset.after == has


def test_fused_operators_stay_unless_they_are_to_be_undone(tmp_path: Path) -> None:
    made = graphs.parse(
        """(float[N,5,8] x) => (float[N,5,8] y) {
            a = Neg (x) b = Neg (a) s = com.microsoft.SkipLayerNormalization (b, r, g, h) y = Relu (s)
        }""",
        {"r": X[:1, 0, :5], "g": X[0, 0, 0], "h": X[0, 0, 1]},
        opset=17,
        domains={"com.microsoft": 1},
    )
    _, artifact = job(tmp_path, made)
    assert [node.op_type for node in artifact.graph.node] == ["SkipLayerNormalization", "Relu"]
    (tmp_path / "undone").mkdir()
    _, undone = job(tmp_path / "undone", made, {"kind": "simplify", "undo_contrib": True})
    assert {node.domain for node in undone.graph.node} == {""}
    assert [entry.domain for entry in undone.opset_import] == [""]
    feeds = {"x": X[:2, 0, :5]}
    assert largest_difference(run(made, feeds), run(undone, feeds)) <= TOLERANCE


def test_a_checkpoint_of_other_sizes_is_not_taken(tmp_path: Path) -> None:
    made, half = graphs.cnn(), {"kind": "float16"}
    job(tmp_path, made, half, {"kind": "simplify", "fix_shapes": {"N": 1}})
    _, artifact = job(tmp_path, made, half, {"kind": "simplify", "fix_shapes": {"N": 2}}, batch=2)
    assert artifact.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2
