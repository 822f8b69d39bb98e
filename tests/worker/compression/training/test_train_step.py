"""Training steps on a real network and real digits, through the library as a job runs it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.support.digits import DECLARATION, EVALUATION, Digits, digits
from tests.support.graphs import branches_behind_a_relu
from tests.support.in_process import InProcess
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress

ROOT = Path(__file__).parents[4]
TRAINING = (0, 1000)
QUICK = {"epochs": 2, "batch_size": 50}


class Heard:
    """Progress that is kept."""

    def __init__(self) -> None:
        self.values: list[dict[str, Any]] = []

    def step(self, index: int, kind: str) -> None: ...

    def advance(self, fraction: float) -> None: ...

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        self.values.append(values)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def damaged(files: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits' network with noise on its weights: clearly worse, and worth a training."""
    model, rng = onnx.load(str(files.model)), np.random.default_rng(1)
    for weight in model.graph.initializer:
        array = onnx.numpy_helper.to_array(weight)
        if array.ndim > 1:
            noisy = array + rng.standard_normal(array.shape).astype(np.float32) * array.std()
            weight.CopyFrom(onnx.numpy_helper.from_array(noisy.astype(np.float32), weight.name))
    path = tmp_path_factory.mktemp("damaged") / "model.onnx"
    onnx.save(model, str(path))
    return path


def done(
    model: Path,
    files: Digits,
    out: Path,
    *steps: dict[str, Any],
    declaration: Declaration = DECLARATION,
    models: dict[str, Path] | None = None,
) -> Report:
    data = Data(
        calibration=Source(files.data, declaration, TRAINING),
        training=Source(files.data, declaration, TRAINING),
        evaluation=Source(files.data, DECLARATION, EVALUATION),
    )
    options = Options(
        Evaluation(metric="top1"), benchmark=Benchmark(rounds=9), processes=InProcess(), models=models or {}
    )
    return compress(model, Recipe.model_validate({"steps": list(steps)}), data, out, Heard(), options=options)


@pytest.mark.parametrize("batchnorm", ["folded", "restored"])
def test_finetune_recovers_a_damaged_network(
    damaged: Path, files: Digits, tmp_path: Path, batchnorm: str
) -> None:
    """At least 5 points of top-1, without a learning rate given; the same nodes, curves and an account of it."""
    report = done(
        damaged, files, tmp_path, {"kind": "finetune", "batchnorm": batchnorm, **QUICK, "epochs": 4}
    )
    assert report.quality[0].after > report.quality[0].before + 0.05
    details = report.steps[0].details
    assert details["learning_rate"] > 0
    assert len(details["epochs"]) == 5
    assert list((tmp_path / "curves" / "00-finetune").glob("events.out.tfevents*"))
    before, after = onnx.load(str(damaged)), onnx.load(str(tmp_path / "artifact.onnx"))
    assert [n.op_type for n in before.graph.node] == [n.op_type for n in after.graph.node]
    assert before.opset_import[0].version == after.opset_import[0].version


