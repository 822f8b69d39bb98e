"""An open recipe as a space: its dimensions, and the closed recipe at one place in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Any, Final

from pydantic import ValidationError

from winnow.contract.open_steps import AnyOf, Between, OpenRecipe, OpenSettings, OpenStep
from winnow.contract.recipe import Recipe

LOGARITHMIC_FROM: Final = 100.0
"""Ranges whose ends are farther apart, as a ratio, are searched by orders of magnitude."""


@dataclass(frozen=True)
class Dimension:
    """Something left open. `path` is its place, as `steps.0.amount`; of an optional step `steps.0`, true where it is
    done. Either `choices` or a range from `low` to `high`. `inside` is the path of the optional step that it is of."""

    path: str
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    choices: tuple[Any, ...] = ()
    inside: str | None = None

    @property
    def logarithmic(self) -> bool:
        return not self.choices and self.low > 0 and self.high / self.low >= LOGARITHMIC_FROM

    @property
    def ends(self) -> tuple[Any, ...]:
        """All choices, or the lowest, middle and highest number."""
        middle = (self.low + self.high) / 2
        if self.choices:
            return self.choices
        return (int(self.low), int(middle), int(self.high)) if self.whole else (self.low, middle, self.high)


def dimensions(recipe: OpenRecipe) -> list[Dimension]:
    """List what a recipe leaves open, in the order of its steps and settings."""
    return [d for index, step in enumerate(recipe.steps) for d in _of_step(step, f"steps.{index}")]


def close(recipe: OpenRecipe, values: Mapping[str, Any]) -> Recipe | None:
    """Close a recipe at one place: `values` by path. None where every step is left out.

    Raises `ValueError` (pydantic's) where the settings do not go together.
    """
    steps = [
        _closed(step, f"steps.{index}", values)
        for index, step in enumerate(recipe.steps)
        if not step.optional or values[f"steps.{index}"]
    ]
    return Recipe.model_validate({"steps": steps}) if steps else None


def corners(recipe: OpenRecipe, limit: int) -> Iterator[Recipe]:
    """The recipes at choices, ends and middles of ranges, those that are none left out: of at most `limit` places."""
    open = dimensions(recipe)
    for place in islice(product(*(dimension.ends for dimension in open)), limit):
        try:
            closed = close(recipe, dict(zip((d.path for d in open), place, strict=True)))
        except ValidationError:
            continue
        if closed is not None:
            yield closed


def _of_step(step: OpenStep, path: str) -> Iterator[Dimension]:
    if step.optional:
        yield Dimension(path, choices=(True, False))
    yield from _of_settings(step, path, path if step.optional else None)


def _of_settings(settings: OpenSettings, path: str, inside: str | None) -> Iterator[Dimension]:
    for name in type(settings).model_fields:
        match getattr(settings, name):
            case Between(between=(low, high)):
                yield Dimension(f"{path}.{name}", low, high, name in settings.whole, inside=inside)
            case AnyOf(any_of=values):
                yield Dimension(f"{path}.{name}", choices=tuple(values), inside=inside)
            case OpenSettings() as nested:
                yield from _of_settings(nested, f"{path}.{name}", inside)


def _closed(settings: OpenSettings, path: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What was set, as JSON; what was left out keeps its default."""
    given: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name == "optional" or name not in settings.model_fields_set:
            continue
        match value:
            case Between() | AnyOf():
                given[name] = values[f"{path}.{name}"]
            case OpenSettings():
                given[name] = _closed(value, f"{path}.{name}", values)
            case _:
                given[name] = settings.model_dump(mode="json", include={name})[name]
    return given
