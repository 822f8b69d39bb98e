"""A whole job: the artifact takes and answers what the upload did, short logits apart, and the report says so."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from tests.support.float_types import written_in
from tests.support.in_process import InProcess
from tests.support.lookup_nets import IDS, language_model
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress

SEEN = np.array([[3, 9, 9, 41], [5, 3, 59, 7], [5, 9, 41, 7], [9, 7, 3, 5]])
HAS = np.unique(SEEN)
FEW = Options(benchmark=Benchmark(shapes={"ids": [1, 4]}, rounds=9), processes=InProcess())


def job(
    folder: Path, made: onnx.ModelProto, role: str = "calibration", **settings: Any
) -> tuple[Report, Any, Any]:
    """The report, and the logits of upload and artifact."""
    onnx.save(made, folder / "model.onnx")
    np.savez(folder / "data.npz", ids=SEEN)
    recipe = Recipe.model_validate({"steps": [{"kind": "vocabulary_pruning", "fallback_id": 3, **settings}]})
    data = Data(**{role: Source(folder / "data.npz")})
    report = compress(folder / "model.onnx", recipe, data, folder / "out", options=FEW)
    files = (folder / "model.onnx", folder / "out" / "artifact.onnx")
    before, after = (
        ort.InferenceSession(str(file), providers=["CPUExecutionProvider"]).run(None, {"ids": SEEN})[0]
        for file in files
    )
    return report, before, after


@pytest.mark.parametrize("role", ["calibration", "training"])
def test_logits_are_at_their_old_places(tmp_path: Path, role: str) -> None:
    report, before, after = job(tmp_path, ir.to_proto(language_model("tied")), role)
    assert report.steps[0].changed == 1
    assert (after.shape, after.dtype) == (before.shape, before.dtype)
    assert np.allclose(after[..., HAS], before[..., HAS], rtol=1e-5, atol=1e-5)
    assert after[..., 0].max() == np.finfo(np.float32).min


def test_short_logits_are_declared_as_such(tmp_path: Path) -> None:
    report, before, after = job(tmp_path, ir.to_proto(language_model("tied")), head="short")
    (row,) = report.steps[0].details["tables"]
    assert after.shape == (*SEEN.shape, len(HAS))
    assert np.allclose(after, before[..., row["logits"]], rtol=1e-5, atol=1e-5)
    output = onnx.load(tmp_path / "out" / "artifact.onnx").graph.output[0]
    assert output.type.tensor_type.shape.dim[2].dim_value == len(HAS)


def test_the_lowest_number_is_one_of_the_types_that_the_artifact_answers_in(tmp_path: Path) -> None:
    _, before, after = job(tmp_path, written_in(ir.to_proto(language_model("tied")), "float16"))
    assert after.dtype == before.dtype == np.float16
    gone = np.setdiff1d(np.arange(IDS), HAS)
    assert (after[..., gone] == np.finfo(np.float16).min).all()


def test_log_probabilities_of_ids_that_are_gone_are_finite_in_float16(tmp_path: Path) -> None:
    """Of logits so large that more is subtracted than the lowest float16 has room for: 16."""
    net = language_model("tied", behind="logits = LogSoftmax <axis=-1> (scores)")
    words = net.graph.initializers["words"]
    words.const_value = ir.tensor(4 * words.const_value.numpy(), name="words")  # type: ignore[union-attr]
    _, before, after = job(tmp_path, written_in(ir.to_proto(net), "float16"))
    gone = np.setdiff1d(np.arange(IDS), HAS)
    assert after.dtype == before.dtype == np.float16
    assert np.isfinite(after).all()
    assert after[..., gone].max() < after[..., HAS].min() - 10_000
