"""What a job may ask for, told apart by what stands in it; and when a search has to be bounded."""

from typing import Any

import pytest
from pydantic import ValidationError

from winnow.contract.asked_recipe import Auto, Preset, kinds_of
from winnow.contract.job import JobRequest
from winnow.contract.open_steps import OpenRecipe
from winnow.contract.recipe import Recipe

SEARCH = {"objective": "size", "budget": {"trials": 5}}
OPEN = {"steps": [{"kind": "weight_only", "bits": {"any_of": [8, 4]}}]}
CLOSED = {"steps": [{"kind": "int8_dynamic"}]}


def asked(recipe: Any, **more: Any) -> JobRequest:
    return JobRequest.model_validate({"model": "m", "recipe": recipe, **more})


@pytest.mark.parametrize(
    ("recipe", "search", "kind", "words"),
    [
        (CLOSED, None, Recipe, ["int8_dynamic"]),
        (OPEN, SEARCH, OpenRecipe, ["weight_only"]),
        ({"auto": {}}, SEARCH, Auto, ["auto"]),
        ({"preset": "small"}, SEARCH, Preset, ["preset small"]),
    ],
)
def test_recipes_are_told_apart(recipe: Any, search: Any, kind: type, words: list[str]) -> None:
    request = asked(recipe, search=search)
    assert isinstance(request.recipe, kind)
    assert kinds_of(request.recipe) == words
    assert JobRequest.model_validate_json(request.model_dump_json()) == request


@pytest.mark.parametrize(
    ("recipe", "more"),
    [
        (OPEN, {}),
        ({"auto": {}}, {}),
        (CLOSED, {"search": SEARCH}),
        (OPEN, {"search": {"budget": {}}}),
        (OPEN, {"search": {"objective": "beauty", "budget": {"trials": 1}}}),
        ({"auto": {"fast": True}}, {"search": SEARCH}),
        ({"preset": "none-such"}, {"search": SEARCH}),
    ],
)
def test_a_search_is_bounded_and_only_of_what_is_open(recipe: Any, more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        asked(recipe, **more)


def test_a_closed_job_has_all_that_was_asked_but_the_search() -> None:
    request = asked(OPEN, search=SEARCH, seed=7, name="n")
    closed = request.closed(Recipe.model_validate(CLOSED))
    assert (closed.model, closed.seed, closed.name) == ("m", 7, "n")
    assert closed.recipe == Recipe.model_validate(CLOSED)
