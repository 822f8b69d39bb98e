"""`/v1/datasets`"""

from typing import Annotated, Any, BinaryIO, Final

from fastapi import Query, Request, Response
from pydantic import ValidationError

from app.api import uploads, views
from app.api.content import CONTENT
from app.api.deps import Owner, Service
from app.api.pages import Listed, Paged, listed
from app.api.problems import documented, refusal_of
from app.api.router import Router
from app.api.sniff import check_dataset
from app.api.storable import check_storable
from app.contract.base import Asked
from app.contract.dataset import Dataset, Declaration
from app.contract.errors import Refusal
from app.storage.ports import Conflict
from app.storage.records import Wake

router = Router(prefix="/v1/datasets", tags=["datasets"])


class Redeclaration(Asked):
    """`PATCH /v1/datasets/{id}`: the new declaration, whole."""

    declaration: Declaration


_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "declaration": {"$ref": "#/components/schemas/Declaration"},
                        "name": {"type": "string"},
                    },
                },
                "encoding": {"declaration": {"contentType": "application/json"}},
            },
        },
    }
}
_EXAMPLE: Final = {
    "declaration": {
        "inputs": {"input": {"array": "x", "layout": "NHWC->NCHW", "scale": 0.00392156862745098}},
        "targets": {"array": "y"},
    }
}


@router.post(
    "",
    status_code=201,
    operation_id="upload_dataset",
    openapi_extra=_BODY,
    responses=documented(
        "malformed_request", "digest_mismatch", "upload_too_large", "unknown_format", "unsupported_media_type",
        "empty_upload", "unsafe_archive", "pickle_refused", "disk_full",
        also={200: {"model": Dataset, "description": "The same bytes and declaration were here already"}},
    ),
)  # fmt: skip
async def upload_dataset(
    request: Request,
    response: Response,
    service: Service,
    owner: Owner,
    name: Annotated[str | None, Query(max_length=200, description="What to call it.")] = None,
    declaration: Annotated[
        str | None, Query(description="The declaration as JSON, for a body that is not a form.")
    ] = None,
) -> Dataset:
    """Send an `.npz` as the body, or as a form: `-F file=@data.npz -F declaration=@declaration.json`."""

    def describe(asked: uploads.Asked, file: BinaryIO) -> tuple[str, dict[str, Any]]:
        check_dataset(file)
        return "npz", _declared(asked)

    upload, new = await uploads.take(request, service, owner, "dataset", describe)
    uploads.created(response, upload, new)
    return views.dataset(upload)


def _declared(asked: uploads.Asked) -> dict[str, Any]:
    for stray in ("input", "format"):
        if asked.received.fields.get(stray):
            raise Refusal("invalid_request", f"{stray} is for models; a dataset takes none.", field=stray)
    text = asked.one("declaration")
    if not text:
        return _stored(Declaration())
    try:
        return _stored(Declaration.model_validate_json(text))
    except ValidationError as error:
        located = [{**e, "loc": ("form", "declaration", *e["loc"])} for e in error.errors()]
        raise refusal_of(located, None) from None


def _stored(declaration: Declaration) -> dict[str, Any]:
    stored = declaration.model_dump(mode="json")
    check_storable(stored, "declaration")
    return stored


@router.get("", operation_id="list_datasets", responses=documented())
def list_datasets(request: Request, service: Service, owner: Owner, page: Paged) -> Listed[Dataset]:
    """Newest first."""
    items, next = listed(
        request,
        page,
        lambda p: service.records.uploads(owner, "dataset", p),
        lambda uploads: [views.dataset(upload) for upload in uploads],
    )
    return Listed(items=items, next=next)


@router.get("/{id}", operation_id="get_dataset", response_model=Dataset, responses=documented("not_found"))
def get_dataset(id: str, request: Request, service: Service, owner: Owner) -> Response:
    """How it stands; with If-None-Match a cheap way to wait until it is inspected."""
    return uploads.shown(request, uploads.find(service, owner, "dataset", id), views.dataset)


@router.patch(
    "/{id}",
    operation_id="declare_dataset",
    responses=documented("not_found", "declaration_fixed", "malformed_request", "unsupported_media_type"),
    openapi_extra={"requestBody": {"content": {"application/json": {"example": _EXAMPLE}}}},
)
def declare_dataset(id: str, change: Redeclaration, service: Service, owner: Owner) -> Dataset:
    """Replace the declaration, before a job has used the dataset. It is inspected again."""
    uploads.find(service, owner, "dataset", id)
    try:
        upload = service.records.declare(
            owner, id, _stored(change.declaration), service.settings.max_attempts
        )
    except Conflict as error:
        detail = f"The declaration can no longer change: {error}. Upload the dataset again with the new one."
        raise Refusal("declaration_fixed", detail, field="declaration") from error
    if upload is None:
        raise Refusal("not_found", f"There is no dataset {id!r}; it may have been deleted.")
    service.queue.publish(Wake(queue="inspect", id=id))
    return views.dataset(upload)


@router.get(
    "/{id}/content",
    operation_id="download_dataset",
    response_class=Response,
    responses=documented("not_found", "range_not_satisfiable", also=CONTENT),
)
def download_dataset(id: str, request: Request, service: Service, owner: Owner) -> Response:
    """The bytes as they were uploaded."""
    return uploads.download(request, service, uploads.find(service, owner, "dataset", id))


@router.delete(
    "/{id}", status_code=204, operation_id="delete_dataset", responses=documented("not_found", "in_use")
)
def delete_dataset(id: str, service: Service, owner: Owner) -> None:
    """Only when no unfinished job uses it."""
    uploads.delete(service, owner, "dataset", id)
