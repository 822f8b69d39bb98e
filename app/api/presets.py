"""`GET /v1/presets`, `POST /v1/models/{id}/recommendation`: recipes by name, and which suit a model."""

from typing import Annotated

from fastapi import Body

from app.api.deps import ModelId, Owner, Parts, Service
from app.api.problems import documented
from app.api.router import Router
from app.api.submission import look_through, ready
from app.api.uploads import find
from winnow.contract.asked_recipe import Preset, PresetName
from winnow.contract.errors import Refusals
from winnow.contract.job import JobRequest
from winnow.contract.model import ModelFacts
from winnow.contract.presets import (
    Presets,
    RecommendationRequest,
    Recommendations,
    Recommended,
    is_search,
    presets,
    ranked,
)
from winnow.contract.search import Budget, Search

router = Router(prefix="/v1", tags=["jobs"])


@router.get("/presets", operation_id="list_presets", responses=documented())
def list_presets() -> Presets:
    """Recipes and searches by name, with what each needs and tries."""
    return Presets(items=presets())


@router.post(
    "/models/{id}/recommendation",
    operation_id="recommend",
    responses=documented("not_found", "model_not_ready", "malformed_request", "unsupported_media_type"),
)
def recommend(
    id: ModelId,
    service: Service,
    owner: Owner,
    wanted: Annotated[RecommendationRequest, Body(openapi_examples={"no data": {"value": {}}})],
) -> Recommendations:
    """The presets for this model and data, the likeliest to be worth it first; those that cannot work last."""
    facts = ModelFacts.model_validate(ready(find(service, owner, "model", id), None).facts)
    items = [
        _recommended(service, owner, _request(id, wanted, name), name, because)
        for name, because in ranked(facts, wanted.data, wanted.objective)
    ]
    return Recommendations(items=sorted(items, key=lambda item: not item.suits))


def _request(id: str, wanted: RecommendationRequest, name: PresetName) -> JobRequest:
    search = Search(objective=wanted.objective, budget=Budget(seconds=600))
    recipe = Preset(preset=name)
    return JobRequest(model=id, recipe=recipe, data=wanted.data, search=search if is_search(name) else None)


def _recommended(
    service: Parts, owner: str, request: JobRequest, name: PresetName, because: str
) -> Recommended:
    refusals = Refusals()
    look_through(refusals, service, owner, request)
    problem = refusals.parts[0].problem if refusals.parts else None
    return Recommended(preset=name, suits=problem is None, because=because, problem=problem)
