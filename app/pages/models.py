"""`/models`, `/models/{id}`, and `/models/{id}/compress`, where a job is begun."""

from typing import Annotated, Final

from fastapi import Query, Request, Response

from app.api import datasets, models, presets, uploads, views
from app.api.deps import ModelId, Owner, Parts, Service
from app.api.pages import Paged
from app.pages.rendering import page
from app.pages.requirements import REQUIREMENTS
from app.pages.router import page_router
from app.storage.records import Page
from winnow.cli.settings import KINDS
from winnow.contract.data_uses import DataUses
from winnow.contract.dataset import Dataset
from winnow.contract.evaluation import TASK_METRICS
from winnow.contract.model import Model
from winnow.contract.presets import RecommendationRequest, Recommended, is_search
from winnow.contract.presets import presets as all_presets

router = page_router()

LAYERS: Final = 200
"""So many are listed; the JSON has all."""
CHOICES: Final = 100
"""So many datasets can be chosen from, the newest."""


@router.get("/models")
def show_models(request: Request, service: Service, owner: Owner, paged: Paged) -> Response:
    listed = models.list_models(request, service, owner, paged)
    return page(request, "models.html", models=listed.items, next=listed.next)


@router.get("/models/{id}")
def show_model(id: ModelId, request: Request, service: Service, owner: Owner) -> Response:
    model = views.model(uploads.find(service, owner, "model", id))
    suiting = _recommended(id, None, service, owner) if model.state == "ready" else []
    return page(
        request,
        "model.html",
        model=model,
        layers=(model.layers or [])[:LAYERS],
        suiting=suiting,
        described={info.name: info for info in all_presets()},
    )


@router.get("/models/{id}/compress")
def show_compress(
    id: ModelId,
    request: Request,
    service: Service,
    owner: Owner,
    dataset: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """What a job is asked for: data, what is required, and how."""
    model = views.model(uploads.find(service, owner, "model", id))
    chosen = None if dataset is None else views.dataset(uploads.find(service, owner, "dataset", dataset))
    known = datasets.list_datasets(request, service, owner, Page(limit=CHOICES, after=None)).items
    return page(
        request,
        "compress.html",
        model=model,
        dataset=chosen,
        fits=chosen is not None and _feeds(chosen, model),
        datasets=known,
        kinds=[*KINDS],
        suiting=_recommended(id, chosen, service, owner) if model.state == "ready" else [],
        described={info.name: info for info in all_presets()},
        is_search=is_search,
        requirements=REQUIREMENTS,
        tasks=TASK_METRICS,
    )


def _feeds(dataset: Dataset, model: Model) -> bool:
    """Whether the dataset is read as something for every input of the model, by its name."""
    return (
        dataset.state == "ready"
        and {spec.name for spec in model.inputs or []} <= (dataset.inputs or {}).keys()
    )


def _recommended(id: str, dataset: Dataset | None, service: Parts, owner: str) -> list[Recommended]:
    usable = dataset is not None and dataset.state == "ready"
    data = DataUses(dataset=dataset.id) if dataset is not None and usable else DataUses()
    return presets.recommend(id, service, owner, RecommendationRequest(data=data)).items
