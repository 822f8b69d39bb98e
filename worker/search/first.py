"""What is tried of a space before a model of the results is of use: the defaults, then the ends that matter."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from winnow.contract.open_steps import OpenRecipe
from winnow.contract.spaces import dimensions
from worker.search.plan import Plan
from worker.search.points import Point, default_at, ends, is_ordered, present, recipe_at

MOST_FIRST: Final = 12
"""Without a budget in trials; with one, at most half of it."""


def first_points(plan: Plan, space: int) -> Iterator[Point]:
    """List the places to try first, in order: of those where settings go together."""
    most = MOST_FIRST if plan.budget.trials is None else max(1, plan.budget.trials // 2)
    places = _places(space, plan.spaces[space].recipe)
    return islice((point for point in places if recipe_at(plan, point) is not None), most)


def _places(index: int, space: OpenRecipe) -> Iterator[Point]:
    """The default, and it with one setting at an end."""
    values = {dimension.path: default_at(space, dimension) for dimension in dimensions(space)}
    default = Point(index, present(space, values))
    yield default
    for dimension in dimensions(space):
        if is_ordered(dimension):
            for value in ends(dimension):
                yield Point(index, default.values | {dimension.path: value})
