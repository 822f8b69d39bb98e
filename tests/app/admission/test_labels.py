"""Labels at the door: class numbers in any form, and what they cannot be."""

from typing import Any

import pytest

from tests.support.admission import outcome, training
from tests.support.facts import array, dataset_facts, model_facts, tensor
from winnow.contract.dataset import ArrayFacts, DatasetFacts


def data(dtype: str, *shape: int, high: float = 1, **form: Any) -> DatasetFacts:
    found = array(dtype, 1024, *shape, high=high).model_dump() | form
    arrays = {"input": array("float32", 1024, 3, 8, 8), "labels": ArrayFacts.model_validate(found)}
    return dataset_facts(arrays=arrays)


FORMS: list[tuple[DatasetFacts, bool]] = [
    (data("int64", 10, whole=True, one_hot=True), True),
    (data("bool", 10, whole=True, one_hot=True), True),
    (data("float32", 10, whole=True, one_hot=True), True),
    (data("float32", high=9, whole=True), True),
    (data("int64", 12, whole=True, one_hot=True), False),
    (data("int64", 10, whole=True, one_hot=False), False),
    (data("float32", high=10, whole=True), False),
    (data("float32", high=9, whole=False), False),
]


@pytest.mark.parametrize(("dataset", "fits"), FORMS)
def test_labels_are_judged_at_the_door(dataset: DatasetFacts, fits: bool) -> None:
    """By a metric of classes, and by a training with classes."""
    head: dict[str, Any] = {"kind": "quantization_aware_training", "labels": 1, "soft": 0}
    problems = [
        outcome(dataset=dataset, data=judged_by(), evaluation={"metric": "top1"}),
        outcome({"kind": "int8_static"}, head, dataset=dataset, data=calibrated(training())),
    ]
    wanted = None if fits else "labels_do_not_fit"
    assert [problem and problem.code for problem in problems] == [wanted, wanted]


@pytest.mark.parametrize(
    ("step", "low", "rows", "fits"),
    [
        ({"kind": "distillation", "labels": 1}, -1, None, True),
        ({"kind": "distillation", "labels": 1}, -2, None, False),
        ({"kind": "finetune"}, -1, None, False),
        ({"kind": "finetune"}, -1, [0, 512], True),
    ],
)
def test_some_labels_may_be_none_where_a_teacher_teaches_too(
    step: dict[str, Any], low: int, rows: list[int] | None, fits: bool
) -> None:
    """Facts are those of all rows: those without a label may lie outside of a slice."""
    problem = outcome(
        step,
        dataset=data("int64", high=9, min=low),
        data={"training": {**training()["training"], "slice": rows}},
    )
    assert (problem and problem.code) == (None if fits else "labels_do_not_fit")


@pytest.mark.parametrize(("rows", "fits"), [(None, False), ([0, 512], True)])
def test_a_metric_needs_a_label_of_each_row(rows: list[int] | None, fits: bool) -> None:
    judged = {"evaluation": {**judged_by()["evaluation"], "slice": rows}}
    problem = outcome(dataset=data("int64", high=9, min=-1), data=judged, evaluation={"metric": "top1"})
    assert (problem and problem.code) == (None if fits else "labels_do_not_fit")


DENSE: list[tuple[DatasetFacts, bool]] = [
    (data("int64", 8, 8, high=3), True),
    (data("float32", 8, 8, high=3, whole=True), True),
    (data("int64", 4, 8, 8, whole=True, one_hot=True), True),
    (data("float32", 4, 8, 8, whole=True, one_hot=True), True),
    (data("float32", 4, 8, 8, whole=False), True),
    (data("int64", 8, 8, high=4), False),
    (data("float32", 8, 8, high=3, whole=False), False),
    (data("float32", 8, 8, high=4, whole=True), False),
    (data("int64", 5, 8, 8, whole=True, one_hot=True), False),
    (data("int64", 4, 8, 8, whole=True, one_hot=False), False),
    (data("str160", 8, 8, high=0), False),
]


@pytest.mark.parametrize(("dataset", "fits"), DENSE)
def test_labels_of_places_are_judged_at_the_door(dataset: DatasetFacts, fits: bool) -> None:
    """For an output [N, 4, 8, 8]: classes of places in any form, or reals of its shape."""
    model = model_facts(outputs=[tensor("logits", "N", 4, 8, 8)])
    problem = outcome({"kind": "finetune"}, model=model, dataset=dataset, data=training())
    assert (problem and problem.code) == (None if fits else "labels_do_not_fit")


STEPS: list[tuple[DatasetFacts, bool]] = [
    (data("int64", 16, high=3), True),
    (data("float32", 16, 4, whole=True, one_hot=False, one_hot_axes=[2]), True),
    (data("int64", 16, 4, whole=True, one_hot=False, one_hot_axes=[2]), True),
    (data("int64", 16, 5, whole=True, one_hot=False, one_hot_axes=[2]), False),
    (data("int64", 16, 4, whole=True, one_hot=True, one_hot_axes=[1]), False),
    (data("float32", 16, 4, whole=False, one_hot=False, one_hot_axes=[]), False),
]


@pytest.mark.parametrize(("dataset", "fits"), STEPS)
@pytest.mark.parametrize("axis", [-1, 2])
def test_labels_of_steps_are_judged_at_the_door(dataset: DatasetFacts, fits: bool, axis: int) -> None:
    """For an output [N, 16, 4] with its classes along the last axis."""
    model = model_facts(outputs=[tensor("logits", "N", 16, 4)])
    step = {"kind": "distillation", "labels": 1, "head": "classification", "class_axis": axis}
    problem = outcome(step, model=model, dataset=dataset, data=training())
    assert (problem and problem.code) == (None if fits else "labels_do_not_fit")


@pytest.mark.parametrize(("classes", "fits"), [(4, True), (5, False)])
def test_one_hot_labels_of_a_single_step_are_rows(classes: int, fits: bool) -> None:
    """Inspection names no axes of rows."""
    labels = data("float32", 1, classes, whole=True, one_hot=True, one_hot_axes=[])
    model = model_facts(outputs=[tensor("logits", "N", 1, 4)])
    step = {"kind": "distillation", "labels": 1, "head": "classification", "class_axis": -1}
    problem = outcome(step, model=model, dataset=labels, data=training())
    assert (problem and problem.code) == (None if fits else "labels_do_not_fit")


def judged_by() -> dict[str, Any]:
    return {"evaluation": {"dataset": "d"}}


def calibrated(use: dict[str, Any]) -> dict[str, Any]:
    return {**use, "calibration": {"dataset": "d"}}


def test_words_are_told_how_to_become_numbers() -> None:
    words = data("str160", high=0)
    for problem in (
        outcome(dataset=words, data=judged_by(), evaluation={"metric": "top1"}),
        outcome({"kind": "finetune"}, dataset=words, data=training()),
    ):
        assert problem is not None
        assert problem.code == "labels_do_not_fit"
        assert "classes.index(word)" in problem.detail


@pytest.mark.parametrize("shape", [("N",), ("N", 1), ("N", 10, 4)])
def test_an_output_without_scores_is_refused_for_classes(shape: tuple[Any, ...]) -> None:
    model = model_facts(outputs=[tensor("logits", *shape)])
    problem = outcome(model=model, data=judged_by(), evaluation={"metric": "top1"})
    assert problem is not None
    assert (problem.code, problem.field) == ("labels_do_not_fit", "evaluation.output")
