"""Teachers and students: fed with the job's data, measured beside the upload."""

from typing import Any

import pytest

from app.admission.other_models import check_students, fed
from tests.support.admission import DISTIL, QAT, STATIC, calibration, outcome, refused, training
from tests.support.facts import dataset_facts, model_facts, tensor
from winnow.contract.dataset import DatasetFacts, DatasetInput
from winnow.contract.fitting import check_map
from winnow.contract.job import ClosedJob
from winnow.contract.model import TensorSpec
from winnow.contract.other_models import named_models

TAUGHT = {**DISTIL, "teacher": "t"}
STUDENT = {**DISTIL, "student": "s"}


def two_inputs(second: str = "x") -> DatasetFacts:
    """A dataset of `input` and another one of the same array."""
    image = DatasetInput(dtype="float32", shape=[3, 8, 8], array="input")
    return dataset_facts(inputs={"input": image, second: image})


def taking(name: str, *shape: int | str, dtype: str = "float32") -> Any:
    return model_facts(inputs=[tensor(name, *(shape or ("N", 3, 8, 8)), dtype=dtype)])


def test_every_other_model_is_named_with_the_first_field_that_does() -> None:
    steps = [TAUGHT, {**STUDENT, "teacher": "t"}, STATIC, {**QAT, "teacher": "s"}, DISTIL]
    request = ClosedJob.model_validate({"model": "m", "recipe": {"steps": steps}})
    assert named_models(request.recipe) == {"t": "recipe.steps.0.teacher", "s": "recipe.steps.1.student"}


def test_training_data_has_to_fit_the_teacher_too() -> None:
    assert outcome(TAUGHT, data=training(), others={"t": taking("input")}) is None
    problem = outcome(TAUGHT, data=training(), others={"t": taking("input", "N", 1, 28, 28)})
    assert problem is not None
    assert (problem.code, problem.field) == ("inputs_do_not_fit", "data.training")
    assert problem.detail.startswith("The teacher t: ")
    absent = refused(TAUGHT, data=training(), others={"t": taking("x")})
    assert absent == ("inputs_do_not_fit", "data.training.map")


def test_calibration_data_need_not_fit_a_teacher() -> None:
    teacher = {"t": taking("x")}
    data = {**calibration(), **training(map={"x": "input"})}
    assert outcome(TAUGHT, STATIC, data=data, others=teacher) is None


def test_a_teacher_that_is_not_asked_need_not_fit() -> None:
    step = {**QAT, "teacher": "t", "soft": 0, "labels": 1}
    data = {**calibration(), **training()}
    assert outcome(STATIC, step, data=data, others={"t": taking("x")}) is None


@pytest.mark.parametrize("names", [{"x": "input"}, {"x": "input", "input": "input"}])
def test_the_map_holds_for_each_model_that_has_such_an_input(names: dict[str, str]) -> None:
    assert outcome(TAUGHT, data=training(map=names), others={"t": taking("x")}) is None


def test_a_name_in_the_map_that_no_model_has_is_a_mistake() -> None:
    names = {"x": "input", "y": "input"}
    problem = refused(TAUGHT, data=training(map=names), others={"t": taking("x")})
    assert problem == ("unknown_input", "data.training.map.y")


def test_all_data_goes_into_a_student_and_training_data_into_teachers() -> None:
    """A student is calibrated and measured after it was trained."""
    steps = [{**STUDENT, "teacher": "t"}, {**TAUGHT, "student": "s"}]
    request = ClosedJob.model_validate({"model": "m", "recipe": {"steps": steps}})
    others = {"s": taking("input"), "t": taking("x")}
    goes = {
        role: [whose for whose, _ in fed(request, role, model_facts(), others)]
        for role in ("calibration", "training", "evaluation")
    }
    assert goes["calibration"] == goes["evaluation"] == ["", "The student s: "]
    assert goes["training"] == ["", "The student s: ", "The teacher t: "]
    problem = refused(STUDENT, data=training(), others={"s": taking("input", "N", 3, 4, 4)})
    assert problem == ("inputs_do_not_fit", "data.training")


def test_a_student_is_fed_what_the_upload_is_fed() -> None:
    data = training()
    problem = refused(STUDENT, data=data, dataset=two_inputs(), others={"s": taking("x")})
    assert problem == ("inputs_do_not_fit", "recipe.steps.0.student")
    both = model_facts(inputs=[tensor(name, "N", 3, 8, 8) for name in ("input", "x")])
    assert outcome(STUDENT, data=data, dataset=two_inputs(), model=both, others={"s": taking("x")}) is None


def test_a_student_has_the_output_by_which_it_is_judged() -> None:
    renamed = {"s": model_facts(outputs=[tensor("other", "N", 10)])}
    problem = ("unknown_output", "recipe.steps.0.student")
    assert refused(STUDENT, data=training(), others=renamed) == problem
    upload = model_facts(outputs=[tensor("logits", "N", 10), tensor("other", "N", 10)])
    assert outcome(STUDENT, data=training(), model=upload, others=renamed) is None
    judged = {"data": {**training(), "evaluation": {"dataset": "d"}}, "evaluation": {"metric": "top1"}}
    assert refused(STUDENT, model=upload, others=renamed, **judged) == problem


class Counted(str):
    """A name that counts how often one is compared."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)


def test_names_of_many_inputs_are_looked_up() -> None:
    def specs() -> list[TensorSpec]:
        return [TensorSpec.model_construct(name=Counted(n), dtype="float32", shape=["N"]) for n in range(500)]

    request = ClosedJob.model_validate({"model": "m", "recipe": {"steps": [STUDENT]}})
    Counted.compared = 0
    check_students(
        request,
        model_facts(inputs=[]).model_copy(update={"inputs": specs()}),
        {"s": model_facts().model_copy(update={"inputs": specs()})},
    )
    check_map({spec.name: "x" for spec in specs()}, specs())
    assert Counted.compared < 10 * 500
