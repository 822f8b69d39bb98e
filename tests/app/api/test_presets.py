"""Searches at the door: what is taken, what is refused with its path, and what is recommended."""

from typing import Any

import pytest

from tests.support.served import Served

BUDGET = {"objective": "size", "budget": {"trials": 4}}
OPEN = {"steps": [{"kind": "weight_only", "bits": {"any_of": [8, 4]}}]}


def posted(api: Served, model: str, recipe: Any, search: Any = None, **more: Any) -> Any:
    body = {"model": model, "recipe": recipe, "search": search, **more}
    return api.http.post("/v1/jobs", json=body)


@pytest.mark.parametrize(
    ("recipe", "search"),
    [(OPEN, BUDGET), ({"auto": {}}, BUDGET), ({"preset": "no-data"}, BUDGET)],
)
def test_a_search_is_taken_and_shown_as_it_was_asked_for(
    api: Served, model: str, recipe: Any, search: Any
) -> None:
    answer = posted(api, model, recipe, search)
    assert answer.status_code == 202, answer.text
    job = api.http.get(answer.headers["location"]).json()
    assert job["state"] == "queued"
    assert job["search"]["budget"] == {"seconds": None, "trials": 4}
    assert job["trials"] is not None
    assert api.http.get(f"{answer.headers['location']}/trials").json()["items"] == []


def test_what_is_searched_is_published_as_a_study(api: Served, model: str) -> None:
    id = posted(api, model, OPEN, BUDGET).json()["id"]
    assert f"stu_{id.removeprefix('job_')}" in {wake.id for wake in api.parts.queue.published}


@pytest.mark.parametrize(
    ("recipe", "search", "field"),
    [
        (OPEN, None, ""),
        ({"auto": {}}, None, ""),
        ({"steps": [{"kind": "float16"}]}, BUDGET, ""),
        (OPEN, {"budget": {}}, "search.budget"),
        (
            {"steps": [{"kind": "weight_only", "method": {"between": [1, 2]}}]},
            BUDGET,
            "recipe.steps.0.method",
        ),
        (
            {"steps": [{"kind": "low_rank", "amount": {"between": [0.5, 0.5]}}]},
            BUDGET,
            "recipe.steps.0.amount",
        ),
        ({"steps": [{"kind": "int8_static", "samples": {"any_of": [0]}}]}, BUDGET, "recipe.steps.0.samples"),
        ({"preset": "no-data"}, None, "search"),
        ({"preset": "fast"}, BUDGET, "search"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_its_path(
    api: Served, model: str, recipe: Any, search: Any, field: str
) -> None:
    problem = posted(api, model, recipe, search).json()
    assert problem["status"] == 422, problem
    assert (problem["field"] or "").startswith(field)


def test_a_space_in_which_every_recipe_is_refused_is_refused_like_one_of_them(
    api: Served, model: str
) -> None:
    recipe = {
        "steps": [{"kind": "int8_static", "exclude": ["no such layer"], "samples": {"between": [1, 64]}}]
    }
    problem = posted(api, model, recipe, BUDGET).json()
    assert problem["status"] == 422
    assert problem["field"].startswith(("recipe.steps.0", "data"))


def test_presets_are_listed_with_what_they_need(api: Served) -> None:
    items = api.http.get("/v1/presets").json()["items"]
    assert {"fast", "small", "tiny", "no-data", "quality-first", "transformer"} <= {
        it["name"] for it in items
    }
    assert all(it["description"] and it["spaces"] for it in items)


def test_what_needs_data_that_is_not_there_is_recommended_last(api: Served, model: str) -> None:
    items = api.http.post(f"/v1/models/{model}/recommendation", json={}).json()["items"]
    suits = [it["suits"] for it in items]
    assert suits == sorted(suits, reverse=True)
    assert any(suits)
    assert {it["preset"]: it for it in items}["tiny"]["problem"]["code"] == "missing_data"


def test_what_is_recommended_is_taken(api: Served, model: str) -> None:
    """The property that a recommendation has to have."""
    items = api.http.post(f"/v1/models/{model}/recommendation", json={"objective": "size"}).json()["items"]
    for item in items:
        tried = posted(api, model, {"preset": item["preset"]}, BUDGET).status_code
        alone = posted(api, model, {"preset": item["preset"]}).status_code
        assert (202 in (tried, alone)) is item["suits"]
