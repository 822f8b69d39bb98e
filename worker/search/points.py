"""Places in the spaces of a search: what is open there, in which order its values lie, and the recipe at a place."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from math import exp, log
from typing import Any

from pydantic import ValidationError

from winnow.contract.open_steps import OpenRecipe
from winnow.contract.recipe import Recipe
from winnow.contract.spaces import Dimension, close, dimensions
from worker.search.plan import Plan

SIGNIFICANT_DIGITS = 4


@dataclass(frozen=True)
class Point:
    """`values` by path; those of an optional step that is left out are missing."""

    space: int
    values: dict[str, Any] = field(default_factory=dict)


def recipe_at(plan: Plan, point: Point) -> Recipe | None:
    """The closed recipe; None where no step is left, or the settings do not go together."""
    space = plan.spaces[point.space].recipe
    filled = {dimension.path: None for dimension in dimensions(space)} | point.values
    try:
        return close(space, filled)
    except ValidationError:
        return None


def present(space: OpenRecipe, values: dict[str, Any]) -> dict[str, Any]:
    """Leave out the values of steps that are left out."""
    inside = {dimension.path: dimension.inside for dimension in dimensions(space)}
    return {
        path: value
        for path, value in values.items()
        if (step := inside[path]) is None or values.get(step, True)
    }


def default_at(space: OpenRecipe, dimension: Dimension) -> Any:
    """The default of the setting where it lies in the space, else its first choice or the middle of its range."""
    *way, name = dimension.path.split(".")[1:]
    step: Any = space.steps[int(way[0] if way else name)]
    if not way:
        return True
    holder = reduce(getattr, way[1:], step)
    default = type(holder).model_fields[name].default
    if dimension.choices:
        return default if default in dimension.choices else dimension.choices[0]
    number = isinstance(default, int | float) and dimension.low <= default <= dimension.high
    return default if number else value_at(dimension, 0.5)


def is_ordered(dimension: Dimension) -> bool:
    """Whether its values are numbers, and at least two."""
    numbers = all(isinstance(c, int | float) and not isinstance(c, bool) for c in dimension.choices)
    return numbers and len(dimension.choices) != 1


def ordered_choices(dimension: Dimension) -> list[Any]:
    return sorted(dimension.choices)


def count(dimension: Dimension) -> int | None:
    """How many values an ordered dimension has; None for a continuum."""
    if dimension.choices:
        return len(dimension.choices)
    return int(dimension.high) - int(dimension.low) + 1 if dimension.whole else None


def value_at(dimension: Dimension, position: float) -> Any:
    """The value of an ordered dimension at a position from 0, the lowest, to 1, the highest."""
    if dimension.choices:
        return ordered_choices(dimension)[round(position * (len(dimension.choices) - 1))]
    low, high = dimension.low, dimension.high
    value = (
        exp(log(low) + position * (log(high) - log(low)))
        if dimension.logarithmic
        else low + position * (high - low)
    )
    return round(value) if dimension.whole else rounded(dimension, value)


def position_of(dimension: Dimension, value: Any) -> float:
    if dimension.choices:
        return ordered_choices(dimension).index(value) / (len(dimension.choices) - 1)
    low, high = dimension.low, dimension.high
    if dimension.logarithmic:
        return (log(value) - log(low)) / (log(high) - log(low))
    return float((value - low) / (high - low))


def rounded(dimension: Dimension, value: float) -> float:
    """A number that people can read."""
    return min(max(float(f"{value:.{SIGNIFICANT_DIGITS}g}"), dimension.low), dimension.high)


def ends(dimension: Dimension) -> Iterator[Any]:
    """The lowest and the highest value of an ordered dimension."""
    yield value_at(dimension, 0.0)
    yield value_at(dimension, 1.0)
