"""The other models of a job: teachers and students. They are fed with the job's data, and a student is measured
beside the upload that it replaces.
"""

from collections.abc import Iterator, Mapping

from winnow.contract import fitting
from winnow.contract.data_uses import DataUse
from winnow.contract.dataset import DatasetFacts
from winnow.contract.errors import Refusal
from winnow.contract.job import ClosedJob
from winnow.contract.model import ModelFacts, TensorSpec
from winnow.contract.recipe import ORIGINAL, Distillation, StructuredPruning, Taught


def check_students(request: ClosedJob, model: ModelFacts, others: Mapping[str, ModelFacts]) -> None:
    """The result is measured beside the upload, on the same data: by the names of inputs and outputs."""
    asked = request.evaluation and judged(request.evaluation.output, model)
    own = {spec.name for spec in model.inputs}
    for id, field in _students(request).items():
        student = others.get(id)
        if student is None:
            continue
        for spec in student.inputs:
            if spec.name not in own:
                raise Refusal(
                    "inputs_do_not_fit",
                    f"The student {id} takes {spec.name!r}, but the upload that it is to replace has "
                    f"{fitting.listed(own)}. Export it with the upload's names.",
                    field=field,
                )
        wanted = {asked.name} if asked else {output.name for output in model.outputs}
        if not wanted & {output.name for output in student.outputs}:
            raise Refusal(
                "unknown_output",
                f"The student {id} has the outputs {fitting.listed(output.name for output in student.outputs)}, but is "
                f"compared with the upload by {fitting.listed(wanted)}. Export it with the upload's names.",
                field=field,
            )


def _students(request: ClosedJob) -> dict[str, str]:
    """id → field."""
    steps = enumerate(request.recipe.steps)
    named = [(step.student, i) for i, step in steps if isinstance(step, Distillation) and step.student]
    return {id: f"recipe.steps.{index}.student" for id, index in reversed(named)}


def fed(
    request: ClosedJob, role: str, model: ModelFacts, others: Mapping[str, ModelFacts]
) -> Iterator[tuple[str, ModelFacts]]:
    """The models that this data goes into, of which something is known: the upload, students, and teachers where
    they learn from it."""
    yield "", model
    students = dict.fromkeys(_students(request), "student")
    teachers = {id: "teacher" for id in _teachers(request) if role == "training"}
    for id, whose in [*students.items(), *teachers.items()]:
        if id in others:
            yield f"The {whose} {id}: ", others[id]


def _teachers(request: ClosedJob) -> list[str]:
    """The ids of those that are asked; the upload is no other model."""
    steps = [step.recovery if isinstance(step, StructuredPruning) else step for step in request.recipe.steps]
    taught = [step for step in steps if isinstance(step, Taught) and step.needs_teacher]
    return list(dict.fromkeys(step.teacher for step in taught if step.teacher != ORIGINAL))


def check_data(role: str, use: DataUse, fed: Iterator[tuple[str, ModelFacts]], dataset: DatasetFacts) -> None:
    """Each model takes from the map what it has an input for; a name that none has is a mistake."""
    models = list(fed)
    field = f"data.{role}"
    fitting.check_map(use.map, [spec for _, facts in models for spec in facts.inputs], field)
    for whose, facts in models:
        own = use.model_copy(update={"map": fitting.own_map(use.map, facts.inputs)})
        try:
            fitting.check_data(field, own, facts, dataset)
        except Refusal as refusal:
            problem = refusal.problem
            raise Refusal(problem.code, whose + problem.detail, field=problem.field) from refusal


def judged(name: str | None, model: ModelFacts) -> TensorSpec | None:
    """The output asked for, or the first."""
    return next((output for output in model.outputs if name in (None, output.name)), None)
