"""Do the values exist that a step's features name?"""

from collections.abc import Mapping

from app.admission.model_state import ModelState
from winnow.contract.errors import Refusal, Refusals
from winnow.contract.model import ModelFacts
from winnow.contract.nearest import nearest
from winnow.contract.recipe import Taught


def check_features(
    where: str, step: Taught, state: ModelState, first: bool, teachers: Mapping[str, ModelFacts]
) -> None:
    """Raises `unknown_value`, with the nearest name. `first`: the step works on a model as it was uploaded; what
    others made of it is known to the worker alone."""
    refusals = Refusals()
    teacher = teachers.get(step.teacher)
    for index, pair in enumerate(step.features):
        path = f"{where}.features.{index}"
        if pair.weight and teacher is not None:
            with refusals:
                _check_value(f"{path}.teacher", "teacher", pair.teacher, teacher)
        if pair.weight and first:
            with refusals:
                _check_value(f"{path}.student", "student", pair.student, state.facts)
    refusals.raise_all()


def _check_value(path: str, whose: str, name: str, model: ModelFacts) -> None:
    if model.values is None or name in model.values:
        return
    near = nearest(name, model.values)
    hint = (
        f"the nearest is {near!r}" if near else f"its last ones are {', '.join(map(repr, model.values[-3:]))}"
    )
    raise Refusal("unknown_value", f"The {whose} computes no value {name!r}; {hint}.", field=path)
