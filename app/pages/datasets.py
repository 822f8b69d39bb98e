"""`/datasets`, `/datasets/{id}`, and `/datasets/{id}/preview`, what a model would be fed with."""

from typing import Annotated

from fastapi import Query, Request, Response

from app.api import datasets, inquiries, uploads, views
from app.api.deps import DatasetId, Owner, Service
from app.api.pages import Paged
from app.pages.rendering import page
from app.pages.router import page_router
from winnow.contract.inquiry import Inquiry, Preview

router = page_router()


@router.get("/datasets")
def show_datasets(request: Request, service: Service, owner: Owner, paged: Paged) -> Response:
    listed = datasets.list_datasets(request, service, owner, paged)
    return page(request, "datasets.html", datasets=listed.items, next=listed.next)


@router.get("/datasets/{id}")
def show_dataset(id: DatasetId, request: Request, service: Service, owner: Owner) -> Response:
    dataset = views.dataset(uploads.find(service, owner, "dataset", id))
    return page(request, "dataset.html", dataset=dataset)


@router.get("/datasets/{id}/preview")
async def show_preview(
    id: DatasetId,
    request: Request,
    service: Service,
    owner: Owner,
    model: Annotated[str, Query(max_length=100)],
) -> Response:
    """Not answered yet, it says which question to wait for."""
    answer = await inquiries.preview(id, service, owner, model, rows=6)
    body = bytes(answer.body)
    waiting = Inquiry.model_validate_json(body) if answer.status_code == 202 else None
    preview = None if waiting else Preview.model_validate_json(body)
    return page(request, "preview.html", dataset_id=id, model_id=model, waiting=waiting, preview=preview)
