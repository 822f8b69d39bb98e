"""What a job asks to be searched, as spaces of closed recipes, and which of them can work."""

from collections.abc import Callable

from winnow.contract.asked_recipe import Auto, Preset
from winnow.contract.errors import FieldError, Refusal
from winnow.contract.job import ClosedJob, JobRequest
from winnow.contract.model import ModelFacts
from winnow.contract.open_steps import OpenRecipe
from winnow.contract.presets import auto_spaces, closed_job, spaces_of
from winnow.contract.recipe import Recipe
from winnow.contract.search import Space
from winnow.contract.spaces import corners

MAX_CORNERS = 32
"""Places of a space that are checked: all choices and ends of most."""

Check = Callable[[ClosedJob], None]
"""Raises `Refusal` where a closed job cannot work."""


def as_closed(request: JobRequest) -> ClosedJob | None:
    """The job that leaves nothing open; None where there is something to search.

    Raises `Refusal` `invalid_request` where a preset needs `search`, or does not.
    """
    closed = closed_job(request)
    if not isinstance(request.recipe, Preset) or (closed is None) == (request.search is not None):
        return closed
    detail = (
        'The preset leaves something open. Give search, for example {"objective": "latency", "budget": {"seconds": '
        "600}}."
        if closed is None
        else "The preset leaves nothing open: leave search out."
    )
    raise Refusal("invalid_request", detail, field="search")


def admitted_spaces(request: JobRequest, facts: ModelFacts, check: Check) -> list[Space]:
    """The spaces that the request asks for, of which at least one recipe can work.

    Raises `Refusal`: of an open recipe what all of it is refused for; where no space of a preset is left, why not.
    """
    spaces = _asked_spaces(request, facts)
    refusals = {space.why: _why_not(request, space, check) for space in spaces}
    admitted = [space for space in spaces if refusals[space.why] is None]
    if not admitted:
        raise _nothing_left(request, [refusal for refusal in refusals.values() if refusal is not None])
    return admitted


def _asked_spaces(request: JobRequest, facts: ModelFacts) -> list[Space]:
    match request.recipe:
        case OpenRecipe():
            return [Space(recipe=request.recipe, why="it was asked for")]
        case Preset(preset=name):
            return spaces_of(name)
        case Auto():
            return auto_spaces(facts, request)
        case Recipe():
            return []


def _why_not(request: JobRequest, space: Space, check: Check) -> Refusal | None:
    """What the first recipe is refused for where all are; None where one can work."""
    first = None
    for recipe in corners(space.recipe, MAX_CORNERS):
        try:
            check(request.closed(recipe))
            return None
        except Refusal as refusal:
            first = first or refusal
    return first or Refusal(
        "invalid_request",
        "No recipe of the space is allowed: its settings do not go together at any of the places that were tried.",
        field="recipe",
    )


def _nothing_left(request: JobRequest, refusals: list[Refusal]) -> Refusal:
    """Of an open recipe its own refusal; of a preset the first that is not about the recipe, which nobody wrote."""
    if isinstance(request.recipe, OpenRecipe):
        return refusals[0]
    first = min(refusals, key=lambda refusal: (refusal.problem.field or "").startswith("recipe"))
    problem = first.problem
    errors = [FieldError(path=_path(error.path), detail=error.detail) for error in first.errors]
    return Refusal(
        problem.code,
        problem.detail,
        field=_path(problem.field or "recipe"),
        layer=problem.layer,
        errors=errors,
    )


def _path(path: str) -> str:
    return "recipe" if path.startswith("recipe") else path
