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
from worker.search.edge import Done, Try, Unordered, Wait, edge_of, next_step
from worker.search.first import first_points
from worker.search.plan import Plan
from worker.search.points import Point, count, present, recipe_at, value_at
from worker.search.promise import by_promise
from worker.search.rows import REFUSED, of_this_run, trials
from worker.search.shares import first_share
from worker.search.study import proposals

MOST_DRAWS: Final = 5
"""So often the sampler may propose what was tried already."""
MOST_ASKED: Final = 100
"""So often it is asked, where settings do not go together at what it proposes."""
MOST_PLACES: Final = 2000
MOST_VALUES: Final = 50
COARSE: Final = 4
"""Parts of a range where all places are gone through."""


def next_row(plan: Plan, rows: Iterable[Trial], number: int, now: float) -> Trial | None:
    """Make the row of the next trial, already ended where it is ruled out before it runs. None: nothing is to be tried
    now."""
    known = of_this_run(trials(rows), plan.started_at)
    point = next(_untried(plan, _points(plan, known, number), tried(known)), None)
    return None if point is None else _row(plan, *point, number, now)


def _points(plan: Plan, rows: list[Trial], number: int) -> Iterator[Point]:
    if len(plan.spaces) == 1:
        yield from _inside(plan, 0, rows, number)
        return
    for space in by_promise(plan, rows):
        yield from _inside(plan, space, rows, number)


def _inside(plan: Plan, space: int, rows: list[Trial], number: int) -> Iterator[Point]:
    """Places of one space: at its edge where it has one; else its first ones, what is proposed, and all others."""
    dimension = edge_of(plan, space)
    if dimension is not None:
        match next_step(plan, dimension, [row for row in rows if row.space == space]):
            case Try(value=value):
                yield Point(space, {dimension.path: value})
            case Wait() | Done():
                return
            case Unordered():
                pass
    else:
        yield from first_points(plan, space)
    proposed = islice(proposals(plan, space, rows, number), MOST_ASKED)
    yield from islice((point for point in proposed if recipe_at(plan, point) is not None), MOST_DRAWS)
    yield from islice(_everywhere(plan, space), MOST_PLACES)


def _untried(plan: Plan, points: Iterable[Point], known: set[str]) -> Iterator[tuple[Point, Recipe]]:
    for point in points:
        recipe = recipe_at(plan, point)
        if recipe is not None and identity(recipe_json(recipe)) not in known:
            yield point, recipe


def _everywhere(plan: Plan, space: int) -> Iterator[Point]:
    """Every place of a space, those of ranges coarsely."""
    recipe = plan.spaces[space].recipe
    open = dimensions(recipe)
    for values in product(*map(_values, open)):
        place = {dimension.path: value for dimension, value in zip(open, values, strict=True)}
        yield Point(space, present(recipe, place))


def _values(dimension: Dimension) -> list[Any]:
    if dimension.choices:
        return list(dimension.choices)
    values = count(dimension)
    parts = COARSE if values is None or values > MOST_VALUES else values - 1
    return [value_at(dimension, part / parts) for part in range(parts + 1)]


def _row(plan: Plan, point: Point, recipe: Recipe, number: int, now: float) -> Trial:
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
        share=first_share(plan, recipe),
        deadline=deadline(plan),
    )
    if (problem := plan.refuse(recipe)) is not None:
        return replace(
            row, state="failed", problem=problem.model_dump(mode="json"), result={REFUSED: problem.code}
        )
    predicted = predicted_too_large(plan, recipe)
    if predicted is None:
        return row
    return replace(row, state="stopped_early", result=skipped_result(plan, predicted))