@pytest.fixture(scope="module")
def partly_labelled(files: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the 1,000 rows for training, every fifth has its label."""
    path = tmp_path_factory.mktemp("partly") / "partly.npz"
    with np.load(files.data) as archive:
        arrays = dict(archive)
    labels = arrays["labels"].astype(np.int64)
    labels[: TRAINING[1]][np.arange(TRAINING[1]) % 5 > 0] = -1
    np.savez(path, **{**arrays, "labels": labels})
    return path


def test_data_may_be_labelled_in_part(
    damaged: Path, files: Digits, partly_labelled: Path, tmp_path: Path
) -> None:
    """With a teacher that is another upload; the accuracy of the held-out rows is that of the labelled ones."""
    step = {"kind": "distillation", "teacher": "mdl_teacher", "labels": 1.0, **QUICK, "epochs": 4}
    report = done(
        damaged, Digits(files.model, partly_labelled), tmp_path, step, models={"mdl_teacher": files.model}
    )
    assert report.quality[0].after > report.quality[0].before + 0.05
    assert report.steps[0].details["epochs"][-1]["metric_name"] == "top1"


def test_rows_without_a_label_are_refused_where_nothing_else_teaches(
    damaged: Path, files: Digits, partly_labelled: Path, tmp_path: Path
) -> None:
    with pytest.raises(Refusal, match=r"some are -1.*distillation"):
        done(damaged, Digits(files.model, partly_labelled), tmp_path, {"kind": "finetune", **QUICK})


def test_distillation_needs_no_labels(damaged: Path, files: Digits, tmp_path: Path) -> None:
    """Towards a better teacher that is another upload: at least 5 points, with the labels taken away."""
    unlabelled = tmp_path / "unlabelled.npz"
    with np.load(files.data) as archive:
        np.savez(unlabelled, images=archive["images"])
    bare = Declaration.model_validate({"inputs": DECLARATION.model_dump()["inputs"]})
    step = {"kind": "distillation", "teacher": "mdl_teacher", **QUICK, "epochs": 4, "cache_teacher": True}
    data = Data(
        training=Source(unlabelled, bare, TRAINING), evaluation=Source(files.data, DECLARATION, EVALUATION)
    )
    options = Options(
        Evaluation(metric="top1"),
        benchmark=Benchmark(rounds=9),
        processes=InProcess(),
        models={"mdl_teacher": files.model},
    )
    recipe = Recipe.model_validate({"steps": [step]})
    report = compress(damaged, recipe, data, tmp_path / "out", options=options)
    assert report.quality[0].after > report.quality[0].before + 0.05
    assert report.steps[0].details["epochs"][-1]["metric_name"] == "agreement"


def test_a_student_takes_the_place_of_the_upload(damaged: Path, files: Digits, tmp_path: Path) -> None:
    step = {"kind": "distillation", "student": "mdl_student", **QUICK}
    report = done(files.model, files, tmp_path, step, models={"mdl_student": damaged})
    assert report.steps[0].changed == 3
    artifact = onnx.load(str(tmp_path / "artifact.onnx"))
    assert {w.name for w in artifact.graph.initializer} >= {"k1", "k2", "w", "b"}


@pytest.mark.parametrize("bits", [8, 4])
def test_quantization_aware_training_keeps_the_nodes_and_does_not_lose(
    files: Digits, tmp_path: Path, bits: int
) -> None:
    """Against quantization alone: at most half a point less (8 bits), no less (4 bits); the same nodes."""
    quantize = {"kind": "int8_static", "weight_bits": bits, "bias_correction": False}
    alone = done(files.model, files, tmp_path, quantize)
    before = nodes(tmp_path)
    trained = {"kind": "quantization_aware_training", **QUICK}
    both = done(files.model, files, tmp_path, quantize, trained)  # goes on behind the first step
    assert both.quality[0].after >= alone.quality[0].after - (0.005 if bits == 8 else 0.0)
    assert before == nodes(tmp_path)


def nodes(out: Path) -> list[tuple[str, str]]:
    return [(n.op_type, n.name) for n in onnx.load(str(out / "artifact.onnx")).graph.node]


def test_a_training_that_diverges_leaves_the_best_weights(files: Digits, tmp_path: Path) -> None:
    step = {
        "kind": "finetune",
        **QUICK,
        "optimizer": "sgd",
        "learning_rate": 10.0,
        "clip_norm": None,
        "warmup": 0,
    }
    with pytest.raises(Refusal) as caught:
        done(files.model, files, tmp_path, step)
    assert caught.value.problem.code == "training_diverged"
    assert "learning_rate" in caught.value.problem.detail
    assert not (tmp_path / "report.json").exists()
    kept = onnx.load(str(tmp_path / "artifact.onnx"))
    assert all(
        math.isfinite(float(np.abs(onnx.numpy_helper.to_array(w)).max())) for w in kept.graph.initializer
    )


def test_labels_outside_the_classes_are_refused_before_training(files: Digits, tmp_path: Path) -> None:
    with np.load(files.data) as archive:
        np.savez(tmp_path / "wrong.npz", images=archive["images"], labels=archive["labels"] + 5)
    wrong = Digits(files.model, tmp_path / "wrong.npz")
    data = Data(training=Source(wrong.data, DECLARATION, TRAINING))
    recipe = Recipe.model_validate({"steps": [{"kind": "finetune", **QUICK}]})
    with pytest.raises(Refusal) as caught:
        compress(files.model, recipe, data, tmp_path / "out")
    assert caught.value.problem.code == "labels_do_not_fit"
    assert "14" in caught.value.problem.detail
    assert not (tmp_path / "out" / "artifact.onnx").exists()


def test_the_same_seed_trains_the_same_weights(files: Digits, damaged: Path, tmp_path: Path) -> None:
    step = {"kind": "finetune", **QUICK, "epochs": 1, "learning_rate": 1e-3}
    first = done(damaged, files, tmp_path / "a", step).quality[0].after
    assert done(damaged, files, tmp_path / "b", step).quality[0].after == first


def test_an_operator_that_cannot_be_trained_is_refused_before_any_step(files: Digits, tmp_path: Path) -> None:
    """Also when the step that trains comes late: nothing is quantized first."""
    onnx.save(branches_behind_a_relu(), str(tmp_path / "branches.onnx"))
    np.savez(tmp_path / "data.npz", x=np.zeros((8, 4), np.float32))
    declaration = Declaration.model_validate({"inputs": {"x": {"array": "x"}}, "constants": {"flag": True}})
    source = Source(tmp_path / "data.npz", declaration)
    steps = [{"kind": "int8_static"}, {"kind": "quantization_aware_training"}]
    with pytest.raises(Refusal) as caught:
        compress(
            tmp_path / "branches.onnx",
            Recipe.model_validate({"steps": steps}),
            Data(calibration=source, training=source),
            tmp_path / "out",
        )
    assert (caught.value.problem.code, caught.value.problem.layer) == ("unsupported_operator", "choose")
    assert not list((tmp_path / "out" / "checkpoints").glob("*"))


def test_features_inside_the_networks_can_be_learned_from(
    damaged: Path, files: Digits, tmp_path: Path
) -> None:
    """The student's first map towards the teacher's second one, which is wider: a projection bridges them."""
    step = {
        "kind": "distillation",
        "teacher": "mdl_teacher",
        **QUICK,
        "features": [{"teacher": "r2", "student": "r1", "weight": 0.1}],
    }
    report = done(damaged, files, tmp_path, step, models={"mdl_teacher": files.model})
    assert report.quality[0].after > report.quality[0].before


@pytest.mark.parametrize("first", [0.0, 0.5])
def test_features_are_found_and_learned_in_one_stage_or_two(
    damaged: Path, files: Digits, tmp_path: Path, first: float
) -> None:
    step = {"kind": "distillation", "teacher": "mdl_teacher", **QUICK, "epochs": 6, "features": "auto"}
    report = done(
        damaged, files, tmp_path, {**step, "features_first": first}, models={"mdl_teacher": files.model}
    )
    assert report.quality[0].after > report.quality[0].before
    features = report.steps[0].details["features"]
    assert [(each["teacher"], each["student"]) for each in features] == [
        (name, name) for name in ("r1", "r2", "p2")
    ]


def test_features_are_found_in_a_quantized_graph_too(files: Digits, tmp_path: Path) -> None:
    step = {"kind": "quantization_aware_training", **QUICK, "epochs": 1, "features": "auto"}
    report = done(files.model, files, tmp_path, {"kind": "int8_static"}, step)
    teachers = [each["teacher"] for each in report.steps[1].details["features"]]
    assert teachers == ["r1", "r2", "p2"]


def test_a_value_that_is_not_there_is_refused_by_name(files: Digits, tmp_path: Path) -> None:
    step = {"kind": "distillation", **QUICK, "features": [{"teacher": "r2", "student": "nowhere"}]}
    with pytest.raises(Refusal) as caught:
        done(files.model, files, tmp_path, step)
    assert caught.value.problem.code == "unknown_value"
    assert "nowhere" in caught.value.problem.detail


FOUR_STEPS = {"kind": "finetune", "steps": 4, "batch_size": 50, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def taught(damaged: Path, files: Digits, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """By class numbers."""
    return done(damaged, files, tmp_path_factory.mktemp("numbers"), FOUR_STEPS)


@pytest.mark.parametrize("form", ["one-hot", "one-hot floats", "whole floats"])
def test_labels_of_any_form_teach_the_same(
    damaged: Path, files: Digits, taught: Report, tmp_path: Path, form: str
) -> None:
    """Exactly: what is learned from class numbers is learned from rows and floats that say the same."""
    arrays = dict(np.load(files.data))
    whole = arrays["labels"]
    arrays["labels"] = {
        "one-hot": np.eye(10, dtype=np.int64)[whole],
        "whole floats": whole.astype(np.float64),
    }.get(form, np.eye(10, dtype=np.float32)[whole])
    np.savez(tmp_path / "data.npz", **arrays)
    others = done(damaged, Digits(files.model, tmp_path / "data.npz"), tmp_path / "others", FOUR_STEPS)
    assert others.steps[0].details["epochs"] == taught.steps[0].details["epochs"]
    assert others.quality[0].after == taught.quality[0].after
