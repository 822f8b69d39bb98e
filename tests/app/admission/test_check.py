"""A recipe that cannot work is refused, with the path of the field; one that can, is not."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.admission import DYNAMIC, HALF, STATIC, calibration, outcome, refused
from tests.support.facts import array, dataset_facts, model_facts, tensor
from winnow.contract.dataset import DatasetFacts, DatasetInput
from winnow.contract.model import Layer


def evaluation(**use: Any) -> dict[str, Any]:
    return {"evaluation": {"dataset": "d", **use}}


def image(*shape: int, dtype: str = "float32", name: str = "input", **facts: Any) -> DatasetFacts:
    """A dataset with one input."""
    return dataset_facts(
        inputs={name: DatasetInput(dtype=dtype, shape=list(shape), array="input")},
        arrays={"input": array(dtype, 1024, *shape, **facts), "labels": array("int64", 1024, high=9)},
    )


def labels(dtype: str = "int64", **facts: Any) -> DatasetFacts:
    arrays = {"input": array("float32", 1024, 3, 8, 8), "labels": array(dtype, 1024, **facts)}
    return dataset_facts(arrays=arrays)


def test_what_can_work_is_let_through() -> None:
    assert outcome(HALF) is None
    assert outcome(DYNAMIC, HALF) is None
    assert outcome(STATIC, data=calibration()) is None
    full = {**calibration(slice=[0, 512]), **evaluation(slice=[512, 1024])}
    metric = {"metric": "top1", "output": "logits"}
    assert outcome(STATIC, data=full, evaluation=metric, require={"max_metric_drop": 0.01}) is None
    assert outcome({**STATIC, "exclude": ["/head/*"]}, data=calibration()) is None
    assert outcome(benchmark={"batch_sizes": [1, 8, 64]}) is None


def test_a_step_without_its_data_is_refused() -> None:
    assert refused(STATIC) == ("missing_data", "data.calibration")
    assert refused({**DYNAMIC, "smooth": 0.7}) == ("missing_data", "data.calibration")
    assert refused(STATIC, HALF, data=evaluation()) == ("missing_data", "data.calibration")


def test_what_is_quantized_is_not_quantized_again() -> None:
    assert refused(DYNAMIC, model=model_facts(quantized=True)) == ("already_quantized", "recipe.steps.0.kind")
    assert refused(DYNAMIC, STATIC, data=calibration()) == ("already_quantized", "recipe.steps.1.kind")
    assert outcome(HALF, model=model_facts(quantized=True)) is None


def test_a_pattern_may_name_an_embedding_by_its_table() -> None:
    words = Layer(name="/emb/Gather", op="Gather", weight=[9, 4], macs=0, table="emb.weight")
    model = model_facts(layers=[words, *model_facts().layers])
    assert outcome({**DYNAMIC, "exclude": ["emb.*"]}, model=model) is None
    everything = {**DYNAMIC, "exclude": ["emb.weight", "/features/*", "/head/*"]}
    assert refused(everything, model=model) == ("nothing_to_quantize", "recipe.steps.0.exclude")


def test_a_pattern_that_matches_no_layer_names_some_that_are_there() -> None:
    problem = outcome({**DYNAMIC, "exclude": ["/head/*", "*/haed/*"]})
    assert problem is not None
    assert (problem.code, problem.field) == ("pattern_matches_nothing", "recipe.steps.0.exclude.1")
    assert "'/features/conv1'" in problem.detail


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"require": {"max_metric_drop": 0.1}}, ("missing_data", "evaluation")),
        ({"require": {"max_relative_drop": 0.1}}, ("missing_data", "evaluation")),
        ({"require": {"min_agreement": 0.9}}, ("missing_data", "evaluation")),
        ({"require": {"metrics": {"f1": {"min": 0.9}}}}, ("missing_data", "evaluation")),
        (
            {
                "require": {"metrics": {"map": {"min": 0.9}}},
                "evaluation": {"metric": "top1"},
                "data": evaluation(),
            },
            ("invalid_request", "require.metrics.map"),
        ),
        ({"evaluation": {"task": "auto"}}, ("missing_data", "data.evaluation")),
        (
            {
                "evaluation": {"metric": "agreement", "also": ["f1"], "task": "classification"},
                "data": evaluation(),
                "dataset": dataset_facts(target=None),
            },
            ("missing_data", "data.evaluation"),
        ),
        ({"evaluation": {"metric": "top1"}}, ("missing_data", "data.evaluation")),
        (
            {"evaluation": {"metric": "mse"}, "data": evaluation(), "dataset": dataset_facts(target=None)},
            ("missing_data", "data.evaluation"),
        ),
        (
            {"evaluation": {"metric": "top1", "output": "logit"}, "data": evaluation()},
            ("unknown_output", "evaluation.output"),
        ),
    ],
)
def test_a_metric_needs_labels_and_an_output(change: dict[str, Any], expected: tuple[str, str]) -> None:
    assert refused(**change) == expected


@pytest.mark.parametrize("task", ["auto", "classification", "detection", "embedding"])
def test_agreement_needs_no_labels_and_boxes_are_no_array(task: str) -> None:
    asked = {"evaluation": {"task": task}, "data": evaluation(), "require": {"min_agreement": 0.9}}
    assert outcome(**asked, dataset=dataset_facts(target=None)) is None
    boxes = dataset_facts(target="boxes", arrays={"input": array("float32", 1024, 3, 8, 8)})
    assert outcome(**asked, dataset=boxes) is None


@pytest.mark.parametrize(
    ("dataset", "metric", "code"),
    [
        (labels("float32"), "top1", "labels_do_not_fit"),
        (labels("float32"), "f1", "labels_do_not_fit"),
        (labels("float32", high=99.5), "r2", "labels_do_not_fit"),
        (labels("U5"), "anomaly_auc", "labels_do_not_fit"),
        (labels(high=10), "top5", "labels_do_not_fit"),
        (labels(high=9), "top5", None),
        (labels(low=-1, high=9), "recall", "labels_do_not_fit"),
        (labels("float32", high=99.5), "mse", "labels_do_not_fit"),  # [rows], the output [rows, 10]
        (labels("float32", bad=[3]), "mse", "not_finite"),
        (labels("uint8", high=9), "precision", None),
    ],
)
def test_labels_are_numbers_of_classes(dataset: DatasetFacts, metric: str, code: str | None) -> None:
    problem = outcome(dataset=dataset, data=evaluation(), evaluation={"metric": metric})
    assert (problem and problem.code) == code


@pytest.mark.parametrize(
    ("dataset", "code"),
    [
        (image(3, 8, 8), None),
        (image(3, 8, 8, dtype="float64"), None),
        (image(3, 8, 8, dtype="uint8"), None),
        (image(1, 3, 8, 8), None),  # a row is the whole input, batch axis included
        (image(1, 1, 3, 8, 8), "inputs_do_not_fit"),
        (image(8, 8, 3), "inputs_do_not_fit"),
        (image(3, 8), "inputs_do_not_fit"),
        (image(3, 8, 8, name="image"), "inputs_do_not_fit"),
        (image(3, 8, 8, dtype="complex64"), "inputs_do_not_fit"),
        (image(3, 8, 8, bad=[5, 0, 0, 0]), "not_finite"),
    ],
)
def test_data_fits_by_name_rank_dimensions_and_kind(dataset: DatasetFacts, code: str | None) -> None:
    problem = outcome(dataset=dataset, data=evaluation())
    assert (problem and problem.code) == code
    assert problem is None or (problem.field or "").startswith("data.evaluation")


def test_integers_are_not_made_of_floats() -> None:
    tokens = model_facts(inputs=[tensor("input", "N", 3, 8, 8, dtype="int64")])
    assert refused(model=tokens, data=evaluation()) == ("inputs_do_not_fit", "data.evaluation")


def test_what_is_not_finite_is_named_with_its_index() -> None:
    problem = outcome(dataset=image(3, 8, 8, bad=[5, 0, 1, 2]), data=evaluation())
    assert problem is not None
    assert "'input'" in problem.detail
    assert "[5, 0, 1, 2]" in problem.detail
    assert outcome(dataset=image(3, 8, 8, bad=[5, 0, 1, 2]), data=evaluation(slice=[0, 5])) is None


def test_a_map_brings_names_together() -> None:
    dataset = image(3, 8, 8, name="image")
    assert outcome(dataset=dataset, data=evaluation(map={"input": "image"})) is None
    wrong = evaluation(map={"input": "picture"})
    assert refused(dataset=dataset, data=wrong) == ("inputs_do_not_fit", "data.evaluation.map.input")
    unknown = evaluation(map={"inptu": "image"})
    assert refused(dataset=dataset, data=unknown) == ("unknown_input", "data.evaluation.map.inptu")


def test_a_constant_may_be_an_input() -> None:
    model = model_facts(inputs=[tensor("input", "N", 3, 8, 8), tensor("sr", dtype="int64")])
    inputs = {**dataset_facts().inputs, "sr": DatasetInput(dtype="int64", shape=[], array=None)}
    assert outcome(model=model, data=evaluation(), dataset=dataset_facts(inputs=inputs)) is None
    only = {name: DatasetInput(dtype="int64", shape=[], array=None) for name in ("input", "sr")}
    assert (
        refused(model=model, data=evaluation(), dataset=dataset_facts(inputs=only))[0] == "inputs_do_not_fit"
    )


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([0, 1], None),
        ([1023, 1024], None),
        ([1023, 5000], "slice_beyond_data"),
        ([0, 1025], "slice_beyond_data"),
        ([1024, 1025], "empty_slice"),
        ([5, 5], "empty_slice"),
    ],
)
def test_a_slice_holds_a_sample_and_ends_within_the_data(rows: list[int], code: str | None) -> None:
    problem = outcome(data=evaluation(slice=rows))
    assert (problem and problem.code) == code
    assert problem is None or problem.field == "data.evaluation.slice"


def test_a_model_that_takes_several_at_once_needs_as_many_rows() -> None:
    four = model_facts(inputs=[tensor("input", 4, 3, 8, 8)])
    more = {"model": four, "benchmark": {"batch_sizes": [4]}}
    assert outcome(data=evaluation(slice=[0, 4]), **more) is None
    assert refused(data=evaluation(slice=[0, 3]), **more) == ("empty_slice", "data.evaluation.slice")


def test_a_fixed_batch_size_is_kept() -> None:
    one = model_facts(inputs=[tensor("input", 1, 3, 8, 8)])
    assert outcome(model=one) is None
    assert refused(model=one, benchmark={"batch_sizes": [1, 8]}) == (
        "batch_size_fixed",
        "benchmark.batch_sizes",
    )


def test_inputs_that_fix_different_batch_sizes_take_no_data() -> None:
    """Rows come in batches of one size."""
    model = model_facts(inputs=[tensor("input", 4, 3, 8, 8), tensor("other", 2, 3, 8, 8)])
    both = {
        name: DatasetInput(dtype="float32", shape=[3, 8, 8], array="input") for name in ("input", "other")
    }
    problem = refused(model=model, dataset=dataset_facts(inputs=both), data=evaluation())
    assert problem == ("inputs_do_not_fit", "data.evaluation")


def test_the_batch_of_a_recurrent_model_lies_behind_its_steps() -> None:
    steps = model_facts(inputs=[tensor("input", 7, "N", 6)])
    assert outcome(model=steps, benchmark={"batch_sizes": [1, 8]}) is None


def test_an_open_dimension_comes_from_the_data_or_is_asked_for() -> None:
    free = model_facts(inputs=[tensor("input", "N", 3, "H", None)])
    assert refused(model=free) == ("shape_needed", "benchmark.shapes.input")
    assert outcome(model=free, data=evaluation()) is None
    assert outcome(model=free, benchmark={"shapes": {"input": [1, 3, 320, 320]}}) is None


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"inptu": [1, 3, 8, 8]}, ("unknown_input", "benchmark.shapes.inptu")),
        ({"input": [1, 3, 8]}, ("inputs_do_not_fit", "benchmark.shapes.input")),
        ({"input": [1, 4, 8, 8]}, ("inputs_do_not_fit", "benchmark.shapes.input")),
        ({"input": [2, 3, 8, 8]}, ("inputs_do_not_fit", "benchmark.shapes.input")),
    ],
)
def test_a_shape_has_to_be_one_that_the_model_takes(
    shapes: dict[str, list[int]], expected: tuple[str, str]
) -> None:
    assert refused(benchmark={"shapes": shapes}) == expected


def test_a_shape_beyond_all_memory_is_refused() -> None:
    free = model_facts(inputs=[tensor("input", "N", 3, "H", "W")])
    huge = {"shapes": {"input": [1, 3, 100_000, 100_000]}}
    assert refused(model=free, benchmark=huge) == ("inputs_do_not_fit", "benchmark.shapes.input")


@pytest.mark.parametrize("step", [STATIC, DYNAMIC, HALF])
def test_what_is_in_half_precision_is_neither_quantized_nor_halved_again(step: dict[str, Any]) -> None:
    assert refused(HALF, step, data=calibration()) == ("wrong_order", "recipe.steps.1.kind")


def test_patterns_that_leave_nothing_are_refused() -> None:
    assert refused({**DYNAMIC, "exclude": ["*"]}) == ("nothing_to_quantize", "recipe.steps.0.exclude")


def test_layers_that_the_step_finds_itself_are_no_pattern() -> None:
    assert outcome({**STATIC, "exclude": "auto"}, data=calibration()) is None


def test_auto_is_no_name_of_a_layer_elsewhere() -> None:
    with pytest.raises(ValidationError):
        outcome({**DYNAMIC, "exclude": "auto"})


@pytest.mark.parametrize("kind", ["int8", "int8_static", "int8_dynamic", "weight_only", "palette", "binary"])
def test_a_model_without_layers_has_nothing_to_quantize(kind: str) -> None:
    problem = outcome({"kind": kind}, model=model_facts(layers=[]), data=calibration())
    assert problem is not None
    assert (problem.code, problem.field) == ("nothing_to_quantize", "recipe.steps.0.kind")


def test_a_step_that_lacks_data_says_which_setting_needs_none() -> None:
    for kind, told in (("sparsity", "criterion magnitude"), ("int8_static", "data.calibration.")):
        problem = outcome({"kind": kind})
        assert problem is not None
        assert told in problem.detail


def test_one_dataset_has_all_roles() -> None:
    assert outcome(STATIC, data={"dataset": "d"}, evaluation={"metric": "top1"}) is None
    assert outcome(STATIC, data={"dataset": "d", "map": {"input": "input"}}) is None


def test_what_does_not_fit_of_one_dataset_is_said_once_and_with_its_path() -> None:
    problem = outcome(STATIC, data={"dataset": "d", "map": {"x": "input"}})
    assert problem is not None
    assert [error.path for error in problem.errors] == ["data.map.x"]
    assert refused(STATIC, data={"dataset": "d"}, dataset=image(1, 9, 9)) == (
        "inputs_do_not_fit",
        "data.dataset",
    )


def test_one_dataset_that_is_too_small_to_be_split_is_refused() -> None:
    small = image(3, 8, 8).model_copy(update={"samples": 3})
    assert refused(STATIC, data={"dataset": "d"}, dataset=small) == ("too_few_samples", "data.dataset")


@pytest.mark.parametrize("data", [{"dataset": "d", "calibration": {"dataset": "d"}}, {"map": {"input": "x"}}])
def test_one_dataset_and_roles_do_not_go_together(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"leave calibration out|map goes with dataset"):
        outcome(STATIC, data=data)
