"""Each cause is named for a compression that really has it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.support import graphs
from tests.support.digits import CALIBRATION, DECLARATION, EVALUATION, TRAINED, Digits, digits
from tests.support.in_process import InProcess
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark, JobRequest
from winnow.contract.recipe import Recipe, Requirements
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.result.causes.cause import with_causes
from worker.compression.result.causes.evidence import Evidence

STATIC: dict[str, Any] = {"kind": "int8_static"}
PRUNE: dict[str, Any] = {"kind": "channel_pruning", "criterion": "l2", "repair": False, "amount": 0.5}
TWO_BITS: dict[str, Any] = {"kind": "weight_only", "method": "rtn", "bits": 2}
SPARSE: dict[str, Any] = {"kind": "sparsity", "criterion": "magnitude", "sparsity": 0.05}
TOP1 = Evaluation(metric="top1")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return digits(tmp_path_factory.mktemp("digits"))


def reported(
    files: Digits,
    out: Path,
    *steps: dict[str, Any],
    **require: Any,
) -> Report:
    data = Data(
        calibration=Source(files.data, DECLARATION, CALIBRATION),
        training=Source(files.data, DECLARATION, (0, TRAINED)),
        evaluation=Source(files.data, DECLARATION, EVALUATION),
    )
    options = Options(TOP1, Requirements.model_validate(require), Benchmark(rounds=9), processes=InProcess())
    return compress(files.model, Recipe.model_validate({"steps": list(steps)}), data, out, options=options)


def cause(report: Report) -> str:
    (entry,) = (entry for entry in report.requirements if not entry.met)
    assert entry.cause is not None
    assert entry.cause.endswith(".")
    return entry.cause


def tuned(**settings: Any) -> dict[str, Any]:
    return {"kind": "finetune", "epochs": 2, "learning_rate": 1e-4, "validation": 0, **settings}


OF_QUALITY: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "too few calibration samples": (
        [{**STATIC, "samples": 8}],
        {"min_snr_db": 80},
        "Int8_static calibrated on 8 samples only.",
    ),
    "a few bits": ([TWO_BITS], {"min_snr_db": 60}, "Weights have 2 bits after step 1 of 1 (weight_only)."),
    "the second step": (
        [SPARSE, TWO_BITS],
        {"min_snr_db": 60},
        "The loss came with step 2 of 2 (weight_only)",
    ),
    "the first step": (
        [PRUNE, STATIC],
        {"min_snr_db": 60},
        "The loss came with step 1 of 2 (channel_pruning)",
    ),
    "nothing trained": (
        [PRUNE],
        {"min_cosine": 0.99999},
        "of the parameters are gone since step 1 of 1 (channel_pruning), and nothing was trained after it.",
    ),
    "a training that could go on": (
        [PRUNE, tuned()],
        {"max_metric_drop": 0},
        "The training ended at epoch 2 with a loss that still fell",
    ),
    "the original": (
        [{"kind": "int8_dynamic"}],
        {"metrics": {"top1": {"min": 0.999}}},
        "The original itself has a top1 of 0.9",
    ),
    "the only step": ([STATIC], {"min_snr_db": 90}, "All of it comes with step 1 of 1 (int8_static)"),
}


@pytest.mark.parametrize("name", OF_QUALITY)
def test_a_loss_of_quality_has_a_cause(files: Digits, tmp_path: Path, name: str) -> None:
    steps, require, expected = OF_QUALITY[name]
    assert expected in cause(reported(files, tmp_path, *steps, **require))


@pytest.fixture(scope="module")
def unsure(files: Digits, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Of what more samples would tell."""
    return reported(files, tmp_path_factory.mktemp("unsure"), STATIC, metrics={"top1": {"min": 0.915}})


def test_an_interval_of_few_samples_is_the_cause_where_the_value_alone_meets_it(unsure: Report) -> None:
    assert unsure.quality[0].after >= 0.915
    assert "597 samples are too few to tell." in cause(unsure)


def test_a_layer_that_alone_makes_most_of_the_noise_is_named(files: Digits, tmp_path: Path) -> None:
    """Fifty times as large weights in each channel of conv2 leave its others two bits; 20 dB are kept nevertheless."""
    proto = onnx.load(str(files.model))
    (kernel,) = (tensor for tensor in proto.graph.initializer if tensor.name == "k2")
    weights = onnx.numpy_helper.to_array(kernel).copy()
    weights[:, 0, 0, 0] = 4 * np.abs(weights).max()
    kernel.CopyFrom(onnx.numpy_helper.from_array(weights, "k2"))
    onnx.save(proto, tmp_path / "model.onnx")
    uneven = Digits(tmp_path / "model.onnx", files.data)
    report = reported(
        uneven, tmp_path / "out", {**STATIC, "exclude": "auto"}, metrics={"agreement": {"min": 1.0}}
    )
    rows = report.steps[0].details["sensitivity"]
    worst = min(rows, key=lambda row: row["snr_db"])["name"]
    assert f"Layer {worst} alone" in cause(report)


