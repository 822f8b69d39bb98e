"""`/models` and `/models/{id}`: what was uploaded, what inspection says of it, and what can be done to it."""

from typing import Final

from fastapi import Request, Response

from app.api import models, uploads, views
from app.api.deps import ModelId, Owner, Service
from app.api.pages import Paged
from app.pages.compress import recommended
from app.pages.forms.chosen_data import ChosenData
from app.pages.rendering import page
from app.pages.router import page_router
from winnow.contract.presets import presets as all_presets

router = page_router()

LAYERS: Final = 200
"""So many are listed; the JSON has all."""


@router.get("/models")
def show_models(request: Request, service: Service, owner: Owner, paged: Paged) -> Response:
    listed = models.list_models(request, service, owner, paged)
    return page(request, "models.html", models=listed.items, next=listed.next)


@router.get("/models/{id}")
def show_model(id: ModelId, request: Request, service: Service, owner: Owner) -> Response:
    model = views.model(uploads.find(service, owner, "model", id))
    suiting = recommended(id, ChosenData(), service, owner) if model.state == "ready" else []
    return page(
        request,
        "model.html",
        model=model,
        layers=(model.layers or [])[:LAYERS],
        suiting=suiting,
        described={info.name: info for info in all_presets()},
    )
