"""Whole jobs on uploads in float16, float64 or behind Casts: done, told, and given back as they came."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.support import graphs
from tests.support.digits import CALIBRATION, DECLARATION, EVALUATION, Digits, digits
from tests.support.float_types import Form, written_in
from tests.support.in_process import InProcess
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress

STAMP = 800
"""Bytes that an artifact says of itself."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return digits(tmp_path_factory.mktemp("digits"))


def written(files: Digits, form: Form, folder: Path) -> Path:
    path = folder / f"{form}.onnx"
    onnx.save(written_in(onnx.load(files.model), form), path)
    return path


def done(model: Path, files: Digits, out: Path, step: dict[str, Any], **models: Path) -> Report:
    calibration = Source(files.data, DECLARATION, CALIBRATION)
    evaluation = Source(files.data, DECLARATION, EVALUATION)
    options = Options(
        Evaluation(metric="top1"), benchmark=Benchmark(rounds=9), processes=InProcess(), models=models
    )
    recipe = Recipe.model_validate({"steps": [step]})
    return compress(model, recipe, Data(calibration, evaluation, calibration), out, options=options)


def types(path: Path) -> list[tuple[str, int]]:
    graph = onnx.load(path).graph
    return [(v.name, v.type.tensor_type.elem_type) for v in (*graph.input, *graph.output)]


def test_int8_of_a_float16_upload_and_the_same_after_a_checkpoint(files: Digits, tmp_path: Path) -> None:
    model, step = written(files, "float16", tmp_path), {"kind": "int8_static"}
    first = done(model, files, tmp_path / "out", step)
    assert (first.steps[0].changed, first.steps[0].candidates) == (3, 3)
    assert types(tmp_path / "out" / "artifact.onnx") == types(model)
    assert first.size_bytes.after < 0.8 * first.size_bytes.before
    assert first.quality[0].after > first.quality[0].before - 0.02
    assert "The upload computes in float16; the steps worked with it in float32." in first.steps[0].notes
    again = done(model, files, tmp_path / "out", step)
    assert again.graph_sha256 == first.graph_sha256
    assert again.steps[0].notes == first.steps[0].notes


def test_float16_of_weights_stored_in_it_computes_in_it(files: Digits, tmp_path: Path) -> None:
    """No larger but for what the artifact says of itself."""
    report = done(
        written(files, "float16 behind Cast", tmp_path), files, tmp_path / "out", {"kind": "float16"}
    )
    assert report.steps[0].changed == 3
    assert report.size_bytes.after <= report.size_bytes.before + STAMP
    kinds = {w.data_type for w in onnx.load(tmp_path / "out" / "artifact.onnx").graph.initializer}
    assert kinds == {onnx.TensorProto.FLOAT16}


def test_a_float16_student_takes_the_place_of_a_float32_upload(files: Digits, tmp_path: Path) -> None:
    student = written(files, "float16", tmp_path)
    step = {
        "kind": "distillation",
        "student": "mdl_student",
        "epochs": 1,
        "batch_size": 50,
        "learning_rate": 0.001,
    }
    report = done(files.model, files, tmp_path / "out", step, mdl_student=student)
    assert report.steps[0].changed == 3
    assert types(tmp_path / "out" / "artifact.onnx") == types(student)
    assert report.size_bytes.after < 0.6 * report.size_bytes.before


def test_int8_by_itself_of_a_float64_upload(tmp_path: Path) -> None:
    """ONNX Runtime has products in float64, but no convolutions: those are refused as models that do not run. So large
    that 8 bits are faster on any machine."""
    path = tmp_path / "model.onnx"
    onnx.save(written_in(graphs.mlp(inputs=512, hidden=2048), "float64"), path)
    np.savez(
        tmp_path / "data.npz",
        features=np.random.default_rng(0).standard_normal((64, 512)).astype(np.float32),
    )
    data = Source(tmp_path / "data.npz")
    recipe = Recipe.model_validate({"steps": [{"kind": "int8"}]})
    report = compress(
        path,
        recipe,
        Data(data, data),
        tmp_path / "out",
        options=Options(benchmark=Benchmark(rounds=9), processes=InProcess()),
    )
    assert types(tmp_path / "out" / "artifact.onnx") == types(path)
    assert report.size_bytes.after < 0.5 * report.size_bytes.before
