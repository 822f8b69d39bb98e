"""Do the values exist that a step's features name?"""

from collections.abc import Mapping
from typing import Final

from app.admission.model_state import ModelState
from winnow.contract.errors import Refusal, Refusals
from winnow.contract.model import ModelFacts
from winnow.contract.nearest import near
from winnow.contract.recipe import Taught

NEAR: Final = 3
"""So many names are offered in place of a wrong one."""


def check_features(
    where: str, step: Taught, state: ModelState, first: bool, teachers: Mapping[str, ModelFacts]
) -> None:
    """Raises `unknown_value`, with the nearest name. `first`: the step works on a model as it was uploaded; what
    others made of it is known to the worker alone."""
    if step.features == "auto":
        return
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
    close = near(name, model.values, NEAR)
    hint = f"{'near are' if close else 'its last ones are'} {', '.join(map(repr, close or model.values[-NEAR:]))}"
    raise Refusal("unknown_value", f"The {whose} computes no value {name!r}; {hint}.", field=path)
