import json
from pathlib import Path
from typing import Any

import pytest
import typer

from winnow.cli.options import JobOptions
from winnow.cli.settings import KINDS, step, step_in_words
from winnow.contract.job import JobRequest
from winnow.contract.recipe import Distillation, Float16, Int8Static, MetricBounds, Requirements


def test_every_option_finds_its_place() -> None:
    options = JobOptions(
        step=[
            "int8_static calibration=percentile percentile=99.9 samples=256 exclude=*/head/* exclude='a b'",
            "float16",
        ],
        calibration="dst_1:0:512",
        evaluation="dst_2",
        map=["input=image"],
        task="classification",
        metric=["top1", "f1"],
        decode="classes activation=softmax",
        min_agreement=0.9,
        bound=["f1 min=0.5 max_drop=0.02", "ece max=0.1"],
        output="logits",
        max_metric_drop=0.01,
        min_speedup=1.5,
        max_size_ratio=0.5,
        min_cosine=0.9,
        min_snr_db=30,
        max_relative_drop=0.02,
        max_latency_ms=1.5,
        max_size_bytes=10_000,
        max_memory_bytes=2**20,
        batch_size=[1, 8],
        threads=[1, 2],
        rounds=9,
        target="openvino-cpu",
        precision="bf16",
        target_feature=["amx_bf16", "avx512_vnni"],
        shape=["x=1,3,320,320"],
        seed=7,
        name="phone",
        tag=["team=vision", "empty="],
    )
    made = options.job("mdl_1")
    static, half = made.recipe.steps
    assert isinstance(static, Int8Static)
    assert isinstance(half, Float16)
    assert (static.calibration, static.percentile, static.samples) == ("percentile", 99.9, 256)
    assert static.exclude == ["*/head/*", "a b"]
    assert made.data.calibration is not None
    assert made.data.calibration.model_dump() == {
        "dataset": "dst_1",
        "slice": (0, 512),
        "map": {"input": "image"},
    }
    assert made.data.evaluation is not None
    assert made.data.evaluation.slice is None
    assert made.evaluation is not None
    assert made.evaluation.model_dump() == {
        "task": "classification",
        "metric": "top1",
        "also": ["f1"],
        "output": "logits",
        "decode": {"kind": "classes", "activation": "softmax"},
    }
    assert made.require == Requirements(
        max_metric_drop=0.01,
        min_speedup=1.5,
        max_size_ratio=0.5,
        min_cosine=0.9,
        min_snr_db=30,
        max_relative_drop=0.02,
        max_latency_ms=1.5,
        max_size_bytes=10_000,
        max_memory_bytes=2**20,
        min_agreement=0.9,
        metrics={"f1": MetricBounds(min=0.5, max_drop=0.02), "ece": MetricBounds(max=0.1)},
    )
    assert made.benchmark.model_dump() == {
        "batch_sizes": [1, 8],
        "threads": [1, 2],
        "rounds": 9,
        "shapes": {"x": [1, 3, 320, 320]},
    }
    assert (made.target, made.precision) == ("openvino-cpu", "bf16")
    assert made.target_features == ["amx_bf16", "avx512_vnni"]
    assert (made.model, made.seed, made.name, made.tags) == (
        "mdl_1",
        7,
        "phone",
        {"team": "vision", "empty": ""},
    )


def test_a_step_that_trains_is_written_like_any_other() -> None:
    text = (
        "distillation teacher=mdl_2 epochs=5 learning_rate=0.001 clip_norm=null augment=false "
        'features=/layer1/Relu_output_0=/block1/out features=\'{"teacher": "a=b", "student": "c"}\' exclude=/fc'
    )
    (step,) = JobOptions(step=[text], training="dst_1:0:512").job("mdl_1").recipe.steps
    assert isinstance(step, Distillation)
    assert (step.teacher, step.epochs, step.learning_rate) == ("mdl_2", 5, 0.001)
    assert (step.clip_norm, step.augment, step.exclude) == (None, False, ["/fc"])
    pairs = [(pair.teacher, pair.student) for pair in step.features]
    assert pairs == [("/layer1/Relu_output_0", "/block1/out"), ("a=b", "c")]


def test_what_is_not_said_is_left_to_the_contract() -> None:
    assert JobOptions(step=["int8_dynamic"]).job("mdl_1") == JobRequest.model_validate(
        {"model": "mdl_1", "recipe": {"steps": [{"kind": "int8_dynamic"}]}}
    )


def test_a_word_in_place_of_a_list_is_a_word() -> None:
    assert step("int8_static exclude=auto")["exclude"] == "auto"
    assert step("int8_static exclude=auto*")["exclude"] == ["auto*"]


@pytest.mark.parametrize(
    "made",
    [
        {"kind": "int8_static", "exclude": "auto", "smooth": 0.5, "equalize": True},
        {"kind": "int8_static", "exclude": ["*/head/*", "a b"], "percentile": 99.9},
        {"kind": "weight_only", "method": "gptq", "bits": 4},
        {"kind": "finetune", "clip_norm": None},
        {"kind": "channel_pruning", "rounds": 2, "recovery": {"kind": "distillation", "epochs": 2}},
        {"kind": "distillation", "features": [{"teacher": "a=b", "student": "c"}]},
        {"kind": "vocabulary_pruning", "keep": [0, [100, 104]], "fallback_id": 100},
        {"kind": "channel_pruning", "rounds": 2, "schedule": [0.8, 0.5]},
        {"kind": "depth_pruning", "schedule": None},
        {"kind": "mixed_precision", "min_speedup": 2.0, "bits": {"/head|fc": 8, "/a/0..1": 4}},
        {"kind": "simplify", "fix_shapes": {"batch": 1, "x": [1, 3]}, "undo_contrib": True},
    ],
)
def test_a_step_in_words_is_read_as_the_step(made: dict[str, Any]) -> None:
    assert step(step_in_words(made)) == made


