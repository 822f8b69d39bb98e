"""What is tried next: first what any search begins with, then what the results so far make worth trying."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice, product
from typing import Any, Final

from app.storage.ids import new_id
from app.storage.records import Trial
from winnow.contract.recipe import Recipe
from winnow.contract.spaces import Dimension, dimensions
from worker.search.budget import deadline
from worker.search.cheap import identity, predicted_too_large, recipe_json, skipped_result, tried
from worker.search.choice import rank
from worker.search.edge import Done, Try, Unordered, Wait, next_step, only_dimension
from worker.search.first import first_points
from worker.search.halving import first_share
from worker.search.plan import Plan
from worker.search.points import Point, count, present, recipe_at, value_at
from worker.search.rows import complete, trials
from worker.search.study import proposals

MOST_DRAWS: Final = 5
"""So often the sampler may propose what was tried already: of any space, then of each."""
MOST_PLACES: Final = 2000
MOST_VALUES: Final = 50
COARSE: Final = 4
"""Parts of a range where all places are gone through."""


def next_row(plan: Plan, rows: Iterable[Trial], number: int, now: float) -> Trial | None:
    """Make the row of the next trial, already ended where its size rules it out. None: nothing is to be tried now."""
    known = trials(rows)
    match _at_the_edge(plan, known):
        case Try(value=value):
            place = only_dimension(plan)
            points = iter([Point(0, {place.path: value})] if place else [])
            edge = next(_untried(plan, points, tried(known)), None)
            if edge is not None:
                return _row(plan, *edge, number, now, share=1.0)
        case Wait() | Done():
            return None
        case Unordered():
            pass
    point = next(_untried(plan, _points(plan, known, number), tried(known)), None)
    return None if point is None else _row(plan, *point, number, now, first_share(plan, point[1]))


def _at_the_edge(plan: Plan, rows: list[Trial]) -> Try | Wait | Done | Unordered:
    dimension = only_dimension(plan)
    return Unordered() if dimension is None else next_step(plan, dimension, rows)


def _points(plan: Plan, rows: list[Trial], number: int) -> Iterator[Point]:
    if only_dimension(plan) is None:
        yield from first_points(plan)
    spaces = [None, *_by_promise(plan, rows)]
    yield from proposals(plan, rows, number, (space for space in spaces for _ in range(MOST_DRAWS)))
    yield from islice(_everywhere(plan), MOST_PLACES)


def _by_promise(plan: Plan, rows: list[Trial]) -> list[int]:
    """The spaces, that of the best trial first: the best of all may have nothing left to try."""
    ranked = [row.space for row in rank(plan, complete(rows))]
    return list(dict.fromkeys([*ranked, *range(len(plan.spaces))]))


def _untried(plan: Plan, points: Iterable[Point], known: set[str]) -> Iterator[tuple[Point, Recipe]]:
    for point in points:
        recipe = recipe_at(plan, point)
        if recipe is not None and identity(recipe_json(recipe)) not in known:
            yield point, recipe


def _everywhere(plan: Plan) -> Iterator[Point]:
    """Every place of the spaces, those of ranges coarsely."""
    for index, space in enumerate(plan.spaces):
        open = dimensions(space.recipe)
        for values in product(*map(_values, open)):
            place = {dimension.path: value for dimension, value in zip(open, values, strict=True)}
            yield Point(index, present(space.recipe, place))


def _values(dimension: Dimension) -> list[Any]:
    if dimension.choices:
        return list(dimension.choices)
    values = count(dimension)
    parts = COARSE if values is None or values > MOST_VALUES else values - 1
    return [value_at(dimension, part / parts) for part in range(parts + 1)]


def _row(plan: Plan, point: Point, recipe: Recipe, number: int, now: float, share: float) -> Trial:
    row = Trial(
        id=new_id("trl"),
        owner=plan.owner,
        job=plan.job,
        number=number,
        state="waiting",
        created_at=now,
        space=point.space,
        params=point.values,
        recipe=recipe_json(recipe),
        share=share,
        deadline=deadline(plan),
    )
    predicted = predicted_too_large(plan, recipe)
    if predicted is None:
        return row
    return replace(row, state="stopped_early", result=skipped_result(plan, predicted))