OF_COSTS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "stored, not computed": (
        [{**SPARSE, "sparsity": 0.9}],
        {"min_speedup": 50},
        "Sparsity makes the file smaller: the runtime still computes in float32.",
    ),
    "layers in float": (
        [{**STATIC, "exclude": ["conv1", "conv2"]}],
        {"min_speedup": 50},
        "2 of 3 layers stayed float (",
    ),
    "a large layer": (
        [{**STATIC, "exclude": ["conv2"]}],
        {"max_size_bytes": 1000},
        "Layer conv2 (Conv) stayed float32 and is",
    ),
    "weights": (
        [STATIC],
        {"max_size_bytes": 1000},
        "The weights of its layers alone are",
    ),
    "channels that are pinned": ([{**PRUNE, "amount": 0.99}], {}, "channels cannot be cut ("),
}


@pytest.mark.usefixtures("all_told")
@pytest.mark.parametrize("name", OF_COSTS)
def test_a_cost_that_is_too_high_has_a_cause(files: Digits, tmp_path: Path, name: str) -> None:
    steps, require, expected = OF_COSTS[name]
    assert expected in cause(reported(files, tmp_path, *steps, **require))


def alone(
    folder: Path, weight: np.ndarray, step: dict[str, Any], data: Data | None = None, **require: Any
) -> Report:
    """Compress one product."""
    text = (
        f"(float[batch,{len(weight)}] x) => (float[batch,{weight.shape[1]}] y) {{ [fc] y = MatMul (x, w) }}"
    )
    onnx.save(graphs.parse(text, {"w": weight}, opset=17, ir_version=8), folder / "model.onnx")
    recipe = Recipe.model_validate({"steps": [step]})
    options = Options(None, Requirements.model_validate(require), Benchmark(rounds=9), processes=InProcess())
    return compress(folder / "model.onnx", recipe, data or Data(), folder / "out", options=options)


def test_a_file_of_few_weights_is_nodes_and_names(tmp_path: Path) -> None:
    report = alone(tmp_path, np.ones((2, 5), np.float32), {"kind": "float16"}, max_size_bytes=20)
    assert "are no weights of layers, but nodes, names, scales and other constants." in cause(report)


def test_a_value_beyond_what_float16_holds_is_its_end(tmp_path: Path) -> None:
    """The calibration data is small, the evaluation data makes 800,000 of it."""
    x = np.concatenate([np.full((8, 8), 0.01), np.full((8, 8), 1000)]).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x)
    calibration, evaluation = (
        Source(tmp_path / "data.npz", Declaration(), rows) for rows in ((0, 8), (8, 16))
    )
    data = Data(calibration=calibration, evaluation=evaluation)
    report = alone(
        tmp_path, np.full((8, 4), 100, np.float32), {"kind": "float16", "keep_io_types": False}, data
    )
    assert cause(report) == "A value grew beyond 65504, where float16 ends."
    assert [step["kind"] for step in report.next_steps[0].request["recipe"]["steps"]] == ["bfloat16"]


def test_memory_that_is_no_weights_is_the_runtimes(files: Digits, tmp_path: Path) -> None:
    """Measured in processes of its own, as the service does."""
    recipe = Recipe.model_validate({"steps": [{"kind": "int8_dynamic"}]})
    options = Options(None, Requirements(max_memory_bytes=1000), Benchmark(rounds=9))
    report = compress(files.model, recipe, Data(), tmp_path, options=options)
    assert "bytes are activations and the runtime's own, not weights." in cause(report)


