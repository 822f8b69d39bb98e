"""`/v1/models`"""

from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, Final, Literal

from fastapi import Depends, Query, Request, Response
from pydantic import StringConstraints

from app.admission.inputs import parse_input
from app.api import examples, uploads, views
from app.api.content import CONTENT
from app.api.deps import ModelId, Owner, Parts, Service
from app.api.pages import Listed, Paged, listed
from app.api.problems import documented
from app.api.router import Router
from app.api.sniff import model_format
from app.api.submission import ready
from app.api.waiting import Wait
from winnow.contract.errors import Refusal, Refusals
from winnow.contract.model import Model
from winnow.contract.pinning import Pinning

router = Router(prefix="/v1/models", tags=["models"])

Formats = Literal["auto", "onnx", "onnx_package", "torch_export", "torchscript"]
TORCHSCRIPT: Final = "torchscript"
MAX_INPUTS: Final = 100


@dataclass(frozen=True)
class ModelOptions(uploads.UploadOptions):
    """What can go with the bytes of a model."""

    format: Annotated[
        Formats,
        Query(
            description="What the bytes are expected to be; `auto` for whatever they are.", examples=["onnx"]
        ),
    ] = "auto"
    input: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=200)]] | None,
        Query(
            max_length=MAX_INPUTS,
            examples=[["image:float32[N,1,28,28]"]],
            description="One input of a TorchScript model, in order: `image:float32[N,1,28,28]`, where a letter is a "
            "dynamic dimension. Repeated for each input; other formats carry their own.",
        ),
    ] = None


@router.post(
    "",
    status_code=201,
    operation_id="upload_model",
    openapi_extra=uploads.body(),
    responses=documented(
        "malformed_request", "digest_mismatch", "upload_too_large", "unknown_format", "unsupported_media_type",
        "empty_upload", "invalid_model", "unsafe_archive", "pickle_refused", "torchscript_disabled",
        "inputs_undeclared", "disk_full", "quota_exceeded",
        also={200: {"model": Model, "description": "The same bytes were here already"}},
    ),
)  # fmt: skip
async def upload_model(
    request: Request,
    response: Response,
    service: Service,
    owner: Owner,
    options: Annotated[ModelOptions, Depends()],
    wait: Wait = 0,
) -> Model:
    """Send a model: its bytes as the body (`curl -X POST -T model.onnx`), or as a form (`-F file=@model.onnx`)."""
    upload, new = await uploads.take(request, service, owner, MODELS)
    uploads.created(response, upload, new)
    return views.model(upload)


def _describe(parts: Parts, options: ModelOptions, file: BinaryIO) -> tuple[str, dict[str, Any]]:
    found = model_format(file, options.format, parts.settings.allow_torchscript)
    return found, _declaration(options.input or [], found)


def _check(options: ModelOptions) -> None:
    """What can be told without the file. Raises `invalid_request`."""
    refusals, declared = Refusals(), options.input or []
    for text in declared:
        with refusals:
            parse_input(text)
    with refusals:
        if declared and options.format not in ("auto", TORCHSCRIPT):
            raise _carries_its_own(options.format)
    refusals.raise_all()


def _carries_its_own(format: str) -> Refusal:
    detail = f"{format} carries its own inputs; input is for TorchScript only. Leave it out."
    return Refusal("invalid_request", detail, field="input")


def _declaration(declared: list[str], format: str) -> dict[str, Any]:
    if format == TORCHSCRIPT and not declared:
        raise Refusal(
            "inputs_undeclared",
            "TorchScript does not say what its inputs are. Add &input=NAME:float32[N,3,224,224] for each of them, "
            "in order.",
            field="input",
        )
    if format != TORCHSCRIPT and declared:
        raise _carries_its_own(format)
    return {"inputs": [parse_input(text).model_dump() for text in declared]} if declared else {}


MODELS: Final = uploads.Intake("model", ModelOptions, _check, _describe)


@router.get("", operation_id="list_models", responses=documented())
def list_models(request: Request, service: Service, owner: Owner, page: Paged) -> Listed[Model]:
    """Newest first."""
    items, next = listed(
        request,
        page,
        "mdl",
        lambda p: service.records.uploads(owner, "model", p),
        lambda uploads: [views.model(upload) for upload in uploads],
    )
    return Listed(items=items, next=next)


@router.get("/{id}", operation_id="get_model", response_model=Model, responses=documented("not_found"))
async def get_model(
    id: ModelId, request: Request, service: Service, owner: Owner, wait: Wait = 0
) -> Response:
    """How it stands; `wait` and If-None-Match are cheap ways to wait until it is inspected."""
    return uploads.shown(request, await uploads.find_upload(service, owner, "model", id, wait), views.model)


@router.get(
    "/{id}/content",
    operation_id="download_model",
    response_class=Response,
    responses=documented("not_found", "model_not_ready", "range_not_satisfiable", also=CONTENT),
)
def download_model(id: ModelId, request: Request, service: Service, owner: Owner) -> Response:
    """The bytes as they were uploaded; of a student as they were made, once they are."""
    model = uploads.find(service, owner, "model", id)
    return uploads.download(request, service, model if model.parent is None else ready(model, None))


@router.patch(
    "/{id}",
    operation_id="pin_model",
    responses=documented("not_found", "malformed_request", "unsupported_media_type"),
    openapi_extra=examples.PINNING,
)
def pin_model(id: ModelId, change: Pinning, service: Service, owner: Owner) -> Model:
    """Keep it however old it is, or no longer."""
    return views.model(uploads.pin(service, owner, "model", id, change.pinned))


@router.delete(
    "/{id}", status_code=204, operation_id="delete_model", responses=documented("not_found", "in_use")
)
def delete_model(id: ModelId, service: Service, owner: Owner) -> None:
    """Only when no unfinished job uses it."""
    uploads.delete(service, owner, "model", id)