def test_what_goes_by_names_is_written_name_by_name() -> None:
    made = step("simplify fix_shapes=batch=1 fix_shapes=image=[1,3,8,8] opset=18")
    assert made == {"kind": "simplify", "fix_shapes": {"batch": 1, "image": [1, 3, 8, 8]}, "opset": 18}
    assert step("mixed_precision max_size_ratio=0.5 bits=/head/fc=8")["bits"] == {"/head/fc": 8}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_the_contract_can_be_written(kind: str) -> None:
    settings = {"mixed_precision": " max_size_ratio=0.5"}  # the one kind that has to be told something
    assert JobOptions(step=[kind + settings.get(kind, "")]).job("mdl_1").recipe.steps[0].kind == kind


def test_a_request_comes_from_a_file_as_it_is(tmp_path: Path) -> None:
    asked = {"model": "mdl_0", "recipe": {"steps": [{"kind": "float16"}]}, "tags": {"a": "b"}}
    (tmp_path / "job.json").write_text(json.dumps(asked))
    made = JobOptions(request=tmp_path / "job.json").job("mdl_1")
    assert made == JobRequest.model_validate(asked | {"model": "mdl_1"})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "--step"),
        ({"step": ["int4"]}, "int8_static"),
        ({"step": [""]}, "no kind"),
        ({"step": ["int8_static samples"]}, "KEY=VALUE"),
        ({"step": ["int8_static samples=0"]}, "samples"),
        ({"step": ["int8_static colour=red"]}, "colour"),
        ({"step": ["int8_static exclude='"]}, "quot"),
        ({"step": ["distillation features=layer1"]}, "KEY=VALUE"),
        ({"step": ["distillation soft=0 labels=1"]}, "finetune"),
        ({"step": ["float16"], "metric": "beauty"}, "metric"),
        ({"step": ["float16"], "output": "logits"}, "metric"),
        ({"step": ["float16"], "tag": ["team"]}, "--tag"),
        ({"step": ["float16"], "shape": ["x=1,a"]}, "--shape: 'a' is not a whole number"),
        ({"step": ["float16 smaples=3"]}, "--step float16 smaples: there is no such field"),
        ({"step": ["float16"], "calibration": "dst_1:0:a"}, "rows are two whole numbers"),
        ({"step": ["float16"], "rounds": 2}, "rounds"),
        ({"step": ["float16"], "min_speedup": float("nan")}, "--min-speedup: NaN is no number"),
        ({"step": ["float16"], "metric": ["top_1"]}, "--metric: .*Did you mean top1"),
        ({"step": ["float16"], "metric": ["top1"], "task": "clasification"}, "--task: .*Did you mean class"),
        (
            {"step": ["float16"], "metric": ["top1", "map"]},
            "--metric: the task classification is measured by",
        ),
        (
            {"step": ["float16"], "task": "detection", "decode": "yolo"},
            "--decode: 'yolo' is no way to decode",
        ),
        ({"step": ["float16"], "task": "detection", "decode": "yolox nms=2"}, "--decode nms: .*at most 1"),
        ({"step": ["float16"], "task": "language", "decode": "yolox"}, "language takes argmax, not yolox"),
        ({"step": ["float16"], "metric": ["f1"], "bound": ["f1"]}, "--bound: give at least one of max_drop"),
        ({"step": ["float16"], "metric": ["f1"], "bound": ["recal min=1"]}, "--bound: .*Did you mean recall"),
        ({"step": ["int8_statik"]}, "Did you mean int8_static"),
        ({"step": ["int8_static smaples=3"]}, "--step int8_static smaples: .*Did you mean samples"),
        (
            {"step": ["float16", "int8_static samples=0"]},
            r"--step 2 \(int8_static\) samples: has to be at least 1",
        ),
        ({"step": ["int8_static samples=1 samples=2"]}, "samples is given twice"),
        ({"step": ["simplify fix_shapes=N=1 fix_shapes=N=2"]}, "fix_shapes=N is given twice"),
        ({"step": ["simplify fix_shapes=N"]}, "simplify fix_shapes 'N': expected KEY=VALUE"),
        ({"step": ["simplify opset=6"]}, "--step simplify opset: has to be at least 7"),
        ({"step": ["float16"], "map": ["a=b"]}, "--map has no effect"),
        ({"step": ["float16"], "batch_size": [0]}, "--batch-size: has to be at least 1"),
        ({"step": ["float16"], "calibration": "dst_1:5:0"}, "--calibration"),
        ({"step": ["float16"], "limit_seconds": 0}, "--limit-seconds"),
        ({"step": ["float16"], "calibration": ""}, "dataset"),
        ({"request": Path("missing.json")}, "missing.json"),
        ({"request": Path(__file__)}, "JSON"),
        ({"request": Path(__file__), "seed": 1}, "other options"),
    ],
)
def test_what_is_written_wrongly_is_named(given: dict[str, Any], says: str) -> None:
    with pytest.raises(typer.BadParameter, match=says):
        JobOptions(**given).job("mdl_1")
