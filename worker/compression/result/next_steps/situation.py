"""What a suggestion is made from: the recipe, what it missed, and what there is to work with."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

from winnow.contract.recipe import AnyStep, Distillation, Recipe, Training
from winnow.contract.steps.base import Need

Missed = Literal["quality", "speed", "size", "memory"]

Kind = TypeVar("Kind")

MATMULS_AND_CONV = frozenset({"Conv", "Gemm", "MatMul"})


@dataclass(frozen=True)
class Suggestion:
    """A recipe, and in a sentence why it is worth trying."""

    why: str
    recipe: Recipe


@dataclass(frozen=True)
class Situation:
    """`data` are the roles that the job has, `operators` those of the upload's layers. `quantized`: the upload holds
    integers. `trainable`: the engine knows all of its operators, and its first output is real. `exact`: this CPU
    multiplies 8-bit integers exactly and fast. `one_graph`: the upload is no package, whose graphs are not trained and
    keep their shapes."""

    recipe: Recipe
    missed: frozenset[Missed]
    data: frozenset[Need]
    operators: frozenset[str]
    quantized: bool
    trainable: bool
    exact: bool
    one_graph: bool = True

    @property
    def steps(self) -> list[AnyStep]:
        return self.recipe.steps

    @cached_property
    def may_train(self) -> bool:
        return self.trainable and self.one_graph and "training" in self.data and not self.has_student

    @cached_property
    def has_student(self) -> bool:
        """Another model took the upload's place: of that one, less is known."""
        return any(isinstance(step, Distillation) and step.student is not None for step in self.steps)

    @cached_property
    def takes_integers(self) -> bool:
        """Whether the upload has layers that 8-bit integers with measured ranges can compute."""
        return "calibration" in self.data and not self.quantized and bool(self.operators & MATMULS_AND_CONV)

    def trains_after(self, index: int) -> bool:
        return any(isinstance(step, Training) for step in self.steps[index + 1 :])

    def of_kind(self, kind: type[Kind]) -> Iterator[tuple[int, Kind]]:
        return ((index, step) for index, step in enumerate(self.steps) if isinstance(step, kind))

    def replaced(self, index: int, *steps: AnyStep | dict[str, Any]) -> Recipe:
        """The recipe with other steps in place of one."""
        return recipe_of([*self.steps[:index], *steps, *self.steps[index + 1 :]])

    def changed(self, index: int, **settings: Any) -> Recipe:
        """The recipe with settings of one step changed."""
        return self.replaced(index, self.steps[index].model_dump() | settings)


def recipe_of(steps: list[AnyStep | dict[str, Any]]) -> Recipe:
    dumped = [step if isinstance(step, dict) else step.model_dump() for step in steps]
    return Recipe.model_validate({"steps": dumped})
