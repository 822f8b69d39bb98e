"""`/v1/datasets`"""

import json
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, Final

from fastapi import Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from app.api import examples, uploads, views
from app.api.content import CONTENT
from app.api.deps import DatasetId, Owner, Parts, Service
from app.api.pages import Listed, Paged, listed
from app.api.problems import documented
from app.api.router import Router
from app.api.sniff import dataset_format
from app.api.waiting import Wait
from app.storage.ports import Conflict
from app.storage.records import Wake
from winnow.contract.base import RequestModel
from winnow.contract.dataset import Dataset
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.pinning import PINNED
from winnow.contract.strict_json import read_model

router = Router(prefix="/v1/datasets", tags=["datasets"])


@dataclass(frozen=True)
class DatasetOptions(uploads.UploadOptions):
    """What can go with the bytes of a dataset."""

    declaration: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=50_000,
            description="How to read the arrays: a `Declaration` as JSON text.",
            examples=[json.dumps(examples.REDECLARATION["declaration"])],
        ),
    ] = None


class DatasetChange(RequestModel):
    """`PATCH /v1/datasets/{id}`: the new declaration, whole; whether it is pinned. What is left out stays."""

    declaration: Declaration | None = Field(
        default=None, description="How the arrays are to be read, whole: what is left out has its default."
    )
    pinned: bool | None = Field(default=None, description=PINNED)


@router.post(
    "",
    status_code=201,
    operation_id="upload_dataset",
    openapi_extra=uploads.body(declaration={"$ref": "#/components/schemas/Declaration"}),
    responses=documented(
        "malformed_request", "digest_mismatch", "upload_too_large", "unknown_format", "unsupported_media_type",
        "empty_upload", "unsafe_archive", "pickle_refused", "disk_full", "quota_exceeded",
        also={200: {"model": Dataset, "description": "The same bytes and declaration were here already"}},
    ),
)  # fmt: skip
async def upload_dataset(
    request: Request,
    response: Response,
    service: Service,
    owner: Owner,
    options: Annotated[DatasetOptions, Depends()],
    wait: Wait = 0,
) -> Dataset:
    """Send an `.npz` as the body, or as a form: `-F file=@data.npz -F declaration=@declaration.json`."""
    upload, new = await uploads.take(request, service, owner, DATASETS)
    uploads.created(response, upload, new)
    return views.dataset(upload)


def _check(options: DatasetOptions) -> None:
    _declared(options.declaration)


def _describe(parts: Parts, options: DatasetOptions, file: BinaryIO) -> tuple[str, dict[str, Any]]:
    return dataset_format(file), _declared(options.declaration)


def _declared(text: str | None) -> dict[str, Any]:
    declaration = Declaration() if text is None else read_model(Declaration, text, "declaration")
    return declaration.model_dump(mode="json")


DATASETS: Final = uploads.Intake("dataset", DatasetOptions, _check, _describe)


@router.get("", operation_id="list_datasets", responses=documented())
def list_datasets(request: Request, service: Service, owner: Owner, page: Paged) -> Listed[Dataset]:
    """Newest first."""
    items, next = listed(
        request,
        page,
        "dst",
        lambda p: service.records.uploads(owner, "dataset", p),
        lambda uploads: [views.dataset(upload) for upload in uploads],
    )
    return Listed(items=items, next=next)


@router.get("/{id}", operation_id="get_dataset", response_model=Dataset, responses=documented("not_found"))
async def get_dataset(
    id: DatasetId, request: Request, service: Service, owner: Owner, wait: Wait = 0
) -> Response:
    """How it stands; `wait` and If-None-Match are cheap ways to wait until it is inspected."""
    return uploads.shown(
        request, await uploads.find_upload(service, owner, "dataset", id, wait), views.dataset
    )


@router.patch(
    "/{id}",
    operation_id="declare_dataset",
    responses=documented("not_found", "declaration_fixed", "malformed_request", "unsupported_media_type"),
    openapi_extra={"requestBody": {"content": {"application/json": {"example": examples.REDECLARATION}}}},
)
async def declare_dataset(
    id: DatasetId, change: DatasetChange, service: Service, owner: Owner, wait: Wait = 0
) -> Dataset:
    """Replace the declaration, before a job has used the dataset: it is inspected again. Keep it however old it is."""
    await run_in_threadpool(_change, id, change, service, owner)
    return views.dataset(await uploads.find_upload(service, owner, "dataset", id, wait))


def _change(id: str, change: DatasetChange, service: Parts, owner: str) -> None:
    """Raises `not_found` and `declaration_fixed`."""
    if change.declaration is not None:
        _redeclare(id, change.declaration, service, owner)
    if change.pinned is not None:
        uploads.pin(service, owner, "dataset", id, change.pinned)


def _redeclare(id: str, declaration: Declaration, service: Parts, owner: str) -> None:
    """Raises `not_found` and `declaration_fixed`."""
    uploads.find(service, owner, "dataset", id)
    try:
        upload = service.records.declare(
            owner, id, declaration.model_dump(mode="json"), service.settings.max_attempts
        )
    except Conflict as error:
        detail = f"The declaration can no longer change: {error}. Upload the dataset again with the new one."
        raise Refusal("declaration_fixed", detail, field="declaration") from error
    if upload is None:
        uploads.find(service, owner, "dataset", id)  # refuses it
    service.queue.publish(Wake(queue="inspect", id=id))


@router.get(
    "/{id}/content",
    operation_id="download_dataset",
    response_class=Response,
    responses=documented("not_found", "range_not_satisfiable", also=CONTENT),
)
def download_dataset(id: DatasetId, request: Request, service: Service, owner: Owner) -> Response:
    """The bytes as they were uploaded."""
    return uploads.download(request, service, uploads.find(service, owner, "dataset", id))


@router.delete(
    "/{id}", status_code=204, operation_id="delete_dataset", responses=documented("not_found", "in_use")
)
def delete_dataset(id: DatasetId, service: Service, owner: Owner) -> None:
    """Only when no unfinished job uses it."""
    uploads.delete(service, owner, "dataset", id)
