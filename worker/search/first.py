"""What is tried before a model of the results is of use: each space as it is by default, then the ends that matter."""

from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import Final

from winnow.contract.open_steps import OpenRecipe
from winnow.contract.spaces import dimensions
from worker.search.plan import Plan
from worker.search.points import Point, default_at, ends, is_ordered, present

MOST_FIRST: Final = 12
"""Without a budget in trials; with one, at most half of it, but each space once."""


def first_points(plan: Plan) -> list[Point]:
    """List the places to try first, in order."""
    defaults = [_default(index, space.recipe) for index, space in enumerate(plan.spaces)]
    by_space = [_ends(index, space.recipe) for index, space in enumerate(plan.spaces)]
    extremes = (point for turn in zip_longest(*by_space) for point in turn if point is not None)
    most = MOST_FIRST if plan.budget.trials is None else plan.budget.trials // 2
    return [*defaults, *islice(extremes, max(0, most - len(defaults)))]


def _default(index: int, space: OpenRecipe) -> Point:
    values = {dimension.path: default_at(space, dimension) for dimension in dimensions(space)}
    return Point(index, present(space, values))


def _ends(index: int, space: OpenRecipe) -> Iterator[Point]:
    """The default with one setting at an end."""
    default = _default(index, space)
    for dimension in dimensions(space):
        if is_ordered(dimension):
            for value in ends(dimension):
                yield Point(index, default.values | {dimension.path: value})
