"""Whether a step can train on this data, towards these labels, with this teacher."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.admission import (
    DISTIL,
    HALF,
    QAT,
    STATIC,
    TUNE,
    calibration,
    outcome,
    refused,
    training,
)
from tests.support.facts import array, dataset_facts, model_facts, tensor
from winnow.contract.dataset import DatasetFacts
from winnow.contract.model import TensorSpec
from winnow.contract.recipe import Recipe

LABELLED = {**DISTIL, "labels": 1.0}


def labels(dtype: str = "int64", *shape: int, **facts: Any) -> DatasetFacts:
    return dataset_facts(
        arrays={"input": array("float32", 1024, 3, 8, 8), "labels": array(dtype, 1024, *shape, **facts)}
    )


def answering(*shape: int | str | None, dtype: str = "float32", name: str = "logits") -> Any:
    return model_facts(outputs=[tensor(name, *shape, dtype=dtype)])


@pytest.mark.parametrize("step", [TUNE, DISTIL, LABELLED])
def test_training_needs_training_data(step: dict[str, Any]) -> None:
    assert outcome(step, data=training()) is None
    assert refused(step) == ("missing_data", "data.training")
    assert refused(step, data=calibration()) == ("missing_data", "data.training")


def test_patience_needs_a_validation() -> None:
    Recipe.model_validate({"steps": [{**TUNE, "patience": 2}]})
    with pytest.raises(ValidationError, match="give validation a share"):
        Recipe.model_validate({"steps": [{**TUNE, "patience": 2, "validation": 0}]})


def test_only_who_learns_from_labels_needs_them() -> None:
    bare = dataset_facts(target=None)
    assert outcome(DISTIL, dataset=bare, data=training()) is None
    assert outcome(STATIC, QAT, dataset=bare, data={**training(), **calibration()}) is None
    for step in (TUNE, LABELLED):
        assert refused(step, dataset=bare, data=training()) == ("missing_data", "data.training")


@pytest.mark.parametrize(
    ("step", "dataset", "code"),
    [
        (TUNE, labels(high=9), None),
        (TUNE, labels("uint8", high=9), None),
        (TUNE, labels("bool", high=1), None),
        (TUNE, labels("int64", 1, high=9), None),
        (TUNE, labels(high=10), "labels_do_not_fit"),
        (TUNE, labels(low=-1, high=9), "labels_do_not_fit"),
        (TUNE, labels("int64", 10, high=1), "labels_do_not_fit"),
        (TUNE, labels("complex64"), "labels_do_not_fit"),
        (TUNE, labels("float32", 10, low=-3.5, high=99.5), None),
        (TUNE, labels("float32"), "labels_do_not_fit"),
        (TUNE, labels("float32", 9), "labels_do_not_fit"),
        (TUNE, labels("float32", 10, bad=[3, 0]), "not_finite"),
        (LABELLED, labels(high=10), "labels_do_not_fit"),
        (LABELLED, labels("float64", 10), None),
        ({**LABELLED, "head": "classification"}, labels("float32", 10), "labels_do_not_fit"),
        ({**LABELLED, "head": "classification"}, labels(high=9), None),
        ({**LABELLED, "head": "regression"}, labels("int64", 10, low=-7, high=70), None),
        ({**LABELLED, "head": "embedding"}, labels("float32", 10), None),
        ({**LABELLED, "head": "embedding"}, labels("float32", 5), "labels_do_not_fit"),
    ],
)
def test_whole_labels_are_classes_and_reals_are_targets(
    step: dict[str, Any], dataset: DatasetFacts, code: str | None
) -> None:
    problem = outcome(step, dataset=dataset, data=training())
    assert (problem and problem.code) == code
    assert problem is None or problem.field == "data.training"


@pytest.mark.parametrize(
    ("output", "dataset", "works"),
    [
        (("N", 10, 8, 8), labels("uint8", 8, 8, high=9), True),  # a class for each pixel
        (("N", 10, 8, 8), labels("uint8", 4, 4, high=9), False),
        (("N", 10, "H", "W"), labels("uint8", 4, 4, high=9), True),
        (("N", 1), labels(high=1), False),  # nothing to choose from
        (("N",), labels(high=1), False),
        (("N", 1), labels("float32"), True),
        (("N",), labels("float32", 1), True),
        (("N", "C"), labels(high=99), True),
        (("N", "C"), labels("float32", 99), True),
        ((), labels(high=99), True),  # nothing is known of its shape
        ((), labels("float32", 99), True),
    ],
)
def test_labels_have_the_shape_of_the_output_where_it_is_known(
    output: tuple[Any, ...], dataset: DatasetFacts, works: bool
) -> None:
    problem = outcome(TUNE, model=answering(*output), dataset=dataset, data=training())
    assert (problem and problem.code) == (None if works else "labels_do_not_fit")


def test_one_column_is_a_number_and_hard_labels_are_classes() -> None:
    whole: dict[str, Any] = {"model": answering("N", 1), "dataset": labels(high=99), "data": training()}
    assert outcome(LABELLED, **whole) is None
    assert refused({**LABELLED, "hard": 1.0}, **whole) == ("labels_do_not_fit", "data.training")


def test_labels_are_those_of_the_output_that_is_trained() -> None:
    model = model_facts(outputs=[tensor("logits", "N", 10), tensor("more", "N", 100)])
    many: dict[str, Any] = {"model": model, "dataset": labels(high=99), "data": training()}
    assert refused(TUNE, **many) == ("labels_do_not_fit", "data.training")
    assert outcome({**TUNE, "output": "more"}, **many) is None


def test_labels_that_are_not_finite_may_lie_outside_the_slice() -> None:
    dataset = labels("float32", 10, bad=[500, 3])
    assert outcome(TUNE, dataset=dataset, data=training(slice=[0, 500])) is None
    problem = outcome(TUNE, dataset=dataset, data=training())
    assert problem is not None
    assert "'labels'" in problem.detail
    assert "[500, 3]" in problem.detail


def test_an_output_has_to_be_there_and_of_real_numbers() -> None:
    problem = outcome({**TUNE, "output": "logit"}, data=training())
    assert problem is not None
    assert (problem.code, problem.field) == ("unknown_output", "recipe.steps.0.output")
    assert "'logits'" in problem.detail
    chosen = answering("N", dtype="int64", name="class")
    assert refused(TUNE, model=chosen, data=training()) == ("nothing_to_train", "recipe.steps.0.output")


def test_a_model_without_weights_cannot_be_trained() -> None:
    empty = model_facts(parameters=0)
    assert refused(TUNE, model=empty, data=training()) == ("nothing_to_train", "recipe.steps.0.kind")


TAUGHT = {**DISTIL, "teacher": "t"}


@pytest.mark.parametrize(
    ("teacher", "works"),
    [
        (answering("M", 10), True),
        (answering(1, 10), True),
        (answering("N", 10, name="other"), True),  # the first, when none has the student's name
        (answering("N", None), True),
        (answering("N", 10, dtype="float16"), True),
        (answering("N", 100), False),
        (answering("N", 10, 1), False),
        (answering("N", 10, dtype="int64"), False),
        (model_facts(outputs=[tensor("other", "N", 7), tensor("logits", "N", 10)]), True),
        (model_facts(outputs=[]), False),
    ],
)
def test_a_teacher_answers_as_the_student_does(teacher: Any, works: bool) -> None:
    problem = outcome(TAUGHT, data=training(), others={"t": teacher})
    assert (problem and (problem.code, problem.field)) == (
        None if works else ("teacher_does_not_fit", "recipe.steps.0.teacher")
    )
    assert problem is None or ("'logits'" in problem.detail and "float32" in problem.detail)


def test_who_learns_from_features_only_needs_no_common_answer() -> None:
    features = {**TAUGHT, "soft": 0, "features": [{"teacher": "a", "student": "b"}]}
    assert outcome(features, data=training(), others={"t": answering("N", 100)}) is None


def test_the_upload_teaches_a_student_of_its_own_outputs() -> None:
    student = {**DISTIL, "student": "s"}
    assert outcome(student, data=training(), others={"s": answering("N", 10)}) is None
    wider = {"s": answering("N", 12)}
    assert refused(student, data=training(), others=wider) == (
        "teacher_does_not_fit",
        "recipe.steps.0.teacher",
    )


BOXES = [tensor("scores", "N", 50, 2), tensor("boxes", "N", 50, 4)]


@pytest.mark.parametrize(
    ("step", "outputs", "code", "path"),
    [
        ({"head": "detection"}, BOXES, None, None),
        ({"head": "detection"}, BOXES[:1], "teacher_does_not_fit", "head"),
        ({"outputs": [{"output": "boxes", "weight": 2.0}]}, BOXES, None, None),
        ({"outputs": [{"output": "scores"}]}, BOXES, "invalid_request", "outputs.0.output"),
        ({"class_axis": -1, "head": "classification"}, BOXES, None, None),
        ({"class_axis": 3, "head": "classification"}, BOXES, "unknown_output", "class_axis"),
        (
            {"outputs": [{"output": "boxes", "class_axis": -3, "head": "classification"}]},
            BOXES,
            "unknown_output",
            "outputs.0.class_axis",
        ),
        ({"outputs": [{"output": "bokses"}]}, BOXES, "unknown_output", "outputs.0.output"),
        (
            {"outputs": [{"output": "masks"}]},
            [*BOXES, tensor("masks", "N", 9, dtype="int64")],
            "nothing_to_train",
            "outputs.0.output",
        ),
    ],
)
def test_several_outputs_and_detections_are_learned_where_they_are(
    step: dict[str, Any], outputs: list[TensorSpec], code: str | None, path: str | None
) -> None:
    model = model_facts(outputs=outputs)
    problem = outcome({**DISTIL, **step}, model=model, data=training())
    assert (problem and problem.code) == code
    assert (problem and problem.field) == (path and f"recipe.steps.0.{path}")


def test_of_several_outputs_each_has_a_teacher_of_its_name() -> None:
    """The teacher's first output stands for the student's first alone."""
    step = {**DISTIL, "student": "s", "outputs": [{"output": "b"}]}
    pair = [tensor("logits", "N", 10), tensor("b", "N", 10)]
    more: dict[str, Any] = {"data": training(), "others": {"s": model_facts(outputs=pair)}}
    assert refused(step, **more) == ("teacher_does_not_fit", "recipe.steps.0.outputs.0.output")
    assert outcome(step, model=model_facts(outputs=pair), **more) is None


def test_labels_of_steps_that_come_first_are_one_a_sample() -> None:
    """[steps, samples, 4] with a fixed batch of one, and labels [steps, 4]."""
    output = tensor("y", "T", 1, 4).model_copy(update={"batch_axis": 1})
    model = model_facts(outputs=[output])
    assert outcome(TUNE, model=model, dataset=labels("float32", 5, 4), data=training()) is None
    assert refused(TUNE, model=model, dataset=labels("float32", 5, 3), data=training()) == (
        "labels_do_not_fit",
        "data.training",
    )


@pytest.mark.parametrize(
    ("output", "shape", "axis", "code"),
    [
        (("N", 16, 3), (16,), -1, None),
        (("N", 16, 3), (16,), 2, None),
        (("N", 16, 3), (16,), 1, "labels_do_not_fit"),
        (("N", 3, 16), (16,), 1, None),
        (("N", 3, 16), (16,), -1, "labels_do_not_fit"),
    ],
)
def test_labels_of_steps_are_classes_along_their_axis(
    output: tuple[int | str, ...], shape: tuple[int, ...], axis: int, code: str | None
) -> None:
    step = {**LABELLED, "head": "classification", "class_axis": axis}
    data, model = labels("int64", *shape, high=2), answering(*output)
    problem = outcome(step, model=model, dataset=data, data=training())
    assert (problem and problem.code) == code


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"class_axis": -1}, "set head to classification"),
        ({"head": "embedding", "class_axis": 2}, "set head to classification"),
        ({"outputs": [{"output": "b", "class_axis": -1}]}, "set head to classification"),
        ({"head": "detection", "labels": 1.0}, "leave hard and labels at 0"),
        ({"head": "detection", "output": "boxes"}, "leave output out"),
        ({"outputs": [{"output": "b"}], "soft": 0, "labels": 1.0}, "give soft a weight"),
        ({"output": "b", "outputs": [{"output": "b"}]}, "learned twice"),
        ({"class_axis": 0}, "lie along another"),
        ({"outputs": [{"output": "b", "class_axis": 0}]}, "lie along another"),
    ],
)
def test_what_contradicts_itself_is_refused(more: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Recipe.model_validate({"steps": [{**DISTIL, **more}]})


def test_a_teacher_that_sees_other_samples_every_epoch_is_not_cached() -> None:
    cached = {**DISTIL, "cache_teacher": True}
    more: dict[str, Any] = {"data": training(), "augmenting": True}
    assert refused(cached, **more) == ("invalid_request", "recipe.steps.0.cache_teacher")
    assert outcome({**cached, "augment": False}, **more) is None
    assert outcome(cached, data=training()) is None
    assert outcome(DISTIL, **more) is None


def test_half_precision_comes_last() -> None:
    assert outcome(TUNE, HALF, data=training()) is None