@pytest.mark.usefixtures("all_told")
def test_without_vnni_integers_are_not_much_faster(
    files: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU is told to have none; all else is measured."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    report = reported(files, tmp_path, STATIC, min_speedup=50)
    bare = report.model_copy(
        update={"environment": report.environment.model_copy(update={"cpu_flags": ["avx2"]})}
    )
    steps = Recipe.model_validate({"steps": [STATIC]}).steps
    assert cause(with_causes(Evidence(bare, steps))).startswith("No VNNI on this CPU")


OF_WHAT_WAS_GAINED: list[tuple[dict[str, float], str]] = [
    (
        {"Relu": 0.2},
        "What int8_static changed is 80% of the original's time, and runs 2.67 times as fast.",
    ),
    ({}, "Int8_static made a run 2.00 times as fast, no more."),
    ({"Relu": 0.499, "Add": 0.0005}, "What int8_static changed is 50% of the original's time, and runs "),
]


@pytest.mark.usefixtures("all_told")
def test_where_nothing_else_tells_it_what_was_gained_is_the_cause(
    files: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU with VNNI, runs that are not tiny: both are told; half the time of the original as well."""
    monkeypatch.setattr("worker.compression.result.causes.costs.multiplies_exactly", lambda *_: True)
    monkeypatch.setattr("worker.compression.result.causes.costs.TINY_MS", 0)
    report = reported(files, tmp_path, STATIC, min_speedup=50)
    twice = report.latency[0].model_copy(update={"speedup": 2.0})
    told = report.model_copy(update={"latency": [twice, *report.latency[1:]], "macs": None})
    steps = Recipe.model_validate({"steps": [STATIC]}).steps
    for untouched, expected in OF_WHAT_WAS_GAINED:
        assert cause(with_causes(Evidence(told, steps, untouched=untouched))).startswith(expected)


@pytest.mark.usefixtures("all_told")
def test_operators_that_no_step_touches_take_the_time(tmp_path: Path) -> None:
    """Two error functions of 262,144 numbers in front of a product of 5,120."""
    text = """(float[batch,512,512] x) => (float[batch,10] y) {
        [erf1] a = Erf (x)
        [erf2] b = Erf (a)
        [mean] c = ReduceMean <axes=[1], keepdims=0> (b)
        [fc] y = MatMul (c, w)
    }"""
    weights = {"w": np.random.default_rng(0).standard_normal((512, 10)).astype(np.float32)}
    onnx.save(graphs.parse(text, weights, opset=17, ir_version=8), tmp_path / "model.onnx")
    recipe = Recipe.model_validate({"steps": [{"kind": "int8_dynamic"}]})
    options = Options(None, Requirements(min_speedup=50), Benchmark(rounds=9), processes=InProcess())
    report = compress(tmp_path / "model.onnx", recipe, Data(), tmp_path / "out", options=options)
    assert "of the original's time is in operators that the recipe does not touch (" in cause(report)
    assert "Erf" in cause(report)


def test_where_nothing_changed_nothing_was_gained(tmp_path: Path) -> None:
    """Of ten weights no codebook makes a smaller file: the model stays as it was."""
    weight = np.random.default_rng(0).standard_normal((2, 5)).astype(np.float32)
    report = alone(tmp_path, weight, {"kind": "palette"}, max_size_ratio=0.5)
    assert cause(report).startswith("No step changed anything (")


def test_what_is_met_has_no_cause_and_nothing_to_try(files: Digits, tmp_path: Path) -> None:
    report = reported(files, tmp_path, STATIC, max_size_ratio=0.9)
    assert [(entry.met, entry.cause) for entry in report.requirements] == [(True, None)]
    assert report.next_steps == []


def test_without_requirements_there_is_nothing_to_try(files: Digits, tmp_path: Path) -> None:
    assert reported(files, tmp_path, TWO_BITS).next_steps == []


def test_where_only_more_samples_would_tell_no_recipe_is_tried(unsure: Report) -> None:
    assert unsure.next_steps == []


def test_the_suggested_recipe_of_the_library_alone_does_what_it_says(files: Digits, tmp_path: Path) -> None:
    """2 bits are 10 dB too few: the suggestion has 4, and comes out nearer to the original."""
    report = reported(files, tmp_path / "first", TWO_BITS, min_snr_db=60)
    (tries,) = report.next_steps
    assert list(tries.request) == ["recipe"]
    again = reported(files, tmp_path / "second", *tries.request["recipe"]["steps"], min_snr_db=60)
    assert again.steps[0].kind == "weight_only"
    before, after = report.parity[0].snr_db, again.parity[0].snr_db
    assert before is not None
    assert after is not None
    assert after > before + 6


def test_a_job_that_was_asked_for_is_suggested_whole(files: Digits, tmp_path: Path) -> None:
    """Everything but the recipe stays as it was asked, ids included."""
    asked = JobRequest.model_validate(
        {
            "model": "mdl_1",
            "name": "small",
            "recipe": {"steps": [TWO_BITS]},
            "data": {"calibration": {"dataset": "dst_1", "slice": CALIBRATION}},
            "require": {"min_snr_db": 60},
        }
    )
    data = Data(calibration=Source(files.data, DECLARATION, CALIBRATION))
    options = Options(None, asked.require, Benchmark(rounds=9), processes=InProcess(), request=asked)
    (tries,) = compress(files.model, asked.recipe, data, tmp_path, options=options).next_steps
    request = JobRequest.model_validate(json.loads(json.dumps(tries.request)))
    assert request.recipe.steps[0].model_dump()["bits"] == 4
    assert request.model_copy(update={"recipe": asked.recipe}) == asked
