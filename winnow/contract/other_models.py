"""The other models of a job: teachers and students."""

from collections.abc import Iterator
from typing import Final

from winnow.contract.asked_recipe import AskedRecipe
from winnow.contract.open_steps import AnyOf, OpenRecipe, OpenSettings
from winnow.contract.recipe import Recipe
from winnow.contract.steps.base import ORIGINAL, Step

FIELDS: Final = ("teacher", "student")


def named_models(recipe: AskedRecipe) -> dict[str, str]:
    """The other models that the steps name: id → the first field that names it."""
    named: dict[str, str] = {}
    for index, step in enumerate(recipe.steps if isinstance(recipe, Recipe | OpenRecipe) else ()):
        for field, id in _of(step, f"recipe.steps.{index}"):
            named.setdefault(id, field)
    return named


def _of(step: Step | OpenSettings, path: str) -> Iterator[tuple[str, str]]:
    """Field → id, of a step and the one inside it, open or not."""
    for name in FIELDS:
        given = getattr(step, name, None)
        for id in given.any_of if isinstance(given, AnyOf) else [given]:
            if isinstance(id, str) and id not in ("", ORIGINAL):
                yield f"{path}.{name}", id
    if isinstance(inside := getattr(step, "recovery", None), Step | OpenSettings):
        yield from _of(inside, f"{path}.recovery")
