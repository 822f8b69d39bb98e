"""`/v1/models`"""

from typing import Annotated, Any, BinaryIO, Final, Literal

from fastapi import Query, Request, Response

from app.api import uploads, views
from app.api.content import CONTENT
from app.api.deps import Owner, Service
from app.api.pages import Listed, Paged, listed
from app.api.problems import documented
from app.api.router import Router
from app.api.sniff import model_format
from app.api.storable import check_storable
from app.contract.errors import Refusal
from app.contract.inputs import parse_input
from app.contract.model import Model

router = Router(prefix="/v1/models", tags=["models"])

Formats = Literal["auto", "onnx", "torch_export", "torchscript"]
MAX_INPUTS: Final = 100

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
                        "name": {"type": "string"},
                        "format": {"type": "string"},
                        "input": {"type": "array", "items": {"type": "string"}},
                    },
                }
            },
        },
    }
}
_INPUT: Final = "TorchScript only: `image:float32[N,1,28,28]`, a letter is a dynamic dimension. Repeatable."


@router.post(
    "",
    status_code=201,
    operation_id="upload_model",
    openapi_extra=_BODY,
    responses=documented(
        "malformed_request", "digest_mismatch", "upload_too_large", "unknown_format", "unsupported_media_type",
        "empty_upload", "invalid_model", "unsafe_archive", "pickle_refused", "torchscript_disabled",
        "inputs_undeclared", "disk_full",
        also={200: {"model": Model, "description": "The same bytes were here already"}},
    ),
)  # fmt: skip
async def upload_model(
    request: Request,
    response: Response,
    service: Service,
    owner: Owner,
    name: Annotated[str | None, Query(max_length=200, description="What to call it.")] = None,
    format: Annotated[Formats, Query(description="A cross-check: the bytes decide.")] = "auto",
    input: Annotated[list[str] | None, Query(description=_INPUT)] = None,
) -> Model:
    """Send a model: its bytes as the body (`curl -X POST -T model.onnx`), or as a form (`-F file=@model.onnx`)."""

    def describe(asked: uploads.Asked, file: BinaryIO) -> tuple[str, dict[str, Any]]:
        found = model_format(file, _format(asked), service.settings.allow_torchscript)
        return found, _declaration(asked, found)

    upload, new = await uploads.take(request, service, owner, "model", describe)
    uploads.created(response, upload, new)
    return views.model(upload)


def _format(asked: uploads.Asked) -> str:
    given = asked.one("format") or "auto"
    if given not in Formats.__args__:  # type: ignore[attr-defined]
        detail = f"format is auto, onnx, torch_export or torchscript, not {given!r}."
        raise Refusal("invalid_request", detail, field="format")
    return given


def _declaration(asked: uploads.Asked, format: str) -> dict[str, Any]:
    given = asked.all("input")
    if format == "torchscript" and not given:
        raise Refusal(
            "inputs_undeclared",
            "TorchScript does not say what its inputs are. Add &input=NAME:float32[N,3,224,224] for each of them, "
            "in order.",
            field="input",
        )
    if format != "torchscript" and given:
        detail = f"{format} carries its own inputs; input is for TorchScript only. Leave it out."
        raise Refusal("invalid_request", detail, field="input")
    if len(given) > MAX_INPUTS:
        raise Refusal("invalid_request", f"At most {MAX_INPUTS} inputs can be declared.", field="input")
    declaration = {"inputs": [parse_input(text).model_dump() for text in given]} if given else {}
    check_storable(declaration, "input")
    return declaration


@router.get("", operation_id="list_models", responses=documented())
def list_models(request: Request, service: Service, owner: Owner, page: Paged) -> Listed[Model]:
    """Newest first."""
    items, next = listed(
        request,
        page,
        lambda p: service.records.uploads(owner, "model", p),
        lambda uploads: [views.model(upload) for upload in uploads],
    )
    return Listed(items=items, next=next)


@router.get("/{id}", operation_id="get_model", response_model=Model, responses=documented("not_found"))
def get_model(id: str, request: Request, service: Service, owner: Owner) -> Response:
    """How it stands; with If-None-Match a cheap way to wait until it is inspected."""
    return uploads.shown(request, uploads.find(service, owner, "model", id), views.model)


@router.get(
    "/{id}/content",
    operation_id="download_model",
    response_class=Response,
    responses=documented("not_found", "range_not_satisfiable", also=CONTENT),
)
def download_model(id: str, request: Request, service: Service, owner: Owner) -> Response:
    """The bytes as they were uploaded."""
    return uploads.download(request, service, uploads.find(service, owner, "model", id))


@router.delete(
    "/{id}", status_code=204, operation_id="delete_model", responses=documented("not_found", "in_use")
)
def delete_model(id: str, service: Service, owner: Owner) -> None:
    """Only when no unfinished job uses it."""
    uploads.delete(service, owner, "model", id)
