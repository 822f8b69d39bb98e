"""`sparsity` and the training behind it, on real digits, through the library as a job runs it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from tests.support.digits import DECLARATION, EVALUATION, Digits, digits
from tests.support.in_process import InProcess
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.onnx_files import model_files
from worker.compression.options import Options
from worker.compression.pipeline import compress

SPARSE = {"kind": "sparsity"}
TUNE = {"kind": "finetune", "epochs": 2, "batch_size": 50, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return digits(tmp_path_factory.mktemp("digits"))


def done(files: Digits, out: Path, *steps: dict[str, Any], model: Path | None = None) -> Report:
    source = Source(files.data, DECLARATION, (0, 1000))
    data = Data(calibration=source, training=source, evaluation=Source(files.data, DECLARATION, EVALUATION))
    options = Options(Evaluation(metric="top1"), benchmark=Benchmark(rounds=9), processes=InProcess())
    recipe = Recipe.model_validate({"steps": list(steps)})
    return compress(model or files.model, recipe, data, out, options=options)


@pytest.fixture(scope="module")
def cut(files: Digits, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """Half of the weights by the criterion that follows from the data: the report, and the folder."""
    out = tmp_path_factory.mktemp("cut")
    return done(files, out, SPARSE), out


def weights(out: Path) -> dict[str, Any]:
    """Of the artifact, dense, by the names of its initializers."""
    model = model_files.load(out / "artifact.onnx")
    from worker.compression.graph.normal_form.normalise import normalise

    return {
        name: value.const_value.numpy()
        for name, value in normalise(model).graph.initializers.items()
        if value.const_value is not None
    }


def integers(out: Path) -> list[Any]:
    """The quantized weights of the artifact, in the order of its layers."""
    return [array for array in weights(out).values() if array.dtype == np.int8 and array.size > 64]


def zeros(array: Any) -> float:
    return float((array == 0).mean())


@pytest.mark.parametrize("criterion", ["magnitude", "wanda", "taylor", "hessian"])
def test_the_share_is_exact_and_the_file_is_smaller(files: Digits, tmp_path: Path, criterion: str) -> None:
    report = done(files, tmp_path, {**SPARSE, "criterion": criterion})
    details = report.steps[0].details
    assert details["zeros"] == round(0.5 * details["weights"]) == 3016
    for name in ("k1", "k2", "w"):
        assert zeros(weights(tmp_path)[name]) == 0.5
    assert report.outcome == "unchecked"
    assert report.size_bytes.after < 0.65 * report.size_bytes.before
    assert details["storage"]["stored_bytes"] < 0.6 * details["storage"]["dense_bytes"]
    assert sum(details["storage"]["tensors"].values()) == 4
    assert any("do not make ONNX Runtime faster" in note for note in report.steps[0].notes)


def test_hessian_loses_less_than_magnitude(files: Digits, tmp_path: Path) -> None:
    found = {
        criterion: done(files, tmp_path / criterion, {**SPARSE, "criterion": criterion, "sparsity": 0.75})
        .quality[0]
        .drop
        for criterion in ("magnitude", "hessian")
    }
    assert found["hessian"] < found["magnitude"] - 0.02


def test_the_packed_artifact_computes_the_very_same_and_can_be_uploaded_again(
    files: Digits, cut: tuple[Report, Path], tmp_path: Path
) -> None:
    done(files, tmp_path, {**SPARSE, "storage": "dense"})
    packed, dense = (folder / "artifact.onnx" for folder in (cut[1], tmp_path))
    with np.load(files.data) as archive:
        x = archive["images"][:50, None].astype(np.float32) / 16
    answers = [
        ort.InferenceSession(str(path)).run(None, {"image": x})[0].tobytes() for path in (packed, dense)
    ]
    assert answers[0] == answers[1]
    onnx.checker.check_model(str(packed), full_check=True)
    again = done(files, tmp_path / "again", {"kind": "int8_static"}, model=packed)
    assert again.steps[0].changed == 3


def test_nm_holds_in_every_run_and_layers_that_do_not_divide_are_listed(
    files: Digits, tmp_path: Path
) -> None:
    report = done(files, tmp_path, {**SPARSE, "structure": "2:4"})
    kept = weights(tmp_path)
    assert zeros(kept["k1"]) == 0
    assert ((kept["k2"].reshape(32, 4, 4, 3, 3) != 0).sum(2) <= 2).all()
    assert ((kept["w"].reshape(10, 32, 4) != 0).sum(2) <= 2).all()
    (skipped,) = report.steps[0].details["skipped"]
    assert skipped["name"] == "conv1"
    assert "1 inputs" in skipped["reason"]
    assert any("conv1" in note for note in report.steps[0].notes)


@pytest.mark.parametrize("distribution", ["erdos_renyi", "sensitivity"])
def test_layers_may_get_different_shares_of_the_same_sum(
    files: Digits, tmp_path: Path, distribution: str
) -> None:
    report = done(files, tmp_path, {**SPARSE, "distribution": distribution})
    details = report.steps[0].details
    assert abs(details["zeros"] - 0.5 * details["weights"]) <= 3  # one for each layer
    assert len({round(row["zeros"] / row["weights"], 2) for row in details["layers"]}) > 1


def test_a_share_that_cannot_be_reached_gives_the_best_and_says_so(files: Digits, tmp_path: Path) -> None:
    report = done(files, tmp_path, {**SPARSE, "sparsity": 0.9999, "criterion": "magnitude"})
    assert report.outcome == "requirements_not_met"
    (target,) = report.steps[0].targets
    assert (target.met, target in report.requirements) == (False, True)
    assert target.measured is not None
    assert target.measured < target.asked
    assert all((weights(tmp_path)[name] != 0).sum() == 1 for name in ("k1", "k2", "w"))


def test_a_named_layer_that_does_not_divide_is_refused_before_any_step(files: Digits, tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        done(files, tmp_path, TUNE, {**SPARSE, "structure": "2:4", "layers": ["conv1"]})
    assert (caught.value.problem.code, caught.value.problem.layer) == ("does_not_divide", "conv1")
    assert "1 inputs" in caught.value.problem.detail
    assert not list((tmp_path / "checkpoints").glob("*"))


def test_only_the_layers_that_are_asked_for_change(files: Digits, tmp_path: Path) -> None:
    done(files, tmp_path, {**SPARSE, "layers": ["conv*"], "exclude": ["conv1"]})
    found = weights(tmp_path)
    before = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(str(files.model)).graph.initializer}
    assert zeros(found["k2"]) == 0.5
    assert np.array_equal(found["k1"], before["k1"])
    assert np.array_equal(found["w"], before["w"])


def test_int8_keeps_the_zeros_and_is_stored_packed(files: Digits, tmp_path: Path) -> None:
    report = done(files, tmp_path, {**SPARSE, "sparsity": 0.8}, {"kind": "int8_static"})
    assert [zeros(weight) >= 0.79 for weight in integers(tmp_path)] == [True] * 3
    assert report.steps[0].details["storage"]["tensors"]["bitmask"] == 2
    assert (
        report.steps[0].details["storage"]["stored_bytes"] < report.steps[0].details["storage"]["dense_bytes"]
    )


def test_zeros_are_stored_packed_whatever_the_opset_of_the_upload(
    files: Digits, cut: tuple[Report, Path], tmp_path: Path
) -> None:
    """Unpacking needs opset 11, and an upload of opset 9 was stored dense."""
    old = tmp_path / "old.onnx"
    model = ir.from_proto(onnx.load(files.model))
    model.opset_imports[""] = 9
    ir.save(model, old)
    reports = [done(files, tmp_path / "old", SPARSE, model=old), cut[0]]
    assert [report.opset.after for report in reports] == [11, reports[1].opset.before]
    assert reports[0].steps[0].details["storage"] == reports[1].steps[0].details["storage"]


@pytest.mark.parametrize("batchnorm", ["folded", "restored"])
def test_training_keeps_zeros(
    files: Digits, cut: tuple[Report, Path], tmp_path: Path, batchnorm: str
) -> None:
    report = done(files, tmp_path, SPARSE, {**TUNE, "epochs": 6, "batchnorm": batchnorm})
    before, tuned = weights(cut[1]), weights(tmp_path)
    for name in ("k1", "k2", "w"):
        assert np.array_equal(before[name] == 0, tuned[name] == 0)
        assert not np.array_equal(before[name], tuned[name])
    assert {row["name"]: row["zeros"] for row in report.steps[1].details["zeros"]} == {
        "conv1": 0.5,
        "conv2": 0.5,
        "fc": 0.5,
    }


def test_training_lets_zeros_go_when_asked_to(files: Digits, tmp_path: Path) -> None:
    report = done(files, tmp_path, SPARSE, {**TUNE, "keep_zeros": False})
    assert zeros(weights(tmp_path)["k2"]) < 0.2
    assert report.steps[1].details["zeros"] == []


def test_quantization_aware_training_keeps_what_was_made_zero(files: Digits, tmp_path: Path) -> None:
    aware = {"kind": "quantization_aware_training", "epochs": 1, "batch_size": 50, "learning_rate": 3e-3}
    quantize = {"kind": "int8_static"}
    done(files, tmp_path, SPARSE, quantize)
    quantized = integers(tmp_path)
    done(files, tmp_path, SPARSE, quantize, aware)  # goes on behind both
    for before, after in zip(quantized, integers(tmp_path), strict=True):
        assert (after[before == 0] == 0).all()


@pytest.mark.parametrize(
    ("gradual", "share"),
    [({"sparsity": 0.6}, 0.6), ({"structure": "2:4"}, 0.5), ({"structure": "block", "until": 1.0}, 0.5)],
)
def test_gradual_zeros_are_all_there_in_the_end(
    files: Digits, tmp_path: Path, gradual: dict[str, Any], share: float
) -> None:
    """Of the convolution whose sizes fit all structures; the epoch that is kept comes after the last zeros."""
    report = done(files, tmp_path, {**TUNE, "epochs": 4, "gradual": gradual})
    found = weights(tmp_path)["k2"]
    assert zeros(found) == pytest.approx(share, abs=1e-3)
    if gradual.get("structure") == "2:4":
        assert ((found.reshape(32, 4, 4, 3, 3) != 0).sum(2) <= 2).all()
    if gradual.get("structure") == "block":
        blocks = (found.reshape(32, 4, 4, 3, 3) != 0).sum(2)
        assert set(np.unique(blocks)) <= {0, 4}
    details = report.steps[0].details
    until = gradual.get("until", 0.7) * details["epochs"][-1]["step"]
    chosen = next(e for e in details["epochs"] if e["epoch"] == details["best_epoch"])
    assert chosen["step"] >= until
    assert report.size_bytes.after < report.size_bytes.before


def test_the_same_seed_gives_the_same_zeros(files: Digits, tmp_path: Path) -> None:
    for name in ("a", "b"):
        done(files, tmp_path / name, {**SPARSE, "samples": 100, "distribution": "sensitivity"})
    first, second = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(np.array_equal(first[name], second[name]) for name in first)
